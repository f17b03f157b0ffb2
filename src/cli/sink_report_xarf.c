/* XARF 4, one document a victim and a line: infrastructure/botnet, about the infected machine. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "cli/sink_report.h"
#include "cli/uuid_name.h"

/* Of the ids of documents: a report that is made again has the same. */
static const struct uuid space = {{0x3f, 0x6b, 0x52, 0x11, 0x8d, 0x0e, 0x4c, 0x57, 0x9a, 0x44, 0x21,
                                   0x70, 0xe6, 0x9c, 0xb1, 0x05}};

/* A victim that was seen long enough is certain but for what forgers may do; see
 * doc/sinkhole.md. */
#define CONFIDENCE_PROVEN 0.99
#define CONFIDENCE_LIKELY 0.7

static int xarf_begin(FILE *stream, const struct report_sender *sender, void **ret_state,
                      struct error *ret_error)
{
    (void)stream, (void)ret_error;
    *ret_state = (void *)sender;
    return 0;
}

static void id_make(const struct census_entry *entry, char ret_id[UUID_TEXT_SIZE])
{
    uint8_t name[SINK_ID_SIZE + sizeof(entry->last->at_us)];
    memcpy(name, entry->id, SINK_ID_SIZE);
    memcpy(name + SINK_ID_SIZE, &entry->last->at_us, sizeof(entry->last->at_us));
    const struct uuid uuid = uuid_of_name(&space, name, sizeof(name));
    (void)uuid_text(&uuid, ret_id);
}

static json_t *contact_json(const struct report_sender *sender)
{
    const char *at = strrchr(sender->mail, '@');
    return json_pack("{s:s, s:s, s:s}", "org",
                     sender->operator_name != NULL ? sender->operator_name : "Sinkhole operator",
                     "contact", sender->mail, "domain", at != NULL ? at + 1 : sender->mail);
}

static void evidence_write(const struct report_victim *victim, char *ret_text, size_t size)
{
    const struct census_entry *entry = victim->entry;
    char first[REPORT_TIME_SIZE], last[REPORT_TIME_SIZE];
    (void)snprintf(ret_text, size,
                   "%llu valid check-ins of one bot at a sinkhole, from %s to %s; the last from %s "
                   "port %u to %s port %u (%s)",
                   (unsigned long long)entry->checkins, report_time(entry->first_us, first),
                   report_time(entry->last->at_us, last), victim->source,
                   (unsigned)entry->last->client_port, victim->sinkhole,
                   (unsigned)entry->last->local_port, report_transport(entry->last));
}

static int optional_add(json_t *object, const struct report_victim *victim)
{
    const struct sink_event *event = victim->entry->last;
    int rc = 0;
    if (event->client_port != 0)
        rc |= json_object_set_new(object, "source_port", json_integer(event->client_port));
    if (victim->entry->family[0] != '\0')
        rc |= json_object_set_new(object, "malware_family", json_string(victim->entry->family));
    if (report_has_name(event))
        rc |= json_object_set_new(object, "c2_server", json_string(event->name));
    return rc;
}

static int xarf_victim(FILE *stream, void *state, const struct report_victim *victim,
                       struct error *ret_error)
{
    const struct report_sender *sender = state;
    const struct census_entry *entry = victim->entry;
    char id[UUID_TEXT_SIZE], evidence[512];
    char first[REPORT_TIME_SIZE], last[REPORT_TIME_SIZE];

    id_make(entry, id);
    evidence_write(victim, evidence, sizeof(evidence));
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:f, s:s, s:s, s:s, s:s}", "xarf_version",
        "4.0.0", "report_id", id, "timestamp", report_time(entry->last->at_us, last), "reporter",
        contact_json(sender), "sender", contact_json(sender), "source_identifier", victim->source,
        "category", "infrastructure", "type", "botnet", "evidence_source", "automated_scan",
        "confidence", entry->class == CENSUS_PROVEN ? CONFIDENCE_PROVEN : CONFIDENCE_LIKELY,
        "compromise_evidence", evidence, "c2_protocol",
        entry->last->transport == SINK_UDP ? "udp" : "tcp", "first_seen",
        report_time(entry->first_us, first), "last_seen", last);
    if (object == NULL || optional_add(object, victim) != 0) {
        json_decref(object);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    json_dumpf(object, stream, JSON_COMPACT);
    fputc('\n', stream);
    json_decref(object);
    return 0;
}

static int xarf_end(FILE *stream, void *state, struct error *ret_error)
{
    (void)stream, (void)state, (void)ret_error;
    return 0;
}

static void xarf_free(void *state)
{
    (void)state;
}

const struct report_format report_xarf = {
    .name = "xarf",
    .infections_only = true,
    .needs_mail = true,
    .begin = xarf_begin,
    .victim = xarf_victim,
    .end = xarf_end,
    .free = xarf_free,
};
