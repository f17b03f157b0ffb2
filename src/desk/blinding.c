#include "desk/blinding.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define HASH_SIZE       crypto_hash_sha512_BYTES
#define HASH_BLOCK_SIZE 128 /* of SHA-512: s_in_bytes of RFC 9380 */

/* CreateContextString (3.1): version, mode 0x00, suite. */
#define CONTEXT "OPRFV1-\0-ristretto255-SHA512"

/* Domain separation, without the terminating NUL. */
static const char tag_group[] = "HashToGroup-" CONTEXT;
static const char tag_key[] = "DeriveKeyPair" CONTEXT;

static_assert(crypto_core_ristretto255_BYTES == BLINDING_ELEMENT_SIZE, "");
static_assert(crypto_core_ristretto255_SCALARBYTES == BLINDING_SCALAR_SIZE, "");
static_assert(crypto_core_ristretto255_HASHBYTES == HASH_SIZE, "one block of expand_message_xmd");

/* I2OSP(size, 2), then the octets. */
static void update_sized(crypto_hash_sha512_state *state, const void *octets, size_t size)
{
    const uint8_t prefix[2] = {(uint8_t)(size >> 8), (uint8_t)size};
    crypto_hash_sha512_update(state, prefix, sizeof(prefix));
    crypto_hash_sha512_update(state, octets, size);
}

/* expand_message_xmd (RFC 9380, 5.3.1) with SHA-512 to 64 octets, which is one block: b_1. The
 * message comes in two parts. */
static void expand(const void *one, size_t one_size, const void *other, size_t other_size,
                   const char *tag, size_t tag_size, uint8_t ret_octets[static HASH_SIZE])
{
    static const uint8_t pad[HASH_BLOCK_SIZE];
    static const uint8_t length_and_zero[3] = {0, HASH_SIZE, 0}; /* I2OSP(64, 2), I2OSP(0, 1) */
    const uint8_t tag_length = (uint8_t)tag_size, number = 1;
    uint8_t first[HASH_SIZE];
    crypto_hash_sha512_state state;

    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, pad, sizeof(pad));
    crypto_hash_sha512_update(&state, one, one_size);
    crypto_hash_sha512_update(&state, other, other_size);
    crypto_hash_sha512_update(&state, length_and_zero, sizeof(length_and_zero));
    crypto_hash_sha512_update(&state, (const uint8_t *)tag, tag_size);
    crypto_hash_sha512_update(&state, &tag_length, 1);
    crypto_hash_sha512_final(&state, first);

    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, first, sizeof(first));
    crypto_hash_sha512_update(&state, &number, 1);
    crypto_hash_sha512_update(&state, (const uint8_t *)tag, tag_size);
    crypto_hash_sha512_update(&state, &tag_length, 1);
    crypto_hash_sha512_final(&state, ret_octets);
}

/* HashToGroup (4.1). */
static void hash_to_group(const void *input, size_t size,
                          uint8_t ret_element[static BLINDING_ELEMENT_SIZE])
{
    uint8_t uniform[HASH_SIZE];
    assert(size <= BLINDING_INPUT_MAX);
    expand(input, size, "", 0, tag_group, sizeof(tag_group) - 1, uniform);
    crypto_core_ristretto255_from_hash(ret_element, uniform);
    sodium_memzero(uniform, sizeof(uniform));
}

int blinding_key_derive(const uint8_t seed[static BLINDING_SEED_SIZE], const void *info,
                        size_t info_size, uint8_t ret_key[static BLINDING_SCALAR_SIZE],
                        uint8_t ret_public[static BLINDING_ELEMENT_SIZE])
{
    uint8_t tail[2 + BLINDING_INPUT_MAX + 1], uniform[HASH_SIZE];
    assert(info_size <= BLINDING_INPUT_MAX);
    tail[0] = (uint8_t)(info_size >> 8);
    tail[1] = (uint8_t)info_size;
    memcpy(tail + 2, info, info_size);
    for (unsigned counter = 0; counter < 256; counter++) {
        tail[2 + info_size] = (uint8_t)counter;
        expand(seed, BLINDING_SEED_SIZE, tail, 2 + info_size + 1, tag_key, sizeof(tag_key) - 1,
               uniform);
        crypto_core_ristretto255_scalar_reduce(ret_key, uniform);
        sodium_memzero(uniform, sizeof(uniform));
        if (!sodium_is_zero(ret_key, BLINDING_SCALAR_SIZE))
            return crypto_scalarmult_ristretto255_base(ret_public, ret_key) == 0 ? 0 : -EDOM;
    }
    return -EDOM;
}

int blinding_blind_with(const void *input, size_t size,
                        const uint8_t blind[static BLINDING_SCALAR_SIZE],
                        uint8_t ret_element[static BLINDING_ELEMENT_SIZE])
{
    uint8_t element[BLINDING_ELEMENT_SIZE];
    if (size > BLINDING_INPUT_MAX)
        return -EDOM;
    hash_to_group(input, size, element);
    /* Fails for the identity. */
    return crypto_scalarmult_ristretto255(ret_element, blind, element) == 0 ? 0 : -EDOM;
}

int blinding_blind(const void *input, size_t size, uint8_t ret_blind[static BLINDING_SCALAR_SIZE],
                   uint8_t ret_element[static BLINDING_ELEMENT_SIZE])
{
    crypto_core_ristretto255_scalar_random(ret_blind);
    return blinding_blind_with(input, size, ret_blind, ret_element);
}

int blinding_evaluate(const uint8_t key[static BLINDING_SCALAR_SIZE],
                      const uint8_t element[static BLINDING_ELEMENT_SIZE],
                      uint8_t ret_evaluated[static BLINDING_ELEMENT_SIZE])
{
    if (crypto_core_ristretto255_is_valid_point(element) != 1)
        return -EDOM;
    return crypto_scalarmult_ristretto255(ret_evaluated, key, element) == 0 ? 0 : -EDOM;
}

static void output_make(const void *input, size_t size,
                        const uint8_t element[static BLINDING_ELEMENT_SIZE],
                        uint8_t ret_output[static BLINDING_OUTPUT_SIZE])
{
    static const char tag[] = "Finalize";
    crypto_hash_sha512_state state;
    crypto_hash_sha512_init(&state);
    update_sized(&state, input, size);
    update_sized(&state, element, BLINDING_ELEMENT_SIZE);
    crypto_hash_sha512_update(&state, (const uint8_t *)tag, sizeof(tag) - 1);
    crypto_hash_sha512_final(&state, ret_output);
}

int blinding_finalize(const void *input, size_t size,
                      const uint8_t blind[static BLINDING_SCALAR_SIZE],
                      const uint8_t evaluated[static BLINDING_ELEMENT_SIZE],
                      uint8_t ret_output[static BLINDING_OUTPUT_SIZE])
{
    uint8_t inverse[BLINDING_SCALAR_SIZE], element[BLINDING_ELEMENT_SIZE];
    if (size > BLINDING_INPUT_MAX || crypto_core_ristretto255_scalar_invert(inverse, blind) != 0)
        return -EDOM;
    int rc = blinding_evaluate(inverse, evaluated, element);
    if (rc == 0)
        output_make(input, size, element, ret_output);
    sodium_memzero(inverse, sizeof(inverse));
    sodium_memzero(element, sizeof(element));
    return rc;
}

int blinding_output(const uint8_t key[static BLINDING_SCALAR_SIZE], const void *input, size_t size,
                    uint8_t ret_output[static BLINDING_OUTPUT_SIZE])
{
    uint8_t element[BLINDING_ELEMENT_SIZE];
    int rc = blinding_blind_with(input, size, key, element);
    if (rc == 0)
        output_make(input, size, element, ret_output);
    sodium_memzero(element, sizeof(element));
    return rc;
}
