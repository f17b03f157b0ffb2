/* Updates in the shapes of DuckDNS and deSEC, for clients that know no other. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/host_tables.h"
#include "desk/host_update.h"
#include "desk/hosts_internal.h"

#define TEXT_TYPE "text/plain; charset=utf-8"

/* ---- DuckDNS: GET /update?domains=&token=&ip=&ipv6=&txt=&clear=&verbose= ---- */

static bool duck_is_fine(const struct update *update, bool *ret_has_changed)
{
    *ret_has_changed = false;
    for (size_t i = 0; i < update->count; i++) {
        if (update->list[i].code != UPDATE_GOOD && update->list[i].code != UPDATE_NOCHG)
            return false;
        *ret_has_changed = *ret_has_changed || update->list[i].code == UPDATE_GOOD;
    }
    return update->whole == UPDATE_OPEN && update->count > 0;
}

/* Of what all the hosts have now the first one's is told; a line may be empty. */
static int duck_verbose_reply(const struct update *update, bool has_changed, struct reply *reply)
{
    const struct host_addresses *now = &update->list[0].now;
    char a[INET_ADDRSTRLEN] = "", aaaa[INET6_ADDRSTRLEN] = "", text[HOST_TXT_SIZE_MAX + 128];

    if (now->has_a)
        inet_ntop(AF_INET, now->a, a, sizeof(a));
    if (now->has_aaaa)
        inet_ntop(AF_INET6, now->aaaa, aaaa, sizeof(aaaa));
    int size = update->wish.txt != NULL
                   ? snprintf(text, sizeof(text), "OK\n%s\n%s", update->wish.txt,
                              has_changed ? "UPDATED" : "NOCHANGE")
                   : snprintf(text, sizeof(text), "OK\n%s\n%s\n%s", a, aaaa,
                              has_changed ? "UPDATED" : "NOCHANGE");
    return reply_octets(reply, 200, TEXT_TYPE, text, (size_t)size);
}

static int duck_reply(const struct update *update, struct reply *reply)
{
    bool has_changed;
    if (!duck_is_fine(update, &has_changed))
        return reply_constant(reply, 200, TEXT_TYPE, "KO");
    if (update->is_verbose)
        return duck_verbose_reply(update, has_changed, reply);
    return reply_constant(reply, 200, TEXT_TYPE, "OK");
}

static const struct update_shape duck_shape = {.reply = duck_reply};

static bool is_true(const char *text)
{
    return text != NULL && strcasecmp(text, "true") == 0;
}

/* A name without a dot is below the first zone. */
static void duck_name_set(struct update *update, size_t index, const char *text, size_t size)
{
    const struct desk_config_hosts *config = &update->hosts->desk->config->hosts;
    char *name = NULL;
    int rc = memchr(text, '.', size) != NULL || config->zone_count == 0
                 ? asprintf(&name, "%.*s", (int)size, text)
                 : asprintf(&name, "%.*s.%s", (int)size, text, config->zones[0].name);
    host_update_name_set(update, index, rc >= 0 ? name : "");
    if (rc >= 0)
        free(name);
}

static void duck_wish_take(const struct request *request, struct update *update)
{
    struct update_wish *wish = &update->wish;
    const char *ip = request_query(request, "ip"), *ipv6 = request_query(request, "ipv6");
    const char *txt = request_query(request, "txt");
    bool is_clear = is_true(request_query(request, "clear"));

    if (txt != NULL) {
        wish->txt = strdup(txt);
        wish->txt_clear = is_clear;
        if (wish->txt == NULL || (!is_clear && !host_txt_is_valid(txt)))
            update->whole = UPDATE_FAILED;
        return;
    }
    if (is_clear) {
        wish->a = wish->aaaa = FAMILY_REMOVE;
        return;
    }
    bool is_given = (ip != NULL && *ip != '\0') || (ipv6 != NULL && *ipv6 != '\0');
    bool is_right = true;
    if (ip != NULL && *ip != '\0')
        is_right = host_update_address_parse(ip, strlen(ip), wish);
    if (ipv6 != NULL && *ipv6 != '\0')
        is_right = host_update_address_parse(ipv6, strlen(ipv6), wish) && is_right;
    if (!is_given)
        host_update_address_of_client(request, wish);
    if (!is_right)
        update->whole = UPDATE_FAILED;
}

/* A host's key changes addresses; what proves a name to certificate authorities takes a token. */
static void duck_txt_check(struct update *update)
{
    if (update->wish.txt != NULL && update->credential->kind == CREDENTIAL_KEY)
        update->whole = UPDATE_BADAUTH;
}

int duck_update(struct request *request, struct reply *reply, struct error *ret_error)
{
    const char *domains = request_query(request, "domains");
    const char *token = request_query(request, "token");
    size_t count = domains != NULL && *domains != '\0';
    for (const char *at = domains; count > 0 && (at = strchr(at, ',')) != NULL; at++)
        count++;

    struct update *update =
        host_update_create(request, &duck_shape, count > UPDATE_HOSTS_MAX ? 0 : count);
    if (update == NULL)
        return -ENOMEM;
    update->is_verbose = is_true(request_query(request, "verbose"));
    if (count == 0 || count > UPDATE_HOSTS_MAX)
        update->whole = UPDATE_NUMHOST;
    else if (host_update_credential_set(update, "", token != NULL ? token : "")) {
        for (size_t i = 0; i < count; i++) {
            size_t size = strcspn(domains, ",");
            duck_name_set(update, i, domains, size);
            domains += size + (domains[size] == ',');
        }
        duck_wish_take(request, update);
        duck_txt_check(update);
    }
    return host_update_run(update, request, reply, ret_error);
}

/* ---- deSEC: GET /?hostname=&myipv4=&myipv6= ---- */

static int desec_reply(const struct update *update, struct reply *reply)
{
    enum update_code code = update->whole != UPDATE_OPEN ? update->whole : update->list[0].code;
    const char *word = host_update_word(code);

    switch (code) {
    case UPDATE_GOOD:
    case UPDATE_NOCHG:
        return reply_constant(reply, 200, TEXT_TYPE, "good");
    case UPDATE_BADAUTH:
        return reply_header_add(reply, "WWW-Authenticate", "Basic realm=\"tamis\"") < 0
                   ? -ENOMEM
                   : reply_constant(reply, 401, TEXT_TYPE, word);
    case UPDATE_NOHOST:
    case UPDATE_NOTFQDN:
        return reply_constant(reply, 404, TEXT_TYPE, word);
    case UPDATE_ABUSE:
        return reply_header_add(reply, "X-Tamis-Reason", update->list[0].reason) < 0
                   ? -ENOMEM
                   : reply_constant(reply, 403, TEXT_TYPE, word);
    case UPDATE_LIMITED:
        return reply_constant(reply, 429, TEXT_TYPE, word);
    default:
        return reply_header_add(reply, "Retry-After", "60") < 0
                   ? -ENOMEM
                   : reply_constant(reply, 503, TEXT_TYPE, word);
    }
}

static const struct update_shape desec_shape = {.reply = desec_reply};

/* The first of the arguments that says something of a family: an address, "preserve", or nothing at
 * all, which removes. None: the client's address, or, when that is of the other family, it goes. */
static void desec_family_take(const struct request *request, const char *const *names, bool is_v6,
                              struct update_wish *wish)
{
    enum family_wish *family = is_v6 ? &wish->aaaa : &wish->a;
    struct update_wish one = {0};

    *family = FAMILY_REMOVE;
    for (; *names != NULL; names++) {
        const char *value = request_query(request, *names);
        if (value == NULL)
            continue;
        if (*value == '\0')
            return;
        if (strcmp(value, "preserve") == 0) {
            *family = FAMILY_KEEP;
            return;
        }
        if (host_update_address_parse(value, strcspn(value, ","), &one) &&
            (is_v6 ? one.aaaa : one.a) == FAMILY_SET)
            break;
    }
    if (*names == NULL)
        host_update_address_of_client(request, &one);
    if (!is_v6 && one.a == FAMILY_SET) {
        *family = FAMILY_SET;
        memcpy(wish->a_octets, one.a_octets, sizeof(one.a_octets));
    } else if (is_v6 && one.aaaa == FAMILY_SET) {
        *family = FAMILY_SET;
        memcpy(wish->aaaa_octets, one.aaaa_octets, sizeof(one.aaaa_octets));
    }
}

static void desec_wish_take(const struct request *request, struct update_wish *wish)
{
    static const char *const v4_names[] = {"myip", "myipv4", "ip", NULL};
    static const char *const v6_names[] = {"myipv6", "ipv6", "myip", "ip", NULL};
    desec_family_take(request, v4_names, false, wish);
    desec_family_take(request, v6_names, true, wish);
}

/* Token, Basic, or in the query, in which order deSEC takes them; `user` gets who Basic names. */
static bool desec_credential_take(const struct request *request, struct update *update, char *user,
                                  size_t user_size)
{
    const char *header = request_header(request, "Authorization");
    const char *password = request_query(request, "password");
    char secret[PASSWORD_SIZE_MAX + 1];

    if (header != NULL && strncasecmp(header, "Token ", 6) == 0)
        return host_update_credential_set(update, "", header + 6 + strspn(header + 6, " "));
    if (request_basic(request, user, user_size, secret, sizeof(secret))) {
        bool is_set = host_update_credential_set(update, user, secret);
        sodium_memzero(secret, sizeof(secret));
        return is_set;
    }
    const char *name = request_query(request, "username");
    snprintf(user, user_size, "%s", name != NULL ? name : "");
    if (password != NULL)
        return host_update_credential_set(update, user, password);
    update->whole = UPDATE_BADAUTH;
    return false;
}

int desec_update(struct request *request, struct reply *reply, struct error *ret_error)
{
    char user[EMAIL_SIZE_MAX + 1] = "";
    const char *name = request_query(request, "hostname");

    struct update *update = host_update_create(request, &desec_shape, 1);
    if (update == NULL)
        return -ENOMEM;
    if (desec_credential_take(request, update, user, sizeof(user))) {
        if (name == NULL || strcmp(name, "YES") == 0)
            name = request_query(request, "host_id");
        host_update_name_set(update, 0, name != NULL ? name : user);
        desec_wish_take(request, &update->wish);
    }
    return host_update_run(update, request, reply, ret_error);
}
