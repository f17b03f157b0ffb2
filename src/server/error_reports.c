#include "server/error_reports.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_REPORT_CHANNEL 18

/* Zones with counters of their own: reports about more are counted together, as are those about
 * names of others. */
#define ZONES_MAX 256

/* Extended errors that are told apart; IANA has assigned those below 31. */
#define ERRORS_MAX 32

/* Reports that are kept as they came: enough to see what is wrong. */
#define RECENT_MAX 64

static const uint8_t er_label[] = "\3_er";
#define ER_LABEL_SIZE (sizeof(er_label) - 1)

struct reported_zone {
    uint8_t apex[NAME_SIZE_MAX];
    uint64_t listed, by_error[ERRORS_MAX + 1]; /* the last: all others */
};

struct recent_report {
    struct error_report report;
    int64_t time;
    bool is_ours, is_listed;
};

/* What the lock is over; copied as a whole by who shows it. */
struct reported {
    uint64_t reports, foreign, crowded; /* crowded: beyond ZONES_MAX */
    unsigned zone_count;
    struct reported_zone zones[ZONES_MAX];
    struct recent_report recent[RECENT_MAX]; /* the next goes to reports % RECENT_MAX */
};

struct error_reports {
    struct error_agent agent;
    _Atomic(uint64_t) challenged, missed;
    pthread_mutex_t lock;
    struct reported reported;
};

int error_reports_create(const uint8_t *agent, struct error_reports **ret_reports)
{
    uint8_t suffix[ER_LABEL_SIZE + ERROR_AGENT_SIZE_MAX];
    const size_t size = name_wire_size(agent);
    if (size == 1 || size > ERROR_AGENT_SIZE_MAX)
        return -EINVAL;
    struct error_reports *reports = calloc(1, sizeof(*reports));
    if (reports == NULL)
        return -ENOMEM;
    memcpy(suffix, er_label, ER_LABEL_SIZE);
    memcpy(suffix + ER_LABEL_SIZE, agent, size);
    if (name_parse(&reports->agent.domain, agent, size) < 0 ||
        name_parse(&reports->agent.suffix, suffix, ER_LABEL_SIZE + size) < 0) {
        free(reports);
        return -EINVAL;
    }
    knot_wire_write_u16(reports->agent.option, OPTION_REPORT_CHANNEL);
    knot_wire_write_u16(reports->agent.option + 2, (uint16_t)size);
    memcpy(reports->agent.option + 4, agent, size);
    reports->agent.option_size = (uint16_t)(4 + size);
    pthread_mutex_init(&reports->lock, NULL);
    *ret_reports = reports;
    return 0;
}

void error_reports_free(struct error_reports *reports)
{
    if (reports == NULL)
        return;
    pthread_mutex_destroy(&reports->lock);
    free(reports);
}

const struct error_agent *error_reports_agent(const struct error_reports *reports)
{
    return &reports->agent;
}

/* ---- Reading ---- */

/* A label of digits, or of numbers with hyphens between them, of which the first counts. */
static bool read_number(const uint8_t *label, bool may_be_several, uint16_t *ret_number)
{
    uint32_t number = 0;
    unsigned at = 1;
    for (; at <= label[0] && label[at] >= '0' && label[at] <= '9' && number <= UINT16_MAX; at++)
        number = number * 10 + (uint32_t)(label[at] - '0');
    if (at == 1 || number > UINT16_MAX || (at <= label[0] && !(may_be_several && label[at] == '-')))
        return false;
    *ret_number = (uint16_t)number;
    return true;
}

bool error_report_parse(const struct error_agent *agent, const struct name *name,
                        struct error_report *ret_report)
{
    if (name->label_count < agent->suffix.label_count + 3)
        return false;
    const unsigned error_label = (unsigned)name->label_count - agent->suffix.label_count - 1;
    const uint8_t *wire = name->wire;
    if (memcmp(wire, er_label, ER_LABEL_SIZE) != 0 ||
        !read_number(wire + name->offsets[1], true, &ret_report->type) ||
        !read_number(wire + name->offsets[error_label], false, &ret_report->error))
        return false;
    const size_t size = (size_t)name->offsets[error_label] - name->offsets[2];
    memcpy(ret_report->name, wire + name->offsets[2], size);
    ret_report->name[size] = 0;
    return true;
}

/* ---- Keeping ---- */

/* NULL: there are too many. */
static struct reported_zone *zone_find(struct reported *reported, const struct name *zone)
{
    for (unsigned i = 0; i < reported->zone_count; i++) {
        if (name_equal(reported->zones[i].apex, zone->wire))
            return &reported->zones[i];
    }
    if (reported->zone_count == ZONES_MAX)
        return NULL;
    struct reported_zone *found = &reported->zones[reported->zone_count++];
    memcpy(found->apex, zone->wire, zone->size);
    return found;
}

void error_reports_note(struct error_reports *reports, const struct error_report *report,
                        const struct name *zone, bool is_listed, int64_t now)
{
    if (pthread_mutex_trylock(&reports->lock) != 0) {
        atomic_fetch_add_explicit(&reports->missed, 1, memory_order_relaxed);
        return;
    }
    struct reported *reported = &reports->reported;
    reported->recent[reported->reports++ % RECENT_MAX] = (struct recent_report){
        .report = *report, .time = now, .is_ours = zone != NULL, .is_listed = is_listed};
    struct reported_zone *found = zone != NULL ? zone_find(reported, zone) : NULL;
    if (found != NULL) {
        found->by_error[report->error < ERRORS_MAX ? report->error : ERRORS_MAX]++;
        found->listed += is_listed;
    } else {
        reported->foreign += zone == NULL;
        reported->crowded += zone != NULL;
    }
    pthread_mutex_unlock(&reports->lock);
}

void error_reports_challenged(struct error_reports *reports)
{
    atomic_fetch_add_explicit(&reports->challenged, 1, memory_order_relaxed);
}

/* ---- Showing ---- */

/* So that the lock is held for microseconds. The caller frees; NULL: no memory. */
static struct reported *copy_reported(struct error_reports *reports)
{
    struct reported *copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return NULL;
    pthread_mutex_lock(&reports->lock);
    memcpy(copy, &reports->reported, sizeof(*copy));
    pthread_mutex_unlock(&reports->lock);
    return copy;
}

static const char *name_text(const uint8_t *wire, char ret_text[KNOT_DNAME_TXT_MAXLEN + 1])
{
    if (knot_dname_to_str(ret_text, wire, KNOT_DNAME_TXT_MAXLEN + 1) == NULL)
        return "?";
    const size_t size = strlen(ret_text);
    if (size > 1)
        ret_text[size - 1] = '\0';
    return ret_text;
}

static const char *error_text(unsigned error, char ret_text[16])
{
    if (error == ERRORS_MAX)
        return "other";
    snprintf(ret_text, 16, "%u", error);
    return ret_text;
}

static json_t *zone_json(const struct reported_zone *zone)
{
    char text[KNOT_DNAME_TXT_MAXLEN + 1], number[16];
    json_t *by_error = json_object();
    uint64_t reports = 0;
    for (unsigned error = 0; error <= ERRORS_MAX; error++) {
        reports += zone->by_error[error];
        if (zone->by_error[error] > 0)
            json_object_set_new(by_error, error_text(error, number),
                                json_integer((json_int_t)zone->by_error[error]));
    }
    return json_pack("{s:s, s:I, s:I, s:o}", "zone", name_text(zone->apex, text), "reports",
                     (json_int_t)reports, "listed", (json_int_t)zone->listed, "errors", by_error);
}

static json_t *recent_json(const struct recent_report *recent)
{
    char text[KNOT_DNAME_TXT_MAXLEN + 1], type[16];
    if (knot_rrtype_to_string(recent->report.type, type, sizeof(type)) < 0)
        type[0] = '\0';
    return json_pack("{s:I, s:s, s:s, s:I, s:b, s:b}", "time", (json_int_t)recent->time, "name",
                     name_text(recent->report.name, text), "type", type, "error",
                     (json_int_t)recent->report.error, "ours", recent->is_ours, "listed",
                     recent->is_listed);
}

json_t *error_reports_json(struct error_reports *reports)
{
    char agent[KNOT_DNAME_TXT_MAXLEN + 1];
    if (reports == NULL)
        return json_pack("{s:n, s:[], s:[]}", "agent", "zones", "recent");
    struct reported *reported = copy_reported(reports);
    if (reported == NULL)
        return NULL;
    json_t *zones = json_array(), *recent = json_array();
    for (unsigned i = 0; i < reported->zone_count; i++)
        json_array_append_new(zones, zone_json(&reported->zones[i]));
    for (uint64_t back = 1; back <= RECENT_MAX && back <= reported->reports; back++)
        json_array_append_new(
            recent, recent_json(&reported->recent[(reported->reports - back) % RECENT_MAX]));
    json_t *result = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "agent",
        name_text(reports->agent.domain.wire, agent), "reports", (json_int_t)reported->reports,
        "foreign", (json_int_t)reported->foreign, "crowded", (json_int_t)reported->crowded,
        "missed", (json_int_t)atomic_load(&reports->missed), "challenged",
        (json_int_t)atomic_load(&reports->challenged), "zones", zones, "recent", recent);
    free(reported);
    return result;
}

void error_reports_write_metrics(struct error_reports *reports, FILE *stream)
{
    char text[KNOT_DNAME_TXT_MAXLEN + 1], number[16];
    if (reports == NULL)
        return;
    struct reported *reported = copy_reported(reports);
    if (reported == NULL)
        return;
    fputs("# HELP tamisd_error_reports_total Errors that resolvers reported, by extended error.\n"
          "# TYPE tamisd_error_reports_total counter\n",
          stream);
    for (unsigned i = 0; i < reported->zone_count; i++) {
        const struct reported_zone *zone = &reported->zones[i];
        for (unsigned error = 0; error <= ERRORS_MAX; error++) {
            if (zone->by_error[error] > 0)
                fprintf(stream, "tamisd_error_reports_total{zone=\"%s\",error=\"%s\"} %llu\n",
                        name_text(zone->apex, text), error_text(error, number),
                        (unsigned long long)zone->by_error[error]);
        }
    }
    fprintf(
        stream,
        "# HELP tamisd_error_reports_challenged_total Reports over UDP, told to come over TCP.\n"
        "# TYPE tamisd_error_reports_challenged_total counter\n"
        "tamisd_error_reports_challenged_total %llu\n",
        (unsigned long long)atomic_load(&reports->challenged));
    free(reported);
}
