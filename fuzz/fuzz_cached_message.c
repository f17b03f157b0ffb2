/* Any octets as an origin's message: what is taken for an answer is one that may be kept and sent.
 *
 * The input is the message; its own question is what was asked, so that most of it is looked at. */
#include <libknot/libknot.h>
#include <string.h>

#include "dns/record_reader.h"
#include "front/cached_message.h"
#include "fuzz/fuzz.h"

#define NOW INT64_C(1790000000)

static const uint8_t apex[] = "\1a\7example";

/* What a client is sent, as libknot reads it. */
static void check_sent(const struct cache_key *key, const struct cached_answer *answer)
{
    static uint8_t wire[UINT16_MAX];
    memset(wire, 0, MESSAGE_HEADER_SIZE);
    knot_wire_set_qr(wire);
    knot_wire_set_rcode(wire, answer->rcode);
    knot_wire_set_qdcount(wire, 1);
    knot_wire_set_ancount(wire, answer->counts[0]);
    knot_wire_set_nscount(wire, answer->counts[1]);
    knot_wire_set_arcount(wire, answer->counts[2]);
    size_t size = MESSAGE_HEADER_SIZE;
    memcpy(wire + size, key->name->wire, key->name->size);
    size += key->name->size;
    knot_wire_write_u16(wire + size, key->type);
    knot_wire_write_u16(wire + size + 2, KNOT_CLASS_IN);
    size += 4;
    size_t body = cached_answer_write(answer, NOW + 1, 30, wire + size, sizeof(wire) - size);
    FUZZ_ASSERT(body == answer->body_size);

    static struct record_reader *reader;
    struct record record;
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, class;
    if (reader == NULL)
        reader = record_reader_create();
    FUZZ_ASSERT(reader != NULL);
    record_reader_init(reader, wire, size + body);
    FUZZ_ASSERT(record_reader_question(reader, owner, &type, &class) == 0);
    const unsigned records = answer->counts[0] + answer->counts[1] + answer->counts[2];
    FUZZ_ASSERT(answer->ttl_count == records);
    for (unsigned i = 0; i < records; i++) {
        FUZZ_ASSERT(record_reader_next(reader, &record) == 0);
        FUZZ_ASSERT(record.type != KNOT_RRTYPE_OPT && record.type != KNOT_RRTYPE_TSIG);
        FUZZ_ASSERT(knot_dname_in_bailiwick(record.owner, apex) >= 0);
        FUZZ_ASSERT(reader->at - record.rdata_size <= size + body);
    }
    FUZZ_ASSERT(reader->at == size + body);
}

static void check_answer(const struct cache_key *key, const struct cached_answer *answer,
                         const uint8_t *input)
{
    FUZZ_ASSERT(answer->rcode == knot_wire_get_rcode(input));
    FUZZ_ASSERT(answer->rcode == 0 || answer->rcode == 3 || answer->rcode == 6);
    FUZZ_ASSERT(answer->stored_at == NOW && answer->expires_at >= NOW &&
                answer->stale_until >= answer->expires_at);
    for (unsigned i = 0; i < answer->ttl_count; i++)
        FUZZ_ASSERT(answer->ttl_places[i] + 4u <= answer->body_size);
    /* Without records a name that is denied by nobody's authority would be one of 2014's. */
    if (answer->counts[0] + answer->counts[1] == 0)
        FUZZ_ASSERT(knot_wire_get_aa(input));
    check_sent(key, answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct cached_message *message;
    static struct name zone, name;
    if (message == NULL) {
        message = cached_message_create();
        FUZZ_ASSERT(message != NULL && name_parse(&zone, apex, sizeof(apex)) > 0);
    }
    if (size < MESSAGE_HEADER_SIZE + 5 || size > MESSAGE_SIZE_MAX)
        return 0;
    const size_t question_at = MESSAGE_HEADER_SIZE;
    int name_size = name_parse(&name, input + question_at, size - question_at);
    if (name_size < 0 || size - question_at - (size_t)name_size < 4 ||
        knot_dname_in_bailiwick(name.wire, apex) < 0)
        return 0;
    const struct message_question question = {
        .key = {.name = &name, .type = knot_wire_read_u16(input + question_at + name_size)},
        .zone = &zone,
        .now = NOW,
        .stale_s = 86400,
    };
    struct cached_answer answer;
    if (cached_message_read(message, &question, input, size, &answer) == MESSAGE_ANSWER)
        check_answer(&question.key, &answer, input);
    return 0;
}
