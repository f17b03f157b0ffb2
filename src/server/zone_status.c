#include "server/zone_status.h"

#include "server/zone_counters.h"

json_t *zone_status_answers(const struct server *server, const struct zone *zone)
{
    if (zone->counter == 0)
        return json_null();
    const struct zone_counts counts = zone_counters_read(server->zone_counters, zone->counter);
    return json_pack("{s:I, s:I, s:I, s:I}", "queries", (json_int_t)zone_counts_total(&counts),
                     "listed", (json_int_t)counts.answers[ZONE_COUNT_LISTED], "servfail",
                     (json_int_t)counts.answers[ZONE_COUNT_SERVFAIL], "nxdomain",
                     (json_int_t)counts.answers[ZONE_COUNT_NXDOMAIN]);
}

void zone_status_write_metrics(const struct server *server, FILE *stream)
{
    static const char *const words[ZONE_COUNT_KINDS] = {
        [ZONE_COUNT_OTHER] = "other",
        [ZONE_COUNT_LISTED] = "listed",
        [ZONE_COUNT_SERVFAIL] = "servfail",
        [ZONE_COUNT_NXDOMAIN] = "nxdomain",
    };
    fputs("# HELP tamisd_zone_answers_total Answers about the zone, by kind.\n"
          "# TYPE tamisd_zone_answers_total counter\n",
          stream);
    for (size_t i = 0; i < server->zone_count; i++) {
        const struct zone *zone = server->zones[i];
        if (zone->counter == 0)
            continue;
        const struct zone_counts counts = zone_counters_read(server->zone_counters, zone->counter);
        for (unsigned kind = 0; kind < ZONE_COUNT_KINDS; kind++)
            fprintf(stream, "tamisd_zone_answers_total{zone=\"%s\",kind=\"%s\"} %llu\n", zone->text,
                    words[kind], (unsigned long long)counts.answers[kind]);
    }
}
