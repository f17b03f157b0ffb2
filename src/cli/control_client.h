/* The client's side of tamisd's control socket (service/control.h): one request, one answer. */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Which socket is meant: `given`, else $TAMIS_SOCKET, else the nearest one that exists, even if
 * nobody serves it, so that a command never reaches another server than the one whose folder one
 * stands in. */
const char *control_path(const char *given);

/* Sends the request to the UNIX socket `path` and waits for the answer, however long it takes; on a
 * terminal a wait over a second shows. Where tamisd has too many commands under way, it is asked
 * again for up to half a minute. The answer is an object with "ok" and is the caller's. */
_must_check_ int control_exchange(const char *path, const json_t *request, json_t **ret_answer,
                                  struct error *ret_error);

/* The error in an answer that is not ok, as if it had happened here. */
void control_answer_error(const json_t *answer, struct error *ret_error);

/* The same for who only wants the result, which is the caller's; -EREMOTEIO: tamisd said no.
 * `timeout_ms` bounds each wait for tamisd, be it for a connection or the answer (-ETIMEDOUT);
 * 0: however long it takes. */
_must_check_ int control_ask(const char *path, const json_t *request, unsigned timeout_ms,
                             json_t **ret_result, struct error *ret_error);
