/* The partner's side of deconfliction: from names to tokens, with the desk's help and without its
 * knowledge (doc/deconfliction.md). */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

struct desk_client;

/* What somebody is interested in. */
struct interest_pattern {
    char *text; /* as written, in lower case: "a.example", or "*.a.example" with all below */
    const char *name;
    bool is_tree;
};

struct interest_patterns {
    struct interest_pattern *items;
    size_t count, room;
};

/* Takes "NAME" or "*.NAME"; -EINVAL with what is wrong. */
_must_check_ int interest_patterns_add(struct interest_patterns *patterns, const char *text,
                                       struct error *ret_error);
/* One a line; '#' begins a comment. */
_must_check_ int interest_patterns_read(struct interest_patterns *patterns, const char *path,
                                        struct error *ret_error);
void interest_patterns_clear(struct interest_patterns *patterns);

/* Has the names evaluated, blinded, and makes the body of POST /v1/interests for each pattern: an
 * array in their order, which the caller frees. */
_must_check_ int interest_bodies_make(struct desk_client *client,
                                      const struct interest_patterns *patterns, json_t **ret_bodies,
                                      struct error *ret_error);
