/* How many passwords are hashed at a time. Each takes 64 MiB and a core for a tenth of a second: a
 * flood of sign-ins must take neither all of the memory nor all of the workers. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/request.h"

struct password_gate;

/* For `workers` threads that come through it. NULL: out of memory. */
struct password_gate *password_gate_create(unsigned workers);
void password_gate_free(struct password_gate *gate);

/* As password_matches() and password_hash(), when it is their turn. Waits for others that hash, but
 * leaves the last worker to other requests when some wait: -EAGAIN. */
_must_check_ int password_gate_match(struct password_gate *gate, const struct request *request,
                                     const char *password, const char *hash, bool *ret_matches,
                                     struct error *ret_error);
_must_check_ int password_gate_hash(struct password_gate *gate, const struct request *request,
                                    const char *password, char *ret_hash, struct error *ret_error);
