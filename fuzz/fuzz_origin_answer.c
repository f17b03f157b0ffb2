/* A message that comes where an origin's answer is awaited: whatever its octets, it is believed
 * only with the right identifier, question, letter case and cookie, and with authority.
 *
 * The first octet of an input says what was asked and what is expected, the rest is the message. */
#include "fuzz/fuzz.h"

#include <string.h>

#include <libknot/packet/wire.h>

#include "front/origin_message.h"

#define ID 0x1234

static const uint8_t name[] = "\3wWw\1A\7exAmple", apex[] = "\1a\7example";
static const uint8_t cookie[] = "a cookie";

static struct origin_expectation expectation_of(uint8_t how)
{
    return (struct origin_expectation){
        .name = name,
        .name_size = sizeof(name),
        .type = how & 8 ? 5 : 1,
        .id = ID,
        .apex = apex,
        .client_cookie = how & 1 ? cookie : NULL,
        .is_case_exact = how & 2,
        .has_edns = how & 1 || how & 16,
        .needs_cookie = (how & 5) == 5,
    };
}

static void check_believed(const struct origin_expectation *expected, const uint8_t *wire,
                           size_t size, const struct origin_reading *reading)
{
    uint8_t sent[NAME_SIZE_MAX], received[NAME_SIZE_MAX];
    FUZZ_ASSERT(size >= MESSAGE_HEADER_SIZE + sizeof(name) + 4);
    name_fold(sent, name, sizeof(name));
    name_fold(received, wire + MESSAGE_HEADER_SIZE, sizeof(name));
    FUZZ_ASSERT(memcmp(sent, received, sizeof(name)) == 0);
    FUZZ_ASSERT(!expected->is_case_exact ||
                memcmp(name, wire + MESSAGE_HEADER_SIZE, sizeof(name)) == 0);
    FUZZ_ASSERT(!expected->needs_cookie || reading->server_cookie != NULL);
    FUZZ_ASSERT(!knot_wire_get_tc(wire));
    /* Only a referral is believed without AA: it has no answer and is no denial. */
    FUZZ_ASSERT(knot_wire_get_aa(wire) ||
                (knot_wire_get_ancount(wire) == 0 && knot_wire_get_rcode(wire) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct record_reader *reader;
    struct origin_reading reading;

    if (size == 0)
        return 0;
    if (reader == NULL)
        reader = record_reader_create();
    FUZZ_ASSERT(reader != NULL);
    const struct origin_expectation expected = expectation_of(input[0]);
    const uint8_t *wire = input + 1;
    size--;
    const enum origin_verdict verdict =
        origin_answer_judge(&expected, reader, wire, size, &reading);

    FUZZ_ASSERT(verdict == reading.verdict);
    FUZZ_ASSERT(
        reading.server_cookie == NULL ||
        (reading.server_cookie_size >= 8 &&
         reading.server_cookie + reading.server_cookie_size <= wire + size &&
         memcmp(reading.server_cookie - CLIENT_COOKIE_SIZE, cookie, CLIENT_COOKIE_SIZE) == 0));
    if (verdict != ORIGIN_MISMATCH)
        FUZZ_ASSERT(knot_wire_get_id(wire) == ID && knot_wire_get_qr(wire));
    if (verdict == ORIGIN_GOOD)
        check_believed(&expected, wire, size, &reading);
    return 0;
}
