/* A journal in a folder of its own, and commits whose content follows from their serial. */
#pragma once

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "zone/journal.h"

#define MIB ((uint64_t)1 << 20)

static const uint8_t apex_a[] = "\1a\7example", apex_b[] = "\1b\7example";

static char folder[64], data_path[80];
static const struct journal_limits limits_small = {.size_max = 16 * MIB, .age_max_s = 3600};
static const struct journal_limits limits_writer = {.size_max = 64 * MIB};

static inline void *fixture_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/tamis-journal-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(data_path, sizeof(data_path), "%s/data.mdb", folder);
    return folder;
}

static inline void fixture_clear(void)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock"};
    char path[96];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static inline int fixture_setup(void **state)
{
    *state = fixture_folder();
    return 0;
}

static inline int fixture_teardown(void **state)
{
    (void)state;
    fixture_clear();
    return 0;
}

static inline struct journal *fixture_open(const struct journal_limits *limits)
{
    struct journal *journal = NULL;
    struct error error = {.code = 0};
    if (journal_open(folder, limits, &journal, &error) < 0) {
        char text[900];
        fail_msg("%s", error_format(&error, text, sizeof(text)));
    }
    return journal;
}

/* Octets that differ by serial, so that a change of place shows. */
static inline void fill_octets(uint8_t *ret_octets, size_t size, uint32_t serial)
{
    uint64_t state = serial * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ret_octets[i] = (uint8_t)(state >> 56);
    }
}

static const char *const authors_two[] = {"key host-1.example", "192.0.2.1"};

static inline int write_commit(struct journal *journal, const uint8_t *apex, uint32_t from,
                               uint32_t to, size_t size, int64_t at_us, struct error *ret_error)
{
    uint8_t *octets = malloc(size + 1);
    assert_non_null(octets);
    fill_octets(octets, size, from);
    const struct commit commit = {.apex = apex,
                                  .serial_from = from,
                                  .serial_to = to,
                                  .at_us = at_us,
                                  .kind = COMMIT_UPDATE,
                                  .authors = authors_two,
                                  .author_count = 2,
                                  .changes = octets,
                                  .changes_size = size};
    int rc = journal_write(journal, &commit, 1, ret_error);
    free(octets);
    return rc;
}

/* Counts commits and checks each: that it begins where the one before it ended, and its octets. */
struct seen {
    uint32_t serial;
    uint64_t commits, octets;
    uint64_t stop_after; /* 0: never */
};

static inline int visit_seen(void *context, const struct commit *commit)
{
    struct seen *seen = context;
    uint8_t *octets = malloc(commit->changes_size + 1);
    assert_non_null(octets);
    fill_octets(octets, commit->changes_size, commit->serial_from);
    assert_int_equal(commit->serial_from, seen->serial);
    assert_memory_equal(commit->changes, octets, commit->changes_size);
    assert_int_equal(commit->author_count, 2);
    assert_string_equal(commit->authors[0], authors_two[0]);
    assert_string_equal(commit->authors[1], authors_two[1]);
    free(octets);
    seen->serial = commit->serial_to;
    seen->octets += commit->changes_size;
    return ++seen->commits == seen->stop_after ? 1 : 0;
}
