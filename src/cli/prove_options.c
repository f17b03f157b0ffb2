#include "cli/prove_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/address_option.h"

#define IN_FLIGHT_DEFAULT  1024
#define TIMEOUT_DEFAULT_MS 2000
#define TIMEOUT_MIN_MS     10
#define TIMEOUT_MAX_MS     60000
#define RATE_MAX           10000000
#define EXAMPLES_DEFAULT   20
#define EXAMPLES_MAX       100000
#define CONTINUOUS_MAX_S   (366 * 86400)
#define INTERVAL_DEFAULT_S 10
#define SAMPLE_DEFAULT     200
#define SAMPLE_MAX         1000000

static const char *const dnssec_modes[] = {
    [DNSSEC_NO] = "no", [DNSSEC_YES] = "yes", [DNSSEC_BOTH] = "both"};
static const char *const ttl_rules[] = {
    [TTL_EXACT] = "exact", [TTL_DECREMENTED] = "decremented", [TTL_IGNORE] = "ignore"};

const char *dnssec_mode_name(enum dnssec_mode mode)
{
    return dnssec_modes[mode];
}

const char *ttl_rule_name(enum ttl_rule rule)
{
    return ttl_rules[rule];
}

static bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min ||
        number > max)
        return false;
    *ret_number = number;
    return true;
}

static bool side_parse(const char *text, struct exchange_address *ret_address)
{
    return address_option_parse(text, &ret_address->socket, &ret_address->size);
}

/* Transfers and the records that belong to a message are no questions about a name. */
static bool type_is_askable(uint16_t type)
{
    return type != 0 && (type == KNOT_RRTYPE_ANY || !knot_rrtype_is_metatype(type));
}

static const char *types_parse(const char *text, struct prove_options *options)
{
    char copy[256];
    if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
        return "the list of types is too long";

    options->type_count = 0;
    options->types_text[0] = '\0';
    char *state;
    for (char *word = strtok_r(copy, ",", &state); word != NULL;
         word = strtok_r(NULL, ",", &state)) {
        uint16_t type;
        char name[16];
        if (knot_rrtype_from_string(word, &type) < 0 || !type_is_askable(type))
            return "--types takes record types, as in A,AAAA,MX or TYPE65";
        bool repeated = false;
        for (size_t i = 0; i < options->type_count; i++)
            repeated |= options->types[i] == type;
        if (repeated)
            continue;
        if (options->type_count == PROVE_TYPES_MAX ||
            knot_rrtype_to_string(type, name, sizeof(name)) < 0)
            return "too many types";
        options->types[options->type_count++] = type;
        size_t used = strlen(options->types_text);
        snprintf(options->types_text + used, sizeof(options->types_text) - used, "%s%s",
                 used > 0 ? "," : "", name);
    }
    return options->type_count > 0 ? NULL : "--types names no type";
}

static const char *kinds_parse(const char *text, uint32_t *ret_kinds)
{
    char copy[512];
    if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
        return "the list of differences is too long";

    uint32_t kinds = 0;
    char *state;
    for (char *word = strtok_r(copy, ",", &state); word != NULL;
         word = strtok_r(NULL, ",", &state)) {
        enum difference kind;
        if (!difference_parse(word, &kind))
            return "--show takes kinds of differences, as in rcode,missing";
        kinds |= DIFFERENCE_BIT(kind);
    }
    *ret_kinds = kinds;
    return NULL;
}

static bool word_parse(const char *word, const char *const *words, unsigned count,
                       unsigned *ret_index)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret_index = i;
            return true;
        }
    return false;
}

enum option_code {
    OPTION_FRONT = 256,
    OPTION_ORIGIN,
    OPTION_NAMES,
    OPTION_ORDER,
    OPTION_KEYRING,
    OPTION_TYPES,
    OPTION_DO,
    OPTION_TTL,
    OPTION_RANDOM_CASE,
    OPTION_IN_FLIGHT,
    OPTION_RATE,
    OPTION_TIMEOUT,
    OPTION_ORIGIN_MAY_BE_SILENT,
    OPTION_SHOW,
    OPTION_LIMIT,
    OPTION_REPORT,
    OPTION_JSON,
    OPTION_CONTINUOUS,
    OPTION_INTERVAL,
    OPTION_SAMPLE,
    OPTION_HISTORY,
    OPTION_PROMETHEUS,
};

static const struct option long_options[] = {
    {"front", required_argument, NULL, OPTION_FRONT},
    {"origin", required_argument, NULL, OPTION_ORIGIN},
    {"names", required_argument, NULL, OPTION_NAMES},
    {"order", required_argument, NULL, OPTION_ORDER},
    {"keyring", required_argument, NULL, OPTION_KEYRING},
    {"types", required_argument, NULL, OPTION_TYPES},
    {"do", optional_argument, NULL, OPTION_DO},
    {"ttl", required_argument, NULL, OPTION_TTL},
    {"random-case", optional_argument, NULL, OPTION_RANDOM_CASE},
    {"in-flight", required_argument, NULL, OPTION_IN_FLIGHT},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"origin-may-be-silent", no_argument, NULL, OPTION_ORIGIN_MAY_BE_SILENT},
    {"show", required_argument, NULL, OPTION_SHOW},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"report", required_argument, NULL, OPTION_REPORT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"continuous", optional_argument, NULL, OPTION_CONTINUOUS},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"sample", required_argument, NULL, OPTION_SAMPLE},
    {"history", required_argument, NULL, OPTION_HISTORY},
    {"prometheus", required_argument, NULL, OPTION_PROMETHEUS},
    {NULL, 0, NULL, 0},
};

/* The options of --continuous, as option_take(). */
static const char *continuous_take(struct prove_options *options, int option, const char *argument)
{
    uint64_t number = 0;
    switch (option) {
    case OPTION_CONTINUOUS:
        if (argument != NULL && !number_parse(argument, 1, CONTINUOUS_MAX_S, &number))
            return "--continuous stands alone or takes seconds, as in --continuous=3600";
        options->continuous = true;
        options->continuous_s = (unsigned)number;
        return NULL;
    case OPTION_INTERVAL:
        if (!number_parse(argument, 1, CONTINUOUS_MAX_S, &number))
            return "--interval takes seconds, from 1";
        options->interval_s = (unsigned)number;
        return NULL;
    case OPTION_SAMPLE:
        if (!number_parse(argument, 1, SAMPLE_MAX, &number))
            return "--sample takes a number of questions, from 1";
        options->sample = number;
        return NULL;
    case OPTION_HISTORY:
        options->history = argument;
        return NULL;
    case OPTION_PROMETHEUS:
        options->prometheus = argument;
        return NULL;
    default:
        return "unknown option, or one without its argument";
    }
}

/* Returns what is wrong with the option's argument, or NULL. */
static const char *option_take(struct prove_options *options, int option, const char *argument)
{
    uint64_t number;
    unsigned word;
    switch (option) {
    case OPTION_FRONT:
        options->front = argument;
        return side_parse(argument, &options->exchange.address[EXCHANGE_FRONT])
                   ? NULL
                   : "--front takes an address and a port, as in 192.0.2.1@53";
    case OPTION_ORIGIN:
        options->origin = argument;
        return side_parse(argument, &options->exchange.address[EXCHANGE_ORIGIN])
                   ? NULL
                   : "--origin takes an address and a port, as in 192.0.2.1@53";
    case OPTION_NAMES:
        options->names = argument;
        return NULL;
    case OPTION_ORDER:
        if (options->order_count == PROVE_ORDERS_MAX)
            return "too many orders";
        options->orders[options->order_count++] = argument;
        return NULL;
    case OPTION_KEYRING:
        options->keyring = argument;
        return NULL;
    case OPTION_TYPES:
        return types_parse(argument, options);
    case OPTION_DO:
        if (!word_parse(argument != NULL ? argument : "yes", dnssec_modes, 3, &word))
            return "--do stands alone or as --do=no, --do=yes, --do=both";
        options->dnssec = (enum dnssec_mode)word;
        return NULL;
    case OPTION_TTL:
        if (!word_parse(argument, ttl_rules, 3, &word))
            return "--ttl takes exact, decremented or ignore";
        options->ttl = (enum ttl_rule)word;
        return NULL;
    case OPTION_RANDOM_CASE:
        options->random_case = true;
        return argument == NULL || number_parse(argument, 0, INT64_MAX, &options->random_case_seed)
                   ? NULL
                   : "--random-case takes a number as its seed, as in --random-case=1";
    case OPTION_IN_FLIGHT:
        if (!number_parse(argument, 1, EXCHANGE_IN_FLIGHT_MAX, &number))
            return "--in-flight takes a number from 1 to 16384";
        options->exchange.in_flight_max = (unsigned)number;
        return NULL;
    case OPTION_RATE:
        if (!number_parse(argument, 1, RATE_MAX, &number))
            return "--rate takes questions a second, from 1";
        options->exchange.rate_max = (unsigned)number;
        return NULL;
    case OPTION_TIMEOUT:
        if (!number_parse(argument, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, &number))
            return "--timeout takes milliseconds, from 10 to 60000";
        options->exchange.timeout_ms = (unsigned)number;
        return NULL;
    case OPTION_ORIGIN_MAY_BE_SILENT:
        options->origin_may_be_silent = true;
        return NULL;
    case OPTION_SHOW:
        return kinds_parse(argument, &options->kinds_shown);
    case OPTION_LIMIT:
        if (!number_parse(argument, 0, EXAMPLES_MAX, &number))
            return "--limit takes a number from 0 to 100000";
        options->example_max = number;
        return NULL;
    case OPTION_REPORT:
        options->report = argument;
        return NULL;
    case OPTION_JSON:
        options->json = true;
        return NULL;
    default:
        return continuous_take(options, option, argument);
    }
}

int prove_options_parse(const struct command *command, int argc, char **argv,
                        struct prove_options *ret_options)
{
    struct prove_options options = {
        .exchange = {.in_flight_max = IN_FLIGHT_DEFAULT, .timeout_ms = TIMEOUT_DEFAULT_MS},
        .types = {KNOT_RRTYPE_A, KNOT_RRTYPE_AAAA},
        .type_count = 2,
        .types_text = "A,AAAA",
        .ttl = TTL_DECREMENTED,
        .kinds_shown = UINT32_MAX,
        .example_max = EXAMPLES_DEFAULT,
        .interval_s = INTERVAL_DEFAULT_S,
        .sample = SAMPLE_DEFAULT,
    };
    /* Unless the user gives one, the seed is drawn; the report tells it. */
    if (getrandom(&options.random_case_seed, sizeof(options.random_case_seed), 0) < 0)
        options.random_case_seed = exchange_clock_us();
    options.random_case_seed &= INT64_MAX;

    int option;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        const char *fault = option_take(&options, option, optarg);
        if (fault != NULL && option == '?')
            return command_usage_error(command, "%s: %s", fault, argv[optind - 1]);
        if (fault != NULL)
            return command_usage_error(command, "%s", fault);
    }
    if (optind < argc)
        return command_usage_error(command, "unexpected argument: %s", argv[optind]);
    if (options.front == NULL || options.origin == NULL)
        return command_usage_error(command, "--front and --origin are needed");
    if (options.names == NULL && options.order_count == 0)
        return command_usage_error(command, "there is nothing to ask: give --names or --order");
    if (options.continuous && (options.random_case || options.dnssec == DNSSEC_BOTH ||
                               options.ttl != TTL_DECREMENTED || options.report != NULL))
        return command_usage_error(command, "--random-case, --do=both, --ttl and --report do not "
                                            "go with --continuous");
    if (!options.continuous && (options.history != NULL || options.prometheus != NULL))
        return command_usage_error(command, "--history and --prometheus belong to --continuous");
    *ret_options = options;
    return 0;
}
