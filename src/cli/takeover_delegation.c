#include "cli/takeover_delegation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libknot/libknot.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/takeover_ask.h"
#include "zone/origin_link.h"
#include "zone/tsig_client.h"

#define UPDATE_SIZE_MAX     16384
#define UPDATE_TIMEOUT_MS   10000
#define LOOK_INTERVAL_US    200000
#define ALGORITHM_DEFAULT   "hmac-sha256"
#define OPCODE_UPDATE_OCTET (KNOT_OPCODE_UPDATE << 3)

static bool name_wire(const char *text, uint8_t ret_wire[NAME_SIZE_MAX])
{
    return knot_dname_from_str(ret_wire, text, NAME_SIZE_MAX) != NULL;
}

/* ---- What is wanted ---- */

static void own_server_add(json_t *wanted, const struct plan_domain *domain,
                           const struct plan_server *server)
{
    uint8_t name[NAME_SIZE_MAX], apex[NAME_SIZE_MAX];
    char text[KNOT_DNAME_TXT_MAXLEN + 2];

    snprintf(text, sizeof(text), "%s.", server->name);
    json_array_append_new(json_object_get(wanted, "ns"), json_string(text));
    if (!name_wire(server->name, name) || !name_wire(domain->name, apex) ||
        knot_dname_in_bailiwick(name, apex) < 0)
        return;
    for (unsigned i = 0; i < server->addresses_count; i++)
        json_array_append_new(
            json_object_get(wanted, "glue"),
            json_pack("{s:s, s:s}", "name", text, "address", server->addresses[i]));
}

json_t *delegation_ours(const struct takeover_plan *plan, const struct plan_domain *domain,
                        const json_t *before, unsigned own)
{
    json_int_t ttl = plan->delegation->ttl != 0
                         ? (json_int_t)plan->delegation->ttl
                         : json_integer_value(json_object_get(before, "ttl"));
    json_t *wanted = json_pack("{s:[], s:I, s:[], s:I}", "ns", "ttl", ttl, "glue", "glue_ttl", ttl);
    if (wanted == NULL)
        return NULL;
    for (unsigned i = 0; i < plan->name_servers_count && (own == 0 || i < own); i++)
        own_server_add(wanted, domain, &plan->name_servers[i]);
    if (own > 0) {
        json_array_extend(json_object_get(wanted, "ns"), json_object_get(before, "ns"));
        json_array_extend(json_object_get(wanted, "glue"), json_object_get(before, "glue"));
    }
    return wanted;
}

/* ---- By a command ---- */

/* "one two three" of an array of texts, or "name address name address" of glue. */
static void words_join(const json_t *array, bool is_glue, char *ret_text, size_t size)
{
    size_t index, used = 0;
    json_t *value;
    ret_text[0] = '\0';
    json_array_foreach(array, index, value)
    {
        int added = is_glue ? snprintf(ret_text + used, size - used, "%s%s %s", used > 0 ? " " : "",
                                       json_string_value(json_object_get(value, "name")),
                                       json_string_value(json_object_get(value, "address")))
                            : snprintf(ret_text + used, size - used, "%s%s", used > 0 ? " " : "",
                                       json_string_value(value));
        if (added < 0 || used + (size_t)added >= size)
            return;
        used += (size_t)added;
    }
}

static void environment_set(const struct takeover_plan *plan, const struct plan_domain *domain,
                            const char *action, const json_t *wanted)
{
    char text[UPDATE_SIZE_MAX];
    setenv("TAMIS_ACTION", action, 1);
    setenv("TAMIS_DOMAIN", domain->name, 1);
    setenv("TAMIS_PARENT_ZONE", plan->delegation->parent_zone, 1);
    words_join(json_object_get(wanted, "ns"), false, text, sizeof(text));
    setenv("TAMIS_NS", text, 1);
    words_join(json_object_get(wanted, "glue"), true, text, sizeof(text));
    setenv("TAMIS_GLUE", text, 1);
    snprintf(text, sizeof(text), "%lld",
             (long long)json_integer_value(json_object_get(wanted, "ttl")));
    setenv("TAMIS_TTL", text, 1);
}

/* Waits for the child, at most so long; then ends it and all that it started. */
static int child_wait(pid_t child, unsigned timeout_s, struct error *ret_error)
{
    const int64_t until_ms = monotonic_ms() + (int64_t)timeout_s * 1000;
    int status;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended < 0 && errno != EINTR)
            return error_set(ret_error, -errno, "cannot wait for the delegation's command: %s",
                             strerror(errno));
        if (ended == child)
            break;
        if (monotonic_ms() > until_ms) {
            kill(-child, SIGKILL);
            (void)waitpid(child, &status, 0);
            return error_set(ret_error, -ETIMEDOUT,
                             "the delegation's command did not end within %u s and was killed: "
                             "raise 'timeout', or mend it; then run this again",
                             timeout_s);
        }
        usleep(10000);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return error_set(ret_error, -EREMOTEIO,
                     "the delegation's command failed (%s %d): see what it printed; then run "
                     "this again",
                     WIFEXITED(status) ? "exit code" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int change_by_command(const struct takeover_plan *plan, const struct plan_domain *domain,
                             const char *action, const json_t *wanted, struct error *ret_error)
{
    pid_t child = fork();
    if (child < 0)
        return error_set(ret_error, -errno, "cannot start the delegation's command: %s",
                         strerror(errno));
    if (child == 0) {
        setpgid(0, 0);
        environment_set(plan, domain, action, wanted);
        /* What it prints is for the person, never part of our JSON. */
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", plan->delegation->command, (char *)NULL);
        _exit(127);
    }
    setpgid(child, child);
    return child_wait(child, plan->delegation->timeout, ret_error);
}

/* ---- By an UPDATE ---- */

struct update_message {
    uint8_t wire[UPDATE_SIZE_MAX];
    size_t size;
    uint16_t count;
    bool overflows;
};

static void record_put(struct update_message *message, const uint8_t *owner, uint16_t type,
                       uint16_t class, uint32_t ttl_s, const uint8_t *rdata, uint16_t rdata_size)
{
    size_t owner_size = name_wire_size(owner);
    /* Room for the signature stays. */
    if (message->size + owner_size + 10 + rdata_size > sizeof(message->wire) - 1024) {
        message->overflows = true;
        return;
    }
    uint8_t *at = mempcpy(message->wire + message->size, owner, owner_size);
    knot_wire_write_u16(at, type);
    knot_wire_write_u16(at + 2, class);
    knot_wire_write_u32(at + 4, ttl_s);
    knot_wire_write_u16(at + 8, rdata_size);
    if (rdata_size > 0)
        memcpy(at + 10, rdata, rdata_size);
    message->size += owner_size + 10 + rdata_size;
    message->count++;
}

static void glue_put(struct update_message *message, const json_t *glue, uint32_t ttl_s,
                     bool deletes)
{
    size_t index;
    json_t *value;
    json_array_foreach(glue, index, value)
    {
        uint8_t owner[NAME_SIZE_MAX], address[16];
        const char *text = json_string_value(json_object_get(value, "address"));
        if (!name_wire(json_string_value(json_object_get(value, "name")), owner))
            continue;
        bool is_v4 = inet_pton(AF_INET, text, address) == 1;
        if (!is_v4 && inet_pton(AF_INET6, text, address) != 1)
            continue;
        uint16_t type = is_v4 ? KNOT_RRTYPE_A : KNOT_RRTYPE_AAAA;
        if (deletes) /* the RRset (RFC 2136, 2.5.2) */
            record_put(message, owner, type, KNOT_CLASS_ANY, 0, NULL, 0);
        else
            record_put(message, owner, type, KNOT_CLASS_IN, ttl_s, address, is_v4 ? 4 : 16);
    }
}

/* The old NS set goes and the new one comes in one message, which the parent does as one change
 * (RFC 2136, 3.4.2.7). Glue at and below the domain goes with it; of other names it is not ours. */
static int update_write(struct update_message *message, const struct takeover_plan *plan,
                        const struct plan_domain *domain, const json_t *now, const json_t *wanted,
                        struct error *ret_error)
{
    uint8_t zone[NAME_SIZE_MAX], apex[NAME_SIZE_MAX];
    size_t index;
    json_t *value;

    if (!name_wire(plan->delegation->parent_zone, zone) || !name_wire(domain->name, apex))
        return error_set(ret_error, -EINVAL, "'%s' is no domain name", domain->name);
    memset(message->wire, 0, 12);
    knot_wire_write_u16(message->wire, (uint16_t)randombytes_uniform(65536));
    message->wire[2] = OPCODE_UPDATE_OCTET;
    knot_wire_set_qdcount(message->wire, 1);
    size_t zone_size = name_wire_size(zone);
    uint8_t *at = mempcpy(message->wire + 12, zone, zone_size);
    knot_wire_write_u16(at, KNOT_RRTYPE_SOA);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    message->size = 12 + zone_size + 4;

    record_put(message, apex, KNOT_RRTYPE_NS, KNOT_CLASS_ANY, 0, NULL, 0);
    glue_put(message, json_object_get(now, "glue"), 0, true);
    uint32_t ttl_s = (uint32_t)json_integer_value(json_object_get(wanted, "ttl"));
    json_array_foreach(json_object_get(wanted, "ns"), index, value)
    {
        uint8_t server[NAME_SIZE_MAX];
        if (name_wire(json_string_value(value), server))
            record_put(message, apex, KNOT_RRTYPE_NS, KNOT_CLASS_IN, ttl_s, server,
                       (uint16_t)name_wire_size(server));
    }
    glue_put(message, json_object_get(wanted, "glue"),
             (uint32_t)json_integer_value(json_object_get(wanted, "glue_ttl")), false);
    knot_wire_set_nscount(message->wire, message->count);
    return message->overflows
               ? error_set(ret_error, -EMSGSIZE, "the delegation does not fit into one UPDATE")
               : 0;
}

/* Checks the answer's RCODE, and with a key that its holder sent it. */
static int reply_check(const struct update_message *message, struct tsig_client *tsig,
                       const char *server, const uint8_t *reply, size_t size,
                       struct error *ret_error)
{
    _cleanup_(record_reader_freep) struct record_reader *reader = record_reader_create();
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type, class;
    struct record record, *last = NULL;

    if (reader == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (size < 12 || memcmp(reply, message->wire, 2) != 0 ||
        (reply[2] & 0xf8) != (0x80 | OPCODE_UPDATE_OCTET))
        return error_set(ret_error, -EBADMSG, "%s answers something else than the UPDATE", server);
    record_reader_init(reader, reply, size);
    unsigned records = (unsigned)knot_wire_get_ancount(reply) + knot_wire_get_nscount(reply) +
                       knot_wire_get_arcount(reply);
    for (unsigned i = knot_wire_get_qdcount(reply); i > 0; i--)
        if (record_reader_question(reader, name, &type, &class) < 0)
            return error_set(ret_error, -EBADMSG, "%s sent a malformed answer", server);
    for (unsigned i = 0; i < records; i++) {
        if (record_reader_next(reader, &record) < 0)
            return error_set(ret_error, -EBADMSG, "%s sent a malformed answer", server);
        last = i + 1 == records && record.type == KNOT_RRTYPE_TSIG ? &record : NULL;
    }
    unsigned rcode = knot_wire_get_rcode(reply);
    if (rcode != KNOT_RCODE_NOERROR) {
        const knot_lookup_t *word = knot_lookup_by_id(knot_rcode_names, (int)rcode);
        return error_set(ret_error, -EACCES,
                         "%s answers %s to the UPDATE: does it allow updates of the parent zone "
                         "with this key?",
                         server, word != NULL ? word->name : "an unknown code");
    }
    return tsig != NULL ? tsig_client_verify(tsig, reply, size, last, ret_error) : 0;
}

static int change_by_update(const struct takeover_plan *plan, const struct plan_domain *domain,
                            const json_t *now, const json_t *wanted, struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};
    _cleanup_(tsig_client_freep) struct tsig_client *tsig = NULL;
    const struct plan_update *update = plan->delegation->update;
    const struct exchange_address address = plan_address(update->server);
    const struct transfer_source source = {.origin = (const struct sockaddr *)&address.socket,
                                           .origin_size = address.size,
                                           .connect_timeout_ms = UPDATE_TIMEOUT_MS,
                                           .idle_timeout_ms = UPDATE_TIMEOUT_MS,
                                           .total_timeout_ms = 2 * UPDATE_TIMEOUT_MS};
    struct update_message message = {.size = 0};
    const uint8_t *reply;
    size_t size;

    int rc = update_write(&message, plan, domain, now, wanted, ret_error);
    if (rc == 0 && update->key != NULL) {
        const struct transfer_key key = {.name = update->key,
                                         .algorithm = update->algorithm != NULL ? update->algorithm
                                                                                : ALGORITHM_DEFAULT,
                                         .secret = update->secret};
        rc = tsig_client_create(&key, &tsig, ret_error);
        if (rc == 0)
            rc = tsig_client_sign(tsig, message.wire, &message.size, sizeof(message.wire),
                                  ret_error);
    }
    if (rc == 0)
        rc = origin_link_open_stream(&link, &source, ret_error);
    if (rc == 0)
        rc = origin_link_send_stream(&link, message.wire, message.size, ret_error);
    if (rc == 0)
        rc = origin_link_receive_stream(&link, &reply, &size, ret_error);
    return rc == 0 ? reply_check(&message, tsig, link.text, reply, size, ret_error) : rc;
}

/* ---- Either ---- */

/* Whether this parent shows the wanted name servers; the first error stays in `ret_error`. */
static bool parent_shows(const char *parent, const uint8_t *apex, const json_t *wanted,
                         struct error *ret_error)
{
    const struct exchange_address address = plan_address(parent);
    json_t *now = NULL;
    if (delegation_ask(&address, apex, &now, ret_error) < 0)
        return false;
    bool same = delegation_same_servers(now, wanted);
    json_decref(now);
    if (!same)
        error_set(ret_error, -EAGAIN, "parent server %s does not show the change", parent);
    return same;
}

static int parents_wait(const struct takeover_plan *plan, const uint8_t *apex, const json_t *wanted,
                        struct error *ret_error)
{
    const int64_t until_ms = monotonic_ms() + (int64_t)plan->delegation->timeout * 1000;
    for (unsigned i = 0; i < plan->parents_count;) {
        if (parent_shows(plan->parents[i], apex, wanted, ret_error))
            i++;
        else if (monotonic_ms() > until_ms)
            return error_set(ret_error, -ETIMEDOUT,
                             "parent server %s does not show the change within %u s: see to it, "
                             "and run this again",
                             plan->parents[i], plan->delegation->timeout);
        else
            usleep(LOOK_INTERVAL_US);
    }
    return 0;
}

int delegation_change(const struct takeover_plan *plan, const struct plan_domain *domain,
                      const char *action, const json_t *wanted, struct error *ret_error)
{
    uint8_t apex[NAME_SIZE_MAX];
    json_t *now = NULL;
    int rc;

    if (!name_wire(domain->name, apex))
        return error_set(ret_error, -EINVAL, "'%s' is no domain name", domain->name);
    if (plan->delegation->command != NULL) {
        rc = change_by_command(plan, domain, action, wanted, ret_error);
    } else {
        /* Which glue there is to take away is best known by who has it. */
        const struct exchange_address primary = plan_address(plan->delegation->update->server);
        rc = delegation_ask(&primary, apex, &now, ret_error);
        if (rc == 0)
            rc = change_by_update(plan, domain, now, wanted, ret_error);
        json_decref(now);
    }
    return rc == 0 ? parents_wait(plan, apex, wanted, ret_error) : rc;
}
