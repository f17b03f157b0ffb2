/* Filling an update from a request, whatever its shape. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "desk/host_update.h"
#include "desk/hosts_internal.h"

struct update *host_update_create(struct request *request, const struct update_shape *shape,
                                  size_t count)
{
    struct update *update = malloc(sizeof(*update) + count * sizeof(update->list[0]));
    if (update == NULL)
        return NULL;
    memset(update, 0, sizeof(*update));
    update->hosts = request_desk(request)->hosts;
    update->shape = shape;
    update->now_ms = request_now_ms(request);
    update->count = count;
    const struct sockaddr *client = request_client(request);
    memcpy(&update->client, client,
           client->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    snprintf(update->client_text, sizeof(update->client_text), "%s", request_client_text(request));
    for (size_t i = 0; i < count; i++) {
        struct update_host *host = &update->list[i];
        memset(host, 0, offsetof(struct update_host, name));
        host->name[0] = '\0';
        host->update = update;
    }
    return update;
}

void host_update_free(struct update *update)
{
    if (update == NULL)
        return;
    if (update->credential != NULL)
        credential_wipe(update->credential);
    free(update->credential);
    free((char *)update->wish.txt);
    free(update);
}

void host_update_name_set(struct update *update, size_t index, const char *text)
{
    struct update_host *host = &update->list[index];
    if (host_name_normalize(text, host->name, NULL) < 0 || strchr(host->name, '.') == NULL)
        host->code = UPDATE_NOTFQDN;
}

bool host_update_credential_set(struct update *update, const char *user, const char *secret)
{
    update->credential = malloc(sizeof(*update->credential));
    if (update->credential == NULL) {
        update->whole = UPDATE_FAILED;
        return false;
    }
    update->credential->secret[0] = '\0';
    if (!credential_make(update->hosts->credentials, user, secret, update->credential))
        update->whole = UPDATE_BADAUTH;
    return update->whole == UPDATE_OPEN;
}

static bool v4_take(const uint8_t octets[static 4], struct update_wish *wish)
{
    if (octets[0] == 0 || octets[0] >= 224) /* this network, multicast and beyond */
        return false;
    wish->a = FAMILY_SET;
    memcpy(wish->a_octets, octets, 4);
    return true;
}

static bool v6_take(const struct in6_addr *address, struct update_wish *wish)
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        return v4_take(address->s6_addr + 12, wish);
    if (IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_MULTICAST(address) ||
        IN6_IS_ADDR_LINKLOCAL(address))
        return false;
    wish->aaaa = FAMILY_SET;
    memcpy(wish->aaaa_octets, address, 16);
    return true;
}

bool host_update_address_parse(const char *text, size_t size, struct update_wish *wish)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t v4[4];
    struct in6_addr v6;

    if (size >= sizeof(copy))
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (inet_pton(AF_INET, copy, v4) == 1)
        return v4_take(v4, wish);
    return inet_pton(AF_INET6, copy, &v6) == 1 && v6_take(&v6, wish);
}

void host_update_address_of_client(const struct request *request, struct update_wish *wish)
{
    const struct sockaddr *client = request_client(request);
    if (client->sa_family == AF_INET)
        (void)v4_take((const uint8_t *)&((const struct sockaddr_in *)client)->sin_addr, wish);
    else
        (void)v6_take(&((const struct sockaddr_in6 *)client)->sin6_addr, wish);
}

const char *host_update_word(enum update_code code)
{
    static const char *const words[] = {
        [UPDATE_OPEN] = "911",        [UPDATE_GOOD] = "good",         [UPDATE_NOCHG] = "nochg",
        [UPDATE_NOHOST] = "nohost",   [UPDATE_NOTFQDN] = "notfqdn",   [UPDATE_ABUSE] = "abuse",
        [UPDATE_LIMITED] = "911",     [UPDATE_DNSERR] = "dnserr",     [UPDATE_FAILED] = "911",
        [UPDATE_BADAUTH] = "badauth", [UPDATE_BADAGENT] = "badagent", [UPDATE_NUMHOST] = "numhost",
    };
    return words[code];
}
