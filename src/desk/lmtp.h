/* LMTP (RFC 2033): where the provider's MTA hands in mail for the desk. A message that is answered
 * with 250 is durable; one that could not be written down is answered with 451, and the MTA keeps
 * it. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"

struct desk;
struct lmtp;

/* Listens at the configured address, with a few threads that each serve one connection at a time.
 */
_must_check_ int lmtp_start(struct desk *desk, struct lmtp **ret_lmtp, struct error *ret_error);

/* Ends the connections: a message whose end has not come was not taken. NULL is ignored. */
void lmtp_stop(struct lmtp *lmtp);
