/* Changing a delegation: by a command of the user's, or by an UPDATE to the parent's primary
 * (RFC 2136) with TSIG. Both are given the whole set that is wanted, so that doing it twice does no
 * harm. */
#pragma once

#include "cli/takeover_state.h"

/* What the parent is to have while the domain is ours: `own` name servers of ours beside the old
 * ones; 0: all of ours and none of the old ones. `before` is the delegation as it was. NULL: no
 * memory. */
json_t *delegation_ours(const struct takeover_plan *plan, const struct plan_domain *domain,
                        const json_t *before, unsigned own);

/* Has the parent changed to `wanted`, and waits until all parents show its name servers. `action`
 * is "take" or "return", for the command. */
_must_check_ int delegation_change(const struct takeover_plan *plan,
                                   const struct plan_domain *domain, const char *action,
                                   const json_t *wanted, struct error *ret_error);
