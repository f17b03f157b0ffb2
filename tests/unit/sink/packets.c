#include "packets.h"

#include <stdio.h>
#include <string.h>

static void clear(struct sink_recognition *recognition)
{
    const struct sink_text none = {(const uint8_t *)"", 0};
    *recognition = (struct sink_recognition){
        .kind = SINK_UNKNOWN,
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
}

void packet_recognise(const uint8_t *octets, size_t size, struct sink_recognition *ret_recognition)
{
    static sink_parser_fn *const parsers[] = {njrat_recognise, njw0rm_recognise, hworm_recognise,
                                              generic_recognise};
    for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++) {
        clear(ret_recognition);
        if (parsers[i](octets, size, ret_recognition))
            return;
    }
    clear(ret_recognition);
}

const char *packet_word(const struct sink_recognition *recognition, char ret_word[static 64])
{
    if (packet_is_victim(recognition))
        snprintf(ret_word, 64, "%s%s", recognition->family,
                 recognition->kind == SINK_BEACON ? "-beacon" : "");
    else
        snprintf(ret_word, 64, "%s", sink_kind_names[recognition->kind]);
    return ret_word;
}
