/* Live queries: from the reader's process into a queue for each domain, and from there to front and
 * origin by that domain's thread. A domain whose servers are slow fills its own queue only; what
 * finds no room there is dropped and counted. */
#include "cli/takeover_live.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/live_place.h"
#include "cli/live_reader.h"
#include "cli/quantity.h"

/* Each has a thread with its sockets; a takeover of more goes in parts. */
#define DOMAINS_MAX 64

/* Queries that wait for a domain's thread: a second of 4,000 a second. */
#define QUEUE_MAX 4096

#define STEP_MS 100

/* What a killed run may lose of its findings. */
#define KEEP_MS 2000

struct live;

struct live_domain {
    const struct plan_domain *domain;
    struct live *live;
    json_t *result;
    void *state; /* the step's */
    struct live_job job;
    struct parity_options parity;
    struct parity_source source;
    struct parity_result asked;
    pthread_t thread;

    pthread_mutex_t lock; /* of the queue, and of `ended` and `cut` */
    struct exchange_question *queue;
    size_t first, count;
    size_t gathered_asked; /* of the job's questions */

    pthread_mutex_t judging; /* of the step's state, while the thread runs, and `news` */

    uint64_t taken, dropped; /* of the thread that reads */
    atomic_uint_fast64_t judged, different;
    struct error error;
    int rc;
    uint8_t apex[NAME_SIZE_MAX];
    bool has_thread;
    bool ended; /* nothing more comes into the queue */
    bool cut;   /* an interrupt left gathered questions unasked */
    bool news;  /* judged since it was kept */
    atomic_bool finished;
};

struct live {
    struct takeover_run *run;
    const struct live_step *step;
    struct live_domain *domains;
    size_t count;
    struct live_reader *reader;
    uint64_t queries; /* taken, of all domains */
};

/* ---- A domain's thread ---- */

static void gathered_take(struct live_domain *self, struct exchange_question *ret_question)
{
    const struct question_set *set = self->job.gathered;
    const struct question_entry *entry = &set->entries[self->gathered_asked];
    const uint8_t *name = question_set_name(set, self->gathered_asked++);

    *ret_question = (struct exchange_question){.name_size = (uint8_t)name_wire_size(name),
                                               .type = entry->type,
                                               .dnssec_ok = entry->dnssec_ok};
    memcpy(ret_question->name, name, ret_question->name_size);
}

static void queue_take(struct live_domain *self, struct exchange_question *ret_question)
{
    *ret_question = self->queue[self->first];
    self->first = (self->first + 1) % QUEUE_MAX;
    self->count--;
}

/* What was gathered before comes first, unless it would make the queue run over. */
static enum parity_next question_next(void *context, struct exchange_question *ret_question)
{
    struct live_domain *self = context;
    enum parity_next next = PARITY_NONE_YET;

    pthread_mutex_lock(&self->lock);
    bool has_gathered = self->gathered_asked < self->job.gathered->count;
    if (self->count == 0 && !has_gathered) {
        next = self->ended ? PARITY_END : PARITY_NONE_YET;
    } else {
        if (has_gathered && self->count < QUEUE_MAX / 2)
            gathered_take(self, ret_question);
        else
            queue_take(self, ret_question);
        next = PARITY_QUESTION;
    }
    pthread_mutex_unlock(&self->lock);
    return next;
}

/* Counts for the progress, and hands on to the step. */
static void question_judged(void *context, const struct exchange_question *question,
                            const struct comparison *comparison)
{
    struct live_domain *self = context;
    const struct parity_options *parity = &self->job.check->parity;

    atomic_fetch_add(&self->judged, 1);
    atomic_fetch_add(&self->different, comparison->kinds != 0);
    if (parity->judged == NULL)
        return;
    pthread_mutex_lock(&self->judging);
    parity->judged(parity->context, question, comparison);
    self->news = true;
    pthread_mutex_unlock(&self->judging);
}

static void *domain_run(void *context)
{
    static const struct question_set none;
    struct live_domain *self = context;
    self->rc = parity_run(&self->parity, &none, NULL, 0, &self->asked, &self->error);
    self->asked.stopped |= self->cut;
    atomic_store(&self->finished, true);
    return NULL;
}

/* ---- Domains ---- */

static int domain_begin(struct live_domain *self, struct error *ret_error)
{
    struct live *live = self->live;

    if (knot_dname_from_str(self->apex, self->domain->name, sizeof(self->apex)) == NULL)
        return error_set(ret_error, -EINVAL, "'%s' is no domain name", self->domain->name);
    name_fold(self->apex, self->apex, name_wire_size(self->apex));
    int rc = live->step->begin(live->run, self->domain, self->result, &self->state, &self->job,
                               ret_error);
    if (rc < 0 || self->job.check == NULL)
        return rc;
    self->queue = calloc(QUEUE_MAX, sizeof(*self->queue));
    if (self->queue == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    self->source = (struct parity_source){.context = self, .next = question_next};
    self->parity = self->job.check->parity;
    self->parity.judged = question_judged;
    self->parity.context = self;
    self->parity.source = &self->source;
    self->parity.exchange.pace = &live->run->pace;
    self->parity.stopped = NULL; /* an interrupt is the usual end: see threads_join() */
    return 0;
}

static int domain_start(struct live_domain *self, struct error *ret_error)
{
    int code = pthread_create(&self->thread, NULL, domain_run, self);
    self->has_thread = code == 0;
    return code == 0 ? 0 : error_set(ret_error, -code, "cannot start a thread: %s", strerror(code));
}

/* Nothing more comes. What waits is asked, unless it is not wanted any more. */
static void domain_end(struct live_domain *self, bool asks_rest)
{
    pthread_mutex_lock(&self->lock);
    self->ended = true;
    if (!asks_rest) {
        self->dropped += self->count;
        self->count = 0;
        if (self->job.check != NULL && self->gathered_asked < self->job.gathered->count) {
            self->gathered_asked = self->job.gathered->count;
            self->cut = true;
        }
    }
    pthread_mutex_unlock(&self->lock);
}

static void question_take(void *context, size_t zone, const struct exchange_question *question)
{
    struct live *live = context;
    struct live_domain *self = &live->domains[zone];

    if (self->job.check == NULL || (live->run->queries > 0 && live->queries == live->run->queries))
        return;
    pthread_mutex_lock(&self->lock);
    bool has_room = self->count < QUEUE_MAX;
    if (has_room)
        self->queue[(self->first + self->count++) % QUEUE_MAX] = *question;
    pthread_mutex_unlock(&self->lock);
    self->taken += has_room;
    self->dropped += !has_room;
    live->queries += has_room;
}

/* ---- The reader ---- */

/* Where our own questions come from, and those of the front: at the servers that are asked they
 * look like any client's, and each would be asked again for ever. */
static size_t own_gather(const struct live *live, struct address *ret_own)
{
    size_t count = 0;

    for (size_t i = 0; i < live->count; i++) {
        const struct takeover_check *check = live->domains[i].job.check;
        if (check == NULL)
            continue;
        const struct exchange_address *to = check->parity.exchange.address;
        ret_own[count++] = live_address(&to[EXCHANGE_FRONT].socket);
        for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++)
            count += live_address_towards(&to[side].socket, to[side].size, &ret_own[count]);
    }
    return count;
}

static int reader_start(struct live *live, struct error *ret_error)
{
    const struct takeover_run *run = live->run;
    const uint8_t *zones[DOMAINS_MAX];
    struct address own[3 * DOMAINS_MAX];
    struct live_place place = {0};

    int rc = run->dnstap != NULL ? live_place_parse(run->dnstap, &place, ret_error) : 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < live->count; i++)
        zones[i] = live->domains[i].apex;
    const struct live_reader_options options = {
        .traffic = {.interface = run->live,
                    .port = run->port,
                    .dnstap = (const struct sockaddr *)&place.socket,
                    .dnstap_size = place.size,
                    .dnstap_name = run->dnstap,
                    .own = own,
                    .own_count = own_gather(live, own)},
        .zones = zones,
        .zone_count = live->count,
    };
    rc = live_reader_start(&options, &live->reader, ret_error);
    if (rc < 0)
        return rc;
    if (!live_reader_is_confined(live->reader))
        fprintf(stderr,
                "tamis: warning: the traffic is read as root: the user cannot be changed here\n");
    fprintf(stderr, "tamis: reading queries from %s\n",
            run->live != NULL ? run->live : run->dnstap);
    return 0;
}

/* ---- A run ---- */

/* A line that is written over each second, on a terminal. */
static void progress_show(const struct live *live, uint64_t *asked_before)
{
    uint64_t asked = 0, different = 0, dropped = live_reader_figures(live->reader)->dropped;

    for (size_t i = 0; i < live->count; i++) {
        asked += atomic_load(&live->domains[i].judged);
        different += atomic_load(&live->domains[i].different);
        dropped += live->domains[i].dropped;
    }
    fprintf(stderr, "\r%s queries a second (at most %s), %s asked, %s different, %s dropped\033[K",
            quantity_count((int64_t)(asked - *asked_before)).text,
            quantity_count(pace_rate(&live->run->pace)).text, quantity_count((int64_t)asked).text,
            quantity_count((int64_t)different).text, quantity_count((int64_t)dropped).text);
    *asked_before = asked;
}

static bool all_finished(const struct live *live)
{
    for (size_t i = 0; i < live->count; i++)
        if (live->domains[i].has_thread && !atomic_load(&live->domains[i].finished))
            return false;
    return true;
}

/* Whether the reading is over: by its time, by the number of queries, or by hand. */
static bool reading_over(const struct live *live, uint64_t began_us)
{
    const struct takeover_run *run = live->run;
    return takeover_interrupted() || all_finished(live) ||
           (run->queries > 0 && live->queries == run->queries) ||
           (run->seconds > 0 && exchange_clock_us() - began_us >= (uint64_t)run->seconds * 1000000);
}

/* Has each step note what is new. */
static int findings_keep(struct live *live, struct error *ret_error)
{
    int rc = 0;

    for (size_t i = 0; live->step->keep != NULL && i < live->count && rc == 0; i++) {
        struct live_domain *self = &live->domains[i];
        pthread_mutex_lock(&self->judging);
        if (self->news)
            rc = live->step->keep(self->state, ret_error);
        self->news = false;
        pthread_mutex_unlock(&self->judging);
    }
    return rc;
}

/* Reads until it is over, and then what the reader still holds. */
static int reading_run(struct live *live, struct error *ret_error)
{
    const uint64_t began_us = exchange_clock_us();
    const bool shows = isatty(STDERR_FILENO) != 0;
    uint64_t shown_us = began_us, kept_us = began_us, asked = 0;
    bool stopped = false;
    int rc = 0;

    while (rc == 0) {
        rc = live_reader_step(live->reader, STEP_MS, question_take, live, ret_error);
        if (rc == 0 && !stopped && reading_over(live, began_us)) {
            live_reader_stop(live->reader);
            stopped = true;
        }
        if (shows && exchange_clock_us() - shown_us >= 1000000) {
            progress_show(live, &asked);
            shown_us += 1000000;
        }
        if (rc == 0 && exchange_clock_us() - kept_us >= KEEP_MS * 1000) {
            rc = findings_keep(live, ret_error);
            kept_us = exchange_clock_us();
        }
    }
    if (shows)
        fputc('\n', stderr);
    return rc < 0 ? rc : 0;
}

/* Has the threads come to their ends; an interrupt ends them sooner. */
static void threads_join(struct live *live)
{
    bool asks_rest = true;
    do {
        asks_rest = asks_rest && !takeover_interrupted();
        for (size_t i = 0; i < live->count; i++)
            domain_end(&live->domains[i], asks_rest);
        usleep(all_finished(live) ? 0 : STEP_MS * 1000 / 10);
    } while (!all_finished(live));
    for (size_t i = 0; i < live->count; i++)
        if (live->domains[i].has_thread)
            pthread_join(live->domains[i].thread, NULL);
}

static int asking_run(struct live *live, struct error *ret_error)
{
    bool asks = false;
    for (size_t i = 0; i < live->count; i++)
        asks |= live->domains[i].job.check != NULL;
    if (!asks)
        return 0;

    /* The reader is a process of its own: it is forked before there are threads. */
    int rc = reader_start(live, ret_error);
    for (size_t i = 0; i < live->count && rc == 0; i++)
        if (live->domains[i].job.check != NULL)
            rc = domain_start(&live->domains[i], ret_error);
    if (rc == 0)
        rc = reading_run(live, ret_error);
    threads_join(live);
    return rc;
}

/* ---- What came of it ---- */

static void domain_tell(const struct live_domain *self)
{
    const struct live *live = self->live;
    json_object_set_new(self->result, "live",
                        json_pack("{s:I, s:I}", "queries", (json_int_t)self->taken, "dropped",
                                  (json_int_t)self->dropped));
    takeover_say(live->run, self->domain, "%s live queries, %s dropped",
                 quantity_count((int64_t)self->taken).text,
                 quantity_count((int64_t)self->dropped).text);
}

/* What the reader met, over all domains. */
static void reader_tell(const struct live *live)
{
    const struct live_figures *figures = live_reader_figures(live->reader);
    const struct traffic_report *report = &figures->report;
    const struct {
        const char *key, *words;
        uint64_t count;
    } rows[] = {
        {"read", report->form == TRAFFIC_CAPTURE ? "packets" : "dnstap events", report->read},
        {"queries", "queries", report->queries},
        {"outside", "for names in none of the domains", figures->outside},
        {"own", "of our own or the front's", report->own},
        {"others", "requests or events of other kinds", report->others},
        {"malformed", "malformed", report->malformed},
        {"fragments", "fragments", report->fragments},
        {"truncated", "not captured whole", report->truncated},
        {"gaps", "gaps in streams", report->gaps},
        {"lost", "lost by the kernel", report->lost},
        {"dropped", "dropped by the reader", figures->dropped},
    };
    json_t *object = json_object();

    if (!live->run->json)
        printf("traffic: ");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_object_set_new(object, rows[i].key, json_integer((json_int_t)rows[i].count));
        if (!live->run->json && (i < 2 || rows[i].count > 0))
            printf("%s%s %s", i > 0 ? ", " : "", quantity_count((int64_t)rows[i].count).text,
                   rows[i].words);
    }
    if (!live->run->json)
        putchar('\n');
    for (size_t i = 0; i < live->count; i++)
        if (live->domains[i].has_thread)
            json_object_set(live->domains[i].result, "traffic", object);
    json_decref(object);
}

/* Every domain's result counts, whatever became of another's. */
static int domains_note(struct live *live, struct error *ret_error)
{
    int worst = 0, failed = 0;

    for (size_t i = 0; i < live->count; i++) {
        struct live_domain *self = &live->domains[i];
        if (self->job.check != NULL && !self->has_thread)
            continue; /* nothing was asked for it */
        if (self->has_thread)
            domain_tell(self);
        int rc = self->rc;
        if (rc < 0)
            *ret_error = self->error;
        else
            rc = live->step->end(self->state, &self->asked, self->result, ret_error);
        if (rc < 0)
            json_object_set_new(self->result, "error", json_string(ret_error->text));
        failed = rc < 0 ? rc : failed;
        worst |= rc > 0;
    }
    return failed < 0 ? failed : worst;
}

static void live_clear(struct live *live)
{
    live_reader_free(live->reader);
    for (size_t i = 0; i < live->count; i++) {
        live->step->free(live->domains[i].state);
        free(live->domains[i].queue);
        pthread_mutex_destroy(&live->domains[i].lock);
        pthread_mutex_destroy(&live->domains[i].judging);
    }
    free(live->domains);
}

/* Begins the domains one after the other, up to the first that fails. */
static int domains_begin(struct live *live, const struct plan_domain *const *domains,
                         struct error *ret_error)
{
    int rc = 0;

    for (size_t i = 0; i < live->count; i++) {
        struct live_domain *self = &live->domains[i];
        self->live = live;
        self->domain = domains[i];
        pthread_mutex_init(&self->lock, NULL);
        pthread_mutex_init(&self->judging, NULL);
    }
    for (size_t i = 0; i < live->count && rc == 0; i++) {
        struct live_domain *self = &live->domains[i];
        self->result = json_pack("{s:s}", "domain", self->domain->name);
        json_array_append_new(live->run->results, self->result);
        rc = domain_begin(self, ret_error);
        if (rc < 0)
            json_object_set_new(self->result, "error", json_string(ret_error->text));
    }
    return rc;
}

int takeover_live_do(struct takeover_run *run, const struct live_step *step,
                     const struct plan_domain *const *domains, size_t count,
                     struct error *ret_error)
{
    struct live live = {.run = run, .step = step, .count = count};

    if (count > DOMAINS_MAX)
        return error_set(ret_error, -E2BIG,
                         "live queries are for %d domains at a time: name those to begin with",
                         DOMAINS_MAX);
    live.domains = calloc(count + 1, sizeof(*live.domains));
    if (live.domains == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = domains_begin(&live, domains, ret_error);
    if (rc == 0) {
        struct error error = {0};
        rc = asking_run(&live, ret_error);
        /* What was found until then counts also when the reader failed. */
        int noted = domains_note(&live, &error);
        if (live.reader != NULL)
            reader_tell(&live);
        if (rc == 0 && noted < 0)
            *ret_error = error;
        rc = rc == 0 ? noted : rc;
    }
    live_clear(&live);
    return rc;
}
