/* The report of a rehearsal for a person: what matters first, figures aligned. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/order_findings.h"
#include "cli/order_rehearse.h"
#include "cli/quantity.h"
#include "cli/table.h"
#include "order/name_text.h"
#include "order/timestamp.h"

/* Listed names told one by one, those that are asked for most. */
#define POPULAR_MAX 10

/* Examples told of each kind of thing; --json has more of them. */
#define EXAMPLES_SHOWN 5

static void print_row(const char *label, uint64_t number, const char *note)
{
    printf("  %-36s %12s%s%s\n", label, quantity_count((int64_t)number).text,
           note[0] != '\0' ? "  " : "", note);
}

/* A row that is left out when there is nothing to count. */
static void print_row_if(const char *label, uint64_t number, const char *note)
{
    if (number > 0)
        print_row(label, number, note);
}

static void print_share(const char *label, uint64_t part, uint64_t whole)
{
    char note[32];

    snprintf(note, sizeof(note), "%7.3f %%", 100 * rehearsal_share(part, whole));
    print_row(label, part, note);
}

static void print_head(const struct rehearse_report *report)
{
    const struct rehearsal *rehearsal = report->rehearsal;
    const struct order *order = rehearsal->order;
    char starts[TIMESTAMP_SIZE], ends[TIMESTAMP_SIZE];

    printf("Rehearsal of %s: %s, %s to %s\n", order->id, order_action_word(order->action),
           timestamp_write(order->starts, starts), timestamp_write(order->ends, ends));
    printf("against %zu zone%s with %s names; loaded in %s, looked through in %s\n",
           report->zone_count, report->zone_count == 1 ? "" : "s",
           quantity_count((int64_t)rehearsal->zone_names).text,
           quantity_ms(report->load_s * 1e3).text, quantity_ms(report->walk_s * 1e3).text);
}

static void print_listed(const struct rehearsal *rehearsal)
{
    const uint64_t *states = rehearsal->states;
    uint64_t all = rehearsal->order->names.count;

    printf("\nListed names\n");
    print_row("listed", all, "");
    print_share("answered today", rehearsal_live(rehearsal), all);
    print_row_if("of these, by a wildcard", states[LISTED_WILDCARDED], "");
    print_share("dead: no such name", states[LISTED_DEAD], all);
    print_row_if("empty, with names below", states[LISTED_EMPTY], "");
    print_row_if("below a zone cut", states[LISTED_BELOW_CUT],
                 "delegated to others; blocked here all the same");
    print_row_if("exempt", states[LISTED_EXEMPT], "carved out by the order");
    print_row_if("zone cuts", states[LISTED_CUT], "refused at activation");
    print_row_if("apexes of zones", states[LISTED_APEX], "refused at activation");
    print_row_if("outside of these zones", states[LISTED_OUTSIDE], "refused at activation");
}

static void print_subtrees(const struct rehearsal *rehearsal)
{
    const struct order_names *names = &rehearsal->order->subtrees;
    char text[NAME_TEXT_MAX];

    for (size_t i = 0; i < names->count; i++) {
        const struct rehearsed_subtree *subtree = &rehearsal->subtrees[i];
        name_text_write(order_names_at(names, i), text);
        if (i == 0)
            printf("\nSubtrees\n");
        if (subtree->outside)
            printf("  %s: outside of these zones, refused at activation\n", text);
        else
            printf("  %s: %s names go with it, among them %s zone cuts and %s whole zones\n", text,
                   quantity_count((int64_t)subtree->names).text,
                   quantity_count((int64_t)subtree->cuts).text,
                   quantity_count((int64_t)subtree->apexes).text);
    }
}

static void print_shared(const struct rehearsal *rehearsal)
{
    print_row("others at a listed name's address", rehearsal->shared_names,
              rehearsal->shared_names > 0 ? "these names themselves stay as they are" : "");
    size_t shown =
        rehearsal->shared_count < EXAMPLES_SHOWN ? rehearsal->shared_count : EXAMPLES_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        const struct rehearsed_address *shared = &rehearsal->shared[i];
        char text[INET6_ADDRSTRLEN] = "";
        inet_ntop(shared->address.family == 4 ? AF_INET : AF_INET6, shared->address.octets, text,
                  sizeof(text));
        printf("    %-39s  %s listed, %s others\n", text,
               quantity_count((int64_t)shared->listed).text,
               quantity_count((int64_t)shared->unlisted).text);
    }
    if (rehearsal->shared_addresses > shown)
        printf("    ... and %s more addresses\n",
               quantity_count((int64_t)(rehearsal->shared_addresses - shown)).text);
}

static void print_references(const struct rehearsal *rehearsal)
{
    uint64_t records = 0;

    print_row("others that depend on a listed name", rehearsal->reference_names, "");
    for (enum reference_kind kind = 0; kind < REFERENCE_KINDS; kind++) {
        records += rehearsal->references[kind];
        if (rehearsal->references[kind] > 0)
            printf("    %-5s %s record%s\n", reference_kind_word(kind),
                   quantity_count((int64_t)rehearsal->references[kind]).text,
                   rehearsal->references[kind] == 1 ? "" : "s");
    }
    size_t shown =
        rehearsal->example_count < EXAMPLES_SHOWN ? rehearsal->example_count : EXAMPLES_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        const struct rehearsed_reference *example = &rehearsal->examples[i];
        char owner[NAME_TEXT_MAX], target[NAME_TEXT_MAX];
        name_text_write(example->owner, owner);
        name_text_write(example->target, target);
        printf("    %s %s -> %s\n", owner, reference_kind_word(example->kind), target);
    }
    if (records > shown)
        printf("    ... and %s more\n", quantity_count((int64_t)(records - shown)).text);
}

static void print_collateral(const struct rehearsal *rehearsal)
{
    printf("\nWhat else it would touch\n");
    print_shared(rehearsal);
    print_references(rehearsal);
    print_row("others below a listed name", rehearsal->below,
              rehearsal->below > 0 ? "a listed name matches itself alone: they stay as they are"
                                   : "");
    print_row("zone cuts", rehearsal_cuts(rehearsal), "");
}

struct popular {
    uint64_t hits, clients;
    const uint8_t *wire;
    const char *state;
};

static void keep_popular(struct popular *list, size_t *count, const struct popular *name)
{
    size_t at = *count;

    while (at > 0 && name->hits > list[at - 1].hits)
        at--;
    if (at == POPULAR_MAX || name->hits == 0)
        return;
    if (*count < POPULAR_MAX)
        (*count)++;
    memmove(&list[at + 1], &list[at], (*count - 1 - at) * sizeof(*list));
    list[at] = *name;
}

static size_t find_popular(const struct rehearsal *rehearsal, struct popular *ret_list)
{
    const struct order *order = rehearsal->order;
    size_t count = 0;

    for (size_t i = 0; i < order->names.count; i++)
        keep_popular(ret_list, &count,
                     &(struct popular){
                         .hits = active_order_name_hits(rehearsal->active, i),
                         .clients = rehearsal->names[i].clients,
                         .wire = order_names_at(&order->names, i),
                         .state = listed_state_word(rehearsal->names[i].state),
                     });
    for (size_t i = 0; i < order->subtrees.count; i++)
        keep_popular(ret_list, &count,
                     &(struct popular){
                         .hits = active_order_subtree_hits(rehearsal->active, i),
                         .clients = rehearsal->subtrees[i].clients,
                         .wire = order_names_at(&order->subtrees, i),
                         .state = "subtree",
                     });
    return count;
}

static void add_share(struct table *table, uint64_t part, uint64_t whole)
{
    char text[32];

    snprintf(text, sizeof(text), "%.3f %%", 100 * rehearsal_share(part, whole));
    table_add(table, quantity_count((int64_t)part).text);
    table_add(table, text);
}

static void print_popular(const struct rehearsal *rehearsal)
{
    static const struct table_column columns[] = {{"  asked for most", false}, {"today", false},
                                                  {"queries", true},           {"share", true},
                                                  {"clients", true},           {"share", true}};
    const struct rehearsed_traffic *traffic = &rehearsal->traffic;
    size_t column_count = traffic->report.has_clients ? 6 : 4;
    struct popular popular[POPULAR_MAX];
    char text[NAME_TEXT_MAX + 2] = "  ";

    size_t count = find_popular(rehearsal, popular);
    _cleanup_(table_freep) struct table *table = table_create(columns, column_count);
    if (count == 0 || table == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        name_text_write(popular[i].wire, text + 2);
        table_add(table, text);
        table_add(table, popular[i].state);
        add_share(table, popular[i].hits, traffic->queries);
        if (traffic->report.has_clients)
            add_share(table, popular[i].clients, traffic->clients);
    }
    putchar('\n');
    if (table_print(table, stdout) < 0)
        fprintf(stderr, "tamis: out of memory\n");
}

/* What could not be replayed as it was. */
static void print_left_out(const struct traffic_report *read)
{
    print_row_if(read->form == TRAFFIC_LIST ? "malformed lines" : "malformed messages",
                 read->malformed, "left out");
    print_row_if("requests of other kinds", read->others, "left out");
    print_row_if("fragments of packets", read->fragments, "left out");
    print_row_if("packets not captured whole", read->truncated, "left out");
    print_row_if("gaps in TCP streams", read->gaps, "");
    if (read->cut_short)
        printf("  the %s ends inside a packet or event; what came before counts\n",
               traffic_form_word(read->form));
    if (read->malformed_line > 0)
        printf("  the first malformed line is %" PRIu64 "\n", read->malformed_line);
}

static void print_traffic(const struct rehearse_report *report)
{
    const struct rehearsed_traffic *traffic = &report->rehearsal->traffic;

    if (!report->rehearsal->has_traffic)
        return;
    printf("\nTraffic of %s, replayed in %s\n", report->traffic_path,
           quantity_ms(report->replay_s * 1e3).text);
    print_row("queries for these zones", traffic->queries, "");
    print_share("touched", traffic->queries_touched, traffic->queries);
    print_share("not touched", traffic->queries - traffic->queries_touched, traffic->queries);
    if (traffic->report.has_clients) {
        print_row("clients", traffic->clients, "different addresses");
        print_share("that ask for a listed name", traffic->clients_touched, traffic->clients);
        print_share("that ask for others", traffic->clients_unlisted, traffic->clients);
    }
    print_row("hits that tamisd will count", traffic->hits, "");
    print_row_if("queries for other zones", traffic->outside, "left out");
    print_left_out(&traffic->report);
    print_popular(report->rehearsal);
}

static void print_budget(const struct rehearse_report *report)
{
    bool any = false;

    for (size_t i = 0; i < BUDGET_FIGURES; i++) {
        const struct budget_figure *figure = &report->figures[i];
        if (!figure->bounded)
            continue;
        if (!any)
            printf("\nBudget\n");
        any = true;
        const char *verdict = !figure->judged                 ? "not judged"
                              : budget_figure_exceeds(figure) ? "exceeded"
                                                              : "kept";
        if (!figure->judged)
            printf("  %-14s %12s  at most %.6f: %s without a capture\n", figure->word, "-",
                   figure->bound, verdict);
        else if (figure->is_share)
            printf("  %-14s %12.6f  at most %.6f: %s\n", figure->word, figure->value, figure->bound,
                   verdict);
        else
            printf("  %-14s %12s  at most %s: %s\n", figure->word,
                   quantity_count((int64_t)figure->value).text,
                   quantity_count((int64_t)figure->bound).text, verdict);
    }
}

static void print_verdict(const struct rehearse_report *report)
{
    const struct order *order = report->rehearsal->order;
    char text[REFUSAL_TEXT_MAX];
    size_t refusals = rehearse_refusals(report);

    putchar('\n');
    for (size_t i = 0; i < refusals; i++)
        printf("refused: %s\n", rehearse_refusal(report, i, text));
    if (refusals > 0)
        return;
    printf("within its budget: %s names and %zu subtrees would be in force",
           quantity_count((int64_t)rehearsal_blocked(report->rehearsal)).text,
           order->subtrees.count);
    if (order->finding_total > 0)
        printf("; %s entries refused, listed above",
               quantity_count((int64_t)order->finding_total).text);
    putchar('\n');
}

void rehearse_print_text(const struct rehearse_report *report)
{
    order_findings_print(report->rehearsal->order);
    print_head(report);
    print_listed(report->rehearsal);
    print_subtrees(report->rehearsal);
    print_collateral(report->rehearsal);
    print_traffic(report);
    print_budget(report);
    print_verdict(report);
}
