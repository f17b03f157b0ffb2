/* XARF, the extended abuse reporting format: JSON of version 4, checked against the published
 * schemas of the types that concern host names, and of version 3, which is converted first. */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/report.h"

/* Reads a report into `intake`: class, names, evidence, contact. -EINVAL: it does not fit its
 * schema (the error's file is the JSON pointer), or its type concerns addresses alone. */
_must_check_ int xarf_read(const json_t *json, struct report_intake *intake,
                           struct error *ret_error);

/* Version 4 of a report of version 3; the caller frees it. */
_must_check_ int xarf_convert_v3(const json_t *json, json_t **ret_json, struct error *ret_error);

/* Whether it claims to be of version 3. */
bool xarf_is_v3(const json_t *json);
