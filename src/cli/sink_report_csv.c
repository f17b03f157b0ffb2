/* CSV with the columns of the Shadowserver Foundation's reports on sinkhole events
 * (event4_sinkhole_http and event6_sinkhole_http, whose columns begin with those of
 * event4_sinkhole), so that what reads theirs reads this. What is not known stays empty. */
#include <inttypes.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#include "cli/sink_report.h"

static const char header[] =
    "\"timestamp\",\"protocol\",\"src_ip\",\"src_port\",\"src_asn\",\"src_geo\",\"src_region\","
    "\"src_city\",\"src_hostname\",\"src_naics\",\"src_sector\",\"device_vendor\",\"device_type\","
    "\"device_model\",\"severity\",\"dst_ip\",\"dst_port\",\"dst_asn\",\"dst_geo\",\"dst_region\","
    "\"dst_city\",\"dst_hostname\",\"dst_naics\",\"dst_sector\",\"public_source\",\"infection\","
    "\"family\",\"tag\",\"application\",\"version\",\"event_id\",\"http_url\",\"http_host\","
    "\"http_agent\",\"forwarded_by\",\"ssl_cipher\",\"http_referer\"\r\n";

/* Quoted as RFC 4180 has it. Spreadsheets take a cell that begins with one of these for a formula,
 * and what a bot says is written by its maker: a quote in front makes it a text. */
static void text_put(FILE *stream, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fputc('"', stream);
    if (strchr("=+-@\t\r", text[0]) != NULL)
        fputc('\'', stream);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void cell_put(FILE *stream, const char *text)
{
    fputc(',', stream);
    text_put(stream, text);
}

static void number_put(FILE *stream, uint64_t number)
{
    if (number != 0)
        fprintf(stream, ",%" PRIu64, number);
    else
        fputc(',', stream);
}

static void skip(FILE *stream, unsigned cells)
{
    while (cells-- > 0)
        fputc(',', stream);
}

/* After the scale of Shadowserver's reports; theirs on sinkhole events are critical. */
static const char *severity(enum census_class class)
{
    return class == CENSUS_PROVEN ? "critical" : class == CENSUS_LIKELY ? "high" : "info";
}

static int csv_begin(FILE *stream, const struct report_sender *sender, void **ret_state,
                     struct error *ret_error)
{
    (void)ret_error;
    fputs(header, stream);
    *ret_state = (void *)sender;
    return 0;
}

static int csv_victim(FILE *stream, void *state, const struct report_victim *victim,
                      struct error *ret_error)
{
    const struct report_sender *sender = state;
    const struct census_entry *entry = victim->entry;
    const struct sink_event *event = entry->last;
    const bool has_name = report_has_name(event);
    char at[32], id[2 * SINK_ID_SIZE + 1];
    struct tm utc;
    time_t unix_s = (time_t)(event->at_us / 1000000);

    (void)ret_error;
    gmtime_r(&unix_s, &utc);
    (void)strftime(at, sizeof(at), "%Y-%m-%d %H:%M:%S", &utc);
    sodium_bin2hex(id, sizeof(id), entry->id, sizeof(entry->id));

    text_put(stream, at);
    cell_put(stream, report_transport(event));
    cell_put(stream, victim->source);
    number_put(stream, event->client_port);
    number_put(stream, entry->asn);
    cell_put(stream, entry->country);
    skip(stream, 8); /* region to device_model */
    cell_put(stream, severity(entry->class));
    cell_put(stream, victim->sinkhole);
    number_put(stream, event->local_port);
    skip(stream, 4); /* dst_asn to dst_city */
    cell_put(stream, has_name ? event->name : NULL);
    skip(stream, 2); /* dst_naics, dst_sector */
    cell_put(stream, sender->operator_name);
    cell_put(stream, entry->family);
    cell_put(stream, entry->family);
    cell_put(stream, census_class_names[entry->class]);
    cell_put(stream, event->in_tls ? "tls" : NULL);
    cell_put(stream, event->version);
    cell_put(stream, id);
    skip(stream, 1); /* http_url */
    cell_put(stream, event->name_source == SINK_NAME_HOST ? event->name : NULL);
    skip(stream, 4); /* http_agent to http_referer */
    fputs("\r\n", stream);
    return 0;
}

static int csv_end(FILE *stream, void *state, struct error *ret_error)
{
    (void)stream, (void)state, (void)ret_error;
    return 0;
}

static void csv_free(void *state)
{
    (void)state;
}

const struct report_format report_csv = {
    .name = "csv",
    .begin = csv_begin,
    .victim = csv_victim,
    .end = csv_end,
    .free = csv_free,
};
