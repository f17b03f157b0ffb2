/* First packets of the tests: made of files and of lines with escapes. */
#pragma once

#include "sink/recognition.h"

/* Where the repository's tests are. */
#ifndef TESTS_FOLDER
#define TESTS_FOLDER "tests"
#endif

/* What the parsers make of it, asked in the order of the recogniser; `ret_recognition` is zeroed
 * before. */
void packet_recognise(const uint8_t *octets, size_t size, struct sink_recognition *ret_recognition);

/* "njrat", "njrat-beacon", "http", ...: the corpus's word for it. */
const char *packet_word(const struct sink_recognition *recognition, char ret_word[static 64]);

/* Whether it would be counted as of a victim. */
static inline bool packet_is_victim(const struct sink_recognition *recognition)
{
    return recognition->kind == SINK_CHECKIN || recognition->kind == SINK_BEACON;
}
