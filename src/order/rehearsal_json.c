#include "order/rehearsal_json.h"

#include <arpa/inet.h>

#include "order/name_text.h"

json_t *rehearsal_name_json(const uint8_t *wire)
{
    char text[NAME_TEXT_MAX];

    return json_stringn(text, name_text_write(wire, text));
}

json_t *rehearsal_listed_json(const struct rehearsal *rehearsal)
{
    json_t *states = json_object();

    for (enum listed_state state = 0; state < LISTED_STATES; state++)
        json_object_set_new(states, listed_state_word(state),
                            json_integer((json_int_t)rehearsal->states[state]));
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:o}", "names", (json_int_t)rehearsal->order->names.count, "live",
        (json_int_t)rehearsal_live(rehearsal), "blocked", (json_int_t)rehearsal_blocked(rehearsal),
        "refused", (json_int_t)rehearsal->refused, "states", states);
}

json_t *rehearsal_shared_json(const struct rehearsal *rehearsal)
{
    json_t *top = json_array();

    for (size_t i = 0; i < rehearsal->shared_count; i++) {
        const struct rehearsed_address *shared = &rehearsal->shared[i];
        char text[INET6_ADDRSTRLEN] = "";
        inet_ntop(shared->address.family == 4 ? AF_INET : AF_INET6, shared->address.octets, text,
                  sizeof(text));
        json_array_append_new(top, json_pack("{s:s, s:I, s:I}", "address", text, "listed",
                                             (json_int_t)shared->listed, "unlisted",
                                             (json_int_t)shared->unlisted));
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "addresses", (json_int_t)rehearsal->addresses,
                     "shared_addresses", (json_int_t)rehearsal->shared_addresses, "names",
                     (json_int_t)rehearsal->shared_names, "top", top);
}

json_t *rehearsal_examples_json(const struct rehearsal *rehearsal)
{
    json_t *examples = json_array();

    for (size_t i = 0; i < rehearsal->example_count; i++) {
        const struct rehearsed_reference *example = &rehearsal->examples[i];
        json_array_append_new(examples, json_pack("{s:o, s:s, s:o}", "name",
                                                  rehearsal_name_json(example->owner), "type",
                                                  reference_kind_word(example->kind), "target",
                                                  rehearsal_name_json(example->target)));
    }
    return examples;
}
