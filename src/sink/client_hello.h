/* A TLS ClientHello (RFC 8446, section 4.1.2), read as it came, and its fingerprint in the form
 * JA4. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "t13d1516h2_8daaf6152771_e5627efa2ab1" and NUL. */
#define JA4_SIZE 37

struct client_hello {
    char server_name[256]; /* SNI, lower case; "" for none. Whatever the client sent that is a host
                              name */
    char alpn[32];         /* the first protocol offered, printable; "" for none */
    char ja4[JA4_SIZE];
    uint16_t version; /* the highest that it offers, 0x0304 for TLS 1.3 */
};

/* Whether the octets begin as a TLS record with a handshake in it. */
bool client_hello_begins(const uint8_t *octets, size_t size);

/* Reads the hello from the first octets of a connection, over as many records as it takes. Returns
 * 0, -EAGAIN when it isn't whole yet, -EBADMSG when it is none. Any thread; nothing is allocated.
 */
int client_hello_read(const uint8_t *octets, size_t size, struct client_hello *ret_hello);
