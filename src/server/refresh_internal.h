/* The refresher's inside, shared by its threads (refresh.c), the life of a zone in it
 * (refresh_zone.c), the exchanges with origins (refresh_attempt.c) and the queues of work per
 * origin (refresh_origin.c).
 *
 * One lock guards all of it; it is never held around a socket or a handler. One scheduler thread
 * runs the timers, takes pokes and expires zones; transfer threads run attempts. An attempt is one
 * zone's exchange with one origin; a round is the attempts, origin after origin, until one is good.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/refresh.h"
#include "server/timer_heap.h"
#include "zone/ixfr_in.h"
#include "zone/origin_link.h"

/* Tells sources that were tried in a round: one bit each. */
#define SOURCES_MAX 64

/* What is known of an origin. Work for those that answer comes first, and those that do not never
 * hold all threads: a dead origin of a thousand zones costs one thread one time-out per back-off.
 */
enum origin_health { ORIGIN_PROVEN, ORIGIN_UNPROVEN, ORIGIN_FAILING, ORIGIN_HEALTH_COUNT };

struct secondary;

/* One address that zones come from, whatever their number. */
struct refresh_origin {
    const struct sockaddr *address;
    socklen_t size;
    enum origin_health health;
    unsigned failures;                 /* in a row: time-outs and refused connections */
    int64_t retry_at_ms;               /* while failing: not before */
    unsigned active;                   /* attempts under way */
    struct secondary *first, *last;    /* attempts that wait for a thread */
    struct refresh_origin *next_ready; /* of the ring of origins whose attempts wait */
    bool is_ready;
};

enum secondary_state {
    SECONDARY_WAITING, /* its check timer is set */
    SECONDARY_QUEUED,  /* in its origin's queue */
    SECONDARY_RUNNING, /* a transfer thread is at it */
};

/* One zone that is kept fresh. */
struct secondary {
    struct zone *zone;
    const struct transfer_source *sources;
    struct refresh_origin **origins; /* of each source */
    size_t source_count;
    size_t good_source; /* the last that gave a good answer */

    enum secondary_state state;
    struct timer check, expiry;
    bool has_data;
    bool is_foreign; /* the data is not of an origin: whatever one has is to be taken */
    struct soa soa;  /* of the data */
    enum zonemd_policy zonemd;
    bool distrusts_changes; /* the last did not fit: the next transfer is a whole one */
    unsigned failures;      /* rounds in a row while there is no data */
    bool in_handler;        /* publish or expire is under way */
    bool was_tried;         /* counted for refresher_wait_first() */
    bool rechecks;          /* poked while running: another round follows */
    uint32_t recheck_hint;

    /* The round under way. */
    uint64_t tried; /* bit per source */
    size_t source;  /* of the attempt that is queued or running */
    bool was_attempted, was_good;
    bool brought_news; /* also after the round: it led to other data */
    uint32_t wanted;   /* serial that a NOTIFY promised; 0: none */
    int64_t round_started_ms;
    struct secondary *next_queued;

    /* Set by any thread: POKED, with a serial in its low half or 0. */
    _Atomic(uint64_t) poke;
    struct secondary *next_poked;
};

#define POKED (UINT64_C(1) << 32)

struct refresher {
    struct refresh_handlers handlers;
    struct secondary *secondaries;
    size_t count;
    struct secondary **by_zone; /* hash by the zone's address; read only after the start */
    size_t by_zone_size;
    struct refresh_origin *origins;
    size_t origin_count;

    pthread_mutex_t lock;
    pthread_cond_t work;    /* for transfer threads: attempts wait, or the end */
    pthread_cond_t settled; /* a handler returned, or a zone was tried for the first time */
    struct timer_heap timers;
    struct refresh_origin *ready[ORIGIN_HEALTH_COUNT]; /* last of each ring */
    unsigned active[ORIGIN_HEALTH_COUNT];              /* attempts by the health they began with */
    size_t tried_count;
    bool stops;

    _Atomic(struct secondary *) poked; /* stack */
    int wake_fd;                       /* tells the scheduler */
    int cancel_fd;                     /* ends every wait of a transfer */
    pthread_t *threads;                /* the scheduler and the transfer threads */
    unsigned thread_count;             /* started */
    unsigned thread_max;               /* transfer threads */
};

/* ---- refresh_attempt.c; the lock is not held ---- */

/* One zone's exchange with one origin. */
struct attempt {
    bool had_data;    /* when it began, of an origin */
    bool wants_whole; /* changes are not asked for */
    uint32_t serial;  /* of that data */
    int code;
    int64_t started_ms;
    int64_t started_at; /* Unix seconds */
    char origin[ORIGIN_TEXT_MAX];

    bool is_current;        /* the origin has what we have */
    struct zone_data *data; /* or the whole zone came, */
    bool has_changes;       /* or differences from ours did */
    struct ixfr_result ixfr;
    struct soa soa; /* of what came */
    uint64_t record_count;
    struct transfer_report report;
    uint32_t expire_s; /* what the origin said last, or EXPIRE_UNTOLD */
};

/* Asks the origin at hand: for its serial, then for what is new. */
void attempt_run(const struct refresher *refresher, const struct secondary *secondary,
                 struct attempt *attempt, struct error *ret_error);
void attempt_clear(struct attempt *attempt);

/* Counts and logs; a stop is no failure. */
void attempt_failed(const struct refresher *refresher, struct secondary *secondary,
                    const struct attempt *attempt, const struct error *error);
void attempt_log_success(const struct refresher *refresher, const struct secondary *secondary,
                         const struct attempt *attempt);

void refresh_log(const struct refresher *refresher, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- refresh_origin.c; the lock is held ---- */

/* Finds or makes the origin of a source. Room for it was made at the start. */
struct refresh_origin *refresh_origin_get(struct refresher *refresher,
                                          const struct transfer_source *source);

/* Whether an attempt towards it may be queued now. */
bool refresh_origin_admits(const struct refresh_origin *origin, int64_t now_ms);

/* Queues the secondary's attempt with its present source and tells a thread. */
void refresh_origin_queue(struct refresher *refresher, struct secondary *secondary);

/* The next attempt that a thread may begin, counted as active; NULL when none may. */
struct secondary *refresh_origin_take(struct refresher *refresher, enum origin_health *ret_health);

/* What an attempt's result `code` says about the origin itself. Attempts that waited for an origin
 * that turns out dead are handed back one by one through `ret_orphans`, linked by next_queued. */
void refresh_origin_done(struct refresher *refresher, struct refresh_origin *origin,
                         enum origin_health began_as, int code, int64_t now_ms,
                         struct secondary **ret_orphans);

/* ---- refresh_zone.c; the lock is held unless said otherwise ---- */

/* Takes over what the zone already holds and sets its timers. */
void secondary_start(struct refresher *refresher, struct secondary *secondary, int64_t now_ms);

/* The check timer went off: begins a round. */
void secondary_check(struct refresher *refresher, struct secondary *secondary, int64_t now_ms);

/* The expiry timer went off. Calls the handler, without the lock meanwhile. */
void secondary_expire(struct refresher *refresher, struct secondary *secondary);

/* Somebody asked for a check. */
void secondary_poked(struct refresher *refresher, struct secondary *secondary, uint32_t hint,
                     int64_t now_ms);

/* Runs the attempt that was taken, without the lock meanwhile, and goes on with the round. */
void secondary_attempt(struct refresher *refresher, struct secondary *secondary,
                       enum origin_health began_as);
