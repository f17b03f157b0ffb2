/* The address of the client: the connection's, or what proxies that are trusted say of it, from the
 * nearest one back to the first that is not trusted: whatever stands before that anybody may have
 * written. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "desk/desk.h"
#include "desk/http_internal.h"

/* All lines of the header together; a longer one is looked at from its end. */
#define FORWARDED_MAX 1024

static void unmap(struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    if (v6->sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6->sin6_port};
    memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, 4);
    memcpy(address, &v4, sizeof(v4));
}

static bool is_trusted(const struct desk_config_http *config,
                       const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < config->trusted_proxy_count; i++)
        if (config_address_covers(&config->trusted_proxies[i], (const struct sockaddr *)address))
            return true;
    return false;
}

struct lines {
    const char *name;
    char text[FORWARDED_MAX];
    size_t size;
};

static enum MHD_Result line_add(void *context, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    struct lines *lines = context;
    (void)kind;
    if (value == NULL || strcasecmp(name, lines->name) != 0)
        return MHD_YES;
    size_t size = strlen(value);
    if (lines->size + size + 2 > sizeof(lines->text)) {
        /* The end is what trusted ones wrote. */
        lines->size = 0;
        if (size + 2 > sizeof(lines->text)) {
            value += size + 2 - sizeof(lines->text);
            size = sizeof(lines->text) - 2;
        }
    }
    if (lines->size > 0)
        lines->text[lines->size++] = ',';
    memcpy(lines->text + lines->size, value, size);
    lines->size += size;
    lines->text[lines->size] = '\0';
    return MHD_YES;
}

/* "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711". */
static bool node_parse(char *text, struct sockaddr_storage *ret_address)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;

    if (text[0] == '[') {
        char *end = strchr(++text, ']');
        if (end == NULL)
            return false;
        *end = '\0';
    } else if (strchr(text, '.') != NULL && strchr(text, ':') != NULL &&
               strchr(text, ':') == strrchr(text, ':')) {
        *strchr(text, ':') = '\0';
    }
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        v4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        v6->sin6_family = AF_INET6;
    else
        return false;
    unmap(&address);
    *ret_address = address;
    return true;
}

/* The element's address: of Forwarded (RFC 7239, 4) what stands behind for=. */
static bool element_parse(char *element, bool is_forwarded, struct sockaddr_storage *ret_address)
{
    if (is_forwarded) {
        char *at = element;
        while (strncasecmp(at, "for=", 4) != 0) {
            at = strchr(at, ';');
            if (at == NULL)
                return false;
            at += 1 + strspn(at + 1, " \t");
        }
        element = at + 4;
        element[strcspn(element, ";")] = '\0';
    }
    element += strspn(element, " \t\"");
    element[strcspn(element, " \t\"")] = '\0';
    return node_parse(element, ret_address);
}

static void walk_back(const struct request *request, struct lines *lines, bool is_forwarded,
                      struct sockaddr_storage *client)
{
    const struct desk_config_http *config = &request->http->desk->config->http;
    while (lines->size > 0 && is_trusted(config, client)) {
        char *comma = strrchr(lines->text, ',');
        char *element = comma != NULL ? comma + 1 : lines->text;
        element += strspn(element, " \t");
        struct sockaddr_storage address;
        if (!element_parse(element, is_forwarded, &address))
            return; /* "unknown", or a name of its own: the proxy is all that is known */
        *client = address;
        lines->size = comma != NULL ? (size_t)(comma - lines->text) : 0;
        lines->text[lines->size] = '\0';
    }
}

static void client_write(struct request *request)
{
    const struct sockaddr_storage *client = &request->client;
    const void *octets = client->ss_family == AF_INET
                             ? (const void *)&((const struct sockaddr_in *)client)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)client)->sin6_addr;
    if (inet_ntop(client->ss_family, octets, request->client_text, sizeof(request->client_text)) ==
        NULL)
        request->client_text[0] = '\0';
}

void http_client_find(struct request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info->client_addr;

    memcpy(&request->client, address,
           address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                         : sizeof(struct sockaddr_in6));
    unmap(&request->client);
    if (is_trusted(&request->http->desk->config->http, &request->client)) {
        struct lines lines = {.name = "X-Forwarded-For"};
        MHD_get_connection_values(request->connection, MHD_HEADER_KIND, line_add, &lines);
        bool is_forwarded = lines.size == 0;
        if (is_forwarded) {
            lines.name = "Forwarded";
            MHD_get_connection_values(request->connection, MHD_HEADER_KIND, line_add, &lines);
        }
        walk_back(request, &lines, is_forwarded, &request->client);
    }
    client_write(request);
}
