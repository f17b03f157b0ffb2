/* A flight of any octets through the parsers and the rules that come with Tamis. The first octet
 * says how they came. Texts of a recognition lie in the flight or in the scratch. */

#include <string.h>

#include "fuzz/fuzz.h"
#include "sink/recogniser.h"

static bool lies_within(const struct sink_text *text, const void *octets, size_t size)
{
    return text->octets >= (const uint8_t *)octets &&
           text->octets + text->size <= (const uint8_t *)octets + size;
}

static void check_text(const struct sink_text *text, const struct sink_flight *flight,
                       const struct sink_recognition *recognition)
{
    FUZZ_ASSERT(text->size == 0 || lies_within(text, flight->octets, flight->size) ||
                lies_within(text, recognition->scratch, sizeof(recognition->scratch)));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct recogniser *recogniser;
    struct sink_recognition recognition;
    struct error error;

    if (recogniser == NULL)
        FUZZ_ASSERT(recogniser_load(FUZZ_FIXTURES "/../../rules", 1, &recogniser, &error) == 0);
    if (size == 0)
        return 0;
    const struct sink_flight flight = {.transport = input[0] & 1 ? SINK_UDP : SINK_TCP,
                                       .in_tls = (input[0] & 2) != 0,
                                       .octets = input + 1,
                                       .size = size - 1};
    recogniser_look(recogniser, 0, &flight, &recognition);
    FUZZ_ASSERT(recognition.kind < SINK_KIND_COUNT);
    FUZZ_ASSERT((recognition.kind == SINK_NOTHING) == (flight.size == 0));
    FUZZ_ASSERT(memchr(recognition.version, '\0', sizeof(recognition.version)) != NULL);
    check_text(&recognition.bot, &flight, &recognition);
    check_text(&recognition.machine, &flight, &recognition);
    check_text(&recognition.host, &flight, &recognition);
    check_text(&recognition.agent, &flight, &recognition);
    return 0;
}
