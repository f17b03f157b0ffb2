#include "order/policy_zone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "dns/name.h"
#include "order/name_text.h"
#include "order/policy_form.h"
#include "order/timestamp.h"

/* Refresh, retry, expire and negative TTL of the zone: what a subscriber does between two NOTIFYs.
 * An order that is lifted must not live on because a transfer failed. */
#define SOA_TIMERS "300 60 86400 60"

/* The default origin: under .invalid no name can exist (RFC 6761, 6.4). */
#define ORIGIN_SUFFIX ".rpz.invalid"

/* Octets of a character-string (RFC 1035, 3.3). */
#define STRING_SIZE_MAX 255

/* So that the metadata's own owners ("4294967295._tamis") have a place in front of the origin. */
#define ORIGIN_SIZE_MAX (NAME_SIZE_MAX - 11 - 7)

struct writing {
    const struct order *order;
    FILE *stream;
    uint64_t extra_count;
    size_t origin_size; /* octets on the wire, root included */
    struct policy_zone_summary summary;
};

/* Octets of a character-string between its quotes (RFC 1035, 5.1). */
static void write_octets(FILE *stream, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char octet = (unsigned char)text[i];
        if (octet == '"' || octet == '\\')
            fprintf(stream, "\\%c", octet);
        else if (octet < ' ' || octet >= 0x7f)
            fprintf(stream, "\\%03u", octet);
        else
            fputc(octet, stream);
    }
}

static void write_quoted(FILE *stream, const char *key, const char *value)
{
    fprintf(stream, " \"%s=", key);
    write_octets(stream, value, strlen(value));
    fputc('"', stream);
}

/* The addresses and the TTL of what the order answers. */
static void write_answer(const struct writing *writing)
{
    const struct verdict *verdict = &writing->order->verdict;
    char address[INET6_ADDRSTRLEN];

    fprintf(writing->stream, " \"ttl=%" PRIu32 "\"", verdict->ttl_s);
    for (size_t i = 0; i < verdict->a_count; i++)
        fprintf(writing->stream, " \"a=%s\"",
                inet_ntop(AF_INET, verdict->a[i], address, sizeof(address)));
    for (size_t i = 0; i < verdict->aaaa_count; i++)
        fprintf(writing->stream, " \"aaaa=%s\"",
                inet_ntop(AF_INET6, verdict->aaaa[i], address, sizeof(address)));
}

static void write_budget(FILE *stream, const struct order_budget *budget)
{
    if (budget->live_max != UINT64_MAX)
        fprintf(stream, " \"budget-live=%" PRIu64 "\"", budget->live_max);
    if (budget->shared_max != UINT64_MAX)
        fprintf(stream, " \"budget-shared=%" PRIu64 "\"", budget->shared_max);
    if (budget->cuts_max != UINT64_MAX)
        fprintf(stream, " \"budget-cuts=%" PRIu64 "\"", budget->cuts_max);
    if (budget->query_share_max < 1)
        fprintf(stream, " \"budget-query-share=%.9g\"", budget->query_share_max);
    if (budget->client_share_max < 1)
        fprintf(stream, " \"budget-client-share=%.9g\"", budget->client_share_max);
}

static void write_evidence(FILE *stream, const struct order_evidence *evidence)
{
    char key[sodium_base64_ENCODED_LEN(sizeof(evidence->seal_to), sodium_base64_VARIANT_ORIGINAL)];

    if (!evidence->content)
        return;
    sodium_bin2base64(key, sizeof(key), evidence->seal_to, sizeof(evidence->seal_to),
                      sodium_base64_VARIANT_ORIGINAL);
    fprintf(stream, " \"evidence-seal-to=%s\"", key);
}

static void write_signature(FILE *stream, const struct order_signature *signature)
{
    char value[sodium_base64_ENCODED_LEN(sizeof(signature->value), sodium_base64_VARIANT_ORIGINAL)];

    sodium_bin2base64(value, sizeof(value), signature->value, sizeof(signature->value),
                      sodium_base64_VARIANT_ORIGINAL);
    fprintf(stream, " \"signature=%s %s\"", signature->key, value);
}

/* What the triggers do not say, in one record, so that its strings keep their order. At the apex,
 * Knot Resolver would take it for a trigger on the root. */
static void write_metadata(const struct writing *writing)
{
    const struct order *order = writing->order;
    FILE *stream = writing->stream;
    char time[TIMESTAMP_SIZE];

    fputs("_tamis TXT \"" POLICY_FORM "\"", stream);
    write_quoted(stream, "id", order->id);
    write_quoted(stream, "kind", order_kind_word(order->kind));
    write_quoted(stream, "authority", order->authority);
    write_quoted(stream, "starts", timestamp_write(order->starts, time));
    write_quoted(stream, "ends", timestamp_write(order->ends, time));
    write_quoted(stream, "action", order_action_word(order->action));
    if (order->notice != NULL)
        write_quoted(stream, "notice", order->notice);
    write_answer(writing);
    write_budget(stream, &order->budget);
    write_evidence(stream, &order->evidence);
    for (size_t i = 0; i < order->signature_count; i++)
        write_signature(stream, &order->signatures[i]);
    fputc('\n', stream);
}

/* What a name gets: NODATA stands in for addresses that it cannot own. */
static const char *name_target(struct writing *writing, const uint8_t *wire)
{
    const char *target = policy_action_target(writing->order->action);

    if (target != NULL || policy_is_hostname(wire))
        return target;
    writing->summary.without_address++;
    return policy_action_target(VERDICT_NODATA);
}

/* What one owner gets. */
static void write_policy(const struct writing *writing, const char *wildcard, const char *owner,
                         const char *target)
{
    const struct verdict *verdict = &writing->order->verdict;
    char address[INET6_ADDRSTRLEN];

    if (target != NULL) {
        fprintf(writing->stream, "%s%s CNAME %s\n", wildcard, owner, target);
        return;
    }
    for (size_t i = 0; i < verdict->a_count; i++)
        fprintf(writing->stream, "%s%s A %s\n", wildcard, owner,
                inet_ntop(AF_INET, verdict->a[i], address, sizeof(address)));
    for (size_t i = 0; i < verdict->aaaa_count; i++)
        fprintf(writing->stream, "%s%s AAAA %s\n", wildcard, owner,
                inet_ntop(AF_INET6, verdict->aaaa[i], address, sizeof(address)));
}

/* Whether the zone has a place for a trigger on the name, with `extra` octets in front of it. */
static bool has_place(const struct writing *writing, const uint8_t *wire, size_t extra)
{
    return !policy_is_other_trigger(wire) && !policy_is_own(wire) &&
           name_wire_size(wire) - 1 + extra + writing->origin_size <= NAME_SIZE_MAX;
}

/* An entry of a list that no trigger expresses, so that the order can be read back as it was. Its
 * text may be longer than one character-string. */
static void write_extra(struct writing *writing, const char *list, const uint8_t *wire)
{
    char text[NAME_TEXT_MAX];
    size_t size = name_text_write(wire, text);

    fprintf(writing->stream, "%" PRIu64 "._tamis TXT \"%s\"", writing->extra_count++, list);
    for (size_t at = 0; at < size; at += STRING_SIZE_MAX) {
        size_t chunk = size - at < STRING_SIZE_MAX ? size - at : STRING_SIZE_MAX;
        fputs(" \"", writing->stream);
        write_octets(writing->stream, text + at, chunk);
        fputc('"', writing->stream);
    }
    fputc('\n', writing->stream);
}

/* The same for one that has no place as a trigger. */
static void leave_out(struct writing *writing, const char *list, const uint8_t *wire)
{
    writing->summary.left_out++;
    write_extra(writing, list, wire);
}

/* An observing order lets its names pass as it lets its exempt ones: then a trigger is a listed
 * name. */
static bool observes(const struct writing *writing)
{
    return writing->order->action == VERDICT_OBSERVE;
}

static bool is_exempt(const struct writing *writing, const uint8_t *wire)
{
    return !observes(writing) && order_names_find(&writing->order->exempt, wire) != SIZE_MAX;
}

static void write_names(struct writing *writing)
{
    const struct order *order = writing->order;
    char text[NAME_TEXT_MAX];

    for (size_t i = 0; i < order->names.count; i++) {
        const uint8_t *wire = order_names_at(&order->names, i);
        if (!has_place(writing, wire, 0)) {
            leave_out(writing, "names", wire);
        } else if (is_exempt(writing, wire) ||
                   order_names_find(&order->subtrees, wire) != SIZE_MAX) {
            write_extra(writing, "names", wire); /* the trigger at this owner is the other list's */
        } else {
            name_text_write(wire, text);
            write_policy(writing, "", text, name_target(writing, wire));
            writing->summary.names++;
        }
    }
}

static void write_subtrees(struct writing *writing)
{
    const struct order *order = writing->order;
    char text[NAME_TEXT_MAX];

    for (size_t i = 0; i < order->subtrees.count; i++) {
        const uint8_t *wire = order_names_at(&order->subtrees, i);
        if (!has_place(writing, wire, 2)) {
            leave_out(writing, "subtrees", wire);
            continue;
        }
        name_text_write(wire, text);
        const char *target = name_target(writing, wire);
        if (!is_exempt(writing, wire))
            write_policy(writing, "", text, target);
        write_policy(writing, "*.", text, target);
        writing->summary.names++;
    }
}

static void write_exemptions(struct writing *writing)
{
    const struct order_names *exempt = &writing->order->exempt;
    char text[NAME_TEXT_MAX];

    for (size_t i = 0; i < exempt->count; i++) {
        const uint8_t *wire = order_names_at(exempt, i);
        if (observes(writing)) {
            write_extra(writing, "exempt", wire);
        } else if (!has_place(writing, wire, 0)) {
            leave_out(writing, "exempt", wire);
        } else {
            name_text_write(wire, text);
            write_policy(writing, "", text, POLICY_PASSTHRU);
        }
    }
}

static int parse_origin(const struct order *order, const char *text, uint8_t *ret_wire,
                        size_t *ret_size, struct error *ret_error)
{
    char made[NAME_TEXT_MAX];
    struct name_fault fault;

    if (text == NULL) {
        snprintf(made, sizeof(made), "%s" ORIGIN_SUFFIX, order->id);
        text = made;
    }
    int rc = name_text_parse(text, strlen(text), ret_wire, ret_size, &fault);
    if (rc == -EINVAL)
        return error_set(ret_error, rc, "the origin '%.255s' %s", text, fault.reason);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    if (*ret_size > ORIGIN_SIZE_MAX)
        return error_set(ret_error, -EINVAL,
                         "the origin '%.255s' leaves no room for names; choose a shorter one",
                         text);
    return 0;
}

int policy_zone_write(const struct order *order, const struct policy_zone_options *options,
                      FILE *stream, struct policy_zone_summary *ret_summary,
                      struct error *ret_error)
{
    struct writing writing = {.order = order, .stream = stream};
    uint8_t origin[NAME_SIZE_MAX];
    char text[NAME_TEXT_MAX];

    int rc = parse_origin(order, options->origin, origin, &writing.origin_size, ret_error);
    if (rc < 0)
        return rc;
    name_text_write(origin, text);
    fprintf(stream, "$ORIGIN %s.\n$TTL %" PRIu32 "\n", text, order->verdict.ttl_s);
    fprintf(stream, "@ SOA localhost. hostmaster.invalid. %" PRIu32 " " SOA_TIMERS "\n",
            options->serial);
    fprintf(stream, "@ NS localhost.\n");
    write_metadata(&writing);
    write_names(&writing);
    write_subtrees(&writing);
    write_exemptions(&writing);
    *ret_summary = writing.summary;
    return 0;
}
