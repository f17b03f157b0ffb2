/* First packets in files: private to `sink check-rules`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/recogniser.h"

/* What a folder's name says that its files are: a kind ("http-scan"), a family's check-in
 * ("gh0st"), a family's other messages ("gh0st-beacon"), or "none": of no family. */
struct sample_expectation {
    bool given;
    bool no_family; /* whatever the kind */
    enum sink_kind kind;
    char family[64]; /* "" of a kind alone */
};

struct sample {
    char *path;
    struct sample_expectation expected;
    char family[64], rule[80], version[24], fake[64]; /* "" for none */
    enum sink_kind kind;
    bool wellformed, consistent;
    bool agrees; /* with the expectation, or there is none */
};

struct sample_list {
    struct sample *samples;
    size_t count, capacity;
};

/* Looks at one file. A name ending in ".udp" is a datagram, in ".tls" what came within TLS. */
_must_check_ int sample_list_add(struct sample_list *list, struct recogniser *recogniser,
                                 const char *path, const struct sample_expectation *expected,
                                 struct error *ret_error);

/* Looks at all files of a folder's folders, in the order of their names. */
_must_check_ int sample_list_add_folder(struct sample_list *list, struct recogniser *recogniser,
                                        const char *folder, struct error *ret_error);
void sample_list_clear(struct sample_list *list);
