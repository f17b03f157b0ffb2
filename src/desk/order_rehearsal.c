/* A rehearsal in the desk: the zones as the name server has them now, transferred with TSIG, and
 * the order laid over them by the code that `tamis order rehearse` runs. */
#include <errno.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk_order_internal.h"
#include "order/rehearsal.h"
#include "order/rehearsal_json.h"
#include "zone/zone_loader.h"

/* Listed names that are told one by one; all are in the table of names. */
#define NAMES_TOLD_MAX 1000

struct order_rehearsal {
    struct transfer_source source;
    struct transfer_key key;
    struct zone *zones;
    struct zone **list;
    struct zone_load *loads;
    size_t count;
    struct zone_set *set;
    struct rehearsal *rehearsal;
};

void order_rehearsal_free(struct order_rehearsal *held)
{
    if (held == NULL)
        return;
    rehearsal_free(held->rehearsal);
    zone_set_free(held->set);
    for (size_t i = 0; i < held->count; i++)
        zone_data_free(held->loads[i].data);
    free(held->loads);
    free(held->list);
    free(held->zones);
    free(held);
}

/* ---- Zones ---- */

static int zone_name(struct zone *zone, const char *text, struct error *ret_error)
{
    uint8_t wire[NAME_SIZE_MAX];

    snprintf(zone->text, sizeof(zone->text), "%s", text);
    if (knot_dname_from_str(wire, text, sizeof(wire)) == NULL ||
        name_parse(&zone->name, wire, sizeof(wire)) < 0)
        return error_set(ret_error, -EINVAL, "%s is no name of a zone", text);
    zone->role = ZONE_PRIMARY;
    return 0;
}

static int zones_prepare(struct order_rehearsal *held, const struct desk_config_orders *config,
                         struct error *ret_error)
{
    const struct desk_config_server *server = config->rehearse_from;
    int rc = 0;

    held->source = (struct transfer_source){
        .origin = (const struct sockaddr *)&server->address.address,
        .origin_size = server->address.size,
    };
    if (server->key != NULL) {
        held->key =
            (struct transfer_key){server->key->name, server->key->algorithm, server->key->secret};
        held->source.key = &held->key;
    }
    held->zones = calloc(config->rehearse_zone_count, sizeof(*held->zones));
    held->list = calloc(config->rehearse_zone_count, sizeof(*held->list));
    held->loads = calloc(config->rehearse_zone_count, sizeof(*held->loads));
    if (held->zones == NULL || held->list == NULL || held->loads == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the zones");
    for (size_t i = 0; i < config->rehearse_zone_count && rc == 0; i++) {
        rc = zone_name(&held->zones[i], config->rehearse_zones[i], ret_error);
        held->list[i] = &held->zones[i];
        held->loads[i] =
            (struct zone_load){.source = &held->source, .apex = held->zones[i].name.wire};
    }
    held->count = config->rehearse_zone_count;
    return rc;
}

/* -EHOSTUNREACH: the server does not give them. */
static int zones_load(struct order_rehearsal *held, struct error *ret_error)
{
    zone_loader_run(held->loads, held->count, 1);
    for (size_t i = 0; i < held->count; i++) {
        if (held->loads[i].data == NULL)
            return error_set(ret_error, -EHOSTUNREACH,
                             "the zone %s cannot be had to rehearse it: %s", held->zones[i].text,
                             held->loads[i].error.text);
        held->zones[i].data = held->loads[i].data;
        atomic_store(&held->zones[i].status, ZONE_SERVING);
    }
    int rc = zone_set_create(held->list, held->count, &held->set);
    return rc < 0 ? error_set(ret_error, rc, "out of memory for the zones") : 0;
}

/* ---- Figures ---- */

static json_t *references_json(const struct rehearsal *rehearsal)
{
    return json_pack("{s:I, s:o}", "names", (json_int_t)rehearsal->reference_names, "examples",
                     rehearsal_examples_json(rehearsal));
}

static json_t *names_json(const struct rehearsal *rehearsal)
{
    const struct order_names *names = &rehearsal->order->names;
    json_t *list = json_array();

    for (size_t i = 0; i < names->count && json_array_size(list) < NAMES_TOLD_MAX; i++) {
        const struct rehearsed_name *name = &rehearsal->names[i];
        if (name->state == LISTED_DEAD && name->references == 0)
            continue;
        json_array_append_new(list, json_pack("{s:o, s:s, s:I, s:I}", "name",
                                              rehearsal_name_json(order_names_at(names, i)),
                                              "state", listed_state_word(name->state), "references",
                                              (json_int_t)name->references, "below",
                                              (json_int_t)name->below));
    }
    return list;
}

static json_t *bound_json(double bound, bool is_bounded, bool is_share)
{
    if (!is_bounded)
        return json_null();
    return is_share ? json_real(bound) : json_integer((json_int_t)bound);
}

/* The figures of a budget, and whether one of them is exceeded. */
static json_t *budget_json(const struct rehearsal *rehearsal, const struct order_budget *budget,
                           bool *ret_exceeds)
{
    struct budget_figure figures[BUDGET_FIGURES];
    json_t *json = json_object();

    rehearsal_judge(rehearsal, budget, figures);
    *ret_exceeds = false;
    for (size_t i = 0; i < BUDGET_FIGURES; i++) {
        const struct budget_figure *figure = &figures[i];
        bool exceeds = budget_figure_exceeds(figure);
        *ret_exceeds |= exceeds;
        json_object_set_new(json, figure->word,
                            json_pack("{s:o, s:o, s:b}", "value",
                                      bound_json(figure->value, figure->judged, figure->is_share),
                                      "bound",
                                      bound_json(figure->bound, figure->bounded, figure->is_share),
                                      "exceeded", exceeds));
    }
    return json;
}

static json_t *findings_json(const struct order *order)
{
    json_t *list = json_array();
    char text[400];

    for (size_t i = 0; i < order->finding_count && i < NAMES_TOLD_MAX; i++)
        json_array_append_new(
            list, json_string(order_finding_format(&order->findings[i], text, sizeof(text))));
    return list;
}

static int figures_make(const struct desk *desk, const struct order_rehearsal *held,
                        struct order_figures *ret_figures, struct error *ret_error)
{
    const struct rehearsal *rehearsal = held->rehearsal;
    const struct desk_config_orders *config = &desk->config->orders;
    const struct order_budget desk_budget = {config->live_max, config->shared_max, config->cuts_max,
                                             1, 1};

    json_t *own = budget_json(rehearsal, &rehearsal->order->budget, &ret_figures->exceeds_own);
    json_t *desks = budget_json(rehearsal, &desk_budget, &ret_figures->exceeds_desk);
    ret_figures->json = json_pack(
        "{s:{s:s, s:I, s:I, s:I}, s:o, s:o, s:o, s:{s:I, s:I}, s:I, s:o, s:o, s:o, s:I, s:o}",
        "zones", "server", config->rehearse_from->name, "count", (json_int_t)held->count, "names",
        (json_int_t)rehearsal->zone_names, "records", (json_int_t)rehearsal->zone_records, "listed",
        rehearsal_listed_json(rehearsal), "shared", rehearsal_shared_json(rehearsal), "references",
        references_json(rehearsal), "below", "listed", (json_int_t)rehearsal->parents, "names",
        (json_int_t)rehearsal->below, "cuts", (json_int_t)rehearsal_cuts(rehearsal), "names",
        names_json(rehearsal), "budget", own, "desk_budget", desks, "finding_count",
        (json_int_t)rehearsal->order->finding_total, "findings", findings_json(rehearsal->order));
    ret_figures->rehearsal = rehearsal;
    return ret_figures->json != NULL ? 0
                                     : error_set(ret_error, -ENOMEM, "out of memory for figures");
}

/* ---- The work ---- */

static int rehearse(struct desk *desk, struct store *store, const struct order_row *row,
                    struct order_rehearsal *held, struct order_figures *ret_figures,
                    struct error *ret_error)
{
    struct order *order = NULL;

    int rc = zones_prepare(held, &desk->config->orders, ret_error);
    if (rc == 0)
        rc = zones_load(held, ret_error);
    if (rc == 0)
        rc = order_stored_load(desk, store, row->id, &order, ret_error);
    if (rc < 0)
        return rc;
    rc = rehearsal_create(held->set, order, &held->rehearsal);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory for the rehearsal");
    ret_figures->version = row->version;
    return figures_make(desk, held, ret_figures, ret_error);
}

int order_rehearse(struct desk *desk, struct store *store, const struct order_row *row,
                   struct order_rehearsal **ret_rehearsal, struct order_figures *ret_figures,
                   struct error *ret_error)
{
    const struct desk_config_orders *config = &desk->config->orders;

    if (config->rehearse_zone_count == 0 || config->rehearse_from == NULL)
        return error_set(ret_error, -EEXIST,
                         "there is nothing to rehearse against: configure orders.rehearse.zones "
                         "and a server that lets the desk transfer them");
    struct order_rehearsal *held = calloc(1, sizeof(*held));
    if (held == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the rehearsal");
    /* Who waited here would keep a worker from everybody else. */
    if (pthread_mutex_trylock(&desk->orders->rehearsing) != 0) {
        order_rehearsal_free(held);
        return error_set(ret_error, -EBUSY, "another order is being rehearsed: try again then");
    }
    int rc = rehearse(desk, store, row, held, ret_figures, ret_error);
    pthread_mutex_unlock(&desk->orders->rehearsing);
    if (rc < 0) {
        order_rehearsal_free(held);
        return rc;
    }
    *ret_rehearsal = held;
    return 0;
}
