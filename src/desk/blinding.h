/* The oblivious pseudorandom function of deconfliction: RFC 9497, OPRF(ristretto255, SHA-512) in
 * OPRF mode. Who has an input learns the function's output of it with the help of whoever has the
 * key, who learns nothing of the input.
 *
 *     client: blinding_blind() -> element -> server: blinding_evaluate() -> element
 *     client: blinding_finalize() -> output, the same as blinding_output() has from key and input
 *
 * sodium_init() was called. Any thread. Nothing here branches on secrets, but inputs' lengths.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define BLINDING_ELEMENT_SIZE 32 /* a point, serialized */
#define BLINDING_SCALAR_SIZE  32
#define BLINDING_SEED_SIZE    32
#define BLINDING_OUTPUT_SIZE  64
#define BLINDING_INPUT_MAX    1024 /* octets; the RFC allows more, names do not need it */

/* DeriveKeyPair (3.2.1): the secret key, and the public one, of a seed. -EDOM: of no seed that
 * chance gives. */
_must_check_ int blinding_key_derive(const uint8_t seed[static BLINDING_SEED_SIZE],
                                     const void *info, size_t info_size,
                                     uint8_t ret_key[static BLINDING_SCALAR_SIZE],
                                     uint8_t ret_public[static BLINDING_ELEMENT_SIZE]);

/* Blind (3.3.1) with a scalar of chance, or with the given one. -EDOM: the input cannot be used. */
_must_check_ int blinding_blind(const void *input, size_t size,
                                uint8_t ret_blind[static BLINDING_SCALAR_SIZE],
                                uint8_t ret_element[static BLINDING_ELEMENT_SIZE]);
_must_check_ int blinding_blind_with(const void *input, size_t size,
                                     const uint8_t blind[static BLINDING_SCALAR_SIZE],
                                     uint8_t ret_element[static BLINDING_ELEMENT_SIZE]);

/* BlindEvaluate. -EDOM: `element` is no element of the group, or its identity. */
_must_check_ int blinding_evaluate(const uint8_t key[static BLINDING_SCALAR_SIZE],
                                   const uint8_t element[static BLINDING_ELEMENT_SIZE],
                                   uint8_t ret_evaluated[static BLINDING_ELEMENT_SIZE]);

/* Finalize. -EDOM: what came back is no element of the group. */
_must_check_ int blinding_finalize(const void *input, size_t size,
                                   const uint8_t blind[static BLINDING_SCALAR_SIZE],
                                   const uint8_t evaluated[static BLINDING_ELEMENT_SIZE],
                                   uint8_t ret_output[static BLINDING_OUTPUT_SIZE]);

/* Evaluate: the output, for who has the key. About 0.05 ms. */
_must_check_ int blinding_output(const uint8_t key[static BLINDING_SCALAR_SIZE], const void *input,
                                 size_t size, uint8_t ret_output[static BLINDING_OUTPUT_SIZE]);
