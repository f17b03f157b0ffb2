/* What name servers answered for listed names a short while ago, to find the name that a client was
 * given: bounded, the oldest give way. Any thread.
 *
 * A client asks through a resolver, most often one of its own network. So an answer is kept by the
 * resolver's network (/24, /48) and the address that it gave; and for each address also whether all
 * answers of the window were for one name. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct recent_answers;

/* NULL: no memory. */
struct recent_answers *recent_answers_create(unsigned window_s);
void recent_answers_free(struct recent_answers *answers);
DEFINE_FREEP(struct recent_answers, recent_answers_free)

/* The name (wire form, lower case) was answered with the address `local`. */
void recent_answers_put(struct recent_answers *answers, const uint8_t *wire,
                        const struct in6_addr *resolver, const struct in6_addr *local,
                        int64_t at_us);

/* The name that was last given to the client's network for `local`. `ret_wire` has room for a name.
 */
bool recent_answers_near(struct recent_answers *answers, const struct in6_addr *client,
                         const struct in6_addr *local, int64_t at_us, uint8_t *ret_wire);

/* The only name that was answered with `local` in the window. */
bool recent_answers_only(struct recent_answers *answers, const struct in6_addr *local,
                         int64_t at_us, uint8_t *ret_wire);
