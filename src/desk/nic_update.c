/* GET /nic/update: dyndns2, as Dyn and No-IP describe it, and what ddclient, inadyn and routers
 * send. One line a host, in order; what concerns the whole request is one line alone. All answers
 * are 200, as clients read the body of nothing else; but for `badauth`, which is 401. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/host_update.h"
#include "desk/hosts_internal.h"

#define TEXT_TYPE "text/plain; charset=utf-8"

/* "nochg 255.255.255.255,ffff:...\n" with room to spare. */
#define LINE_SIZE_MAX 80

/* ---- The answer ---- */

static size_t addresses_write(const struct host_addresses *set, char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN];
    size_t used = 0;
    if (set->has_a)
        used += (size_t)snprintf(text + used, size - used, " %s",
                                 inet_ntop(AF_INET, set->a, address, sizeof(address)));
    if (set->has_aaaa)
        used += (size_t)snprintf(text + used, size - used, "%c%s", set->has_a ? ',' : ' ',
                                 inet_ntop(AF_INET6, set->aaaa, address, sizeof(address)));
    return used;
}

static size_t line_write(const struct update_host *host, char *text)
{
    size_t used = (size_t)snprintf(text, LINE_SIZE_MAX, "%s", host_update_word(host->code));
    if (host->code == UPDATE_GOOD || host->code == UPDATE_NOCHG)
        used += addresses_write(&host->set, text + used, LINE_SIZE_MAX - used - 1);
    text[used++] = '\n';
    return used;
}

/* "bad.dyn.example malware-controller, other.dyn.example phishing" */
static int reasons_add(const struct update *update, struct reply *reply)
{
    char text[1024];
    size_t used = 0;
    for (size_t i = 0; i < update->count; i++) {
        const struct update_host *host = &update->list[i];
        if (host->reason[0] == '\0')
            continue;
        int more = snprintf(text + used, sizeof(text) - used, "%s%s %s", used > 0 ? ", " : "",
                            host->name, host->reason);
        if (used + (size_t)more >= sizeof(text))
            break; /* more than anybody reads; what does not fit is in the account */
        used += (size_t)more;
    }
    text[used] = '\0';
    return used > 0 ? reply_header_add(reply, "X-Tamis-Reason", text) : 0;
}

static int whole_reply(const struct update *update, struct reply *reply)
{
    char line[16];
    snprintf(line, sizeof(line), "%s\n", host_update_word(update->whole));
    if (update->whole == UPDATE_BADAUTH &&
        reply_header_add(reply, "WWW-Authenticate", "Basic realm=\"tamis\"") < 0)
        return -ENOMEM;
    return reply_octets(reply, update->whole == UPDATE_BADAUTH ? 401 : 200, TEXT_TYPE, line,
                        strlen(line));
}

static int nic_reply(const struct update *update, struct reply *reply)
{
    if (update->whole != UPDATE_OPEN)
        return whole_reply(update, reply);
    char *text = malloc(update->count * LINE_SIZE_MAX + 1);
    size_t used = 0;
    if (text == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < update->count; i++)
        used += line_write(&update->list[i], text + used);
    text[used] = '\0';
    int rc = reply_buffer(reply, 200, TEXT_TYPE, text, used);
    return rc < 0 ? rc : reasons_add(update, reply);
}

static const struct update_shape nic_shape = {.reply = nic_reply};

/* ---- The request ---- */

static bool agent_is_refused(const struct desk_config_hosts *config, const char *agent)
{
    if (agent == NULL || agent[0] == '\0')
        return config->agent_required;
    for (size_t i = 0; i < config->agent_refused_count; i++)
        if (strcasestr(agent, config->agents_refused[i]) != NULL)
            return true;
    return false;
}

static size_t names_count(const char *list)
{
    size_t count = 0;
    for (const char *at = list; at != NULL; at = strchr(at, ','), at = at != NULL ? at + 1 : NULL)
        count++;
    return count;
}

static void names_set(struct update *update, const char *list)
{
    for (size_t i = 0; i < update->count; i++) {
        size_t size = strcspn(list, ",");
        char *name = strndup(list, size);
        host_update_name_set(update, i, name != NULL ? name : "");
        free(name);
        list += size + (list[size] == ',');
    }
}

static void addresses_take(const char *list, struct update_wish *wish)
{
    while (list != NULL && *list != '\0') {
        size_t size = strcspn(list, ",");
        struct update_wish one = {0};
        /* The first of a family counts. */
        if (host_update_address_parse(list, size, &one)) {
            if (one.a == FAMILY_SET && wish->a == FAMILY_KEEP) {
                wish->a = FAMILY_SET;
                memcpy(wish->a_octets, one.a_octets, sizeof(one.a_octets));
            }
            if (one.aaaa == FAMILY_SET && wish->aaaa == FAMILY_KEEP) {
                wish->aaaa = FAMILY_SET;
                memcpy(wish->aaaa_octets, one.aaaa_octets, sizeof(one.aaaa_octets));
            }
        }
        list += size + (list[size] == ',');
    }
}

/* What is no address is as good as none: then it is the client's, as Dyn has it. */
static void wish_take(const struct request *request, struct update_wish *wish)
{
    const char *offline = request_query(request, "offline");

    wish->offline = offline != NULL && strcasecmp(offline, "YES") == 0;
    addresses_take(request_query(request, "myip"), wish);
    addresses_take(request_query(request, "myipv6"), wish);
    if (wish->a == FAMILY_KEEP && wish->aaaa == FAMILY_KEEP)
        host_update_address_of_client(request, wish);
}

static void credential_take(const struct request *request, struct update *update)
{
    char user[EMAIL_SIZE_MAX + 1], password[PASSWORD_SIZE_MAX + 1];

    if (request_basic(request, user, sizeof(user), password, sizeof(password))) {
        (void)host_update_credential_set(update, user, password); /* `whole` says it */
        sodium_memzero(password, sizeof(password));
    } else {
        update->whole = UPDATE_BADAUTH;
    }
}

int nic_update(struct request *request, struct reply *reply, struct error *ret_error)
{
    const struct desk_config_hosts *config = &request_desk(request)->config->hosts;
    const char *list = request_query(request, "hostname");
    size_t count = list != NULL ? names_count(list) : 0;
    bool is_too_many = count > UPDATE_HOSTS_MAX;

    struct update *update = host_update_create(request, &nic_shape, is_too_many ? 0 : count);
    if (update == NULL)
        return -ENOMEM;
    if (agent_is_refused(config, request_header(request, "User-Agent")))
        update->whole = UPDATE_BADAGENT;
    else
        credential_take(request, update);
    if (update->whole == UPDATE_OPEN && (list == NULL || *list == '\0'))
        update->whole = UPDATE_NOTFQDN;
    else if (update->whole == UPDATE_OPEN && is_too_many)
        update->whole = UPDATE_NUMHOST;
    if (update->whole == UPDATE_OPEN) {
        names_set(update, list);
        wish_take(request, &update->wish);
    }
    return host_update_run(update, request, reply, ret_error);
}
