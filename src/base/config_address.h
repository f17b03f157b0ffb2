/* Addresses as a configuration writes them: with a port, or as a prefix. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"

struct config_address {
    struct sockaddr_storage
        address; /* port in network order, 0 when the text had none and none is default */
    socklen_t size;
    uint8_t prefix_bits; /* of an access list entry; 32 or 128 for a single address */
    char text[64];       /* as written */
};

/* Parses "192.0.2.1@53", "2001:db8::1@53", "fe80::1%eth0@53", "192.0.2.0/24". Port defaults to
 * `port_default`; port 0 and set bits behind a prefix are errors. `ret_error` gets no place. */
_must_check_ int config_address_parse(const char *text, uint16_t port_default,
                                      struct config_address *ret_address, struct error *ret_error);

/* Whether `client` is the address or within the prefix; ports don't count. IPv4 clients of a
 * dual-stack socket match IPv4 entries. Any thread may call; nothing is allocated. */
bool config_address_covers(const struct config_address *entry, const struct sockaddr *client);
