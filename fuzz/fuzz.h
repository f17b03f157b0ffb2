/* What every fuzz target has. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's entry: one input, any octets. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Holds in every build: a broken promise is a crash that the fuzzer reports. */
#define FUZZ_ASSERT(condition)                                                             \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)
