#include "order/policy_zone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "dns/name.h"
#include "order/name_text.h"
#include "order/timestamp.h"

/* Refresh, retry, expire and negative TTL of the zone: what a subscriber does between two NOTIFYs.
 * An order that is lifted must not live on because a transfer failed. */
#define SOA_TIMERS "300 60 86400 60"

/* The default origin: under .invalid no name can exist (RFC 6761, 6.4). */
#define ORIGIN_SUFFIX ".rpz.invalid"

struct writing {
    const struct order *order;
    FILE *stream;
    size_t origin_size; /* octets on the wire, root included */
    struct policy_zone_summary summary;
};

/* The CNAME target that stands for an action (draft, section 3); NULL for local data.
 *
 * REFUSED has no form there. "rpz-drop" is nearest in meaning: like a refusal it says nothing about
 * the name, neither that it exists nor that it doesn't, and makes a client ask elsewhere. */
static const char *action_target(enum verdict_action action)
{
    switch (action) {
    case VERDICT_NXDOMAIN:
        return ".";
    case VERDICT_NODATA:
        return "*.";
    case VERDICT_REFUSE:
        return "rpz-drop.";
    case VERDICT_OBSERVE:
        return "rpz-passthru.";
    default:
        return NULL;
    }
}

static void write_quoted(FILE *stream, const char *key, const char *value)
{
    fprintf(stream, " \"%s=", key);
    for (; *value != '\0'; value++) {
        unsigned char octet = (unsigned char)*value;
        if (octet == '"' || octet == '\\')
            fprintf(stream, "\\%c", octet);
        else if (octet < ' ' || octet >= 0x7f)
            fprintf(stream, "\\%03u", octet);
        else
            fputc(octet, stream);
    }
    fputc('"', stream);
}

/* What the records do not say, for people and programs: at the apex, where no policy and no listed
 * name can stand. */
static void write_metadata(const struct writing *writing)
{
    const struct order *order = writing->order;
    char time[TIMESTAMP_SIZE];

    fputs("@ TXT", writing->stream);
    write_quoted(writing->stream, "id", order->id);
    write_quoted(writing->stream, "kind", order_kind_word(order->kind));
    write_quoted(writing->stream, "authority", order->authority);
    write_quoted(writing->stream, "starts", timestamp_write(order->starts, time));
    write_quoted(writing->stream, "ends", timestamp_write(order->ends, time));
    write_quoted(writing->stream, "action", order_action_word(order->action));
    if (order->notice != NULL)
        write_quoted(writing->stream, "notice", order->notice);
    fputc('\n', writing->stream);
}

static bool is_alphanumeric(uint8_t octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9');
}

/* Whether a name is a hostname in the narrow sense (RFC 952, RFC 1123, 2.1): only such a name may
 * own address records where BIND loads a primary zone, and one other owner would drop the whole
 * zone. */
static bool is_hostname(const uint8_t *wire)
{
    for (const uint8_t *label = wire; *label != 0; label += 1 + *label) {
        if (!is_alphanumeric(label[1]) || !is_alphanumeric(label[*label]))
            return false;
        for (size_t i = 2; i < *label; i++)
            if (!is_alphanumeric(label[i]) && label[i] != '-')
                return false;
    }
    return true;
}

/* What a name gets: NODATA stands in for addresses that it cannot own. */
static const char *name_target(struct writing *writing, const uint8_t *wire)
{
    const char *target = action_target(writing->order->action);

    if (target != NULL || is_hostname(wire))
        return target;
    writing->summary.without_address++;
    return action_target(VERDICT_NODATA);
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

/* Whether the rightmost label begins with "rpz-": "24.0.2.0.192.rpz-ip" in a list would become a
 * trigger on addresses, not on a name (draft, section 4). */
static bool is_trigger(const uint8_t *wire)
{
    const uint8_t *last = wire;

    for (const uint8_t *label = wire; *label != 0; label += 1 + *label)
        last = label;
    return last[0] >= 4 && memcmp(last + 1, "rpz-", 4) == 0;
}

/* Writes a name's owner text, or counts that the zone has no place for it. `extra` octets stand in
 * front of it. */
static bool owner_text(struct writing *writing, const uint8_t *wire, size_t extra, char *ret_text)
{
    if (is_trigger(wire) ||
        name_wire_size(wire) - 1 + extra + writing->origin_size > NAME_SIZE_MAX) {
        writing->summary.left_out++;
        return false;
    }
    name_text_write(wire, ret_text);
    return true;
}

static void write_names(struct writing *writing)
{
    const struct order *order = writing->order;
    char text[NAME_TEXT_MAX];

    for (size_t i = 0; i < order->names.count; i++) {
        const uint8_t *wire = order_names_at(&order->names, i);
        if (order_names_find(&order->exempt, wire) != SIZE_MAX ||
            order_names_find(&order->subtrees, wire) != SIZE_MAX ||
            !owner_text(writing, wire, 0, text))
            continue;
        write_policy(writing, "", text, name_target(writing, wire));
        writing->summary.names++;
    }
}

static void write_subtrees(struct writing *writing)
{
    const struct order *order = writing->order;
    char text[NAME_TEXT_MAX];

    for (size_t i = 0; i < order->subtrees.count; i++) {
        const uint8_t *wire = order_names_at(&order->subtrees, i);
        if (!owner_text(writing, wire, 2, text))
            continue;
        const char *target = name_target(writing, wire);
        if (order_names_find(&order->exempt, wire) == SIZE_MAX)
            write_policy(writing, "", text, target);
        write_policy(writing, "*.", text, target);
        writing->summary.names++;
    }
}

static void write_exemptions(struct writing *writing)
{
    const struct order_names *exempt = &writing->order->exempt;
    char text[NAME_TEXT_MAX];

    for (size_t i = 0; i < exempt->count; i++)
        if (owner_text(writing, order_names_at(exempt, i), 0, text))
            write_policy(writing, "", text, "rpz-passthru.");
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
    return rc < 0 ? error_set(ret_error, rc, "out of memory") : 0;
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
