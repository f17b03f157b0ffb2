/* What a recognition promises, whatever the parser and the octets. */
#pragma once

#include <string.h>

#include "fuzz/fuzz.h"
#include "sink/recognition.h"

static inline bool fuzz_within(const uint8_t *at, size_t size, const uint8_t *room,
                               size_t room_size)
{
    return at >= room && size <= room_size && (size_t)(at - room) <= room_size - size;
}

/* A text is empty, or lies within the flight or the recognition's own scratch. */
static inline void fuzz_check_text(struct sink_text text, const uint8_t *data, size_t size,
                                   const struct sink_recognition *recognition)
{
    FUZZ_ASSERT(text.octets != NULL);
    FUZZ_ASSERT(text.size == 0 || fuzz_within(text.octets, text.size, data, size) ||
                fuzz_within(text.octets, text.size, recognition->scratch, SINK_SCRATCH_SIZE));
}

static inline void fuzz_recognise(sink_parser_fn *parser, const uint8_t *data, size_t size)
{
    const struct sink_text none = {(const uint8_t *)"", 0};
    struct sink_recognition recognition = {
        .family = "",
        .rule = "",
        .bot = none,
        .machine = none,
        .user = none,
        .installed = none,
        .country = none,
        .system = none,
        .window = none,
        .host = none,
        .agent = none,
    };
    if (!parser(data, size, &recognition))
        return;
    FUZZ_ASSERT(recognition.kind > SINK_UNKNOWN && recognition.kind < SINK_KIND_COUNT);
    FUZZ_ASSERT(recognition.family != NULL && strlen(recognition.rule) > 0);
    FUZZ_ASSERT(memchr(recognition.version, '\0', sizeof(recognition.version)) != NULL);
    FUZZ_ASSERT(recognition.kind != SINK_CHECKIN || strlen(recognition.family) > 0);
    const struct sink_text texts[] = {
        recognition.bot,       recognition.machine, recognition.user,
        recognition.installed, recognition.country, recognition.system,
        recognition.window,    recognition.host,    recognition.agent,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        fuzz_check_text(texts[i], data, size, &recognition);
}
