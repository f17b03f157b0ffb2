#include "base/config_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* Reads a decimal number of at most `value_max`, digits only: strtoul() would also take signs and
 * blanks. */
static bool number_parse(const char *text, unsigned value_max, unsigned *ret_value)
{
    unsigned value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > value_max)
            return false;
    }
    *ret_value = value;
    return true;
}

/* Parses an IPv6 address with an optional "%interface", which link-local addresses need (RFC 4007,
 * 11). */
static bool ipv6_parse(char *text, struct sockaddr_in6 *ret_address)
{
    char *scope = strchr(text, '%');
    if (scope != NULL)
        *scope++ = '\0';

    if (inet_pton(AF_INET6, text, &ret_address->sin6_addr) != 1)
        return false;
    if (scope == NULL)
        return true;

    unsigned number;
    ret_address->sin6_scope_id = if_nametoindex(scope);
    if (ret_address->sin6_scope_id == 0 && number_parse(scope, INT32_MAX, &number))
        ret_address->sin6_scope_id = number;
    return ret_address->sin6_scope_id != 0;
}

/* The octets of an address, for comparison by prefix. */
static uint8_t *address_octets(struct config_address *address)
{
    if (address->address.ss_family == AF_INET)
        return (uint8_t *)&((struct sockaddr_in *)&address->address)->sin_addr;
    return (uint8_t *)&((struct sockaddr_in6 *)&address->address)->sin6_addr;
}

/* Whether octets behind the prefix are set, as in 192.0.2.1/24. */
static bool prefix_has_host_bits(struct config_address *address)
{
    const uint8_t *octets = address_octets(address);
    unsigned size = address->address.ss_family == AF_INET ? 4 : 16;

    for (unsigned i = 0; i < size; i++) {
        unsigned kept = address->prefix_bits > i * 8 ? address->prefix_bits - i * 8 : 0;
        unsigned host_bits = kept >= 8 ? 0 : 0xffu >> kept;
        if ((octets[i] & host_bits) != 0)
            return true;
    }
    return false;
}

int config_address_parse(const char *text, uint16_t port_default,
                         struct config_address *ret_address, struct error *ret_error)
{
    struct config_address parsed = {0};
    char host[sizeof(parsed.text)];

    if (strlen(text) >= sizeof(host))
        return error_set(ret_error, -EINVAL,
                         "\"%.40s...\" is too long for an address: write 192.0.2.1@53", text);
    memcpy(host, text, strlen(text) + 1);
    memcpy(parsed.text, text, strlen(text) + 1);

    unsigned port = port_default;
    char *port_text = strchr(host, '@');
    if (port_text != NULL) {
        *port_text++ = '\0';
        if (!number_parse(port_text, 65535, &port) || port == 0)
            return error_set(ret_error, -EINVAL,
                             "\"%s\" has no valid port: write 1 to 65535 after "
                             "the '@'",
                             text);
    }

    char *prefix_text = strchr(host, '/');
    if (prefix_text != NULL)
        *prefix_text++ = '\0';

    unsigned bits_max;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&parsed.address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&parsed.address;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        parsed.size = sizeof(*v4);
        bits_max = 32;
    } else if (ipv6_parse(host, v6)) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        parsed.size = sizeof(*v6);
        bits_max = 128;
    } else {
        return error_set(ret_error, -EINVAL,
                         "\"%s\" is not an address: write 192.0.2.1, 2001:db8::1, or with a port "
                         "192.0.2.1@53",
                         text);
    }

    unsigned bits = bits_max;
    if (prefix_text != NULL && !number_parse(prefix_text, bits_max, &bits))
        return error_set(ret_error, -EINVAL,
                         "\"%s\" has no valid prefix length: write 0 to %u after the '/'", text,
                         bits_max);
    parsed.prefix_bits = (uint8_t)bits;
    if (prefix_has_host_bits(&parsed))
        return error_set(ret_error, -EINVAL,
                         "\"%s\" names a host inside a prefix: write the prefix's first address, "
                         "or the host without '/%u'",
                         text, bits);

    *ret_address = parsed;
    return 0;
}

/* Whether the first `bits` bits of two addresses are equal. */
static bool prefix_equal(const uint8_t *one, const uint8_t *other, unsigned bits)
{
    unsigned octets = bits / 8, rest = bits % 8;

    if (memcmp(one, other, octets) != 0)
        return false;
    return rest == 0 || ((one[octets] ^ other[octets]) >> (8 - rest)) == 0;
}

bool config_address_covers(const struct config_address *entry, const struct sockaddr *client)
{
    const uint8_t *octets;
    sa_family_t family = client->sa_family;

    if (family == AF_INET) {
        octets = (const uint8_t *)&((const struct sockaddr_in *)client)->sin_addr;
    } else if (family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)client)->sin6_addr;
        octets = v6->s6_addr;
        /* A dual-stack socket shows IPv4 clients as ::ffff:192.0.2.1 (RFC 4291, 2.5.5.2). */
        if (entry->address.ss_family == AF_INET && IN6_IS_ADDR_V4MAPPED(v6)) {
            family = AF_INET;
            octets += 12;
        }
    } else {
        return false;
    }
    if (family != entry->address.ss_family)
        return false;

    const uint8_t *own =
        family == AF_INET
            ? (const uint8_t *)&((const struct sockaddr_in *)&entry->address)->sin_addr
            : ((const struct sockaddr_in6 *)&entry->address)->sin6_addr.s6_addr;
    return prefix_equal(own, octets, entry->prefix_bits);
}
