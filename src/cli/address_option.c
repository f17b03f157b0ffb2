#include "cli/address_option.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 53
#define PORT_MAX     65535

static bool port_parse(const char *text, unsigned long *ret_port)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port == 0 || port > PORT_MAX)
        return false;
    *ret_port = port;
    return true;
}

bool address_option_parse(const char *text, struct sockaddr_storage *ret_socket,
                          socklen_t *ret_size)
{
    char host[INET6_ADDRSTRLEN];
    const char *at = strchr(text, '@');
    size_t host_size = at != NULL ? (size_t)(at - text) : strlen(text);
    unsigned long port = PORT_DEFAULT;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (host_size >= sizeof(host) || (at != NULL && !port_parse(at + 1, &port)))
        return false;
    memcpy(host, text, host_size);
    host[host_size] = '\0';
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_port = htons((uint16_t)port);
        memcpy(ret_socket, &v4, sizeof(v4));
        *ret_size = sizeof(v4);
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        v6.sin6_port = htons((uint16_t)port);
        memcpy(ret_socket, &v6, sizeof(v6));
        *ret_size = sizeof(v6);
    } else {
        return false;
    }
    return true;
}
