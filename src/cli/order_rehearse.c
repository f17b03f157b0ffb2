/* `tamis order rehearse`: what an order would hit, told before anything happens. */
#include "cli/order_rehearse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/order_findings.h"
#include "cli/order_options.h"
#include "cli/quantity.h"
#include "cli/rehearsed_zones.h"
#include "dns/name.h"

enum {
    OPTION_ZONE = OPTION_OWN,
    OPTION_AXFR,
    OPTION_TRAFFIC,
    OPTION_PORT,
    OPTION_MAX_LIVE,
    OPTION_MAX_SHARED,
    OPTION_MAX_CUTS,
    OPTION_MAX_QUERY_SHARE,
    OPTION_MAX_CLIENT_SHARE,
};

struct rehearse {
    struct order_options options;
    struct rehearsed_zones zones;
    const char *order_path, *traffic_path;
    uint16_t port;
    struct order_budget budget; /* of the command: what is not given is negative or the maximum */
    bool shows_progress;
};

/* ---- Options ---- */

static bool number_parse(const char *text, uint64_t max, uint64_t *ret_number)
{
    char *end;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > max)
        return false;
    *ret_number = number;
    return true;
}

static bool share_parse(const char *text, double *ret_share)
{
    char *end;
    double share = strtod(text, &end);

    if ((text[0] != '.' && (text[0] < '0' || text[0] > '9')) || *end != '\0' ||
        !(share >= 0 && share <= 1))
        return false;
    *ret_share = share;
    return true;
}

static int take_zone(struct rehearse *rehearse, bool transfers)
{
    const char *fault = rehearsed_zones_add(&rehearse->zones, optarg, transfers);

    if (fault == NULL)
        return EXIT_OK;
    return command_usage_error(&command_order_rehearse, "%s %s: %s",
                               transfers ? "--axfr" : "--zone", optarg, fault);
}

static int take_bound(const char *option, uint64_t *ret_bound)
{
    if (number_parse(optarg, UINT64_MAX - 1, ret_bound))
        return EXIT_OK;
    return command_usage_error(&command_order_rehearse, "%s takes a number, not '%s'", option,
                               optarg);
}

static int take_share(const char *option, double *ret_bound)
{
    if (share_parse(optarg, ret_bound))
        return EXIT_OK;
    return command_usage_error(&command_order_rehearse,
                               "%s takes a share from 0 to 1, as in 0.001, not '%s'", option,
                               optarg);
}

static int take_port(struct rehearse *rehearse)
{
    uint64_t port;

    if (!number_parse(optarg, UINT16_MAX, &port) || port == 0)
        return command_usage_error(&command_order_rehearse, "--port takes 1 to 65535, not '%s'",
                                   optarg);
    rehearse->port = (uint16_t)port;
    return EXIT_OK;
}

static int take_option(struct rehearse *rehearse, int option, char **argv)
{
    struct order_budget *budget = &rehearse->budget;

    switch (option) {
    case OPTION_ZONE:
        return take_zone(rehearse, false);
    case OPTION_AXFR:
        return take_zone(rehearse, true);
    case OPTION_TRAFFIC:
        rehearse->traffic_path = optarg;
        return EXIT_OK;
    case OPTION_PORT:
        return take_port(rehearse);
    case OPTION_MAX_LIVE:
        return take_bound("--max-live", &budget->live_max);
    case OPTION_MAX_SHARED:
        return take_bound("--max-shared", &budget->shared_max);
    case OPTION_MAX_CUTS:
        return take_bound("--max-cuts", &budget->cuts_max);
    case OPTION_MAX_QUERY_SHARE:
        return take_share("--max-query-share", &budget->query_share_max);
    case OPTION_MAX_CLIENT_SHARE:
        return take_share("--max-client-share", &budget->client_share_max);
    default:
        return order_options_take(&rehearse->options, &command_order_rehearse, option, argv);
    }
}

static int take_arguments(struct rehearse *rehearse, int argc, char **argv)
{
    static const struct option table[] = {
        ORDER_OPTION_ROWS,
        {"zone", required_argument, NULL, OPTION_ZONE},
        {"axfr", required_argument, NULL, OPTION_AXFR},
        {"traffic", required_argument, NULL, OPTION_TRAFFIC},
        {"port", required_argument, NULL, OPTION_PORT},
        {"max-live", required_argument, NULL, OPTION_MAX_LIVE},
        {"max-shared", required_argument, NULL, OPTION_MAX_SHARED},
        {"max-cuts", required_argument, NULL, OPTION_MAX_CUTS},
        {"max-query-share", required_argument, NULL, OPTION_MAX_QUERY_SHARE},
        {"max-client-share", required_argument, NULL, OPTION_MAX_CLIENT_SHARE},
        {0},
    };
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        int code = take_option(rehearse, option, argv);
        if (code != EXIT_OK)
            return code;
    }
    if (argc - optind != 1)
        return command_usage_error(&command_order_rehearse, "give one order file");
    if (rehearse->zones.count == 0)
        return command_usage_error(&command_order_rehearse,
                                   "give the zones that the order is about, with --zone or --axfr");
    rehearse->order_path = argv[optind];
    return EXIT_OK;
}

/* ---- The verdict ---- */

static bool refuses_findings(const struct rehearse_report *report)
{
    return report->strict && report->rehearsal->order->finding_total > 0;
}

size_t rehearse_refusals(const struct rehearse_report *report)
{
    size_t count = refuses_findings(report);

    for (size_t i = 0; i < BUDGET_FIGURES; i++)
        count += budget_figure_exceeds(&report->figures[i]);
    return count;
}

static void describe_figure(const struct budget_figure *figure, char ret_text[REFUSAL_TEXT_MAX])
{
    if (figure->is_share)
        snprintf(ret_text, REFUSAL_TEXT_MAX, "%s is %.6f; the budget allows %.6f", figure->word,
                 figure->value, figure->bound);
    else
        snprintf(ret_text, REFUSAL_TEXT_MAX, "%s is %s; the budget allows %s", figure->word,
                 quantity_count((int64_t)figure->value).text,
                 quantity_count((int64_t)figure->bound).text);
}

const char *rehearse_refusal(const struct rehearse_report *report, size_t index,
                             char ret_text[REFUSAL_TEXT_MAX])
{
    for (size_t i = 0; i < BUDGET_FIGURES; i++) {
        if (!budget_figure_exceeds(&report->figures[i]) || index-- > 0)
            continue;
        describe_figure(&report->figures[i], ret_text);
        return ret_text;
    }
    snprintf(ret_text, REFUSAL_TEXT_MAX,
             "%s entries of its lists are bad, and --strict allows none",
             quantity_count((int64_t)report->rehearsal->order->finding_total).text);
    return ret_text;
}

/* ---- The work ---- */

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_progress(const struct rehearse *rehearse, const char *step)
{
    if (rehearse->shows_progress)
        fprintf(stderr, "\r\033[K%s", step);
}

/* Names of a hostile list or capture cannot be chosen to collide. */
static void draw_hash_key(void)
{
    uint64_t key[2];

    if (getrandom(key, sizeof(key), 0) == (ssize_t)sizeof(key))
        name_hash_key_set(key[0], key[1] | 1);
}

static int load_order(struct rehearse *rehearse, struct order **ret_order, struct error *error)
{
    struct order_policy policy;

    int rc = order_options_policy(&rehearse->options, &policy, error);
    if (rc < 0)
        return rc;
    policy.strict = false; /* everything is shown; the verdict comes at the end */
    policy.unverified = policy.keyring_count == 0 && policy.signatures_min == 0;
    rc = order_load(rehearse->order_path, &policy, ret_order, error);
    if (rc == 0 && policy.unverified)
        order_note_unverified(*ret_order);
    return rc;
}

/* The command's bounds take the place of the order's. */
static struct order_budget merge_budgets(const struct order_budget *of_order,
                                         const struct order_budget *of_command)
{
    struct order_budget budget = *of_order;

    if (of_command->live_max != UINT64_MAX)
        budget.live_max = of_command->live_max;
    if (of_command->shared_max != UINT64_MAX)
        budget.shared_max = of_command->shared_max;
    if (of_command->cuts_max != UINT64_MAX)
        budget.cuts_max = of_command->cuts_max;
    if (of_command->query_share_max >= 0)
        budget.query_share_max = of_command->query_share_max;
    if (of_command->client_share_max >= 0)
        budget.client_share_max = of_command->client_share_max;
    return budget;
}

static int rehearse_order(struct rehearse *rehearse, struct rehearsal **ret_rehearsal,
                          struct rehearse_report *report, struct error *error)
{
    _cleanup_(rehearsal_freep) struct rehearsal *rehearsal = NULL;
    struct order *order = NULL;

    int rc = load_order(rehearse, &order, error);
    if (rc < 0)
        return rc;
    show_progress(rehearse, "loading zones ...");
    rc = rehearsed_zones_load(&rehearse->zones, error);
    if (rc < 0) {
        order_free(order);
        return rc;
    }
    show_progress(rehearse, "looking at every name ...");
    double start = seconds();
    rc = rehearsal_create(rehearse->zones.set, order, &rehearsal);
    if (rc < 0)
        return error_set(error, rc, "out of memory");
    report->walk_s = seconds() - start;
    if (rehearse->traffic_path != NULL) {
        show_progress(rehearse, "replaying traffic ...");
        start = seconds();
        rc = rehearsal_replay(rehearsal, rehearse->traffic_path, rehearse->port, error);
        if (rc < 0)
            return rc;
        report->replay_s = seconds() - start;
    }
    *ret_rehearsal = TAKE(rehearsal);
    return 0;
}

static int work(struct rehearse *rehearse)
{
    _cleanup_(rehearsal_freep) struct rehearsal *rehearsal = NULL;
    struct rehearse_report report = {
        .strict = rehearse->options.strict,
        .traffic_path = rehearse->traffic_path,
    };
    struct error error;

    int rc = rehearse_order(rehearse, &rehearsal, &report, &error);
    show_progress(rehearse, "");
    if (rc < 0) {
        order_refusal_print(&error, rehearse->options.json);
        return EXIT_FINDING;
    }
    report.rehearsal = rehearsal;
    report.zone_count = rehearse->zones.count;
    report.load_s = rehearse->zones.took_s;
    struct order_budget budget = merge_budgets(&rehearsal->order->budget, &rehearse->budget);
    rehearsal_judge(rehearsal, &budget, report.figures);
    if (!rehearse->options.json)
        rehearse_print_text(&report);
    else if (rehearse_print_json(&report) < 0) {
        fprintf(stderr, "tamis: out of memory\n");
        return EXIT_FINDING;
    }
    return rehearse_refusals(&report) > 0 ? EXIT_FINDING : EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct rehearse rehearse = {
        .port = TRAFFIC_PORT_DEFAULT,
        .budget = {UINT64_MAX, UINT64_MAX, UINT64_MAX, -1, -1},
        .shows_progress = isatty(STDERR_FILENO) != 0,
    };

    draw_hash_key(); /* before the first name is parsed */
    int code = take_arguments(&rehearse, argc, argv);
    if (code == EXIT_OK)
        code = work(&rehearse);
    rehearsed_zones_clear(&rehearse.zones);
    order_options_clear(&rehearse.options);
    return code;
}

const struct command command_order_rehearse = {
    .path = "order rehearse",
    .summary = "say what an order would hit, before anything happens",
    .help =
        "Usage: tamis order rehearse [OPTION]... ORDER.yaml --zone NAME=FILE...\n"
        "\n"
        "Lays an order over zones and recorded traffic and says what it would hit: which listed\n"
        "names are alive, who shares their addresses or depends on them, how many queries and\n"
        "clients it would touch. Refuses an order that exceeds its budget. Exits 0, or 1 when\n"
        "the order is refused.\n"
        "\n"
        "  --zone NAME=FILE       a zone and its file; any number of times\n"
        "  --axfr NAME=ADDR@PORT  a zone, transferred from a server\n"
        "  --traffic FILE         a packet capture, dnstap, or a list: \"name type\" a line\n"
        "  --port N               of the server in the capture (default 53)\n"
        "  --max-live N           listed names that may be alive\n"
        "  --max-shared N         other names that may share an address with a listed one\n"
        "  --max-cuts N           zone cuts that may be hit\n"
        "  --max-query-share X    share of queries that may be touched, 0 to 1\n"
        "  --max-client-share X   share of clients that may be touched, 0 to 1\n"
        "                         (these take the place of the order's own "
        "budget)\n" ORDER_OPTION_HELP "\n"
        "Example: tamis order rehearse --zone a.example=a.example.zone \\\n"
        "             --traffic day.pcap --max-shared 100 nv-2014-00987.yaml\n",
    .run = run,
};
