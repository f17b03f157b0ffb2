/* How much of a thread's time goes into handshakes of TLS: a flood of them must not keep it from
 * everybody else. A source's part is small, and that of all is half, so that clients without TLS
 * are always served; who comes when it is used up is recorded by its hello alone.
 *
 * Sources are addresses of IPv4 and /64 of IPv6; those that share one of the table's rows share its
 * part, and nobody can choose rows, since their hash has a key. One thread's.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct handshake_share;

/* NULL: no memory. */
struct handshake_share *handshake_share_create(void);
void handshake_share_free(struct handshake_share *share);
DEFINE_FREEP(struct handshake_share, handshake_share_free)

/* Whether the client may begin one. Times are microseconds of any clock that never goes back. */
bool handshake_share_has_room(const struct handshake_share *share, const struct in6_addr *client,
                              int64_t now_us);

/* A step of it took so long. */
void handshake_share_spend(struct handshake_share *share, const struct in6_addr *client,
                           int64_t now_us, int64_t spent_us);
