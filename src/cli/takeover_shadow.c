/* `tamis takeover shadow` and `gate`: real queries asked of front and origin, seen by no client,
 * and whether what they showed is enough.
 *
 * A question that differed stays on the list of open differences until it was asked again and is
 * equal. Which known names were asked is kept as a bit for each, beside a digest of the list, so
 * that another list begins anew. */
#include <errno.h>
#include <inttypes.h>
#include <libknot/libknot.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file_text.h"
#include "cli/quantity.h"
#include "cli/takeover_live.h"

/* Open differences kept with their text; with more, everything is to be asked again. */
#define DIFFERENT_MAX 1000

/* Known names that were not asked, shown by the gate. */
#define MISSING_SHOWN 10

struct shadow {
    const struct takeover_run *run;
    const struct plan_domain *domain;
    struct takeover_check check;
    struct question_set asked; /* of this run */
    uint8_t *bits;             /* of check.known */
    json_t *different;         /* "name TYPE" [DO] -> {kind, detail, time} */
    bool overflowed;
    uint64_t clean;      /* questions without a difference since the last note or finding */
    bool found;          /* something differed since the last note */
    char path[PATH_MAX]; /* of the bits */
};

/* ---- Which known names were asked ---- */

static size_t bits_size(const struct shadow *shadow)
{
    return shadow->check.known.count / 8 + 1;
}

static int bits_load(struct shadow *shadow, struct error *ret_error)
{
    struct file_text text = {0};
    uint64_t digest = question_set_digest(&shadow->check.known);

    shadow->bits = calloc(1, bits_size(shadow));
    if (shadow->bits == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    takeover_path(shadow->run->takeover, shadow->domain, "asked", shadow->path,
                  sizeof(shadow->path));
    if (access(shadow->path, F_OK) < 0)
        return 0;
    int rc = file_text_read(shadow->path, QUESTIONS_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    if (text.size == sizeof(digest) + bits_size(shadow) &&
        memcmp(text.octets, &digest, sizeof(digest)) == 0)
        memcpy(shadow->bits, text.octets + sizeof(digest), bits_size(shadow));
    file_text_clear(&text);
    return 0;
}

static int bits_save(const struct shadow *shadow, struct error *ret_error)
{
    uint64_t digest = question_set_digest(&shadow->check.known);
    size_t size = sizeof(digest) + bits_size(shadow);
    char *text = malloc(size);
    int rc = 0;

    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    memcpy(text, &digest, sizeof(digest));
    memcpy(text + sizeof(digest), shadow->bits, bits_size(shadow));
    if (access(shadow->path, F_OK) < 0)
        rc = file_text_create(shadow->path, 0640, "", 0, ret_error);
    if (rc == 0)
        rc = file_text_replace(shadow->path, text, size, ret_error);
    free(text);
    return rc;
}

static bool bit_get(const struct shadow *shadow, size_t index)
{
    return shadow->bits[index / 8] >> index % 8 & 1;
}

static void bit_set(struct shadow *shadow, size_t index, bool value)
{
    uint8_t bit = (uint8_t)(1 << index % 8);
    if (value)
        shadow->bits[index / 8] |= bit;
    else
        shadow->bits[index / 8] &= (uint8_t)~bit;
}

/* ---- A run ---- */

static void shadow_text(const uint8_t *name, uint16_t type, bool dnssec_ok, char *ret_text,
                        size_t size)
{
    takeover_question_text(name, type, ret_text, size);
    size_t used = strlen(ret_text);
    if (dnssec_ok)
        snprintf(ret_text + used, size - used, " DO");
}

/* Details quote hostile records; what is not plain text would be no JSON. */
static json_t *detail_text(const char *detail)
{
    char text[sizeof(((struct comparison *)0)->detail)];
    size_t size = 0;
    for (; detail[size] != '\0' && size + 1 < sizeof(text); size++)
        text[size] = detail[size] >= ' ' && detail[size] <= '~' ? detail[size] : '?';
    text[size] = '\0';
    return json_string(text);
}

static void shadow_judged(void *context, const struct exchange_question *question,
                          const struct comparison *comparison)
{
    struct shadow *shadow = context;
    size_t known = question_set_find(&shadow->check.known, question->name, question->type,
                                     question->dnssec_ok);
    char text[KNOT_DNAME_TXT_MAXLEN + 32];

    if (known != SIZE_MAX)
        bit_set(shadow, known, comparison->kinds == 0);
    shadow->clean = comparison->kinds == 0 ? shadow->clean + 1 : 0;
    shadow->found |= comparison->kinds != 0;
    shadow_text(question->name, question->type, question->dnssec_ok, text, sizeof(text));
    if (comparison->kinds == 0) {
        json_object_del(shadow->different, text);
        return;
    }
    if (json_object_size(shadow->different) >= DIFFERENT_MAX) {
        shadow->overflowed = true;
        return;
    }
    json_object_set_new(shadow->different, text,
                        json_pack("{s:s, s:o, s:I}", "kind", difference_name(comparison->kind),
                                  "detail", detail_text(comparison->detail), "time",
                                  (json_int_t)time(NULL)));
}

/* Open differences are asked first, then the traffic, or without it all known names. Live queries
 * come behind them. */
static int questions_gather(struct shadow *shadow, json_t *result, struct error *ret_error)
{
    const struct takeover_run *run = shadow->run;
    const bool asks_known = run->traffic == NULL && !takeover_is_live(run);
    const char *key;
    json_t *value;
    uint64_t queries = 0;
    int rc = 0;

    json_object_foreach(shadow->different, key, value)
    {
        char text[KNOT_DNAME_TXT_MAXLEN + 32], *state;
        uint8_t name[NAME_SIZE_MAX];
        uint16_t type;
        snprintf(text, sizeof(text), "%s", key);
        const char *name_text = strtok_r(text, " ", &state), *word = strtok_r(NULL, " ", &state);
        if (rc == 0 && name_text != NULL && word != NULL &&
            knot_dname_from_str(name, name_text, sizeof(name)) != NULL &&
            knot_rrtype_from_string(word, &type) == 0)
            rc = question_set_add(&shadow->asked, name, type, strtok_r(NULL, " ", &state) != NULL);
    }
    for (size_t i = 0; asks_known && i < shadow->check.known.count && rc == 0; i++)
        rc = question_set_add(&shadow->asked, question_set_name(&shadow->check.known, i),
                              shadow->check.known.entries[i].type, false);
    if (rc < 0)
        return error_set(ret_error, rc, "there is no memory for the questions");
    if (run->traffic != NULL)
        rc = question_set_add_traffic(&shadow->asked, run->traffic, run->port, &shadow->check.scope,
                                      &queries, ret_error);
    if (run->traffic != NULL)
        json_object_set_new(result, "traffic_queries", json_integer((json_int_t)queries));
    return rc;
}

static int shadow_open(struct shadow *shadow, struct error *ret_error)
{
    int rc = takeover_check_init(&shadow->check, shadow->run, shadow->domain, ret_error);
    if (rc == 0)
        rc = bits_load(shadow, ret_error);
    if (rc < 0)
        return rc;
    json_t *open =
        json_object_get(takeover_domain(shadow->run->takeover, shadow->domain), "different");
    shadow->different = open != NULL ? json_deep_copy(open) : json_object();
    shadow->check.parity.judged = shadow_judged;
    shadow->check.parity.context = shadow;
    return shadow->different != NULL ? 0 : error_set(ret_error, -ENOMEM, "out of memory");
}

static void shadow_close(struct shadow *shadow)
{
    takeover_check_clear(&shadow->check);
    question_set_clear(&shadow->asked);
    json_decref(shadow->different);
    free(shadow->bits);
}

static void counts_tell(const struct shadow *shadow, const struct parity_counts *counts,
                        json_t *result)
{
    json_t *kinds = json_object();
    for (enum difference kind = 0; kind < DIFFERENCES; kind++)
        if (counts->by_kind[kind] > 0)
            json_object_set_new(kinds, difference_name(kind),
                                json_integer((json_int_t)counts->by_kind[kind]));
    json_object_set_new(result, "questions", json_integer((json_int_t)counts->questions));
    json_object_set_new(result, "equal", json_integer((json_int_t)counts->equal));
    json_object_set_new(result, "blocked", json_integer((json_int_t)counts->blocked));
    json_object_set_new(result, "kinds", kinds);
    json_object_set(result, "different", shadow->different);
    takeover_say(shadow->run, shadow->domain,
                 "%s questions: %s as the origin, %s as ordered, %s different, %s not comparable",
                 quantity_count((int64_t)counts->questions).text,
                 quantity_count((int64_t)counts->equal).text,
                 quantity_count((int64_t)counts->blocked).text,
                 quantity_count((int64_t)counts->different).text,
                 quantity_count((int64_t)counts->not_comparable).text);
}

static void different_say(const struct takeover_run *run, const struct plan_domain *domain,
                          json_t *different)
{
    const char *key;
    json_t *value;
    size_t shown = 0;
    json_object_foreach(different, key, value)
    {
        if (shown++ == MISSING_SHOWN)
            break;
        takeover_say(run, domain, "  %s: %s: %s", key,
                     json_string_value(json_object_get(value, "kind")),
                     json_string_value(json_object_get(value, "detail")));
    }
}

/* Puts into the state what was found since the last note: differences close a gate that was open.
 * The lock is held. */
static int shadow_write(struct shadow *shadow, struct error *ret_error)
{
    struct takeover *takeover = shadow->run->takeover;
    json_t *object = takeover_domain(takeover, shadow->domain);
    enum takeover_step step = takeover_step(takeover, shadow->domain);

    if (shadow->overflowed)
        memset(shadow->bits, 0, bits_size(shadow));
    int rc = bits_save(shadow, ret_error);
    if (rc < 0)
        return rc;
    /* What differs nowhere adds to the count; else only what came behind the last difference. */
    json_int_t before = shadow->found ? 0 : json_integer_value(json_object_get(object, "clean"));
    json_object_set_new(object, "clean", json_integer(before + (json_int_t)shadow->clean));
    json_object_set_new(object, "different", json_deep_copy(shadow->different));
    if (step == STEP_COPIED || (step == STEP_OPEN && shadow->found))
        takeover_step_set(takeover, shadow->domain, STEP_SHADOWED);
    shadow->clean = 0;
    shadow->found = false;
    return 0;
}

/* The state after a run, and its line in the log. */
static int shadow_note(struct shadow *shadow, const struct parity_result *parity,
                       struct error *ret_error)
{
    struct takeover *takeover = shadow->run->takeover;
    const struct parity_counts *counts = &parity->counts;

    int rc = takeover_lock(takeover, ret_error);
    if (rc == 0)
        rc = shadow_write(shadow, ret_error);
    if (rc == 0)
        rc = takeover_log(takeover, shadow->domain, shadow->run->step, ret_error,
                          "%" PRIu64 " questions, %" PRIu64 " different, %zu open differences%s",
                          counts->questions, counts->different + counts->not_comparable,
                          json_object_size(shadow->different),
                          parity->stopped ? ", interrupted" : "");
    if (rc < 0) {
        takeover_unlock(takeover);
        return rc;
    }
    return takeover_save(takeover, ret_error);
}

/* The same in the middle of a run, without a line. */
static int shadow_keep(void *state, struct error *ret_error)
{
    struct shadow *shadow = state;
    struct takeover *takeover = shadow->run->takeover;

    int rc = takeover_lock(takeover, ret_error);
    if (rc == 0)
        rc = shadow_write(shadow, ret_error);
    if (rc < 0) {
        takeover_unlock(takeover);
        return rc;
    }
    return takeover_save(takeover, ret_error);
}

static void shadow_free(void *state)
{
    struct shadow *shadow = state;
    if (shadow == NULL)
        return;
    shadow_close(shadow);
    free(shadow);
}

static int shadow_begin(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                        void **ret_state, struct live_job *ret_job, struct error *ret_error)
{
    if (takeover_step(run->takeover, domain) < STEP_COPIED)
        return error_set(ret_error, -EINVAL, "%s is not copied yet: run tamis takeover copy first",
                         domain->name);
    struct shadow *shadow = calloc(1, sizeof(*shadow));
    if (shadow == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    shadow->run = run;
    shadow->domain = domain;
    int rc = shadow_open(shadow, ret_error);
    if (rc == 0)
        rc = questions_gather(shadow, result, ret_error);
    if (rc < 0) {
        shadow_free(shadow);
        return rc;
    }
    *ret_state = shadow;
    *ret_job = (struct live_job){.check = &shadow->check, .gathered = &shadow->asked};
    return 0;
}

static int shadow_end(void *state, const struct parity_result *asked, json_t *result,
                      struct error *ret_error)
{
    struct shadow *shadow = state;

    counts_tell(shadow, &asked->counts, result);
    different_say(shadow->run, shadow->domain, shadow->different);
    int rc = shadow_note(shadow, asked, ret_error);
    return rc == 0 ? json_object_size(shadow->different) > 0 || asked->stopped : rc;
}

const struct live_step takeover_shadow_live = {
    .begin = shadow_begin, .keep = shadow_keep, .end = shadow_end, .free = shadow_free};

int takeover_shadow_do(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                       struct error *ret_error)
{
    void *state = NULL;
    struct live_job job;
    struct parity_result *asked = calloc(1, sizeof(*asked));
    if (asked == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = shadow_begin(run, domain, result, &state, &job, ret_error);
    if (rc == 0)
        rc = takeover_ask(run, domain, job.check, job.gathered, asked, ret_error);
    if (rc == 0)
        rc = shadow_end(state, asked, result, ret_error);
    shadow_free(state);
    free(asked);
    return rc;
}

/* ---- The gate ---- */

static size_t missing_say(const struct shadow *shadow, json_t *blocks)
{
    const struct question_set *known = &shadow->check.known;
    char text[KNOT_DNAME_TXT_MAXLEN + 32], line[KNOT_DNAME_TXT_MAXLEN + 64];
    size_t missing = 0;
    for (size_t i = 0; i < known->count; i++) {
        if (bit_get(shadow, i) || missing++ >= MISSING_SHOWN)
            continue;
        shadow_text(question_set_name(known, i), known->entries[i].type,
                    known->entries[i].dnssec_ok, text, sizeof(text));
        snprintf(line, sizeof(line), "%s was not asked and found right", text);
        json_array_append_new(blocks, json_string(line));
    }
    return missing;
}

/* All that keeps the gate shut, as sentences. */
static int gate_judge(const struct shadow *shadow, json_t *blocks)
{
    const json_t *object = takeover_domain(shadow->run->takeover, shadow->domain);
    json_int_t clean = json_integer_value(json_object_get(object, "clean"));
    unsigned wanted = shadow->run->takeover->plan->gate->queries;
    const char *key;
    json_t *value;
    char line[2048];

    json_object_foreach(shadow->different, key, value)
    {
        snprintf(line, sizeof(line), "%s differs: %s: %s", key,
                 json_string_value(json_object_get(value, "kind")),
                 json_string_value(json_object_get(value, "detail")));
        json_array_append_new(blocks, json_string(line));
    }
    size_t missing = missing_say(shadow, blocks);
    if (missing > 0) {
        snprintf(line, sizeof(line),
                 "%zu of %zu questions about known names are not answered "
                 "rightly yet: run tamis takeover shadow",
                 missing, shadow->check.known.count);
        json_array_append_new(blocks, json_string(line));
    }
    if (clean < (json_int_t)wanted) {
        snprintf(line, sizeof(line), "%lld of %u queries without a difference: shadow more",
                 (long long)clean, wanted);
        json_array_append_new(blocks, json_string(line));
    }
    return json_array_size(blocks) > 0;
}

int takeover_gate_do(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                     struct error *ret_error)
{
    struct shadow shadow = {.run = run, .domain = domain};
    json_t *blocks = json_array(), *value;
    size_t index;
    enum takeover_step step = takeover_step(run->takeover, domain);

    int rc =
        step < STEP_SHADOWED
            ? error_set(ret_error, -EINVAL,
                        "%s was not shadowed yet: run tamis takeover shadow first", domain->name)
            : takeover_lock(run->takeover, ret_error);
    if (rc == 0)
        rc = shadow_open(&shadow, ret_error);
    int shut = rc == 0 ? gate_judge(&shadow, blocks) : 0;
    step = takeover_step(run->takeover, domain);
    if (rc == 0 && (step == STEP_SHADOWED || step == STEP_OPEN))
        takeover_step_set(run->takeover, domain, shut ? STEP_SHADOWED : STEP_OPEN);
    if (rc == 0)
        rc = takeover_log(run->takeover, domain, run->step, ret_error,
                          shut ? "shut: %zu reasons" : "open (%zu)", json_array_size(blocks));
    if (rc == 0)
        rc = takeover_save(run->takeover, ret_error);
    takeover_unlock(run->takeover);
    if (rc == 0) {
        takeover_say(run, domain, "the gate is %s", shut ? "shut:" : "open");
        json_array_foreach(blocks, index, value)
            takeover_say(run, domain, "  %s", json_string_value(value));
        json_object_set_new(result, "open", json_boolean(!shut));
        json_object_set(result, "blocks", blocks);
    }
    json_decref(blocks);
    shadow_close(&shadow);
    return rc < 0 ? rc : shut;
}
