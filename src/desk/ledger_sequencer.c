#include "desk/ledger_sequencer.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "desk/desk.h"
#include "desk/ledger_batch.h"
#include "ledger/ledger_log.h"

/* Waits after a failure double from the first to the longest. */
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS   30000

struct ledger_sequencer {
    struct desk *desk;
    struct store *store; /* the thread's, as the batch is */
    struct ledger_batch *batch;
    unsigned retry_ms; /* 0: all is well */
    char folder[PATH_MAX];
    pthread_t thread;

    pthread_mutex_t log_lock; /* of the log: the thread appends, requests cosign */
    struct ledger_log *log;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool ending;
    char failure[512]; /* "": none */
    int64_t oldest_ms; /* of the batch at hand; 0: none */
    uint64_t appends;
    atomic_uint_fast64_t size;
};

/* ---- One batch ---- */

static int batch_append(struct ledger_sequencer *sequencer, struct error *ret_error)
{
    struct ledger_batch *batch = sequencer->batch;
    pthread_mutex_lock(&sequencer->log_lock);
    int rc =
        ledger_log_append(sequencer->log, batch->entries, batch->count, &batch->first, ret_error);
    pthread_mutex_unlock(&sequencer->log_lock);
    if (rc < 0)
        return rc;
    batch->is_appended = true;
    atomic_store(&sequencer->size, batch->first + batch->count);
    pthread_mutex_lock(&sequencer->lock);
    sequencer->appends++;
    pthread_mutex_unlock(&sequencer->lock);
    return 0;
}

static void oldest_set(struct ledger_sequencer *sequencer)
{
    const struct ledger_batch *batch = sequencer->batch;
    pthread_mutex_lock(&sequencer->lock);
    sequencer->oldest_ms = batch->count > 0 ? store_row_integer(batch->rows, 0, 1) : 0;
    pthread_mutex_unlock(&sequencer->lock);
}

/* Goes on where it failed: the same entries must come next (ledger_log_append()). */
static int batch_take(struct ledger_sequencer *sequencer, bool *ret_is_more,
                      struct error *ret_error)
{
    struct ledger_batch *batch = sequencer->batch;
    int rc = 0;
    if (batch->count == 0) {
        ledger_batch_clear(batch);
        rc = ledger_batch_fetch(sequencer->store, batch, ret_error);
        if (rc == 0)
            oldest_set(sequencer);
    }
    if (rc == 0 && batch->count > 0 && !batch->is_appended)
        rc = batch_append(sequencer, ret_error);
    if (rc == 0 && batch->count > 0)
        rc = ledger_batch_record(sequencer->store, batch, ret_error);
    if (rc < 0)
        return rc;
    *ret_is_more = batch->count == LEDGER_BATCH_MAX;
    ledger_batch_clear(batch);
    oldest_set(sequencer);
    return 0;
}

/* ---- The thread ---- */

static void failure_set(struct ledger_sequencer *sequencer, const char *text)
{
    pthread_mutex_lock(&sequencer->lock);
    snprintf(sequencer->failure, sizeof(sequencer->failure), "%s", text);
    pthread_mutex_unlock(&sequencer->lock);
}

/* Notes how it went: told once when it begins to fail, and once when it is over. */
static void note_outcome(struct ledger_sequencer *sequencer, int rc, const struct error *error)
{
    if (rc < 0) {
        if (sequencer->retry_ms == 0)
            log_event(LOG_ERR, "the ledger takes no entries, they wait in the database: %s%s%s",
                      error->file, error->file[0] != '\0' ? ": " : "", error->text);
        failure_set(sequencer, error->text);
        sequencer->retry_ms = sequencer->retry_ms == 0 ? RETRY_FIRST_MS : 2 * sequencer->retry_ms;
        if (sequencer->retry_ms > RETRY_MAX_MS)
            sequencer->retry_ms = RETRY_MAX_MS;
    } else if (sequencer->retry_ms > 0) {
        log_event(LOG_INFO, "the ledger takes entries again");
        failure_set(sequencer, "");
        sequencer->retry_ms = 0;
    }
}

/* Whether to go on. */
static bool wait_ms(struct ledger_sequencer *sequencer, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&sequencer->lock);
    int rc = 0;
    while (!sequencer->ending && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&sequencer->wake, &sequencer->lock, &until);
    bool ending = sequencer->ending;
    pthread_mutex_unlock(&sequencer->lock);
    return !ending;
}

static void *sequencer_run(void *context)
{
    struct ledger_sequencer *sequencer = context;
    bool going_on = true;
    /* Once more after the end was asked for: who queued last is told, too. */
    for (bool last = false; !last;) {
        struct error error = {0};
        bool is_more = false;
        last = !going_on;
        int rc = batch_take(sequencer, &is_more, &error);
        note_outcome(sequencer, rc, &error);
        if (rc == 0 && is_more) {
            last = false;
            continue;
        }
        if (going_on)
            going_on = wait_ms(sequencer, rc < 0 ? sequencer->retry_ms
                                                 : sequencer->desk->config->ledger.interval_ms);
    }
    return NULL;
}

/* ---- Start and end ---- */

/* A key that nobody named is made when the ledger begins, never for one that is there. */
static int key_get(const struct desk_config *config, const char *folder,
                   struct note_signer *ret_signer, struct error *ret_error)
{
    const struct desk_config_ledger *ledger = &config->ledger;
    char checkpoint[PATH_MAX + 16], verifier[NOTE_VERIFIER_TEXT_SIZE];

    snprintf(checkpoint, sizeof(checkpoint), "%s/checkpoint", folder);
    if (ledger->key_is_made && access(ledger->key_file, F_OK) < 0 && errno == ENOENT) {
        if (access(checkpoint, F_OK) == 0)
            return error_set_at(ret_error, -ENOENT, ledger->key_file, 0,
                                "the ledger's key is gone: restore it from a copy");
        if (note_signer_generate(ledger->origin, NOTE_KEY_ED25519, ret_signer) < 0)
            return error_set(ret_error, -EINVAL,
                             "\"%s\" cannot name a ledger: set ledger.origin, for example "
                             "desk.example/ledger",
                             ledger->origin);
        note_verifier_format(&ret_signer->verifier, verifier, sizeof(verifier));
        log_event(LOG_INFO, "the ledger's key is made, %s: keep a copy; it is verified with %s",
                  ledger->key_file, verifier);
        return note_signer_save(ret_signer, ledger->key_file, ret_error);
    }
    int rc = note_signer_load(ledger->key_file, ret_signer, ret_error);
    if (rc < 0)
        return rc;
    if (ret_signer->verifier.type == NOTE_KEY_ED25519 &&
        strcmp(ret_signer->verifier.name, ledger->origin) == 0)
        return 0;
    rc = error_set_at(ret_error, -EINVAL, ledger->key_file, 0,
                      "this key is not one of the ledger \"%s\": make one with tamis ledger key %s",
                      ledger->origin, ledger->origin);
    note_signer_clear(ret_signer);
    return rc;
}

static int ledger_open(struct ledger_sequencer *sequencer, struct error *ret_error)
{
    struct note_signer signer;
    const struct desk_config *config = sequencer->desk->config;
    int rc = snprintf(sequencer->folder, sizeof(sequencer->folder), "%s/ledger", config->state);
    if (rc >= (int)sizeof(sequencer->folder))
        return error_set_at(ret_error, -ENAMETOOLONG, config->state, 0, "is too long a path");
    rc = key_get(config, sequencer->folder, &signer, ret_error);
    if (rc < 0)
        return rc;
    rc = ledger_log_open(sequencer->folder, &signer, &sequencer->log, ret_error);
    note_signer_clear(&signer);
    if (rc == 0)
        rc = desk_store_open(sequencer->desk, &sequencer->store, ret_error);
    if (rc == 0)
        rc = ledger_reconcile(sequencer->store, sequencer->log, sequencer->folder, ret_error);
    if (rc == 0)
        atomic_store(&sequencer->size, ledger_log_size(sequencer->log));
    return rc;
}

static void sequencer_free(struct ledger_sequencer *sequencer)
{
    if (sequencer->batch != NULL)
        ledger_batch_clear(sequencer->batch);
    free(sequencer->batch);
    store_close(sequencer->store);
    ledger_log_close(sequencer->log);
    pthread_mutex_destroy(&sequencer->log_lock);
    pthread_mutex_destroy(&sequencer->lock);
    pthread_cond_destroy(&sequencer->wake);
    free(sequencer);
}

int ledger_sequencer_start(struct desk *desk, struct ledger_sequencer **ret_sequencer,
                           struct error *ret_error)
{
    struct ledger_sequencer *sequencer = calloc(1, sizeof(*sequencer));
    if (sequencer == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting the ledger");
    sequencer->desk = desk;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&sequencer->log_lock, NULL);
    pthread_mutex_init(&sequencer->lock, NULL);
    pthread_cond_init(&sequencer->wake, &clock);
    pthread_condattr_destroy(&clock);
    sequencer->batch = calloc(1, sizeof(*sequencer->batch));

    int rc = sequencer->batch != NULL
                 ? ledger_open(sequencer, ret_error)
                 : error_set(ret_error, -ENOMEM, "out of memory while starting the ledger");
    if (rc == 0) {
        rc = pthread_create(&sequencer->thread, NULL, sequencer_run, sequencer);
        if (rc != 0)
            rc = error_set(ret_error, -rc, "no thread for the ledger");
    }
    if (rc < 0) {
        sequencer_free(sequencer);
        return rc;
    }
    *ret_sequencer = sequencer;
    return 0;
}

void ledger_sequencer_stop(struct ledger_sequencer *sequencer)
{
    if (sequencer == NULL)
        return;
    pthread_mutex_lock(&sequencer->lock);
    sequencer->ending = true;
    pthread_cond_signal(&sequencer->wake);
    pthread_mutex_unlock(&sequencer->lock);
    pthread_join(sequencer->thread, NULL);
    sequencer_free(sequencer);
}

/* ---- For the others ---- */

const char *ledger_sequencer_folder(const struct ledger_sequencer *sequencer)
{
    return sequencer->folder;
}

uint64_t ledger_sequencer_size(const struct ledger_sequencer *sequencer)
{
    return atomic_load(&sequencer->size);
}

uint64_t ledger_sequencer_size_settled(struct ledger_sequencer *sequencer)
{
    pthread_mutex_lock(&sequencer->log_lock);
    const uint64_t size = ledger_log_size(sequencer->log);
    pthread_mutex_unlock(&sequencer->log_lock);
    return size;
}

int ledger_sequencer_cosign(struct ledger_sequencer *sequencer, const char *octets, size_t size,
                            unsigned *ret_added, struct error *ret_error)
{
    const struct desk_config_ledger *config = &sequencer->desk->config->ledger;
    pthread_mutex_lock(&sequencer->log_lock);
    int rc = ledger_log_cosign(sequencer->log, octets, size, config->witnesses,
                               config->witness_count, ret_added, ret_error);
    pthread_mutex_unlock(&sequencer->log_lock);
    return rc;
}

void ledger_sequencer_figures(struct ledger_sequencer *sequencer,
                              struct ledger_figures *ret_figures)
{
    int64_t now_ms = clock_now_ms(sequencer->desk->clock);
    pthread_mutex_lock(&sequencer->lock);
    *ret_figures = (struct ledger_figures){
        .entries = atomic_load(&sequencer->size),
        .appends = sequencer->appends,
        .is_failing = sequencer->failure[0] != '\0',
        .behind_s = sequencer->oldest_ms > 0 && now_ms > sequencer->oldest_ms
                        ? (now_ms - sequencer->oldest_ms) / 1000
                        : 0,
    };
    memcpy(ret_figures->failure, sequencer->failure, sizeof(ret_figures->failure));
    pthread_mutex_unlock(&sequencer->lock);
}
