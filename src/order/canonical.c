#include "order/canonical.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "order/name_text.h"
#include "order/timestamp.h"

static int compare_ipv4(const void *one, const void *other)
{
    return memcmp(one, other, 4);
}

static int compare_ipv6(const void *one, const void *other)
{
    return memcmp(one, other, 16);
}

/* Sorted, because the order in which addresses are written says nothing. */
static void write_addresses(FILE *stream, const struct verdict *verdict)
{
    struct verdict sorted = *verdict;
    char text[INET6_ADDRSTRLEN];

    qsort(sorted.a, sorted.a_count, sizeof(sorted.a[0]), compare_ipv4);
    qsort(sorted.aaaa, sorted.aaaa_count, sizeof(sorted.aaaa[0]), compare_ipv6);
    for (size_t i = 0; i < sorted.a_count; i++)
        fprintf(stream, "a: %s\n", inet_ntop(AF_INET, sorted.a[i], text, sizeof(text)));
    for (size_t i = 0; i < sorted.aaaa_count; i++)
        fprintf(stream, "aaaa: %s\n", inet_ntop(AF_INET6, sorted.aaaa[i], text, sizeof(text)));
}

static void write_names(FILE *stream, const char *key, const struct order_names *names)
{
    crypto_hash_sha256_state state;
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[sizeof(digest) * 2 + 1];

    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < names->count; i++) {
        char text[NAME_TEXT_MAX + 1];
        size_t size = name_text_write(order_names_at(names, i), text);
        text[size++] = '\n';
        crypto_hash_sha256_update(&state, (const unsigned char *)text, size);
    }
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
    fprintf(stream, "%s: %zu %s\n", key, names->count, hex);
}

static void write_bound(FILE *stream, const char *key, uint64_t bound)
{
    if (bound != UINT64_MAX)
        fprintf(stream, "%s: %" PRIu64 "\n", key, bound);
}

/* Shares are compared in millionths, which no decimal point of a locale can change. */
static void write_share(FILE *stream, const char *key, double share)
{
    if (share < 1)
        fprintf(stream, "%s: %u\n", key, (unsigned)(share * 1e6 + 0.5));
}

static void write_evidence(FILE *stream, const struct order_evidence *evidence)
{
    char key[sodium_base64_ENCODED_LEN(sizeof(evidence->seal_to), sodium_base64_VARIANT_ORIGINAL)];

    if (!evidence->content)
        return;
    sodium_bin2base64(key, sizeof(key), evidence->seal_to, sizeof(evidence->seal_to),
                      sodium_base64_VARIANT_ORIGINAL);
    fprintf(stream, "evidence-seal-to: %s\n", key);
}

static void write_order(FILE *stream, const struct order *order, bool with_lists)
{
    char time[TIMESTAMP_SIZE];

    fprintf(stream, "tamis-order 1\n");
    fprintf(stream, "id: %s\n", order->id);
    fprintf(stream, "kind: %s\n", order_kind_word(order->kind));
    fprintf(stream, "authority: %s\n", order->authority);
    fprintf(stream, "starts: %s\n", timestamp_write(order->starts, time));
    fprintf(stream, "ends: %s\n", timestamp_write(order->ends, time));
    fprintf(stream, "action: %s\n", order_action_word(order->action));
    write_addresses(stream, &order->verdict);
    fprintf(stream, "ttl: %" PRIu32 "\n", order->verdict.ttl_s);
    if (order->notice != NULL)
        fprintf(stream, "notice: %s\n", order->notice);
    if (with_lists) {
        write_names(stream, "names", &order->names);
        write_names(stream, "subtrees", &order->subtrees);
        write_names(stream, "exempt", &order->exempt);
    }
    write_bound(stream, "budget-live", order->budget.live_max);
    write_bound(stream, "budget-shared", order->budget.shared_max);
    write_bound(stream, "budget-cuts", order->budget.cuts_max);
    write_share(stream, "budget-query-share-ppm", order->budget.query_share_max);
    write_share(stream, "budget-client-share-ppm", order->budget.client_share_max);
    write_evidence(stream, &order->evidence);
}

static int write_text(const struct order *order, bool with_lists, char **ret_text, size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0;

    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return -ENOMEM;
    write_order(stream, order, with_lists);
    int failed = ferror(stream);
    if (fclose(stream) != 0 || failed != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

int canonical_write(const struct order *order, char **ret_text, size_t *ret_size)
{
    return write_text(order, true, ret_text, ret_size);
}

/* A name ends itself, and the count tells where the list does. */
static void hash_names(crypto_generichash_state *state, const struct order_names *names)
{
    uint64_t count = names->count;
    size_t size = 0;

    if (count > 0) {
        const uint8_t *last = order_names_at(names, count - 1);
        size = (size_t)(last - names->octets) + name_wire_size(last);
    }
    crypto_generichash_update(state, (const unsigned char *)&count, sizeof(count));
    crypto_generichash_update(state, names->octets, size);
}

int canonical_fingerprint(const struct order *order, uint8_t ret_fingerprint[FINGERPRINT_SIZE])
{
    crypto_generichash_state state;
    char *text;
    size_t size;

    int rc = write_text(order, false, &text, &size);
    if (rc < 0)
        return rc;
    crypto_generichash_init(&state, NULL, 0, FINGERPRINT_SIZE);
    hash_names(&state, &order->names);
    hash_names(&state, &order->subtrees);
    hash_names(&state, &order->exempt);
    crypto_generichash_update(&state, (const unsigned char *)text, size);
    crypto_generichash_final(&state, ret_fingerprint, FINGERPRINT_SIZE);
    free(text);
    return 0;
}
