/* How many distinct hashes came, in bounded memory: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier
 * 2007) with the estimator of Ertl ("New cardinality estimation algorithms for HyperLogLog
 * sketches", 2017), which needs no tables of corrections.
 *
 * A few hashes are kept as they are and counted exactly; beyond, 2^precision octets hold the
 * registers and the standard error is 1.04 / sqrt(2^precision). Hashes have 32 bits, whose own
 * collisions cost 1 % at 86 million.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sink/memory_budget.h"

#define HYPERLOGLOG_PRECISION_MIN 4
#define HYPERLOGLOG_PRECISION_MAX 16

/* Hashes that are kept as they are, at most: a search of them is a few vector instructions. */
#define HYPERLOGLOG_EXACT_MAX 64

/* All zero but `precision` is an empty one. */
struct hyperloglog {
    uint8_t precision;
    bool dense;
    uint16_t count, capacity; /* of hashes, as long as it is not dense; `count` 0: empty */
    union {
        uint32_t *hashes;
        uint8_t *registers;
    };
};

/* 0 or -ENOMEM; then it counts without this hash. */
_must_check_ int hyperloglog_add(struct hyperloglog *sketch, uint32_t hash,
                                 struct memory_budget *budget);

/* Adds what `other`, of the same precision, has seen. */
_must_check_ int hyperloglog_merge(struct hyperloglog *sketch, const struct hyperloglog *other,
                                   struct memory_budget *budget);

uint64_t hyperloglog_estimate(const struct hyperloglog *sketch);

/* Empties it and gives its memory back. */
void hyperloglog_clear(struct hyperloglog *sketch, struct memory_budget *budget);
