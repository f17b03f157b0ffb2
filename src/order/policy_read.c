#include "order/policy_read.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/wire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "order/name_list.h"
#include "order/name_text.h"
#include "order/order_document.h"
#include "order/policy_form.h"
#include "order/policy_metadata.h"
#include "order/policy_rule.h"

/* As in an order's file: a block that is cached longer outlives its lift by days. */
#define TTL_MAX_S 86400

/* Octets of an id that is made from a zone's name, so that the longest suffix, "-sinkhole-" and 16
 * digits, still makes a label (tamis-order(5)). */
#define ID_BASE_MAX 37

/* One answer of the zone, and the names that get it. */
struct part {
    struct verdict answer;
    struct order *order;
    struct name_list *names;
};

struct reading {
    struct zone_view *view;
    const struct name *apex;
    int64_t starts;
    struct error *error;
    char path[POLICY_PATH_MAX];
    char id_base[ID_BASE_MAX + 1];
    bool has_metadata;

    /* The first has the metadata, or is the one for NXDOMAIN; the lists below and what is refused
     * are its. */
    struct part parts[POLICY_ORDERS_MAX];
    size_t part_count;
    struct name_list *subtrees, *exempt;
};

void policy_orders_clear(struct policy_orders *orders)
{
    for (size_t i = 0; i < orders->count; i++)
        order_free(orders->orders[i]);
    orders->count = 0;
}

static void reading_clear(struct reading *reading)
{
    name_list_free(reading->subtrees);
    name_list_free(reading->exempt);
    for (size_t i = 0; i < reading->part_count; i++) {
        name_list_free(reading->parts[i].names);
        order_free(reading->parts[i].order);
    }
}

static int out_of_memory(const struct reading *reading)
{
    return error_set_at(reading->error, -ENOMEM, reading->path, 0, "out of memory");
}

/* ---- Names of what has no metadata ---- */

/* FNV-1a: not against people, only so that ids stay the same from one generation to the next. */
static uint64_t digest(uint64_t sum, const void *octets, size_t size)
{
    for (const uint8_t *at = octets, *end = at + size; at < end; at++)
        sum = (sum ^ *at) * UINT64_C(0x100000001b3);
    return sum;
}
#define DIGEST_START UINT64_C(0xcbf29ce484222325)

void policy_zone_path(const uint8_t *apex, char ret_path[POLICY_PATH_MAX])
{
    knot_dname_txt_storage_t text;

    (void)knot_dname_to_str(text, apex, sizeof(text));
    snprintf(ret_path, POLICY_PATH_MAX, "policy zone %s", text);
}

static void make_id_base(struct reading *reading)
{
    knot_dname_txt_storage_t text;

    policy_zone_path(reading->apex->wire, reading->path);
    (void)knot_dname_to_str(text, reading->apex->wire, sizeof(text));
    size_t size = strlen(text);
    uint64_t sum = digest(DIGEST_START, text, size);
    while (size > 0 && text[size - 1] == '.')
        text[--size] = '\0';
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]))
            text[i] = '-';
    if (size == 0)
        snprintf(reading->id_base, sizeof(reading->id_base), "root");
    else if (size <= ID_BASE_MAX)
        snprintf(reading->id_base, sizeof(reading->id_base), "%s", text);
    else
        snprintf(reading->id_base, sizeof(reading->id_base), "%.*s-%08x", ID_BASE_MAX - 9, text,
                 (unsigned)(sum ^ sum >> 32));
}

static void make_id(const struct reading *reading, const struct verdict *answer, char *ret_id,
                    size_t size)
{
    switch (answer->action) {
    case VERDICT_NXDOMAIN:
        snprintf(ret_id, size, "%s", reading->id_base);
        break;
    case VERDICT_SINKHOLE: {
        uint64_t sum = digest(DIGEST_START, answer->a, answer->a_count * sizeof(answer->a[0]));
        sum = digest(sum, answer->aaaa, answer->aaaa_count * sizeof(answer->aaaa[0]));
        snprintf(ret_id, size, "%s-sinkhole-%016" PRIx64, reading->id_base, sum);
        break;
    }
    default:
        snprintf(ret_id, size, "%s-%s", reading->id_base, order_action_word(answer->action));
        break;
    }
}

/* ---- Orders in the making ---- */

static int add_part(struct reading *reading, const struct verdict *answer, struct order *order)
{
    struct part *part = &reading->parts[reading->part_count];

    *part = (struct part){.answer = *answer, .order = order};
    reading->part_count++;
    return name_list_create(order, &part->names) < 0 ? out_of_memory(reading) : 0;
}

static uint32_t bounded_ttl(uint32_t ttl_s)
{
    return ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S;
}

/* An order for an answer of a zone that others made. */
static int add_plain_part(struct reading *reading, const struct verdict *answer)
{
    struct order *order = calloc(1, sizeof(*order));
    if (order == NULL)
        return out_of_memory(reading);
    int rc = add_part(reading, answer, order);
    if (rc < 0)
        return rc;

    char id[64], authority[300];
    make_id(reading, answer, id, sizeof(id));
    snprintf(authority, sizeof(authority), "%.240s", reading->path);
    order->id = strdup(id);
    order->authority = strdup(authority);
    order->path = strdup(reading->path);
    if (order->id == NULL || order->authority == NULL || order->path == NULL)
        return out_of_memory(reading);
    order->kind = ORDER_PROVIDER;
    order->starts = reading->starts;
    order->ends = POLICY_ENDS_NEVER;
    order->action = answer->action;
    order->budget = (struct order_budget){UINT64_MAX, UINT64_MAX, UINT64_MAX, 1, 1};
    order->verdict = *answer;
    if (answer->ttl_s == UINT32_MAX) /* no address gives one: as a negative answer of the zone */
        order->verdict.ttl_s = zone_view_soa(reading->view)->minimum_s;
    order->verdict.ttl_s = bounded_ttl(order->verdict.ttl_s);
    return 0;
}

/* The part for an answer; NULL: the zone gives more different ones than it may. */
static int find_part(struct reading *reading, const struct verdict *answer, struct part **ret_part)
{
    *ret_part = NULL;
    for (size_t i = 0; i < reading->part_count && *ret_part == NULL; i++)
        if (policy_answer_equal(&reading->parts[i].answer, answer))
            *ret_part = &reading->parts[i];
    if (*ret_part == NULL && reading->part_count < POLICY_ORDERS_MAX) {
        int rc = add_plain_part(reading, answer);
        if (rc < 0)
            return rc;
        *ret_part = &reading->parts[reading->part_count - 1];
    }
    /* Of several TTLs the shortest, which does nobody wrong. */
    if (*ret_part != NULL && answer->ttl_s < (*ret_part)->order->verdict.ttl_s)
        (*ret_part)->order->verdict.ttl_s = answer->ttl_s;
    return 0;
}

static int begin(struct reading *reading, const struct name_entry *metadata)
{
    const uint8_t *rdata = NULL;
    size_t size = 0;

    make_id_base(reading);
    int rc = policy_metadata_find(metadata, reading->path, &rdata, &size, reading->error);
    if (rc < 0)
        return rc;
    reading->has_metadata = rc > 0;
    if (reading->has_metadata) {
        struct order *order = NULL;
        rc = policy_metadata_read(rdata, size, reading->path, &order, reading->error);
        if (rc < 0)
            return rc;
        struct verdict answer = order->verdict;
        policy_answer_sort(&answer);
        rc = add_part(reading, &answer, order);
    } else {
        const struct verdict answer = {.action = VERDICT_NXDOMAIN, .ttl_s = UINT32_MAX};
        rc = add_plain_part(reading, &answer);
    }
    if (rc < 0)
        return rc;
    struct order *first = reading->parts[0].order;
    if (name_list_create(first, &reading->subtrees) < 0 ||
        name_list_create(first, &reading->exempt) < 0)
        return out_of_memory(reading);
    return 0;
}

/* ---- Records ---- */

static int list_failed(const struct reading *reading, int rc)
{
    if (rc == -E2BIG)
        return error_set_at(reading->error, rc, reading->path, 0,
                            "has more names than one order can list");
    return out_of_memory(reading);
}

static int add_text(const struct reading *reading, struct name_list *list, const char *text,
                    size_t size)
{
    int rc = name_list_add(list, text, size, ORDER_LINE_INLINE);
    return rc < 0 ? list_failed(reading, rc) : 0;
}

static int add_name(const struct reading *reading, struct name_list *list, const uint8_t *wire)
{
    char text[NAME_TEXT_MAX];
    size_t size = name_text_write(wire, text);

    return add_text(reading, list, text, size);
}

static void refuse(const struct reading *reading, const uint8_t *trigger, const char *reason,
                   const char *detail)
{
    struct order *order = reading->parts[0].order;
    char text[NAME_TEXT_MAX];
    size_t size = name_text_write(trigger, text);

    order_add_finding(order, order->path, 0, text, size, reason, detail);
}

/* Whether the records of an owner say what the order of the metadata does. */
static bool is_of_order(const struct reading *reading, const struct policy_rule *rule)
{
    const struct verdict *answer = &reading->parts[0].answer;

    switch (answer->action) {
    case VERDICT_OBSERVE:
        return rule->kind == RULE_PASSTHRU;
    case VERDICT_REFUSE: /* "rpz-drop" stands for it, too */
        return rule->kind == RULE_ACTION && rule->answer.action == VERDICT_DROP;
    case VERDICT_SINKHOLE: /* and NODATA for addresses that the name cannot own */
        if (rule->kind == RULE_ACTION && rule->answer.action == VERDICT_NODATA)
            return !policy_is_hostname(rule->name);
        break;
    default:
        break;
    }
    return rule->kind == RULE_ACTION && policy_answer_equal(&rule->answer, answer);
}

/* `entry` tells whether a wildcard stands below: then the owner is the top of a subtree, which
 * lists it. */
static int add_of_order(struct reading *reading, const uint8_t *trigger,
                        const struct policy_rule *rule, const struct name_entry *entry)
{
    bool is_observed = reading->parts[0].answer.action == VERDICT_OBSERVE;

    if (rule->kind == RULE_PASSTHRU && !is_observed && !rule->is_wildcard)
        return add_name(reading, reading->exempt, rule->name);
    if (!is_of_order(reading, rule)) {
        refuse(reading, trigger, "asks for something else than its order", NULL);
        return 0;
    }
    if (rule->is_wildcard)
        return add_name(reading, reading->subtrees, rule->name);
    if ((entry->flags & ENTRY_WILDCARD_CHILD) != 0)
        return 0;
    return add_name(reading, reading->parts[0].names, rule->name);
}

static int add_plain(struct reading *reading, const uint8_t *trigger,
                     const struct policy_rule *rule)
{
    struct part *part;

    if (rule->is_wildcard) {
        refuse(reading, trigger, "is a wildcard",
               "only an order that two people signed can list a subtree");
        return 0;
    }
    if (rule->kind == RULE_PASSTHRU)
        return add_name(reading, reading->exempt, rule->name);
    int rc = find_part(reading, &rule->answer, &part);
    if (rc < 0)
        return rc;
    if (part == NULL) {
        refuse(reading, trigger, "has an answer of its own",
               "a policy zone may give 32 different ones");
        return 0;
    }
    return add_name(reading, part->names, rule->name);
}

/* An entry of a list that no trigger expresses: TXT "LIST" and the name, in as many strings as it
 * takes. */
static int add_extra(struct reading *reading, const uint8_t *trigger,
                     const struct name_entry *entry)
{
    struct rrset rrset;
    struct policy_string string;
    char text[NAME_TEXT_MAX];
    size_t at = 0, size = 0;

    if (!name_entry_rrset(entry, KNOT_RRTYPE_TXT, &rrset) || rrset.rr_count != 1)
        return 0;
    const uint8_t *rdata = rrset.data + 2;
    size_t rdata_size = knot_wire_read_u16(rrset.data);
    if (!policy_string_next(rdata, rdata_size, &at, &string))
        return 0;
    struct name_list *list = NULL;
    if (string.size == 5 && memcmp(string.octets, "names", 5) == 0)
        list = reading->parts[0].names;
    else if (string.size == 8 && memcmp(string.octets, "subtrees", 8) == 0)
        list = reading->subtrees;
    else if (string.size == 6 && memcmp(string.octets, "exempt", 6) == 0)
        list = reading->exempt;
    while (list != NULL && policy_string_next(rdata, rdata_size, &at, &string)) {
        if (string.size > sizeof(text) - size)
            list = NULL;
        else
            memcpy(text + size, string.octets, string.size);
        size += string.size;
    }
    if (list == NULL) {
        refuse(reading, trigger, "is no entry of a list", NULL);
        return 0;
    }
    return add_text(reading, list, text, size);
}

static int read_owner(struct reading *reading, const struct name_entry *entry)
{
    uint8_t trigger[NAME_SIZE_MAX];
    struct policy_rule rule;

    if (entry->owner_size == 0 || entry->rrset_count == 0)
        return 0; /* the apex triggers nothing (draft, section 4.1.1) */
    memcpy(trigger, entry->owner, entry->owner_size);
    trigger[entry->owner_size] = 0;
    if (reading->has_metadata && policy_is_own(trigger))
        return trigger == policy_last_label(trigger) ? 0 : add_extra(reading, trigger, entry);

    policy_rule_read(trigger, entry, &rule);
    if (rule.kind == RULE_NOTHING)
        return 0;
    if (rule.reason != NULL)
        refuse(reading, trigger, rule.reason, NULL);
    if (rule.kind == RULE_REFUSED)
        return 0;
    return reading->has_metadata ? add_of_order(reading, trigger, &rule, entry)
                                 : add_plain(reading, trigger, &rule);
}

/* Entries that are taken from the view at a time. */
#define ENTRY_BATCH 256

static int read_owners(struct reading *reading)
{
    const struct name_entry *entries[ENTRY_BATCH];
    int rc = 0;

    for (size_t count = 1; rc == 0 && count > 0;) {
        count = zone_view_next(reading->view, entries, NULL, ENTRY_BATCH);
        for (size_t i = 0; i < count && rc == 0; i++)
            rc = read_owner(reading, entries[i]);
    }
    return rc;
}

/* ---- The end ---- */

static int finish_part(struct reading *reading, struct part *part)
{
    struct order *order = part->order;

    int rc = name_list_finish(part->names, &order->names);
    if (rc == 0 && part == &reading->parts[0]) {
        rc = name_list_finish(reading->subtrees, &order->subtrees);
        if (rc == 0)
            rc = name_list_finish(reading->exempt, &order->exempt);
    }
    if (rc < 0)
        return list_failed(reading, rc);
    order_make_verdict(order);
    return 0;
}

const struct name_entry *policy_zone_metadata(const struct zone_data *data)
{
    static const uint8_t label[] = POLICY_OWN_LABEL;
    uint8_t wire[NAME_SIZE_MAX + sizeof(label)];
    struct name owner;

    memcpy(wire, label, sizeof(label) - 1);
    memcpy(wire + sizeof(label) - 1, data->apex.wire, data->apex.size);
    if (name_parse(&owner, wire, NAME_SIZE_MAX) < 0)
        return NULL;
    return zone_data_find(data, &owner).entry;
}

int policy_zone_read(struct zone_view *view, const struct name_entry *metadata, int64_t starts,
                     struct policy_orders *ret_orders, struct error *ret_error)
{
    _cleanup_(reading_clear) struct reading reading = {
        .view = view, .apex = &zone_view_data(view)->apex, .starts = starts, .error = ret_error};

    int rc = begin(&reading, metadata);
    if (rc == 0)
        rc = read_owners(&reading);
    for (size_t i = 0; i < reading.part_count && rc == 0; i++)
        rc = finish_part(&reading, &reading.parts[i]);
    if (rc < 0)
        return rc;

    ret_orders->has_metadata = reading.has_metadata;
    ret_orders->count = reading.part_count;
    for (size_t i = 0; i < reading.part_count; i++) {
        snprintf(ret_orders->ids[i], sizeof(ret_orders->ids[i]), "%s", reading.parts[i].order->id);
        ret_orders->orders[i] = TAKE(reading.parts[i].order);
    }
    return 0;
}
