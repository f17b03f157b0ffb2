/* The fingerprint JA4 of a ClientHello, as FoxIO publishes it (technical_details/JA4.md of
 * FoxIO-LLC/ja4): what the client offers, apart from order and from GREASE (RFC 8701). */
#pragma once

#include "sink/client_hello.h"

/* Longest hello that is read: four times the largest that clients send, with key shares that resist
 * quantum computers. */
#define HELLO_SIZE_MAX ((size_t)16 * 1024)

/* A part of the hello, as it came; size 0: not sent. */
struct hello_part {
    const uint8_t *octets;
    size_t size;
};

/* Lists of two-octet codes hold an even number of octets. */
struct hello_offer {
    uint16_t legacy_version;
    bool has_server_name, has_versions, has_quic;
    struct hello_part ciphers;
    struct hello_part extensions; /* the whole block, well formed */
    struct hello_part versions;
    struct hello_part signature_algorithms;
    struct hello_part protocol; /* the first of ALPN */
};

/* Whether a code is one of RFC 8701, which clients send to be ignored. */
static inline bool is_grease(uint16_t code)
{
    return (code & 0x0f0f) == 0x0a0a && code >> 8 == (code & 0xff);
}

static inline uint16_t hello_code(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* The highest version offered; 0 where supported_versions lists none. */
uint16_t ja4_version(const struct hello_offer *offer);

void ja4_write(const struct hello_offer *offer, char ret_ja4[static JA4_SIZE]);
