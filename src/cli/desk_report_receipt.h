/* What a reporter got when a report was taken in, and shows to see what became of it. */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "cli/desk_client.h"

/* Keeps the desk's answer in a new file that nobody else may read. -EEXIST: there is one. */
_must_check_ int report_receipt_keep(const char *path, const json_t *answer,
                                     struct error *ret_error);

/* The address of the report that `path` is a receipt of: a file that report_receipt_keep() made, or
 * a text that has the address, as the desk's acknowledgement by mail. */
_must_check_ int report_receipt_path(const char *path, struct desk_path *ret_path,
                                     struct error *ret_error);
