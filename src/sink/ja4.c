#include "sink/ja4.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define EXTENSION_SERVER_NAME 0x0000
#define EXTENSION_ALPN        0x0010

#define CODES_MAX (HELLO_SIZE_MAX / 2)

/* Hexadecimal digits of a hash that are kept. */
#define HASH_DIGITS 12

struct codes {
    uint16_t list[CODES_MAX];
    size_t count;
};

static void codes_add(struct codes *codes, uint16_t code)
{
    if (!is_grease(code) && codes->count < CODES_MAX)
        codes->list[codes->count++] = code;
}

static void codes_read(struct codes *codes, const struct hello_part *part)
{
    codes->count = 0;
    for (size_t at = 0; at + 2 <= part->size; at += 2)
        codes_add(codes, hello_code(part->octets + at));
}

static void codes_read_extensions(struct codes *codes, const struct hello_part *part)
{
    codes->count = 0;
    for (size_t at = 0; at + 4 <= part->size; at += 4 + hello_code(part->octets + at + 2))
        codes_add(codes, hello_code(part->octets + at));
}

/* By both octets, the lower first: takes the same time whatever a client lists, and no memory. */
static void codes_sort(struct codes *codes)
{
    uint16_t sorted[CODES_MAX];

    for (unsigned shift = 0; shift <= 8; shift += 8) {
        size_t place[257] = {0};
        for (size_t i = 0; i < codes->count; i++)
            place[1 + (codes->list[i] >> shift & 0xff)]++;
        for (size_t octet = 0; octet < 256; octet++)
            place[octet + 1] += place[octet];
        for (size_t i = 0; i < codes->count; i++)
            sorted[place[codes->list[i] >> shift & 0xff]++] = codes->list[i];
        // cppcheck-suppress uninitvar ; each of the codes has had its place
        memcpy(codes->list, sorted, codes->count * sizeof(sorted[0]));
    }
}

/* The _a part has server name and ALPN already. */
static void codes_drop_told(struct codes *codes)
{
    size_t kept = 0;
    for (size_t i = 0; i < codes->count; i++) {
        if (codes->list[i] != EXTENSION_SERVER_NAME && codes->list[i] != EXTENSION_ALPN)
            codes->list[kept++] = codes->list[i];
    }
    codes->count = kept;
}

static void hash_codes(crypto_hash_sha256_state *hash, const struct codes *codes)
{
    for (size_t i = 0; i < codes->count; i++) {
        char text[8];
        int size = snprintf(text, sizeof(text), "%s%04x", i > 0 ? "," : "", codes->list[i]);
        crypto_hash_sha256_update(hash, (const unsigned char *)text, (unsigned long long)size);
    }
}

static void hash_write(crypto_hash_sha256_state *hash, char ret_text[static HASH_DIGITS + 1])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(hash, digest);
    sodium_bin2hex(ret_text, HASH_DIGITS + 1, digest, HASH_DIGITS / 2);
}

static const char *version_text(uint16_t version)
{
    switch (version) {
    case 0x0304:
        return "13";
    case 0x0303:
        return "12";
    case 0x0302:
        return "11";
    case 0x0301:
        return "10";
    case 0x0300:
        return "s3";
    case 0x0002:
        return "s2";
    case 0xfeff:
        return "d1";
    case 0xfefd:
        return "d2";
    case 0xfefc:
        return "d3";
    default:
        return "00";
    }
}

uint16_t ja4_version(const struct hello_offer *offer)
{
    if (!offer->has_versions)
        return offer->legacy_version;
    uint16_t highest = 0;
    for (size_t at = 0; at + 2 <= offer->versions.size; at += 2) {
        uint16_t version = hello_code(offer->versions.octets + at);
        if (!is_grease(version) && version > highest)
            highest = version;
    }
    return highest;
}

static bool is_alphanumeric(uint8_t octet)
{
    return (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') ||
           (octet >= 'a' && octet <= 'z');
}

/* First and last character of the protocol, or of its hexadecimal form where either is none that
 * can be printed plainly. */
static void protocol_ends(const struct hello_part *protocol, char ret_ends[static 3])
{
    static const char digits[] = "0123456789abcdef";

    memcpy(ret_ends, "00", 3);
    if (protocol->size == 0)
        return;
    uint8_t first = protocol->octets[0], last = protocol->octets[protocol->size - 1];
    bool is_plain = is_alphanumeric(first) && is_alphanumeric(last);
    ret_ends[0] = is_plain ? (char)first : digits[first >> 4];
    ret_ends[1] = is_plain ? (char)last : digits[last & 0xf];
}

static unsigned two_digits(size_t count)
{
    return count > 99 ? 99 : (unsigned)count;
}

static size_t cipher_part(const struct hello_offer *offer, struct codes *codes,
                          char ret_text[static HASH_DIGITS + 1])
{
    crypto_hash_sha256_state hash;

    codes_read(codes, &offer->ciphers);
    if (codes->count == 0)
        return 0;
    codes_sort(codes);
    crypto_hash_sha256_init(&hash);
    hash_codes(&hash, codes);
    hash_write(&hash, ret_text);
    return codes->count;
}

static size_t extension_part(const struct hello_offer *offer, struct codes *codes,
                             char ret_text[static HASH_DIGITS + 1])
{
    crypto_hash_sha256_state hash;

    codes_read_extensions(codes, &offer->extensions);
    size_t count = codes->count;
    codes_drop_told(codes);
    if (codes->count == 0)
        return count;
    codes_sort(codes);
    crypto_hash_sha256_init(&hash);
    hash_codes(&hash, codes);
    codes_read(codes, &offer->signature_algorithms);
    if (codes->count > 0) {
        crypto_hash_sha256_update(&hash, (const unsigned char *)"_", 1);
        hash_codes(&hash, codes);
    }
    hash_write(&hash, ret_text);
    return count;
}

void ja4_write(const struct hello_offer *offer, char ret_ja4[static JA4_SIZE])
{
    struct codes codes;
    char protocol[3], ciphers[HASH_DIGITS + 1] = "000000000000",
                                            extensions[HASH_DIGITS + 1] = "000000000000";

    size_t cipher_count = cipher_part(offer, &codes, ciphers);
    size_t extension_count = extension_part(offer, &codes, extensions);
    protocol_ends(&offer->protocol, protocol);
    /* Over TCP a hello with the transport parameters of QUIC makes no sense; FoxIO's own programs
     * go by them nevertheless, and fingerprints are there to be compared. */
    snprintf(ret_ja4, JA4_SIZE, "%c%s%c%02u%02u%s_%s_%s", offer->has_quic ? 'q' : 't',
             version_text(ja4_version(offer)), offer->has_server_name ? 'd' : 'i',
             two_digits(cipher_count), two_digits(extension_count), protocol, ciphers, extensions);
}
