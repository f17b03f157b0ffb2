/* AAAA suffixes: a router that updates for a host behind it knows the prefix that its provider
 * delegates today, and not the host's address in it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/hosts_internal.h"

/* A longer prefix than /64 leaves room for no interface identifier (RFC 4291, 2.5.1). */
#define BITS_DEFAULT 64
#define BITS_MIN     16

void host_suffix_apply(const uint8_t suffix[static 16], uint8_t bits, uint8_t address[static 16])
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits >= (i + 1) * 8 ? 8 : bits <= i * 8 ? 0 : bits - i * 8;
        uint8_t mask = (uint8_t)(0xff00u >> kept);
        address[i] = (uint8_t)((address[i] & mask) | (suffix[i] & ~mask));
    }
}

bool host_suffix_parse(const char *text, uint8_t ret_suffix[static 16], uint8_t *ret_bits)
{
    static const uint8_t zero[16];
    char address[INET6_ADDRSTRLEN];
    uint8_t suffix[16], prefix[16] = {0};
    size_t size = strcspn(text, "/");
    long bits = BITS_DEFAULT;

    if (size >= sizeof(address))
        return false;
    memcpy(address, text, size);
    address[size] = '\0';
    if (inet_pton(AF_INET6, address, suffix) != 1 || memcmp(suffix, zero, sizeof(zero)) == 0)
        return false;
    if (text[size] == '/') {
        char *end;
        bits = strtol(text + size + 1, &end, 10);
        if (text[size + 1] < '1' || text[size + 1] > '9' || *end != '\0' || bits < BITS_MIN ||
            bits > BITS_DEFAULT)
            return false;
    }
    /* Nothing of the suffix may stand where the prefix goes. */
    host_suffix_apply(suffix, (uint8_t)bits, prefix);
    if (memcmp(prefix, suffix, sizeof(prefix)) != 0)
        return false;
    memcpy(ret_suffix, suffix, sizeof(suffix));
    *ret_bits = (uint8_t)bits;
    return true;
}

void host_suffix_text(const uint8_t suffix[static 16], uint8_t bits,
                      char ret_text[static HOST_SUFFIX_TEXT_SIZE])
{
    char address[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, suffix, address, sizeof(address));
    snprintf(ret_text, HOST_SUFFIX_TEXT_SIZE, "%s/%u", address, bits);
}
