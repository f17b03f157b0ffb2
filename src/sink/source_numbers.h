/* Sources by number: how many connections each has, over all threads of a sensor, and never more
 * than it may have.
 *
 * A source is an address of IPv4 (/32) or a network of IPv6 (/64), as one end user has either. It
 * has a number, from 1, from its first connection to the end of its last, so that whatever else is
 * kept of it is found by an index. The hash has a key: nobody can choose addresses that collide.
 * Memory is bounded by the number of connections; taking and giving are a few loads under a lock.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "base/cleanup.h"

struct source_numbers;

/* Of the source that the client belongs to; no two sources have the same one. */
uint64_t source_prefix(const struct in6_addr *client);

/* For `sources_max` sources at once with `connections_max` of each. NULL: no memory. */
struct source_numbers *source_numbers_create(uint32_t sources_max, uint32_t connections_max);
void source_numbers_free(struct source_numbers *numbers);
DEFINE_FREEP(struct source_numbers, source_numbers_free)

/* Counts one more connection. Returns the number of its source; 0: the source has as many as it
 * may have, or there are as many sources as there may be. Any thread. */
_must_check_ uint32_t source_numbers_take(struct source_numbers *numbers,
                                          const struct in6_addr *client);

/* One connection less. Any thread. */
void source_numbers_give(struct source_numbers *numbers, uint32_t source);
