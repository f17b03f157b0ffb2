/* The parts of the census: words, victims, sources, cuts, and the judgement over them.
 *
 * Nothing here holds a verdict: each part keeps compact facts, and the judgement is made when it is
 * asked for, since what comes later changes what an earlier check-in means.
 *
 * All keys are parts of keyed hashes or sealed addresses (privacy.h), so nobody who connects can
 * choose where they fall in a table.
 */
#pragma once

#include <assert.h>

#include "sink/census.h"
#include "sink/hyperloglog.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)
#define DAY_US    (24 * HOUR_US)

/* Hours and days that an id's activity and the series reach back. */
#define CENSUS_STEPS_MAX 64

/* ---- Words: every text once ---- */

struct words {
    char **texts; /* each ends with NUL */
    uint32_t *slots;
    uint32_t count, capacity, slot_count;
};

/* The number of a run of octets, which is kept with a NUL behind it; WORD_NONE: no memory. */
#define WORD_NONE UINT32_MAX
uint32_t words_put(struct words *words, const void *octets, size_t size,
                   struct memory_budget *budget);
/* Of a text; the number of "" is 0. */
uint32_t words_put_text(struct words *words, const char *text, struct memory_budget *budget);
/* WORD_NONE: not there. */
uint32_t words_find(const struct words *words, const char *text);
static inline const char *words_text(const struct words *words, uint32_t number)
{
    return words->texts[number];
}
void words_free(struct words *words, struct memory_budget *budget);

/* ---- Contexts: what many events have in common ---- */

/* Contexts are told apart up to so many; then an event's version and rule are dropped, which only a
 * client that makes versions up can bring about. */
#define CONTEXTS_MAX 65536

struct context {
    uint32_t order, family, rule, version; /* words */
    uint8_t local[SINK_ADDRESS_SIZE];
    uint8_t transport, kind, name_source;
    bool ipv6, in_tls;
    uint8_t unused[3]; /* zero: contexts are compared as octets */
};

/* ---- Distinct things of one id ---- */

/* Addresses: four exactly, as tags, then by linear counting (Whang, Vander-Zanden, Taylor 1990)
 * over 128 bits: within 3 % up to 30, and up to about 600 at all. Networks: the same with 64 bits,
 * up to about 250. */
#define SET_EXACT_MAX 4
#define SET_IS_BITS   (SET_EXACT_MAX + 1) /* the size that says so */

union address_set {
    uint32_t tags[SET_EXACT_MAX];
    uint64_t bits[2];
};
union network_set {
    uint16_t tags[SET_EXACT_MAX];
    uint64_t bits;
};

/* Whether it was, or may have been, new. */
bool address_set_add(union address_set *set, uint8_t *size, uint32_t tag);
unsigned address_set_count(const union address_set *set, uint8_t size);
bool network_set_add(union network_set *set, uint8_t *size, uint16_t tag);
unsigned network_set_count(const union network_set *set, uint8_t size);

/* ---- Victims: what is known of an id ---- */

enum victim_flag {
    VICTIM_FAKE = 1 << 0,
    VICTIM_RETURNED = 1 << 1, /* seen again after a while */
    VICTIM_GROWN = 1 << 2,    /* looked proven by itself once: its addresses are in the sketches */
};

struct victim {
    uint8_t id[SINK_ID_SIZE];
    uint8_t client[SINK_ADDRESS_SIZE]; /* of the last event */
    int64_t first_us, last_us;
    uint64_t home;        /* tag of the source that it first came from */
    uint64_t days, hours; /* it was seen in; bit 0: that of last_us, bit 1 the one before */
    union address_set addresses;
    union network_set networks, networks_today;
    union network_set machines; /* tags of hashes of machine and user */
    uint32_t asn;
    uint32_t name;     /* word */
    uint32_t context;  /* word */
    uint32_t checkins; /* valid */
    uint16_t odd;      /* check-ins that were not */
    uint16_t sessions; /* runs of events with less than SESSION_GAP between them */
    uint16_t client_port, local_port;
    uint16_t epoch, today;
    char country[2];
    uint8_t flags;
    uint8_t address_size, network_size, today_size, machine_size;
    uint8_t day_networks_max; /* of any day */
};
static_assert(sizeof(struct victim) <= 152, "a million ids take 160 octets each, table included");

#define VICTIMS_PER_CHUNK 4096

struct victims {
    struct victim **chunks;
    uint32_t *slots; /* number + 1 */
    uint32_t count, chunk_count, slot_count;
};

static inline struct victim *victims_at(const struct victims *victims, uint32_t number)
{
    return &victims->chunks[number / VICTIMS_PER_CHUNK][number % VICTIMS_PER_CHUNK];
}
struct victim *victims_find(const struct victims *victims, const uint8_t id[SINK_ID_SIZE]);
/* A new one, all zero but its id; NULL: no memory. It must not be there. */
struct victim *victims_add(struct victims *victims, const uint8_t id[SINK_ID_SIZE],
                           struct memory_budget *budget);
/* Takes out those for which `is_kept` is false; returns how many. */
uint32_t victims_sweep(struct victims *victims,
                       bool (*is_kept)(void *context, const struct victim *victim), void *context,
                       struct memory_budget *budget);
void victims_free(struct victims *victims, struct memory_budget *budget);

/* ---- Sources: what is known of an address or network ---- */

struct source {
    uint64_t tag;     /* 0: a free place */
    uint64_t network; /* tag of its network; 0: it is one itself */
    int64_t last_us;
    uint32_t checkins;         /* valid */
    uint32_t probes;           /* of scanners */
    uint32_t ids;              /* that came from here first */
    uint32_t returned;         /* of them, seen again after a while, wherever */
    uint32_t asn, order, name; /* of the last event; words */
    uint16_t kinds;            /* by enum sink_kind */
    char country[2];
    uint8_t families; /* families of check-ins, by bits of a hash: at least as many as are set */
    uint8_t ports;    /* the same of the sinkhole's ports */
    uint8_t unused[2];
};
static_assert(sizeof(struct source) == 64, "a row is a cache line");

struct sources {
    struct source *rows; /* buckets of SOURCE_WAYS */
    size_t row_count, rows_max;
    uint32_t ids_per_address_max;
    uint64_t used;
    struct hyperloglog gone[CENSUS_CLASS_COUNT]; /* rows without ids that made room */
};

/* Families of check-ins of one address that tell of a hunter, who tries what it knows. The three
 * families with ids alone may meet behind a NAT. */
#define SOURCE_FAMILIES_MIN 4

uint64_t source_tag(const uint8_t address[SINK_ADDRESS_SIZE], uint16_t epoch);
uint64_t source_network_tag(const uint8_t network[SINK_ADDRESS_SIZE], uint16_t epoch);
struct source *sources_find(const struct sources *sources, uint64_t tag);
/* Found or made: where its bucket is full and the table may not grow, the least telling row makes
 * room. NULL: no memory for any row. */
struct source *sources_touch(struct sources *sources, uint64_t tag, struct memory_budget *budget);
/* Ids from here that were seen in one stretch alone. */
static inline uint32_t source_unreturned(const struct source *source)
{
    return source->ids - source->returned;
}
/* Of a source without ids. */
enum census_class source_class(const struct source *source);
void sources_free(struct sources *sources, struct memory_budget *budget);

/* ---- Cuts: what was counted when it came ---- */

/* Beside enum census_by: the steps of series. */
enum { CUT_DAY = CENSUS_NAME + 1, CUT_HOUR };

struct cut {
    uint64_t key; /* dimension and what it is of */
    uint64_t events;
    int64_t step;                         /* number of the day or hour */
    struct hyperloglog addresses, proven; /* all; of ids that looked proven by themselves */
};

struct cuts {
    struct cut *rows;
    uint32_t *slots; /* number + 1 */
    uint32_t count, capacity, slot_count;
};

static inline uint64_t cut_key(unsigned by, uint64_t of)
{
    return (uint64_t)by << 56 | of;
}
struct cut *cuts_find(const struct cuts *cuts, uint64_t key);
struct cut *cuts_touch(struct cuts *cuts, uint64_t key, struct memory_budget *budget);
void cuts_free(struct cuts *cuts, struct memory_budget *budget);

/* ---- The census ---- */

#define EPOCHS_MAX 64

/* Ids of two epochs can't be linked (privacy.h). */
struct census_epoch {
    uint16_t number;
    int64_t first_us, last_us;
};

struct census {
    struct census_options options;
    struct memory_budget budget;
    struct words words, contexts;
    struct victims victims;
    struct sources sources;
    struct cuts cuts;
    struct census_epoch epochs[EPOCHS_MAX];
    unsigned epoch_count;
    int64_t first_us, newest_us;
    int64_t event_us_max;                   /* events dated later aren't taken */
    int64_t return_us;                      /* an id seen again after so long has come back */
    int64_t swept_us;                       /* when victims last made room */
    uint64_t forgotten[CENSUS_CLASS_COUNT]; /* ids that made room */
};

static inline uint64_t country_key(const char country[2])
{
    return (uint64_t)(uint8_t)country[0] << 8 | (uint8_t)country[1];
}
static inline const struct context *census_context(const struct census *census,
                                                   const struct victim *victim)
{
    return (const struct context *)words_text(&census->contexts, victim->context);
}

/* Whether an id's own behaviour is that of a victim; what its sources tell is not in it. */
bool victim_is_grown(const struct census *census, const struct victim *victim);

/* The verdict over an id, with all that is known by now; `ret_reason` may be NULL. */
enum census_class victim_class(const struct census *census, const struct victim *victim,
                               const char **ret_reason);

/* Whether the id's first appearance is one of a victim, and its silence that of one: not where a
 * change of keys explains them. */
bool victim_is_fresh_by(const struct census *census, const struct victim *victim, int64_t from_us,
                        int64_t to_us);
bool victim_is_quiet_by(const struct census *census, const struct victim *victim, int64_t from_us,
                        int64_t to_us);
