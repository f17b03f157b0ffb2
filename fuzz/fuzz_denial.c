/* Any octets as an origin's message to learn denials from: what is answered afterwards are records
 * of the zone, in a message that can be read.
 *
 * The keys of the zone are known; so what the corpus has of it is believed, and most of its
 * variants are looked at up to their signatures. The message's own question is what was asked. */
#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "front/denial.h"
#include "fuzz/fuzz.h"

#define NOW INT64_C(1790000000)

static const uint8_t apex_wire[] = "\1c\7example";
static struct name apex;
static struct denial_store *store;
static struct denial_reader *reader;

/* A second more for each input: in one second only so much is verified. */
static int64_t now = NOW;

static void learn(const struct name *name, uint16_t type, const uint8_t *message, size_t size)
{
    const struct denial_zone_option zone = {.apex = &apex, .origin = 1};
    const struct cache_key key = {.name = name, .type = type};
    (void)denial_learn(store, reader, &zone, &key, now, message, size);
}

/* Time goes by, and so do keys. */
static void learn_keys(void)
{
    static uint8_t keys[4096];
    static size_t size;
    if (size == 0) {
        FILE *file = fopen(FUZZ_FIXTURES "/denial.dnskey", "rb");
        FUZZ_ASSERT(file != NULL);
        size = fread(keys, 1, sizeof(keys), file);
        fclose(file);
    }
    learn(&apex, KNOT_RRTYPE_DNSKEY, keys, size);
}

static void set_up(void)
{
    FUZZ_ASSERT(name_parse(&apex, apex_wire, sizeof(apex_wire)) > 0);
    FUZZ_ASSERT(denial_store_create(DENIAL_OCTETS_MIN, &store) == 0);
    reader = denial_reader_create();
    FUZZ_ASSERT(reader != NULL);
    const struct denial_zone_option zone = {.apex = &apex, .origin = 1};
    FUZZ_ASSERT(denial_store_configure(store, &zone, 1) == 0);
    rcu_register_thread();
    learn_keys();
    struct denial_counters counters;
    denial_store_counters(store, &counters);
    FUZZ_ASSERT(counters.verified == 1);
}

static void check_answer(const struct name *name, const struct cached_answer *answer)
{
    static uint8_t wire[UINT16_MAX];
    memset(wire, 0, MESSAGE_HEADER_SIZE);
    size_t size = MESSAGE_HEADER_SIZE;
    memcpy(wire + size, name->wire, name->size);
    size += name->size + 4u;
    memcpy(wire + size, answer->body, answer->body_size);
    static struct record_reader *records;
    if (records == NULL)
        records = record_reader_create();
    FUZZ_ASSERT(records != NULL && answer->authoritative);
    FUZZ_ASSERT(answer->rcode == 0 || (answer->rcode == 3 && answer->counts[0] == 0));
    FUZZ_ASSERT(answer->counts[0] + answer->counts[1] > 0);
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, class;
    struct record record;
    record_reader_init(records, wire, size + answer->body_size);
    FUZZ_ASSERT(record_reader_question(records, owner, &type, &class) == 0);
    for (unsigned i = answer->counts[0] + answer->counts[1] + answer->counts[2]; i > 0; i--) {
        FUZZ_ASSERT(record_reader_next(records, &record) == 0);
        FUZZ_ASSERT(knot_dname_in_bailiwick(record.owner, apex.wire) >= 0);
    }
    FUZZ_ASSERT(records->at == size + answer->body_size);
}

static void ask(const struct name *name, uint16_t type)
{
    static struct denial_answer made;
    for (unsigned dnssec_ok = 0; dnssec_ok < 2; dnssec_ok++) {
        const struct cache_key key = {.name = name, .type = type, .dnssec_ok = dnssec_ok};
        if (denial_store_answer(store, &apex, &key, now, &made))
            check_answer(name, &made.answer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct name name, below;
    if (store == NULL)
        set_up();
    const size_t question_at = MESSAGE_HEADER_SIZE;
    if (size < question_at + 5 || size > MESSAGE_SIZE_MAX)
        return 0;
    const int name_size = name_parse(&name, input + question_at, size - question_at);
    if (name_size < 0 || size - question_at - (size_t)name_size < 4 ||
        knot_dname_in_bailiwick(name.wire, apex_wire) < 0)
        return 0;
    const uint16_t type = knot_wire_read_u16(input + question_at + (size_t)name_size);
    if (++now % 100 == 0)
        learn_keys();
    learn(&name, type, input, size);

    uint8_t child[NAME_SIZE_MAX + 3] = {2, 'a', 'z'};
    memcpy(child + 3, name.wire, name.size);
    ask(&name, type);
    ask(&name, KNOT_RRTYPE_TXT);
    if (name_parse(&below, child, sizeof(child)) > 0)
        ask(&below, type);
    rcu_quiescent_state();
    denial_store_purge(store, &apex, true);
    return 0;
}
