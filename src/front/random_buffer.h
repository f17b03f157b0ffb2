/* Unpredictable octets without a system call each: identifiers and letter case of questions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A refill for each fifty questions or so; the kernel gives up to 256 octets without interruption
 * (getrandom(2)). */
#define RANDOM_BUFFER_SIZE 256

/* All zero is an empty one. One thread's. */
struct random_buffer {
    size_t left; /* at the end of octets[] */
    uint8_t octets[RANDOM_BUFFER_SIZE];
};

/* Takes `size` octets, at most RANDOM_BUFFER_SIZE. Octets that were taken are wiped. The process
 * ends when the kernel has none to give: nothing may be asked predictably. */
void random_take(struct random_buffer *buffer, void *ret_octets, size_t size);

uint16_t random_u16(struct random_buffer *buffer);
