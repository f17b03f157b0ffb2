/* The report of a rehearsal for programs: doc/tamis-order-rehearse.1 describes its members. */
#include <errno.h>
#include <jansson.h>

#include "cli/order_findings.h"
#include "cli/order_rehearse.h"
#include "order/rehearsal_json.h"

static json_t *count_json(uint64_t count)
{
    return json_integer((json_int_t)count);
}

static json_t *references_json(const struct rehearsal *rehearsal)
{
    json_t *records = json_object();

    for (enum reference_kind kind = 0; kind < REFERENCE_KINDS; kind++)
        json_object_set_new(records, reference_kind_word(kind),
                            count_json(rehearsal->references[kind]));
    return json_pack("{s:I, s:o, s:o}", "names", (json_int_t)rehearsal->reference_names, "records",
                     records, "examples", rehearsal_examples_json(rehearsal));
}

/* Every listed name but the dead ones that nobody asks for or refers to: these are most of a list,
 * and there is no more to say about them. */
static json_t *names_json(const struct rehearsal *rehearsal)
{
    const struct order_names *names = &rehearsal->order->names;
    json_t *list = json_array();

    for (size_t i = 0; i < names->count; i++) {
        const struct rehearsed_name *name = &rehearsal->names[i];
        uint64_t hits = active_order_name_hits(rehearsal->active, i);
        if (name->state == LISTED_DEAD && hits == 0 && name->references == 0)
            continue;
        json_t *item =
            json_pack("{s:o, s:s, s:I, s:I}", "name", rehearsal_name_json(order_names_at(names, i)),
                      "state", listed_state_word(name->state), "references",
                      (json_int_t)name->references, "below", (json_int_t)name->below);
        if (item != NULL && rehearsal->has_traffic)
            json_object_set_new(item, "queries", count_json(hits));
        if (item != NULL && rehearsal->has_traffic && rehearsal->traffic.report.has_clients)
            json_object_set_new(item, "clients", count_json(name->clients));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *subtrees_json(const struct rehearsal *rehearsal)
{
    const struct order_names *names = &rehearsal->order->subtrees;
    json_t *list = json_array();

    for (size_t i = 0; i < names->count; i++) {
        const struct rehearsed_subtree *subtree = &rehearsal->subtrees[i];
        json_t *item = json_pack("{s:o, s:b, s:I, s:I, s:I, s:I}", "name",
                                 rehearsal_name_json(order_names_at(names, i)), "outside",
                                 subtree->outside, "names", (json_int_t)subtree->names, "cuts",
                                 (json_int_t)subtree->cuts, "zones", (json_int_t)subtree->apexes,
                                 "references", (json_int_t)subtree->references);
        if (item != NULL && rehearsal->has_traffic)
            json_object_set_new(item, "queries",
                                count_json(active_order_subtree_hits(rehearsal->active, i)));
        if (item != NULL && rehearsal->has_traffic && rehearsal->traffic.report.has_clients)
            json_object_set_new(item, "clients", count_json(subtree->clients));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *clients_json(const struct rehearsed_traffic *traffic)
{
    if (!traffic->report.has_clients)
        return json_null();
    return json_pack("{s:I, s:I, s:f, s:I, s:f}", "all", (json_int_t)traffic->clients, "touched",
                     (json_int_t)traffic->clients_touched, "touched_share",
                     rehearsal_share(traffic->clients_touched, traffic->clients), "unlisted",
                     (json_int_t)traffic->clients_unlisted, "unlisted_share",
                     rehearsal_share(traffic->clients_unlisted, traffic->clients));
}

static json_t *traffic_json(const struct rehearse_report *report)
{
    const struct rehearsal *rehearsal = report->rehearsal;
    const struct rehearsed_traffic *traffic = &rehearsal->traffic;
    uint64_t unlisted = traffic->queries - traffic->queries_touched;

    if (!rehearsal->has_traffic)
        return json_null();
    return json_pack(
        "{s:s, s:s, s:{s:I, s:I, s:f, s:I, s:f, s:I}, s:o, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:b}}",
        "file", report->traffic_path, "kind", traffic_form_word(traffic->report.form), "queries",
        "all", (json_int_t)traffic->queries, "touched", (json_int_t)traffic->queries_touched,
        "touched_share", rehearsal_share(traffic->queries_touched, traffic->queries), "unlisted",
        (json_int_t)unlisted, "unlisted_share", rehearsal_share(unlisted, traffic->queries),
        "outside", (json_int_t)traffic->outside, "clients", clients_json(traffic), "hits",
        (json_int_t)traffic->hits, "read", "read", (json_int_t)traffic->report.read, "others",
        (json_int_t)traffic->report.others, "malformed", (json_int_t)traffic->report.malformed,
        "fragments", (json_int_t)traffic->report.fragments, "truncated",
        (json_int_t)traffic->report.truncated, "gaps", (json_int_t)traffic->report.gaps,
        "cut_short", traffic->report.cut_short);
}

static json_t *figure_json(const struct budget_figure *figure, double number)
{
    return figure->is_share ? json_real(number) : count_json((uint64_t)number);
}

static json_t *budget_json(const struct rehearse_report *report)
{
    json_t *budget = json_object();

    for (size_t i = 0; i < BUDGET_FIGURES; i++) {
        const struct budget_figure *figure = &report->figures[i];
        json_t *value = figure->judged ? figure_json(figure, figure->value) : json_null();
        json_t *bound = figure->bounded ? figure_json(figure, figure->bound) : json_null();
        json_object_set_new(budget, figure->word,
                            json_pack("{s:o, s:o, s:b}", "value", value, "bound", bound, "exceeded",
                                      budget_figure_exceeds(figure)));
    }
    return budget;
}

static json_t *refused_json(const struct rehearse_report *report)
{
    char text[REFUSAL_TEXT_MAX];
    json_t *list = json_array();

    for (size_t i = 0; i < rehearse_refusals(report); i++)
        json_array_append_new(list, json_string(rehearse_refusal(report, i, text)));
    return list;
}

int rehearse_print_json(const struct rehearse_report *report)
{
    const struct rehearsal *rehearsal = report->rehearsal;
    const struct order *order = rehearsal->order;
    bool accepted = rehearse_refusals(report) == 0;

    json_t *result = json_pack(
        "{s:b, s:b, s:s, s:s, s:{s:I, s:I, s:I}, s:{s:f, s:f, s:f}, s:o, s:o, s:o, s:{s:I, s:I}, "
        "s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:o}",
        "ok", accepted, "accepted", accepted, "id", order->id, "action",
        order_action_word(order->action), "zones", "count", (json_int_t)report->zone_count, "names",
        (json_int_t)rehearsal->zone_names, "records", (json_int_t)rehearsal->zone_records,
        "seconds", "load", report->load_s, "walk", report->walk_s, "replay", report->replay_s,
        "listed", rehearsal_listed_json(report->rehearsal), "shared",
        rehearsal_shared_json(rehearsal), "references", references_json(rehearsal), "below",
        "listed", (json_int_t)rehearsal->parents, "names", (json_int_t)rehearsal->below, "cuts",
        (json_int_t)rehearsal_cuts(rehearsal), "subtrees", subtrees_json(rehearsal), "names",
        names_json(rehearsal), "traffic", traffic_json(report), "budget", budget_json(report),
        "refused", refused_json(report), "finding_count", (json_int_t)order->finding_total,
        "findings", order_findings_json(order));
    if (result == NULL)
        return -ENOMEM;
    int rc = json_dumpf(result, stdout, JSON_INDENT(2)) < 0 ? -ENOMEM : 0;
    putchar('\n');
    json_decref(result);
    return rc;
}
