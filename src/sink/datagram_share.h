/* How many datagrams of one source are handed on: whoever sends more, or forges one sender, must
 * not fill the disk with events. Whoever forges ever other senders isn't held by this, but by the
 * bound of the folder of events.
 *
 * A source has so many a second, and after a rest as many at once. Sources are /32 of IPv4 and /64
 * of IPv6, over all threads of a sensor. The table has a fixed size; where a row is full, the
 * source that has rested for the longest is forgotten, which only ever lets more through. Its hash
 * has a key: nobody can choose addresses that displace another.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct datagram_share;

/* For `per_second_max` of each source, from 1. NULL: no memory. */
struct datagram_share *datagram_share_create(uint32_t per_second_max);
void datagram_share_free(struct datagram_share *share);
DEFINE_FREEP(struct datagram_share, datagram_share_free)

/* Counts a datagram of the client; false: it is beyond the source's share. Times are microseconds
 * of any clock that never goes back. Any thread; some loads under a lock. */
_must_check_ bool datagram_share_take(struct datagram_share *share, const struct in6_addr *client,
                                      int64_t now_us);
