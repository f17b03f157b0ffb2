#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/order_findings.h"
#include "cli/order_options.h"
#include "order/canonical.h"
#include "order/order.h"
#include "order/timestamp.h"

enum { OPTION_CANONICAL = OPTION_OWN };

/* An order as loaded for a report: signatures that cannot be judged are told, not fatal. */
struct checked {
    struct order *order;
    struct order_policy policy;
    size_t signatures_valid;
};

static const char *order_phase(const struct order *order)
{
    int64_t now = time(NULL);

    if (now < order->starts)
        return "not yet in force";
    return now < order->ends ? "in force" : "ended";
}

static void print_addresses(const struct verdict *verdict)
{
    char text[INET6_ADDRSTRLEN];
    const char *separator = " to ";

    for (size_t i = 0; i < verdict->a_count; i++, separator = ", ")
        printf("%s%s", separator, inet_ntop(AF_INET, verdict->a[i], text, sizeof(text)));
    for (size_t i = 0; i < verdict->aaaa_count; i++, separator = ", ")
        printf("%s%s", separator, inet_ntop(AF_INET6, verdict->aaaa[i], text, sizeof(text)));
}

static void print_report(const struct checked *checked, bool strict)
{
    const struct order *order = checked->order;
    char starts[TIMESTAMP_SIZE], ends[TIMESTAMP_SIZE];

    order_findings_print(order);
    printf("order      %s (%s): %s\n", order->id, order_kind_word(order->kind), order->authority);
    printf("time       %s to %s, %s\n", timestamp_write(order->starts, starts),
           timestamp_write(order->ends, ends), order_phase(order));
    printf("action     %s", order_action_word(order->action));
    print_addresses(&order->verdict);
    printf(", TTL %" PRIu32 " s\n", order->verdict.ttl_s);
    printf("lists      %zu names, %zu subtrees, %zu exempt\n", order->names.count,
           order->subtrees.count, order->exempt.count);
    if (checked->policy.keyring_count > 0)
        printf("signed     %zu valid of %zu signatures\n", checked->signatures_valid,
               order->signature_count);
    else
        printf("signed     %zu signatures, not verified: no --keyring\n", order->signature_count);
    if (order->finding_total == 0)
        printf("findings   none\n");
    else
        printf("findings   %" PRIu64 ": %s\n", order->finding_total,
               strict ? "the order is refused" : "the rest of the order stands");
}

static void print_json(const struct checked *checked, bool accepted)
{
    const struct order *order = checked->order;
    char starts[TIMESTAMP_SIZE], ends[TIMESTAMP_SIZE];

    json_t *result = json_pack(
        "{s:b, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:o}", "ok",
        order->finding_total == 0, "accepted", accepted, "id", order->id, "kind",
        order_kind_word(order->kind), "authority", order->authority, "starts",
        timestamp_write(order->starts, starts), "ends", timestamp_write(order->ends, ends),
        "action", order_action_word(order->action), "names", (json_int_t)order->names.count,
        "subtrees", (json_int_t)order->subtrees.count, "exempt", (json_int_t)order->exempt.count,
        "signatures", (json_int_t)order->signature_count, "signatures_valid",
        checked->policy.keyring_count > 0 ? json_integer((json_int_t)checked->signatures_valid)
                                          : json_null(),
        "finding_count", (json_int_t)order->finding_total, "findings", order_findings_json(order));
    json_dumpf(result, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(result);
}

static int print_canonical(const struct order *order)
{
    char *text;
    size_t size;

    if (canonical_write(order, &text, &size) < 0) {
        fprintf(stderr, "tamis: out of memory\n");
        return EXIT_FINDING;
    }
    fwrite(text, 1, size, stdout);
    free(text);
    return order->finding_total > 0 ? EXIT_FINDING : EXIT_OK;
}

static int load(const char *path, struct order_options *options, struct checked *ret_checked,
                struct error *error)
{
    int rc = order_options_policy(options, &ret_checked->policy, error);
    if (rc < 0)
        return rc;

    struct order_policy policy = ret_checked->policy;
    policy.strict = false; /* all findings are shown, not only the first */
    policy.unverified = policy.keyring_count == 0 && policy.signatures_min == 0;
    rc = order_load(path, &policy, &ret_checked->order, error);
    if (rc < 0)
        return rc;
    if (policy.unverified)
        order_note_unverified(ret_checked->order);
    ret_checked->signatures_valid = order_signatures_valid(ret_checked->order, &policy);
    return 0;
}

static int check(const char *path, struct order_options *options, bool canonical)
{
    struct checked checked = {0};
    struct error error;

    if (load(path, options, &checked, &error) < 0) {
        order_refusal_print(&error, options->json);
        return EXIT_FINDING;
    }
    _cleanup_(order_freep) struct order *order = checked.order;
    if (canonical)
        return print_canonical(order);
    if (options->json)
        print_json(&checked, !options->strict || order->finding_total == 0);
    else
        print_report(&checked, options->strict);
    return order->finding_total > 0 ? EXIT_FINDING : EXIT_OK;
}

static int run(int argc, char **argv)
{
    static const struct option table[] = {
        ORDER_OPTION_ROWS,
        {"canonical", no_argument, NULL, OPTION_CANONICAL},
        {0},
    };
    struct order_options options = {0};
    bool canonical = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == OPTION_CANONICAL)
            canonical = true;
        else if (order_options_take(&options, &command_order_check, option, argv) != EXIT_OK)
            return EXIT_USAGE;
    }
    if (argc - optind != 1)
        return command_usage_error(&command_order_check, "give one order file");
    int code = check(argv[optind], &options, canonical);
    order_options_clear(&options);
    return code;
}

const struct command command_order_check = {
    .path = "order check",
    .summary = "validate an order: its form, its lists, its signatures",
    .help = "Usage: tamis order check [OPTION]... ORDER.yaml\n"
            "\n"
            "Reads an order and its list and says what is wrong by file and line. Exits 0 when\n"
            "nothing is, 1 when the order is refused or an entry of a list is.\n"
            "\n" ORDER_OPTION_HELP
            "  --canonical      print the canonical form, the text that is signed, instead\n"
            "\n"
            "Example: tamis order check --keyring keyring.yaml nv-2014-00987.yaml\n",
    .run = run,
};
