/* Tokens of interests: what the desk stores of a name that a partner is interested in. They are
 * made from the oblivious function's output for the name (blinding.h), whose input is the name as
 * text: lower case, A-labels, no last dot.
 *
 * How a name of an order and an interest meet is a part of the token, so one evaluation of a name
 * is enough for all of its relations. Used by the desk and by the partner's side alike. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "desk/blinding.h"

#define INTEREST_TOKEN_SIZE 32

enum interest_relation {
    INTEREST_NAME,  /* in exactly this name */
    INTEREST_TREE,  /* in the name and all below */
    INTEREST_BELOW, /* in something below the name: so that an order for its subtree is found */
};

/* "name", "tree", "below". */
const char *interest_relation_text(enum interest_relation relation);

/* SHA-256 of "tamis-interest-v1", the relation's text and the output, with a NUL behind each text.
 */
void interest_token_make(enum interest_relation relation,
                         const uint8_t output[static BLINDING_OUTPUT_SIZE],
                         uint8_t ret_token[static INTEREST_TOKEN_SIZE]);

/* The name above, NULL when that would be a top-level domain, in which nobody may be interested:
 * such an interest would overlap with every order. */
const char *interest_parent(const char *name);

/* Whether it is a name of two labels or more in the form above; *ret_reason tells what is wrong. */
bool interest_name_valid(const char *name, const char **ret_reason);
