/* A piece of evidence as it lies in its file: a header, and what crypto_box_seal() made of a text
 * that says where it comes from and of the octets themselves (doc/sink-events.md). Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/event.h"

#define EVIDENCE_ITEM_HEADER_SIZE 8 /* mark and length */

/* More than the sensor reads of a client. */
#define EVIDENCE_CONTENT_MAX 65536

/* Of the text that stands before the content. */
#define EVIDENCE_TEXT_MAX 1024

#define EVIDENCE_PLAIN_MAX (EVIDENCE_TEXT_MAX + EVIDENCE_CONTENT_MAX)

/* Room for the sealed form of so much. */
size_t evidence_item_room(size_t plain_size);

/* How much the plain form of a flight takes at most. */
size_t evidence_plain_room(const struct sink_flight *flight);

/* Writes what will be sealed: where it comes from, and the content. Returns its size. */
size_t evidence_plain_write(const struct sink_flight *flight, const struct sink_event *event,
                            uint8_t *ret_plain);

/* Seals it to an item; returns its size, or 0 when the key is none. Costs some 100 us. */
_must_check_ size_t evidence_item_seal(const uint8_t *plain, size_t size,
                                       const uint8_t seal_to[static 32], uint8_t *ret_octets);

/* The length of what is behind a header; false: it is none. */
bool evidence_item_header_read(const uint8_t octets[static EVIDENCE_ITEM_HEADER_SIZE],
                               size_t *ret_size);
