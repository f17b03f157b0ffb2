/* tamis prove: asks front and origin for every name and says whether the front is right.
 *
 * The way of a question: names file or order (prove_next) -> exchange -> both replies (prove_done)
 * -> verdict -> report. What differs is asked once more after a pause, so that a record that
 * changed in between is not blamed.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/prove_continuous.h"
#include "cli/prove_names.h"
#include "cli/prove_options.h"
#include "cli/prove_report.h"
#include "cli/prove_verdict.h"
#include "order/keyring.h"

/* Answers missing in a row that end the proof: it cannot come out right any more, and a long list
 * would take hours to say so. */
#define SILENT_STREAK_MAX 2000

enum phase { PHASE_FILE, PHASE_ORDER, PHASE_END };

struct prove {
    struct prove_options options;
    struct report report;
    struct listing *listing;
    struct name_file *file;
    struct answer_arena *arena;
    struct exchange *exchange;
    struct compare_rules rules;
    struct error error; /* of reading names, while the exchange runs */

    /* The name whose questions are under way: one for each type, without and with DNSSEC. */
    enum phase phase;
    uint8_t name[NAME_SIZE_MAX];
    uint8_t name_size;
    const struct order *listed;
    uint64_t ordinal; /* of the name, from 1 */
    size_t next_question, question_count;
    uint64_t names_known; /* to be asked in all; 0: unknown */
    bool surveyed;

    uint64_t case_state;
    unsigned silent_streak[EXCHANGE_SIDES];

    uint8_t *wrong; /* a bit for each name with a finding */
    size_t wrong_size;

    uint64_t begin_us;
    bool shows_progress;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static bool is_interrupted(void)
{
    return interrupted != 0;
}

/* A letter's case is one bit of a generator that the seed alone drives (splitmix64). */
static uint64_t case_bits(uint64_t *state)
{
    uint64_t bits = *state += 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

static void name_random_case(uint8_t *name, size_t size, uint64_t *state)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 64 == 0)
            bits = case_bits(state);
        uint8_t lower = name[i] | 0x20;
        /* Length octets are below 64 and so never taken for letters. */
        if (lower >= 'a' && lower <= 'z' && name[i] >= 'A')
            name[i] = bits >> (i % 64) & 1 ? (uint8_t)(name[i] & ~0x20) : lower;
    }
}

/* Reads the next name of the file; faulty lines are counted. */
static bool file_name_next(struct prove *prove)
{
    struct name_line line;
    while (name_file_next(prove->file, &line, &prove->error) > 0) {
        if (!prove->surveyed)
            survey_add_line(&prove->report.survey, &line);
        if (line.fault != NULL)
            continue;
        memcpy(prove->name, line.name, line.name_size);
        prove->name_size = line.name_size;
        return true;
    }
    return false;
}

/* Goes on to the next name. Returns false when there is none. */
static bool name_advance(struct prove *prove)
{
    if (prove->phase == PHASE_FILE && !file_name_next(prove))
        prove->phase = prove->error.code < 0 ? PHASE_END : PHASE_ORDER;
    if (prove->phase == PHASE_ORDER) {
        const uint8_t *name = listing_next(prove->listing);
        if (name == NULL) {
            prove->phase = PHASE_END;
        } else {
            prove->name_size = (uint8_t)name_wire_size(name);
            memcpy(prove->name, name, prove->name_size);
        }
    }
    if (prove->phase == PHASE_END)
        return false;

    prove->listed = NULL;
    if (listing_order_count(prove->listing) > 0) {
        uint8_t lower[NAME_SIZE_MAX];
        name_fold(lower, prove->name, prove->name_size);
        prove->listed = listing_find(prove->listing, lower);
        if (prove->phase == PHASE_FILE)
            listing_mark(prove->listing, lower);
    }
    if (prove->listed != NULL)
        prove->report.names_listed++;
    else
        prove->report.names_unlisted++;
    prove->ordinal++;
    prove->next_question = 0;
    return true;
}

static bool prove_next(void *context, struct exchange_question *ret_question)
{
    struct prove *prove = context;
    if (prove->next_question == prove->question_count && !name_advance(prove))
        return false;

    size_t index = prove->next_question++;
    const struct prove_options *options = &prove->options;
    ret_question->type = options->types[index % options->type_count];
    ret_question->dnssec_ok = options->dnssec == DNSSEC_YES || index >= options->type_count;
    ret_question->ordinal = prove->ordinal;
    ret_question->mark = prove->listed;
    ret_question->name_size = prove->name_size;
    memcpy(ret_question->name, prove->name, prove->name_size);
    if (options->random_case)
        name_random_case(ret_question->name, ret_question->name_size, &prove->case_state);
    return true;
}

/* Returns whether the name has its first finding. */
static bool name_mark_wrong(struct prove *prove, uint64_t ordinal)
{
    size_t octet = ordinal / 8;
    uint8_t bit = (uint8_t)(1 << ordinal % 8);
    if (octet >= prove->wrong_size) {
        size_t size = 2 * octet + 4096;
        uint8_t *wrong = realloc(prove->wrong, size);
        if (wrong == NULL)
            return false; /* the counts of answers stand; the one of names is then too low */
        memset(wrong + prove->wrong_size, 0, size - prove->wrong_size);
        prove->wrong = wrong;
        prove->wrong_size = size;
    }
    bool first = !(prove->wrong[octet] & bit);
    prove->wrong[octet] |= bit;
    return first;
}

static void report_finding(struct prove *prove, const struct exchange_question *question,
                           const struct comparison *comparison)
{
    struct report *report = &prove->report;
    report->by_kind[comparison->kind]++;
    if (comparison->result == COMPARISON_NOT_COMPARABLE) {
        report->not_comparable++;
    } else {
        report->different++;
        if (name_mark_wrong(prove, question->ordinal)) {
            if (question->mark != NULL)
                report->names_listed_wrong++;
            else
                report->names_unlisted_different++;
        }
    }

    if (report->example_count == report->example_max ||
        !(report->kinds_shown & DIFFERENCE_BIT(comparison->kind)))
        return;
    struct report_example *example = &report->examples[report->example_count++];
    memcpy(example->name, question->name, question->name_size);
    example->type = question->type;
    example->dnssec_ok = question->dnssec_ok;
    example->listed = question->mark != NULL;
    example->kind = comparison->kind;
    example->kinds = comparison->kinds;
    memcpy(example->detail, comparison->detail, sizeof(example->detail));
}

static bool prove_done(void *context, const struct exchange_question *question,
                       const struct exchange_reply replies[EXCHANGE_SIDES])
{
    struct prove *prove = context;
    struct report *report = &prove->report;
    struct comparison comparison;

    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        if (replies[side].outcome == EXCHANGE_ANSWERED)
            prove->silent_streak[side] = 0;
        else
            prove->silent_streak[side]++;
    }

    verdict_of_replies(prove->arena, &prove->rules, question, question->mark, replies, &comparison);
    bool finding = comparison.kinds != 0;
    if (finding && question->round == 0)
        return true;

    report->questions++;
    report->settled += !finding && question->round > 0;
    report->addresses_left_out += comparison.addresses_left_out;
    switch (comparison.result) {
    case COMPARISON_EQUAL:
        report->equal++;
        break;
    case COMPARISON_BLOCKED:
        report->blocked++;
        break;
    case COMPARISON_BLOCKED_ALIAS:
        report->blocked_alias++;
        break;
    case COMPARISON_DIFFERENT:
    case COMPARISON_NOT_COMPARABLE:
        report_finding(prove, question, &comparison);
        break;
    }
    return false;
}

static void progress_show(const struct prove *prove)
{
    const struct report *report = &prove->report;
    double seconds = (double)(exchange_clock_us() - prove->begin_us) / 1e6;
    double names = (double)report->questions / (double)prove->question_count;
    double rate = seconds > 0 ? names / seconds : 0;
    char done[32], known[32], speed[32], found[32];

    fprintf(stderr, "\r\033[K%s", report_number((uint64_t)names, done));
    if (prove->names_known > 0)
        fprintf(stderr, " of %s names (%.0f %%)", report_number(prove->names_known, known),
                100 * names / (double)prove->names_known);
    else
        fprintf(stderr, " names");
    fprintf(stderr, ", %s a second, %s findings", report_number((uint64_t)rate, speed),
            report_number(report->different + report->not_comparable, found));
    double left = (double)prove->names_known - names;
    if (left > 0 && rate > 0)
        fprintf(stderr, ", %.0f s left", left / rate);
    fflush(stderr);
}

static void progress_clear(const struct prove *prove)
{
    if (prove->shows_progress)
        fputs("\r\033[K", stderr);
}

static bool prove_tick(void *context)
{
    struct prove *prove = context;
    if (prove->shows_progress)
        progress_show(prove);
    if (interrupted)
        prove->report.stopped = "interrupted";
    else if (prove->silent_streak[EXCHANGE_FRONT] >= SILENT_STREAK_MAX)
        prove->report.stopped = "the front does not answer: is it running at that address?";
    else if (prove->silent_streak[EXCHANGE_ORIGIN] >= SILENT_STREAK_MAX &&
             !prove->options.origin_may_be_silent)
        prove->report.stopped = "the origin does not answer: is it running at that address?";
    return prove->report.stopped == NULL;
}

static int orders_load(struct prove *prove, struct error *ret_error)
{
    const struct prove_options *options = &prove->options;
    _cleanup_(keyring_freep) struct keyring *keyring = NULL;
    struct order_policy policy = {0};

    if (options->keyring != NULL) {
        int rc = keyring_load(options->keyring, &keyring, ret_error);
        if (rc < 0)
            return rc;
        policy.keyring = keyring->entries;
        policy.keyring_count = keyring->count;
    }
    for (size_t i = 0; i < options->order_count; i++) {
        int rc = listing_load(prove->listing, options->orders[i], &policy, ret_error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Reads the whole file once: how many names, from which zones, and what is wrong with the lines. A
 * pipe can only be read once, so there it happens on the way. */
static int names_survey(struct prove *prove, struct error *ret_error)
{
    struct survey *survey = &prove->report.survey;
    for (size_t i = 0; i < listing_order_count(prove->listing); i++) {
        const struct order *order = listing_order(prove->listing, i);
        for (size_t k = 0; k < order->names.count; k++)
            survey_add_sample(survey, order_names_at(&order->names, k));
    }
    if (prove->file == NULL || !name_file_rewind(prove->file))
        return 0;

    struct name_line line;
    int rc;
    while ((rc = name_file_next(prove->file, &line, ret_error)) > 0)
        survey_add_line(survey, &line);
    if (rc < 0)
        return rc;
    prove->surveyed = true;
    /* Names both in the file and in an order are asked once, which only the proof itself sees. */
    prove->names_known = survey->names;
    return name_file_rewind(prove->file)
               ? 0
               : error_set(ret_error, -EIO, "cannot read the names file a second time");
}

static int prove_prepare(struct prove *prove, struct error *ret_error)
{
    const struct prove_options *options = &prove->options;
    if (listing_create(&prove->listing) < 0 || answer_arena_create(&prove->arena) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = orders_load(prove, ret_error);
    if (rc < 0)
        return rc;
    if (options->names != NULL) {
        rc = name_file_open(options->names, &prove->file, ret_error);
        if (rc < 0)
            return rc;
    }
    prove->phase = prove->file != NULL ? PHASE_FILE : PHASE_ORDER;
    prove->question_count = options->type_count * (options->dnssec == DNSSEC_BOTH ? 2 : 1);
    prove->next_question = prove->question_count;
    prove->case_state = options->random_case_seed;
    prove->rules = (struct compare_rules){.ttl = options->ttl, .listing = prove->listing};

    struct report *report = &prove->report;
    report->front = options->front;
    report->origin = options->origin;
    report->names_path = options->names != NULL ? options->names : "";
    report->listing = prove->listing;
    report->types = options->types_text;
    report->dnssec = dnssec_mode_name(options->dnssec);
    report->ttl = ttl_rule_name(options->ttl);
    report->random_case = options->random_case;
    report->random_case_seed = options->random_case_seed;
    report->origin_may_be_silent = options->origin_may_be_silent;
    report->started = time(NULL);
    report->kinds_shown = options->kinds_shown;
    report->example_max = options->example_max;
    report->examples = calloc(options->example_max + 1, sizeof(*report->examples));
    if (report->examples == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory: lower --limit");
    return exchange_create(&options->exchange, &prove->exchange, ret_error);
}

static int prove_ask(struct prove *prove, struct error *ret_error)
{
    int rc = names_survey(prove, ret_error);
    if (rc < 0)
        return rc;
    rc = zone_serials_start(&prove->report.serials, prove->exchange, &prove->report.survey,
                            ret_error);
    if (rc < 0)
        return rc;

    const struct exchange_client client = {
        .context = prove, .next = prove_next, .done = prove_done, .tick = prove_tick};
    prove->begin_us = exchange_clock_us();
    rc = exchange_run(prove->exchange, &client, ret_error);
    prove->report.seconds = (double)(exchange_clock_us() - prove->begin_us) / 1e6;
    progress_clear(prove);
    if (rc < 0)
        return rc;
    if (prove->error.code < 0) {
        *ret_error = prove->error;
        return prove->error.code;
    }
    if (prove->report.stopped == NULL) {
        rc = zone_serials_end(&prove->report.serials, prove->exchange, ret_error);
        if (rc < 0)
            return rc;
    }
    prove->report.exchange = exchange_counts(prove->exchange);
    return 0;
}

static int prove_tell(const struct prove *prove, struct error *ret_error)
{
    if (prove->options.report != NULL) {
        int rc = report_save_json(&prove->report, prove->options.report, ret_error);
        if (rc < 0)
            return rc;
    }
    if (prove->options.json)
        return report_write_json(&prove->report, stdout, ret_error);
    report_print(&prove->report, stdout, isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL);
    return 0;
}

static void prove_clear(struct prove *prove)
{
    exchange_free(prove->exchange);
    answer_arena_free(prove->arena);
    name_file_close(prove->file);
    listing_free(prove->listing);
    survey_clear(&prove->report.survey);
    zone_serials_clear(&prove->report.serials);
    free(prove->report.examples);
    free(prove->wrong);
    free(prove);
}

static int prove_run(int argc, char **argv)
{
    struct prove *prove = calloc(1, sizeof(*prove));
    if (prove == NULL) {
        fprintf(stderr, "tamis prove: out of memory\n");
        return EXIT_FINDING;
    }
    int code = prove_options_parse(&command_prove, argc, argv, &prove->options);
    if (code != 0) {
        prove_clear(prove);
        return code;
    }
    prove->shows_progress = isatty(STDERR_FILENO);

    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    struct error error = {0};
    int rc = prove_prepare(prove, &error);
    if (rc < 0) {
        code = EXIT_USAGE;
    } else if (prove->options.continuous) {
        bool proved = false;
        rc = prove_continuously(&prove->options, prove->listing, is_interrupted, &proved, &error);
        code = proved ? EXIT_OK : EXIT_FINDING;
    } else {
        rc = prove_ask(prove, &error);
        if (rc == 0)
            rc = prove_tell(prove, &error);
        code = rc == 0 && report_proved(&prove->report) ? EXIT_OK : EXIT_FINDING;
    }
    if (rc < 0)
        error_print(stderr, "tamis prove", &error);
    prove_clear(prove);
    return code;
}

const struct command command_prove = {
    .path = "prove",
    .summary = "compare the front with the origin, name by name",
    .help =
        "usage: tamis prove --front ADDR@PORT --origin ADDR@PORT --names FILE [--order FILE]...\n"
        "\n"
        "Asks both servers for every name of the file and of the orders, and compares the "
        "answers:\n"
        "listed names must be blocked as ordered, all others answered as the origin does.\n"
        "\n"
        "  --front ADDR@PORT       the server under proof\n"
        "  --origin ADDR@PORT      the server that it must equal\n"
        "  --names FILE            names, one a line; '#' begins a comment\n"
        "  --order FILE            an order in force at the front; may be repeated\n"
        "  --keyring FILE          public keys that the orders' signatures are checked against\n"
        "  --types A,AAAA,...      record types to ask for (A,AAAA)\n"
        "  --do[=no|yes|both]      ask for DNSSEC records: never (no), always (yes), both ways\n"
        "  --ttl RULE              exact, decremented (the front's may be lower) or ignore\n"
        "  --random-case[=SEED]    ask in random letter case\n"
        "  --in-flight N           questions under way at a time, at most (1024)\n"
        "  --rate N                questions a second, at most\n"
        "  --timeout MS            wait so long for a last answer (2000)\n"
        "  --origin-may-be-silent  names that the origin does not answer are no finding\n"
        "  --show KIND,...         list only differences of these kinds\n"
        "  --limit N               list so many differences, at most (20)\n"
        "  --report FILE           write the report as JSON into FILE\n"
        "  --json                  print the report as JSON\n"
        "\n"
        "  --continuous[=SECONDS]  ask samples again and again, until interrupted or so long\n"
        "  --interval SECONDS      between samples (10)\n"
        "  --sample N              questions of a sample (200)\n"
        "  --history FILE          add a line of JSON for each sample\n"
        "  --prometheus FILE       keep metrics there, as node exporter's textfile collector "
        "reads\n"
        "\n"
        "Exit code: 0 proved, 1 not proved, 2 wrong use.\n"
        "\n"
        "example:\n"
        "  tamis prove --front 192.0.2.1@53 --origin 198.51.100.1@53 --names names.txt \\\n"
        "      --order orders/nv-2014-00987.yaml --types A,AAAA,MX --report proof.json\n",
    .run = prove_run,
};
