/* What is demanded of the front's answer: for a listed name the order's verdict, for any other the
 * origin's answer, and for an alias of a listed name the one after the other. */
#pragma once

#include "cli/prove_compare.h"

/* Judges the two replies to a question. `listed` is the order that blocks its name, or NULL. Parses
 * into `arena`, which it resets first. Two answers of the same octets, the common case, cost no
 * parsing. */
void verdict_of_replies(struct answer_arena *arena, const struct compare_rules *rules,
                        const struct exchange_question *question, const struct order *listed,
                        const struct exchange_reply replies[EXCHANGE_SIDES],
                        struct comparison *ret);

/* Judges the answer to a question about `name` (wire form, lower case), which `order` blocks. */
void verdict_judge(const struct order *order, const uint8_t *name, uint16_t type,
                   const struct answer *front, struct comparison *ret);
