/* tamis takeover: the commands, their options, and one run over the domains. */
#include "cli/takeover.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/prove_exchange.h"
#include "cli/takeover_live.h"

/* Questions a second of copy and shadow unless told otherwise: a few Mbit/s, a small part of what a
 * name server answers, and a list of 18,472 names in ten seconds a type. */
#define RATE_DEFAULT 2000

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

bool takeover_interrupted(void)
{
    return interrupted != 0;
}

bool takeover_sleep(unsigned ms)
{
    const uint64_t until_us = exchange_clock_us() + (uint64_t)ms * 1000;
    uint64_t now_us;
    while (!interrupted && (now_us = exchange_clock_us()) < until_us)
        usleep(until_us - now_us < 100000 ? (useconds_t)(until_us - now_us) : 100000);
    return !interrupted;
}

void takeover_say(const struct takeover_run *run, const struct plan_domain *domain,
                  const char *format, ...)
{
    va_list arguments;
    if (run->json)
        return;
    printf("%s: ", domain->name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

enum option_code {
    OPTION_JSON = 256,
    OPTION_TRAFFIC,
    OPTION_PORT,
    OPTION_RATE,
    OPTION_REASON,
    OPTION_NO_WAIT,
    OPTION_MEASURE,
    OPTION_LIVE,
    OPTION_DNSTAP,
    OPTION_SECONDS,
    OPTION_QUERIES,
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"traffic", required_argument, NULL, OPTION_TRAFFIC},
    {"port", required_argument, NULL, OPTION_PORT},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"reason", required_argument, NULL, OPTION_REASON},
    {"no-wait", no_argument, NULL, OPTION_NO_WAIT},
    {"measure", no_argument, NULL, OPTION_MEASURE},
    {"live", required_argument, NULL, OPTION_LIVE},
    {"dnstap", required_argument, NULL, OPTION_DNSTAP},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"queries", required_argument, NULL, OPTION_QUERIES},
    {NULL, 0, NULL, 0},
};

/* A sub-command: what its path's last word is, what it does, which options are its own. */
struct takeover_command {
    const struct command *command;
    takeover_step_fn *step; /* for one domain; NULL: status, or for all at once */
    takeover_all_fn *all;   /* NULL: domain by domain */
    const int *options;     /* ends with 0; --json is everyone's */
};

static bool number_parse(const char *text, unsigned long max, unsigned long *ret_number)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || number == 0 || number > max)
        return false;
    *ret_number = number;
    return true;
}

static const char *option_take(struct takeover_run *run, int option, const char *argument)
{
    unsigned long number;
    switch (option) {
    case OPTION_JSON:
        run->json = true;
        return NULL;
    case OPTION_TRAFFIC:
        run->traffic = argument;
        return NULL;
    case OPTION_PORT:
        if (!number_parse(argument, UINT16_MAX, &number))
            return "--port takes a port number";
        run->port = (uint16_t)number;
        return NULL;
    case OPTION_RATE:
        if (!number_parse(argument, 10000000, &number))
            return "--rate takes questions a second, from 1";
        run->rate = (unsigned)number;
        return NULL;
    case OPTION_REASON:
        run->reason = argument;
        return NULL;
    case OPTION_NO_WAIT:
        run->no_wait = true;
        return NULL;
    case OPTION_MEASURE:
        run->measure = true;
        return NULL;
    case OPTION_LIVE:
        run->live = argument;
        return NULL;
    case OPTION_DNSTAP:
        run->dnstap = argument;
        return NULL;
    case OPTION_SECONDS:
        if (!number_parse(argument, 100000000, &number))
            return "--seconds takes a number, from 1";
        run->seconds = (unsigned)number;
        return NULL;
    case OPTION_QUERIES:
        if (!number_parse(argument, ULONG_MAX - 1, &number))
            return "--queries takes a number, from 1";
        run->queries = number;
        return NULL;
    default:
        return "unknown option, or one without its argument";
    }
}

static bool option_belongs(const struct takeover_command *self, int option)
{
    if (option == OPTION_JSON)
        return true;
    for (const int *own = self->options; *own != 0; own++)
        if (*own == option)
            return true;
    return false;
}

/* Returns 0, or the exit code of wrong use after it was printed. */
static int options_parse(const struct takeover_command *self, struct takeover_run *run, int argc,
                         char **argv)
{
    int option;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        const char *fault = option != '?' && !option_belongs(self, option)
                                ? "this option belongs to another step"
                                : option_take(run, option, optarg);
        if (fault != NULL)
            return command_usage_error(self->command, "%s: %s", fault, argv[optind - 1]);
    }
    if (optind == argc)
        return command_usage_error(self->command, "the plan's file is needed");
    if ((run->traffic != NULL) + (run->live != NULL) + (run->dnstap != NULL) > 1)
        return command_usage_error(self->command,
                                   "of --traffic, --live and --dnstap only one may be given");
    if (!takeover_is_live(run) && (run->seconds > 0 || run->queries > 0))
        return command_usage_error(self->command,
                                   "--seconds and --queries belong to --live or --dnstap");
    return 0;
}

static bool domain_chosen(const struct takeover_plan *plan, const struct plan_domain *domain,
                          int argc, char **argv)
{
    bool chosen = optind + 1 == argc;
    for (int k = optind + 1; k < argc; k++)
        chosen |= plan_domain_find(plan, argv[k]) == domain;
    return chosen;
}

static int all_live(struct takeover_run *run, const struct plan_domain *const *domains,
                    size_t count, struct error *ret_error)
{
    const bool copies = strcmp(run->step, "copy") == 0;
    return takeover_live_do(run, copies ? &takeover_copy_live : &takeover_shadow_live, domains,
                            count, ret_error);
}

/* All domains at once. */
static int domains_together(takeover_all_fn *all, struct takeover_run *run, int argc, char **argv,
                            struct error *ret_error)
{
    const struct takeover_plan *plan = run->takeover->plan;
    const struct plan_domain **chosen = calloc(plan->domains_count + 1, sizeof(const void *));
    size_t count = 0;

    if (chosen == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (unsigned i = 0; i < plan->domains_count; i++)
        if (domain_chosen(plan, &plan->domains[i], argc, argv))
            chosen[count++] = &plan->domains[i];
    int rc = all(run, chosen, count, ret_error);
    free(chosen);
    return rc;
}

/* One domain after the other; the first that fails or has a finding in `go` ends it. */
static int domains_run(const struct takeover_command *self, struct takeover_run *run, int argc,
                       char **argv, struct error *ret_error)
{
    const struct takeover_plan *plan = run->takeover->plan;
    bool moves = self->step == takeover_canary_do || self->step == takeover_go_do;
    int worst = 0;

    for (unsigned i = 0; i < plan->domains_count && !takeover_interrupted(); i++) {
        const struct plan_domain *domain = &plan->domains[i];
        if (!domain_chosen(plan, domain, argc, argv))
            continue;
        json_t *result = json_pack("{s:s}", "domain", domain->name);
        int rc = self->step(run, domain, result, ret_error);
        if (rc < 0)
            json_object_set_new(result, "error", json_string(ret_error->text));
        json_array_append_new(run->results, result);
        if (rc < 0 && self->step != takeover_abort_do)
            return rc;
        if (rc < 0) /* whatever fails, the others are given back, too */
            error_print(stderr, "tamis takeover", ret_error);
        worst = rc != 0 ? 1 : worst;
        if (worst != 0 && moves)
            break;
    }
    return worst;
}

static int command_do(const struct takeover_command *self, int argc, char **argv)
{
    struct takeover_run run = {.port = 53, .step = strrchr(self->command->path, ' ') + 1};
    struct error error = {0};

    int code = options_parse(self, &run, argc, argv);
    if (code != 0)
        return code;
    const struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    int rc = takeover_open(argv[optind], &run.takeover, &error);
    for (int i = optind + 1; i < argc && rc == 0; i++)
        if (plan_domain_find(run.takeover->plan, argv[i]) == NULL)
            rc = error_set_at(&error, -EINVAL, argv[optind], 0, "has no domain '%s'", argv[i]);
    if (rc < 0) {
        error_print(stderr, "tamis takeover", &error);
        takeover_close(run.takeover);
        return EXIT_USAGE;
    }
    run.results = json_array();
    pace_init(&run.pace, run.rate > 0 ? run.rate : RATE_DEFAULT, true);
    takeover_all_fn *all = takeover_is_live(&run) ? all_live : self->all;
    if (all != NULL)
        rc = domains_together(all, &run, argc, argv, &error);
    else if (self->step != NULL)
        rc = domains_run(self, &run, argc, argv, &error);
    else
        rc = takeover_status_print(&run, &error);
    pace_clear(&run.pace);
    if (run.json) {
        json_dumpf(run.results, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    if (rc < 0)
        error_print(stderr, "tamis takeover", &error);
    json_decref(run.results);
    takeover_close(run.takeover);
    return rc == 0 ? EXIT_OK : EXIT_FINDING;
}

/* ---- The sub-commands ---- */

#define HELP_TAIL                                                                  \
    "  --json                  print the result as JSON\n"                         \
    "\n"                                                                           \
    "Without a DOMAIN all domains of the plan are meant. See tamis-takeover(1).\n" \
    "Exit code: 0 done, 1 not, or something was found, 2 wrong use.\n"             \
    "\n"

/* One sub-command: its table row, its run function, its command. */
#define TAKEOVER_COMMAND(word, step_fn, all_fn, summary_text, help_text, ...)                      \
    static int word##_run(int argc, char **argv)                                                   \
    {                                                                                              \
        static const int options[] = {__VA_ARGS__};                                                \
        const struct takeover_command self = {&command_takeover_##word, step_fn, all_fn, options}; \
        return command_do(&self, argc, argv);                                                      \
    }                                                                                              \
    const struct command command_takeover_##word = {.path = "takeover " #word,                     \
                                                    .summary = (summary_text),                     \
                                                    .help = help_text,                             \
                                                    .run = word##_run}

TAKEOVER_COMMAND(plan, takeover_plan_do, NULL, "look at a delegation before it moves",
                 "usage: tamis takeover plan PLAN [DOMAIN]...\n\n"
                 "Asks parent and child for NS, DS, glue and TTLs, chooses secondary or forward,\n"
                 "says what the order does in a signed zone, and what capacity is needed.\n\n"
                 "  --measure               ask the front for 2 s as fast as it answers\n" HELP_TAIL
                 "example:\n  tamis takeover plan plan.yaml --measure\n",
                 OPTION_MEASURE, 0);
TAKEOVER_COMMAND(copy, takeover_copy_do, NULL, "see that the front has the zone, or warm its cache",
                 "usage: tamis takeover copy PLAN [DOMAIN]...\n\n"
                 "A secondary: compares the front's serial with the origin's. Forwarding: asks\n"
                 "the front for all known names, and for those of traffic, with DO and without.\n\n"
                 "  --traffic FILE          a capture (pcap), dnstap, or a list of \"name type\"\n"
                 "  --live INTERFACE        queries as they arrive there; see --port\n"
                 "  --dnstap SOCKET         dnstap events sent to a path or ADDR@PORT\n"
                 "  --seconds N             of live queries (until interrupted)\n"
                 "  --queries N             live queries, at most\n"
                 "  --port N                of requests in a capture (53)\n"
                 "  --rate N                questions a second, at most (2,000)\n" HELP_TAIL
                 "example:\n  tamis takeover copy plan.yaml\n",
                 OPTION_TRAFFIC, OPTION_LIVE, OPTION_DNSTAP, OPTION_SECONDS, OPTION_QUERIES,
                 OPTION_PORT, OPTION_RATE, 0);
TAKEOVER_COMMAND(
    shadow, takeover_shadow_do, NULL, "ask front and origin what clients ask, unseen",
    "usage: tamis takeover shadow PLAN [DOMAIN]... [--traffic FILE]\n\n"
    "Asks both servers for the queries of traffic, recorded or as they come, or\n"
    "without it for all known names, and classifies what differs as tamis prove does.\n\n"
    "  --traffic FILE          a capture (pcap), dnstap, or a list of \"name type\"\n"
    "  --live INTERFACE        queries as they arrive there; see --port\n"
    "  --dnstap SOCKET         dnstap events sent to a path or ADDR@PORT\n"
    "  --seconds N             of live queries (until interrupted)\n"
    "  --queries N             live queries, at most\n"
    "  --port N                of requests in a capture (53)\n"
    "  --rate N                questions a second, at most (2,000)\n" HELP_TAIL
    "example:\n  tamis takeover shadow plan.yaml a.example --traffic queries.pcap\n"
    "  tamis takeover shadow plan.yaml --live eth0 --seconds 3600\n",
    OPTION_TRAFFIC, OPTION_LIVE, OPTION_DNSTAP, OPTION_SECONDS, OPTION_QUERIES, OPTION_PORT,
    OPTION_RATE, 0);
TAKEOVER_COMMAND(gate, takeover_gate_do, NULL,
                 "open the way when nothing differs, or say what blocks it",
                 "usage: tamis takeover gate PLAN [DOMAIN]...\n\n"
                 "Opens when no question differs, every known name was asked and found right,\n"
                 "and the plan's number of queries went by without a difference.\n\n" HELP_TAIL
                 "example:\n  tamis takeover gate plan.yaml\n",
                 0);
TAKEOVER_COMMAND(canary, takeover_canary_do, NULL,
                 "move a delegation, watch it, give it back by itself",
                 "usage: tamis takeover canary PLAN DOMAIN...\n\n"
                 "Moves the delegation, wholly or for a share of the name servers, and watches\n"
                 "for the plan's time; a bound that breaks aborts. Interrupted or killed, the\n"
                 "same command watches on.\n\n" HELP_TAIL
                 "example:\n  tamis takeover canary plan.yaml a.example\n",
                 0);
TAKEOVER_COMMAND(go, takeover_go_do, NULL, "move the other domains, one after the other",
                 "usage: tamis takeover go PLAN [DOMAIN]...\n\n"
                 "Moves each delegation to our name servers alone and watches it as a canary;\n"
                 "the first that aborts ends it.\n\n" HELP_TAIL
                 "example:\n  tamis takeover go plan.yaml\n",
                 0);
TAKEOVER_COMMAND(abort, takeover_abort_do, NULL,
                 "lift the overlay and give the delegation back, now",
                 "usage: tamis takeover abort PLAN [DOMAIN]... [--reason TEXT]\n\n"
                 "Lifts the order at the front, so that it is transparent, and gives the\n"
                 "delegation back. An order that domains share is lifted for all of them.\n\n"
                 "  --reason TEXT           for the log\n" HELP_TAIL
                 "example:\n  tamis takeover abort plan.yaml a.example --reason \"complaint 17\"\n",
                 OPTION_REASON, 0);
TAKEOVER_COMMAND(
    return, NULL, takeover_return_do, "give the delegation back, and see it drain",
          "usage: tamis takeover return PLAN [DOMAIN]... [--no-wait]\n\n"
          "Gives all delegations back, waits until the longest cached TTL is over and no\n"
          "query came for the plan's time, and then says for each that the front may stop.\n\n"
          "  --no-wait               look once and say what is left\n" HELP_TAIL
          "example:\n  tamis takeover return plan.yaml\n",
          OPTION_NO_WAIT, 0);
TAKEOVER_COMMAND(status, NULL, NULL, "where each domain stands, with its recent history",
                 "usage: tamis takeover status PLAN\n\n"
                 "One line a domain: step, mode, queries without a difference, and the history\n"
                 "of differences, latency and volume.\n\n" HELP_TAIL
                 "example:\n  tamis takeover status plan.yaml\n",
                 0);
