#include "sink/recogniser.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/client_hello.h"
#include "sink/known_fakes.h"
#include "sink/rule_compile.h"

/* The parsers of families: each refuses what isn't its own within a few octets. */
static sink_parser_fn *const family_parsers[] = {njrat_recognise, njw0rm_recognise,
                                                 hworm_recognise};

/* The rule that a scan decided for, while it runs. */
struct scan {
    const struct rule_set *set;
    const struct rule *rule; /* NULL: none yet */
    struct sink_text id;     /* offset from `octets` */
    const uint8_t *octets;
};

struct recogniser {
    struct rule_set *set;      /* NULL: no rules */
    struct known_fakes *fakes; /* NULL: no table */
    unsigned threads;
    YR_SCANNER *scanners[]; /* of each thread */
};

/* ---- Rules ---- */

static void take_match(struct scan *scan, const YR_SCAN_CONTEXT *context, const struct rule *rule)
{
    /* A check-in counts more than whatever else matches; otherwise the first does. */
    if (scan->rule != NULL && (scan->rule->kind == SINK_CHECKIN || rule->kind != SINK_CHECKIN))
        return;
    scan->rule = rule;
    scan->id = (struct sink_text){.octets = scan->octets};
    if (rule->id == NULL)
        return;
    const YR_MATCH *match = context->matches[rule->id->idx].head;
    if (match != NULL)
        scan->id = (struct sink_text){.octets = scan->octets + match->offset,
                                      .size = (size_t)match->match_length};
}

static int take_scan_message(YR_SCAN_CONTEXT *context, int message, void *data, void *user_data)
{
    struct scan *scan = user_data;

    /* CALLBACK_MSG_TOO_MANY_MATCHES: the string is left out from there on, the scan goes on. */
    if (message == CALLBACK_MSG_RULE_MATCHING) {
        const YR_RULE *yara = data;
        take_match(scan, context, &scan->set->rules[yara - scan->set->yara->rules_table]);
    }
    return CALLBACK_CONTINUE;
}

/* Numbers only: setting them allocates nothing. */
static void set_variables(YR_SCANNER *scanner, const struct sink_flight *flight)
{
    (void)yr_scanner_define_boolean_variable(scanner, "udp", flight->transport == SINK_UDP);
    (void)yr_scanner_define_boolean_variable(scanner, "tls", flight->in_tls);
    (void)yr_scanner_define_integer_variable(scanner, "port", flight->local.port);
}

static bool ask_rules(const struct recogniser *recogniser, unsigned thread,
                      const struct sink_flight *flight, struct sink_recognition *recognition)
{
    if (recogniser->set == NULL || recogniser->set->count == 0)
        return false;
    YR_SCANNER *scanner = recogniser->scanners[thread];
    const uint8_t *octets = flight->size > 0 ? flight->octets : (const uint8_t *)"";
    struct scan scan = {.set = recogniser->set, .octets = octets};

    set_variables(scanner, flight);
    if (flight->hello != NULL)
        (void)yr_scanner_define_string_variable(scanner, "ja4", flight->hello->ja4);
    yr_scanner_set_callback(scanner, take_scan_message, &scan);
    /* Where it fails, by time or memory, what matched before still did. */
    (void)yr_scanner_scan_mem(scanner, octets, flight->size);
    if (flight->hello != NULL)
        (void)yr_scanner_define_string_variable(scanner, "ja4", "");
    if (scan.rule == NULL)
        return false;

    recognition->kind = scan.rule->kind;
    recognition->family = scan.rule->family;
    recognition->rule = scan.rule->label;
    snprintf(recognition->version, sizeof(recognition->version), "%s", scan.rule->version);
    /* The condition has checked lengths and constants; of fields there is but the id. */
    recognition->wellformed = true;
    recognition->consistent = scan.rule->kind == SINK_CHECKIN || scan.rule->kind == SINK_BEACON;
    recognition->bot = scan.id;
    return true;
}

/* ---- The whole ---- */

/* Only the texts and flags: the scratch, which is large, holds nothing yet. */
static void clear(struct sink_recognition *recognition)
{
    static const struct sink_text none = {.octets = (const uint8_t *)"", .size = 0};

    memset(recognition, 0, offsetof(struct sink_recognition, scratch));
    recognition->family = recognition->rule = "";
    recognition->bot = recognition->machine = recognition->user = recognition->installed =
        recognition->country = recognition->system = recognition->window = recognition->host =
            recognition->agent = none;
}

static bool ask_families(const struct sink_flight *flight, struct sink_recognition *recognition)
{
    for (size_t i = 0; i < sizeof(family_parsers) / sizeof(family_parsers[0]); i++) {
        if (family_parsers[i](flight->octets, flight->size, recognition))
            return true;
        if (recognition->kind != SINK_NOTHING || recognition->scratch[0] != 0)
            clear(recognition);
    }
    return false;
}

static bool begins_as_tls(const struct sink_flight *flight)
{
    /* A record of type handshake, version 3.x (RFC 8446, section 5.1). */
    return flight->size >= 3 && flight->octets[0] == 22 && flight->octets[1] == 3 &&
           flight->octets[2] <= 4;
}

static void note_fake(const struct recogniser *recogniser, struct sink_recognition *recognition)
{
    if (recogniser->fakes != NULL &&
        (recognition->kind == SINK_CHECKIN || recognition->kind == SINK_BEACON))
        recognition->fake = known_fakes_find(recogniser->fakes, recognition);
}

void recogniser_look(struct recogniser *recogniser, unsigned thread,
                     const struct sink_flight *flight, struct sink_recognition *ret_recognition)
{
    clear(ret_recognition);
    if (flight->size == 0 && flight->hello == NULL)
        return; /* SINK_NOTHING */
    if (flight->size > 0 && ask_families(flight, ret_recognition)) {
        note_fake(recogniser, ret_recognition);
        return;
    }
    /* Generic first, for Host and User-Agent of what a rule then knows better: a family's request
     * is an HTTP request, too. */
    clear(ret_recognition);
    if (flight->size == 0 || !generic_recognise(flight->octets, flight->size, ret_recognition)) {
        clear(ret_recognition);
        ret_recognition->kind =
            flight->hello != NULL || begins_as_tls(flight) ? SINK_TLS : SINK_UNKNOWN;
    }
    (void)ask_rules(recogniser, thread, flight, ret_recognition);
    note_fake(recogniser, ret_recognition);
}

/* A folder without the table has rules alone. */
static int load_fakes(const char *folder, struct known_fakes **ret_fakes, struct error *ret_error)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/known-fakes.txt", folder) >= (int)sizeof(path))
        return error_set_at(ret_error, -ENAMETOOLONG, folder, 0, "the path is too long");
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    return known_fakes_load(path, ret_fakes, ret_error);
}

int recogniser_load(const char *folder, unsigned threads, struct recogniser **ret_recogniser,
                    struct error *ret_error)
{
    _cleanup_(recogniser_freep) struct recogniser *recogniser =
        calloc(1, sizeof(*recogniser) + threads * sizeof(recogniser->scanners[0]));

    if (recogniser == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    recogniser->threads = threads;
    int rc = 0;
    if (folder != NULL)
        rc = rule_set_compile(folder, NULL, NULL, &recogniser->set, ret_error);
    if (rc == 0 && folder != NULL)
        rc = load_fakes(folder, &recogniser->fakes, ret_error);
    for (unsigned i = 0; rc == 0 && recogniser->set != NULL && i < threads; i++)
        rc = rule_set_scanner(recogniser->set, &recogniser->scanners[i], ret_error);
    if (rc < 0)
        return rc;
    *ret_recogniser = TAKE(recogniser);
    return 0;
}

void recogniser_free(struct recogniser *recogniser)
{
    if (recogniser == NULL)
        return;
    for (unsigned i = 0; i < recogniser->threads; i++)
        if (recogniser->scanners[i] != NULL)
            yr_scanner_destroy(recogniser->scanners[i]);
    rule_set_free(recogniser->set);
    known_fakes_free(recogniser->fakes);
    free(recogniser);
}
