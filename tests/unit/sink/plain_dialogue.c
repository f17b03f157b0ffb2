#include "plain_dialogue.h"

#include <stdlib.h>
#include <string.h>

struct dialogue {
    const struct dialogue_setting *setting;
    size_t size, sent;
    bool is_answered;
    uint8_t octets[];
};

struct dialogue *dialogue_create(const struct dialogue_setting *setting,
                                 const struct sink_endpoint *local)
{
    (void)local;
    struct dialogue *dialogue = malloc(sizeof(*dialogue) + setting->octets_max);
    if (dialogue != NULL)
        *dialogue = (struct dialogue){.setting = setting};
    return dialogue;
}

void dialogue_limit(struct dialogue *dialogue, struct handshake_share *share,
                    const struct in6_addr *client)
{
    (void)dialogue, (void)share, (void)client; /* it makes no handshakes */
}

void dialogue_free(struct dialogue *dialogue)
{
    free(dialogue);
}

enum dialogue_state dialogue_take(struct dialogue *dialogue, const uint8_t *octets, size_t size)
{
    const size_t room = dialogue->setting->octets_max - dialogue->size;
    memcpy(dialogue->octets + dialogue->size, octets, size < room ? size : room);
    dialogue->size += size < room ? size : room;
    dialogue->is_answered = dialogue->size > 4 && memcmp(dialogue->octets, "GET ", 4) == 0 &&
                            memmem(dialogue->octets, dialogue->size, "\r\n\r\n", 4) != NULL;
    return dialogue->is_answered ? DIALOGUE_WRITES : DIALOGUE_READS;
}

const uint8_t *dialogue_output(const struct dialogue *dialogue, size_t *ret_size)
{
    *ret_size = dialogue->is_answered ? dialogue->setting->page_size - dialogue->sent : 0;
    return (const uint8_t *)dialogue->setting->page + dialogue->sent;
}

enum dialogue_state dialogue_sent(struct dialogue *dialogue, size_t size)
{
    dialogue->sent += size;
    return dialogue->sent < dialogue->setting->page_size ? DIALOGUE_WRITES : DIALOGUE_ENDS;
}

void dialogue_describe(const struct dialogue *dialogue, struct sink_flight *flight)
{
    flight->octets = dialogue->octets;
    flight->size = dialogue->size;
    if (dialogue->is_answered)
        flight->ending = SINK_ANSWERED;
}

size_t dialogue_memory(const struct dialogue *dialogue)
{
    return sizeof(*dialogue) + dialogue->setting->octets_max + dialogue->setting->memory;
}
