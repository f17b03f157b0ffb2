/* Any octets from a client, in pieces: who begins neither TLS nor HTTP/1 gets nothing, memory stays
 * bounded, and a page never holds what splits a bot's commands.
 *
 * The input's first octet says how long the pieces are, the rest is what comes. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "sink/dialogue.h"
#include "sink/http_head.h"

#define OCTETS_MAX 512
#define MEMORY_MAX (OCTETS_MAX + ((size_t)160 << 10))

static struct dialogue_setting *setting;

static void order_of(void *context, const char *host, const struct sink_endpoint *local,
                     struct dialogue_order *ret_order)
{
    (void)context, (void)local;
    FUZZ_ASSERT(strlen(host) < 256);
    ret_order->id = host; /* as bad a text as clients can bring */
    ret_order->authority = "<|> |'|'| \\ \"&";
    ret_order->notice = host;
}

static void set_up(void)
{
    const struct dialogue_options options = {
        .operator_name = "operator", .contact = "mailto:a@b.example", .octets_max = OCTETS_MAX};
    FUZZ_ASSERT(dialogue_setting_create(&options, order_of, NULL, &setting, NULL) == 0);
}

static void check_output(const struct dialogue *dialogue, const uint8_t *input, size_t size,
                         const uint8_t *output, size_t output_size)
{
    struct sink_flight flight = {0};
    dialogue_describe(dialogue, &flight);
    if (flight.hello != NULL) {
        FUZZ_ASSERT(output[0] >= 20 && output[0] <= 23);
        return;
    }
    FUZZ_ASSERT(http_head_begins(input, size) == 0);
    FUZZ_ASSERT(memchr(output, '|', output_size) == NULL);
    FUZZ_ASSERT(memcmp(output, "HTTP/1.1 403 ", 13) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const struct sink_endpoint local = {.port = 80};
    if (setting == NULL)
        set_up();
    if (size == 0)
        return 0;
    size_t piece = 1 + (size_t)input[0] * 16;
    input++;
    size--;

    struct dialogue *dialogue = dialogue_create(setting, &local);
    FUZZ_ASSERT(dialogue != NULL);
    enum dialogue_state state = DIALOGUE_READS;
    for (size_t at = 0; at < size && state == DIALOGUE_READS; at += piece) {
        size_t output_size;
        state = dialogue_take(dialogue, input + at, piece < size - at ? piece : size - at);
        FUZZ_ASSERT(dialogue_memory(dialogue) < MEMORY_MAX);
        const uint8_t *output = dialogue_output(dialogue, &output_size);
        FUZZ_ASSERT((state == DIALOGUE_WRITES) == (output_size > 0));
        if (output_size == 0)
            continue;
        check_output(dialogue, input, size, output, output_size);
        state = dialogue_sent(dialogue, output_size);
        FUZZ_ASSERT(state != DIALOGUE_WRITES);
    }
    struct sink_flight flight = {0};
    dialogue_describe(dialogue, &flight);
    FUZZ_ASSERT(flight.size <= OCTETS_MAX);
    dialogue_free(dialogue);
    return 0;
}
