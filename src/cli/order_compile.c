#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/order_options.h"
#include "order/order.h"
#include "order/policy_zone.h"

enum { OPTION_ORIGIN = OPTION_OWN, OPTION_SERIAL };

/* What the zone says differently from the order goes to stderr, so that the zone itself stays
 * clean. */
static void print_findings(const struct order *order, const struct policy_zone_summary *summary)
{
    if (order->finding_total > 0)
        fprintf(stderr,
                "tamis: %s: %" PRIu64 " bad entries are left out; see 'tamis order check'\n",
                order->path, order->finding_total);
    if (summary->left_out > 0)
        fprintf(stderr,
                "tamis: %s: %" PRIu64 " names have no trigger, and stand in the metadata alone: "
                "over 255 octets with the origin, or below a label 'rpz-...'\n",
                order->path, summary->left_out);
    if (summary->without_address > 0)
        fprintf(stderr,
                "tamis: %s: %" PRIu64 " names are no hostnames and get NODATA instead of an "
                "address\n",
                order->path, summary->without_address);
}

static int write_json(const struct order *order, const struct policy_zone_options *options,
                      struct policy_zone_summary *summary, struct error *error)
{
    char *zone = NULL;
    size_t size;

    FILE *stream = open_memstream(&zone, &size);
    if (stream == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    int rc = policy_zone_write(order, options, stream, summary, error);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed)
        rc = error_set(error, -ENOMEM, "out of memory");
    if (rc == 0) {
        json_t *result = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "id", order->id, "serial",
                                   (json_int_t)options->serial, "names", (json_int_t)summary->names,
                                   "left_out", (json_int_t)summary->left_out, "findings",
                                   (json_int_t)order->finding_total, "zone", zone);
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
    }
    free(zone);
    return rc;
}

static int compile(const char *path, struct order_options *options,
                   const struct policy_zone_options *zone_options)
{
    _cleanup_(order_freep) struct order *order = NULL;
    struct policy_zone_summary summary = {0};
    struct order_policy policy;
    struct error error;

    int rc = order_options_policy(options, &policy, &error);
    if (rc == 0)
        rc = order_load(path, &policy, &order, &error);
    if (rc == 0)
        rc = options->json ? write_json(order, zone_options, &summary, &error)
                           : policy_zone_write(order, zone_options, stdout, &summary, &error);
    if (rc < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    assert(order != NULL);
    print_findings(order, &summary);
    return order->finding_total + summary.left_out > 0 ? EXIT_FINDING : EXIT_OK;
}

static bool take_serial(const char *text, uint32_t *ret_serial)
{
    char *end;
    unsigned long long serial = strtoull(text, &end, 10);

    *ret_serial = (uint32_t)serial;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && serial <= UINT32_MAX;
}

static int run(int argc, char **argv)
{
    static const struct option table[] = {
        ORDER_OPTION_ROWS,
        {"origin", required_argument, NULL, OPTION_ORIGIN},
        {"serial", required_argument, NULL, OPTION_SERIAL},
        {0},
    };
    struct order_options options = {0};
    struct policy_zone_options zone_options = {.serial = (uint32_t)time(NULL)};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == OPTION_ORIGIN) {
            zone_options.origin = optarg;
        } else if (option == OPTION_SERIAL) {
            if (!take_serial(optarg, &zone_options.serial))
                return command_usage_error(&command_order_compile,
                                           "--serial expects a number of 32 bits, not '%s'",
                                           optarg);
        } else if (order_options_take(&options, &command_order_compile, option, argv) != EXIT_OK) {
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 1)
        return command_usage_error(&command_order_compile, "give one order file");
    int code = compile(argv[optind], &options, &zone_options);
    order_options_clear(&options);
    return code;
}

const struct command command_order_compile = {
    .path = "order compile",
    .summary = "print an order as a policy zone (RPZ)",
    .help = "Usage: tamis order compile [OPTION]... ORDER.yaml\n"
            "\n"
            "Prints the response policy zone of an order as a master file. What each action\n"
            "becomes is told in tamis-order(5). Bad entries are left out and make the exit\n"
            "code 1; an order with subtrees needs --keyring.\n"
            "\n"
            "  --origin NAME    the zone's name (default: ID.rpz.invalid)\n"
            "  --serial N       its serial (default: the Unix time)\n" ORDER_OPTION_HELP "\n"
            "Example: tamis order compile nv-2014-00987.yaml > nv-2014-00987.rpz.zone\n",
    .run = run,
};
