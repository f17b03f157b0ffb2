/* The desk's keys for deconfliction: the present one, with which partners have their names
 * evaluated, and older ones, whose interests are still found. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/blinding.h"

struct desk_config;

/* Of the public key, in hex: what tokens are stored with. */
#define INTEREST_KEY_ID_SIZE 17

struct interest_key {
    char id[INTEREST_KEY_ID_SIZE];
    uint8_t secret[BLINDING_SCALAR_SIZE];
};

/* Read once at start, then only read. */
struct interest_keys {
    struct interest_key *keys; /* the present one first */
    size_t count;
};

/* Reads the files of the configuration; without any, state/interest.key, made when it is missing.
 */
_must_check_ int interest_keys_load(const struct desk_config *config,
                                    struct interest_keys **ret_keys, struct error *ret_error);
/* Wipes. NULL is ignored. */
void interest_keys_free(struct interest_keys *keys);

/* NULL: the desk has no such key any more. */
const struct interest_key *interest_key_find(const struct interest_keys *keys, const char *id);
