/* Reads the records of a DNS message one by one: names decompressed, rdata bounds proved.
 *
 * For bulk input (zone transfers): one pass, no allocation per record, views into the message where
 * nothing had to be expanded. The input is hostile: every offset is checked, a compression pointer
 * may only lead backwards, and rdata of a known type must have the shape that its type has.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dns/name.h"

#define MESSAGE_HEADER_SIZE 12
#define MESSAGE_SIZE_MAX    65535

/* One record, as a view that the next call on its reader overwrites. */
struct record {
    const uint8_t *owner; /* uncompressed, letter case as received */
    const uint8_t *rdata; /* names in it uncompressed */
    size_t at;            /* where the record begins in its message */
    uint32_t ttl_s;
    uint16_t type, class;
    uint16_t rdata_size;
    uint8_t owner_size;
};

struct record_reader {
    const uint8_t *wire;
    size_t size, at;
    uint8_t owner[NAME_SIZE_MAX];
    /* Expanded rdata: what can be received in one message plus what its two names can grow to. */
    uint8_t rdata[MESSAGE_SIZE_MAX + 2 * NAME_SIZE_MAX];
};

/* A reader is too big for a stack: it lives on the heap and serves many messages. NULL: no memory.
 */
struct record_reader *record_reader_create(void);
void record_reader_free(struct record_reader *reader);
DEFINE_FREEP(struct record_reader, record_reader_free)

/* Begins with the octet behind the header; the caller has seen that there is a whole header. The
 * message must outlive the reading. */
void record_reader_init(struct record_reader *reader, const uint8_t *wire, size_t size);

/* Reads one question. `ret_name` has room for NAME_SIZE_MAX octets. Returns 0 or -EBADMSG. */
_must_check_ int record_reader_question(struct record_reader *reader, uint8_t *ret_name,
                                        uint16_t *ret_type, uint16_t *ret_class);

/* Reads one record; of the classes ANY and NONE it may be without data. Returns 0, or
 * -EBADMSG when it is cut short, has a bad name, or its rdata does not have the shape of its type.
 */
_must_check_ int record_reader_next(struct record_reader *reader, struct record *ret_record);
