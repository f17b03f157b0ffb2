/* A JSON array of objects, one a victim; tamis-sink-report(1) has their members. */
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

#include "cli/sink_report.h"

struct state {
    bool has_victims;
};

static int json_begin(FILE *stream, const struct report_sender *sender, void **ret_state,
                      struct error *ret_error)
{
    struct state *state = calloc(1, sizeof(*state));
    (void)sender;
    if (state == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    fputc('[', stream);
    *ret_state = state;
    return 0;
}

/* How sure the name is; the numbers are enum sink_name_source's. */
static const char *const name_sources[] = {"none",   "http-host", "tls-sni",
                                           "answer", "window",    "address"};

/* NULL and "" as null: what is not known. */
static json_t *text_json(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *number_json(uint64_t number)
{
    return number == 0 ? json_null() : json_integer((json_int_t)number);
}

static json_t *victim_json(const struct report_victim *victim)
{
    const struct census_entry *entry = victim->entry;
    const struct sink_event *event = entry->last;
    char id[2 * SINK_ID_SIZE + 1], first[REPORT_TIME_SIZE], last[REPORT_TIME_SIZE];
    const char *source = event->name_source < sizeof(name_sources) / sizeof(name_sources[0])
                             ? name_sources[event->name_source]
                             : name_sources[0];

    sodium_bin2hex(id, sizeof(id), entry->id, sizeof(entry->id));
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, "
        "s:s, s:s, s:s, s:i, s:b}",
        "victim", id, "class", census_class_names[entry->class], "reason",
        entry->reason != NULL ? entry->reason : "", "address", victim->source, "port",
        (int)event->client_port, "asn", number_json(entry->asn), "holder",
        text_json(victim->holder), "country", text_json(entry->country), "first_seen",
        report_time(entry->first_us, first), "last_seen", report_time(event->at_us, last),
        "checkins", (json_int_t)entry->checkins, "addresses", (json_int_t)entry->addresses,
        "networks", (json_int_t)entry->networks, "family", text_json(entry->family), "version",
        text_json(event->version), "order", text_json(entry->order), "name", text_json(event->name),
        "name_source", source, "transport", report_transport(event), "sinkhole_address",
        victim->sinkhole, "sinkhole_port", (int)event->local_port, "tls", (int)event->in_tls, "ja4",
        text_json(event->ja4));
}

static int json_victim(FILE *stream, void *context, const struct report_victim *victim,
                       struct error *ret_error)
{
    struct state *state = context;
    json_t *object = victim_json(victim);
    if (object == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    fputs(state->has_victims ? ",\n" : "\n", stream);
    json_dumpf(object, stream, JSON_COMPACT);
    json_decref(object);
    state->has_victims = true;
    return 0;
}

static int json_end(FILE *stream, void *context, struct error *ret_error)
{
    const struct state *state = context;
    (void)ret_error;
    fputs(state->has_victims ? "\n]\n" : "]\n", stream);
    return 0;
}

const struct report_format report_json = {
    .name = "json",
    .begin = json_begin,
    .victim = json_victim,
    .end = json_end,
    .free = free,
};
