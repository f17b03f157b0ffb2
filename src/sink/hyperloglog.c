#include "sink/hyperloglog.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#define HASH_BITS 32

static size_t memory_of(const struct hyperloglog *sketch)
{
    return sketch->dense ? (size_t)1 << sketch->precision
                         : sketch->capacity * sizeof(*sketch->hashes);
}

/* The register is chosen by the high bits; its value is the longest row of zeros, plus one, that
 * the others began with. */
static void raise_register(struct hyperloglog *sketch, uint32_t hash)
{
    const unsigned precision = sketch->precision;
    const uint32_t rest = hash << precision;
    const unsigned bits = HASH_BITS - precision;
    const uint8_t value = (uint8_t)(rest == 0 ? bits + 1 : (unsigned)__builtin_clz(rest) + 1);
    uint8_t *at = &sketch->registers[hash >> bits];
    if (value > *at)
        *at = value;
}

static int make_dense(struct hyperloglog *sketch, struct memory_budget *budget)
{
    const size_t size = (size_t)1 << sketch->precision;
    uint8_t *registers = budget_resize(budget, NULL, 0, size);
    if (registers == NULL)
        return -ENOMEM;
    memset(registers, 0, size);

    uint32_t *hashes = sketch->hashes;
    const size_t hashes_size = memory_of(sketch);
    sketch->registers = registers;
    sketch->dense = true;
    for (unsigned i = 0; i < sketch->count; i++)
        raise_register(sketch, hashes[i]);
    budget_free(budget, hashes, hashes_size);
    return 0;
}

static bool is_kept(const struct hyperloglog *sketch, uint32_t hash)
{
    for (unsigned i = 0; i < sketch->count; i++) {
        if (sketch->hashes[i] == hash)
            return true;
    }
    return false;
}

static int grow(struct hyperloglog *sketch, struct memory_budget *budget)
{
    if (sketch->capacity >= HYPERLOGLOG_EXACT_MAX)
        return make_dense(sketch, budget);
    const unsigned capacity = sketch->capacity == 0 ? 4 : 2u * sketch->capacity;
    uint32_t *hashes =
        budget_resize(budget, sketch->hashes, memory_of(sketch), capacity * sizeof(*hashes));
    if (hashes == NULL)
        return -ENOMEM;
    sketch->hashes = hashes;
    sketch->capacity = (uint16_t)capacity;
    return 0;
}

int hyperloglog_add(struct hyperloglog *sketch, uint32_t hash, struct memory_budget *budget)
{
    assert(sketch->precision >= HYPERLOGLOG_PRECISION_MIN &&
           sketch->precision <= HYPERLOGLOG_PRECISION_MAX);
    if (!sketch->dense) {
        if (is_kept(sketch, hash))
            return 0;
        if (sketch->count == sketch->capacity) {
            int rc = grow(sketch, budget);
            if (rc < 0)
                return rc;
        }
        if (!sketch->dense) {
            sketch->hashes[sketch->count++] = hash;
            return 0;
        }
    }
    raise_register(sketch, hash);
    return 0;
}

int hyperloglog_merge(struct hyperloglog *sketch, const struct hyperloglog *other,
                      struct memory_budget *budget)
{
    assert(sketch->precision == other->precision);
    if (!other->dense) {
        for (unsigned i = 0; i < other->count; i++) {
            int rc = hyperloglog_add(sketch, other->hashes[i], budget);
            if (rc < 0)
                return rc;
        }
        return 0;
    }
    if (!sketch->dense) {
        int rc = make_dense(sketch, budget);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < (size_t)1 << sketch->precision; i++) {
        if (other->registers[i] > sketch->registers[i])
            sketch->registers[i] = other->registers[i];
    }
    return 0;
}

/* Ertl's sigma and tau: the parts of registers that are empty and of those that are full. */
static double sigma(double x)
{
    if (x == 1.0)
        return INFINITY;
    double y = 1, z = x, before;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

static double tau(double x)
{
    if (x == 0.0 || x == 1.0)
        return 0;
    double y = 1, z = 1 - x, before;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

uint64_t hyperloglog_estimate(const struct hyperloglog *sketch)
{
    if (!sketch->dense)
        return sketch->count;

    const double registers = (double)((size_t)1 << sketch->precision);
    const unsigned bits = HASH_BITS - sketch->precision;
    uint32_t counts[HASH_BITS + 2] = {0};
    for (size_t i = 0; i < (size_t)1 << sketch->precision; i++)
        counts[sketch->registers[i]]++;

    double z = registers * tau(1 - counts[bits + 1] / registers);
    for (unsigned value = bits; value >= 1; value--)
        z = 0.5 * (z + counts[value]);
    z += registers * sigma(counts[0] / registers);
    return (uint64_t)llround(registers / (2 * M_LN2) * registers / z);
}

void hyperloglog_clear(struct hyperloglog *sketch, struct memory_budget *budget)
{
    budget_free(budget, sketch->dense ? (void *)sketch->registers : sketch->hashes,
                memory_of(sketch));
    *sketch = (struct hyperloglog){.precision = sketch->precision};
}
