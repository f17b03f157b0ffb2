/* Queries to the agent domain of error reports (RFC 9567, 6.3): below "_er.<agent>" there is
 * nothing but reports, and what a resolver asks on the way to one (RFC 9156). */
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <string.h>

#include "base/rcu.h"
#include "server/error_reports.h"
#include "server/responder_internal.h"

/* For so long a resolver that has reported something does not do so again. */
#define REPORT_TTL_S 600

/* The first octet is the length of the string. */
static const uint8_t thanks[] = "\0\x10\x0freport received";

static void put_txt(struct exchange *exchange, struct response *response)
{
    const struct response_records records = {
        .type = KNOT_RRTYPE_TXT, .rr_count = 1, .ttl_s = REPORT_TTL_S, .data = thanks};
    exchange->truncated = !response_put(
        response, SECTION_ANSWER, (struct response_owner){.pointer = QUESTION_OFFSET}, &records);
}

/* Of negative answers (RFC 2308, 3). */
static void put_soa(struct exchange *exchange, const struct zone_data *data,
                    struct response *response)
{
    const struct name_entry *apex = rcu_dereference(data->apex_entry);
    struct rrset soa;
    if (apex == NULL || !name_entry_rrset(apex, KNOT_RRTYPE_SOA, &soa))
        return;
    const uint32_t minimum_s = knot_wire_read_u32(soa.data + soa.size - 4);
    const struct response_records records = {.type = KNOT_RRTYPE_SOA,
                                             .rr_count = 1,
                                             .ttl_s = minimum_s < soa.ttl ? minimum_s : soa.ttl,
                                             .data = soa.data};
    exchange->truncated = !response_put(response, SECTION_AUTHORITY,
                                        (struct response_owner){.wire = data->apex.wire}, &records);
}

/* Finds whom the report is about, and keeps it. */
static void note(struct responder *responder, const struct exchange *exchange,
                 const struct error_report *report)
{
    struct name name;
    struct question question = {.name = &name, .type = report->type};
    if (name_parse(&name, report->name, NAME_SIZE_MAX) < 0)
        return;
    question_find_zone(&question, exchange->environment->zones);
    const bool is_ours = question.zone != NULL;
    const bool is_listed =
        is_ours &&
        answer_judge_question(&question, exchange->environment, OVERLAY_UNCOUNTED).verdict != NULL;
    error_reports_note(responder->options.error_reports, report,
                       is_ours ? &question.zone->name : NULL, is_listed,
                       exchange->environment->now);
}

bool responder_take_report(struct responder *responder, struct exchange *exchange,
                           const struct prepared *prepared, struct response *response)
{
    struct error_reports *reports = responder->options.error_reports;
    const struct name *name = &prepared->name;
    const struct zone *zone = zone_set_find(exchange->environment->zones, name, 0);
    if (zone == NULL || zone->role == ZONE_FORWARD || atomic_load(&zone->status) != ZONE_SERVING)
        return false;
    struct error_report report;
    exchange->zone = zone;
    exchange->authoritative = true;
    if (exchange->request->qtype != KNOT_RRTYPE_TXT ||
        !error_report_parse(error_reports_agent(reports), name, &report)) {
        put_soa(exchange, rcu_dereference(zone->data), response);
        return true;
    }
    /* A sender's address proves nothing over UDP. We give out no cookies, so that none is good
     * (RFC 9567, 6.3). */
    if (exchange->transport == TRANSPORT_UDP) {
        error_reports_challenged(reports);
        exchange->truncated = true;
        return true;
    }
    note(responder, exchange, &report);
    put_txt(exchange, response);
    return true;
}
