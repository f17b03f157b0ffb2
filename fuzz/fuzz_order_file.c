/* The order loader with any octets as its file, and behind a line "%%" any octets as its
 * names-file. What loads must be an order that can be signed, compiled and asked; what doesn't, an
 * error with a text. */
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "order/canonical.h"
#include "order/name_key.h"
#include "order/name_list.h"
#include "order/name_text.h"
#include "order/order.h"
#include "order/overlay_set.h"
#include "order/policy_zone.h"
#include "order/signature.h"
#include "order/signature_edit.h"

/* Sorted, without duplicates, and each one its own text's name again. */
static void check_names(const struct order_names *names)
{
    uint8_t before[NAME_KEY_MAX], key[NAME_KEY_MAX];

    for (size_t i = 0; i < names->count; i++) {
        const uint8_t *wire = order_names_at(names, i);
        uint8_t again[NAME_SIZE_MAX];
        char text[NAME_TEXT_MAX];
        struct name_fault fault;
        size_t size;

        name_key_write(wire, key);
        FUZZ_ASSERT(i == 0 || name_key_compare(before, key) < 0);
        memcpy(before, key, sizeof(before));
        size_t text_size = name_text_write(wire, text);
        FUZZ_ASSERT(name_text_parse(text, text_size, again, &size, &fault) == 0);
        FUZZ_ASSERT(size == name_wire_size(wire) && memcmp(again, wire, size) == 0);
        FUZZ_ASSERT(order_names_find(names, wire) == i);
    }
}

static void check_findings(const struct order *order)
{
    FUZZ_ASSERT(order->finding_count <= order->finding_total);
    for (size_t i = 0; i < order->finding_count; i++) {
        char text[1024];
        order_finding_format(&order->findings[i], text, sizeof(text));
        FUZZ_ASSERT(order->findings[i].file != NULL && text[0] != '\0');
    }
}

/* Each listed name is blocked while the order lasts, unless it is exempt. */
static void check_overlay(struct order *order)
{
    struct active_order *active = NULL;
    struct overlay_set *set = NULL;

    FUZZ_ASSERT(active_order_create(order, 1, &active) == 0);
    FUZZ_ASSERT(overlay_set_create(&active, 1, &set) == 0);
    const struct overlay *overlay = overlay_set_overlay(set);
    for (size_t i = 0; i < order->names.count; i++) {
        const uint8_t *wire = order_names_at(&order->names, i);
        struct name name;
        FUZZ_ASSERT(name_parse(&name, wire, name_wire_size(wire)) > 0);
        bool blocked = overlay->find(overlay, &name, false, order->starts, 0).verdict != NULL;
        bool exempt = order_names_find(&order->exempt, wire) != SIZE_MAX;
        FUZZ_ASSERT(blocked == (!exempt && order->action != VERDICT_OBSERVE));
        FUZZ_ASSERT(overlay->find(overlay, &name, false, order->ends, 0).verdict == NULL);
    }
    overlay_set_free(set);
    active_order_unref(active);
}

static void check_zone(const struct order *order)
{
    const struct policy_zone_options options = {.serial = 1};
    struct policy_zone_summary summary;
    char *zone = NULL;
    size_t size;

    FILE *stream = open_memstream(&zone, &size);
    FUZZ_ASSERT(stream != NULL);
    FUZZ_ASSERT(policy_zone_write(order, &options, stream, &summary, NULL) == 0);
    FUZZ_ASSERT(summary.names <= order->names.count + order->subtrees.count);
    FUZZ_ASSERT(fclose(stream) == 0);
    free(zone);
}

/* An edit that succeeds has proved itself; here only its text is let go. */
static void check_signing(const struct order *order, const uint8_t *input, size_t size)
{
    static const uint8_t seed[crypto_sign_SEEDBYTES] = {1};
    struct signing_key key = {.name = "fuzz"};
    uint8_t public_key[SIGNING_PUBLIC_SIZE], value[SIGNATURE_SIZE];
    struct error error = {0};
    char *text = NULL;
    size_t text_size;

    crypto_sign_seed_keypair(public_key, key.secret, seed);
    FUZZ_ASSERT(signature_make(order, &key, value, &error) == 0);
    if (signature_edit("fuzz.yaml", (const char *)input, size, &key, value, &text, &text_size,
                       &error) == 0)
        free(text);
    else
        FUZZ_ASSERT(error.text[0] != '\0');
}

static void fuzz_order(const uint8_t *input, size_t size)
{
    static const struct order_policy policy = {.unverified = true};
    struct order *order = NULL;
    struct error error = {0};

    /* A names-file that the fuzzer invents could be any file of this machine. */
    if (memmem(input, size, "file", 4) != NULL)
        return;
    if (order_load_text("fuzz.yaml", input, size, &policy, &order, &error) < 0) {
        FUZZ_ASSERT(error.text[0] != '\0');
        return;
    }
    FUZZ_ASSERT(order->starts < order->ends);
    check_names(&order->names);
    check_names(&order->subtrees);
    check_names(&order->exempt);
    check_findings(order);
    check_zone(order);
    check_signing(order, input, size);
    check_overlay(order); /* takes the order over */
}

static void fuzz_list(const uint8_t *input, size_t size)
{
    struct order *order = calloc(1, sizeof(*order));
    struct name_list *list = NULL;

    FUZZ_ASSERT(order != NULL);
    order->names_path = strdup("fuzz.txt");
    FUZZ_ASSERT(name_list_create(order, &list) == 0);
    FUZZ_ASSERT(name_list_add_lines(list, (const char *)input, size) == 0);
    FUZZ_ASSERT(name_list_finish(list, &order->names) == 0);
    name_list_free(list);
    check_names(&order->names);
    check_findings(order);
    order_free(order);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const uint8_t *separator = memmem(input, size, "\n%%\n", 4);
    size_t order_size = separator != NULL ? (size_t)(separator - input) + 1 : size;

    fuzz_order(input, order_size);
    if (separator != NULL)
        fuzz_list(separator + 4, size - order_size - 3);
    return 0;
}
