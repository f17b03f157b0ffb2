/* A running tamisd's control socket, for commands other than ctl. */
#pragma once

#include <jansson.h>

#include "base/error.h"

/* Sends the request, whose reference it takes (NULL: it could not be made), to `socket` (NULL: the
 * one that ctl would take) and waits for the answer, {"ok": ...}. */
_must_check_ int ctl_ask(const char *socket, json_t *request, json_t **ret_answer,
                         struct error *ret_error);

/* What an answer that is not "ok" says. */
void ctl_answer_error(const json_t *answer, struct error *ret_error);
