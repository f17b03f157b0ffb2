/* The answers that nearly every question gets, written straight behind it: an address or text of a
 * name, its absence in a zone without a chain, an order's verdict on it. They are the same octets
 * that answer_question() would write, without its general machinery; whatever needs that machinery
 * is left to it.
 *
 * Costs one probe of the name table: two cache misses, which answer_direct_prefetch() and
 * answer_direct_prefetch_entry() overlap with those of other questions.
 */
#pragma once

#include "zone/answer.h"

struct direct_answer {
    size_t size; /* octets written */
    uint16_t answer_count, authority_count;
    uint8_t rcode;
    bool authoritative;
};

/* Ask the memory for what the answer to a question with a zone will look at. The second takes what
 * the first has brought, and returns whether orders may be asked: struct overlay has a prefetch of
 * its own. */
void answer_direct_prefetch(const struct question *question);
bool answer_direct_prefetch_entry(const struct question *question);

/* Writes the answer to `at`, right behind the question in a message, where `room` octets may be
 * used. False: it is answer_question()'s. Either way `ret_judgement` is what the orders said, if
 * they were asked; in an answer that was written, a verdict has decided. */
bool answer_direct(const struct question *question, const struct answer_environment *environment,
                   uint8_t *at, size_t room, struct direct_answer *ret_answer,
                   struct judgement *ret_judgement);
