/* The key of the name hash: random, so that nobody can choose names that collide, and the same from
 * one start to the next, because the snapshots' tables stand in the order that it makes. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* A key for this process alone. Returns 0 or a negative errno. */
_must_check_ int hash_key_draw(uint64_t ret_key[2]);

/* The key kept in the folder `state`, which is made when it is missing, in `hash-key`. A first one
 * is drawn and kept; so is another in the place of a damaged one. Whenever the key is not the one
 * of the last start *ret_error says why, with code 0 for the first start. Returns 0, or a negative
 * errno when there are no random numbers; that a key cannot be kept is only told. */
_must_check_ int hash_key_load(const char *state, uint64_t ret_key[2], struct error *ret_error);
