/* The census: who is behind the events. Counts victims by their id, with addresses, churn and NAT
 * stated beside it, and tells them from those who only look like them. doc/sinkhole.md has the
 * method.
 *
 * Exact for proven victims; sketches of bounded error and size where exactness is not needed.
 * Events come in about the order of time. One thread at a time; one census serves the live view,
 * another a report.
 */
#pragma once

#include <stdio.h>

#include "base/cleanup.h"
#include "sink/event.h"

/* The numbers are those of reports. */
enum census_class {
    CENSUS_UNKNOWN = 0,
    CENSUS_PROVEN = 1, /* valid check-in, consistent, seen again after a while, no known fake */
    CENSUS_LIKELY = 2, /* valid, but not seen for long enough */
    CENSUS_HUNTER = 3, /* valid check-ins of a scanner that hunts controllers */
    CENSUS_SCANNER = 4,
    CENSUS_RESEARCHER = 5, /* or a sandbox */
    CENSUS_RESOLVER = 6,
    CENSUS_CLASS_COUNT
};

extern const char *const census_class_names[CENSUS_CLASS_COUNT];

struct census_options {
    unsigned persistence_s; /* between a victim's first and last check-in, to be proven */
    unsigned checkins_min;  /* of them, at least */
    unsigned networks_max;  /* from which one id may come in a day before it counts as spread */
    unsigned ids_per_address_max; /* that never come back, of one address, before it counts as a
                                     hunter */
    unsigned quiet_s;             /* without a check-in: the victim has gone quiet */
    size_t memory_max;            /* octets */
};

/* What doc/sinkhole.md gives the reasons for. */
extern const struct census_options census_defaults;

/* Figures of one cut: all, or one order, family, network, country or name. Ids of two epochs can't
 * be linked, so those of one epoch alone are counted: of that with most proven victims. */
struct census_figures {
    uint64_t victims[CENSUS_CLASS_COUNT]; /* ids, of CENSUS_PROVEN the headline; and addresses
                                             without any id, of scanners and the like */
    uint64_t addresses;                   /* of proven victims, about (HyperLogLog) */
    uint64_t addresses_all;               /* of everything that connected, about */
    uint64_t fresh, quiet; /* proven victims: first seen within the last quiet_s; gone quiet */
    uint64_t shared;       /* proven victims behind an address with others: NAT */
    double churn;          /* addresses a proven victim and day */
    uint64_t events;
};

struct census;

/* NULL: no memory. */
struct census *census_create(const struct census_options *options);
void census_free(struct census *census);
DEFINE_FREEP(struct census, census_free)

/* Tells the census what time it really is, however old the events are: from here on those dated
 * more than a day later aren't taken. One that a wrong clock has dated ahead would make the victims
 * of all others look quiet. Without it events of any time are taken. */
void census_set_now(struct census *census, int64_t now_us);

/* 0 or -ENOMEM (also when memory_max is reached: the event is counted, its victim is not); -ERANGE:
 * it is dated ahead, and nothing of it is counted. */
_must_check_ int census_feed(struct census *census, const struct sink_event *event);

/* One victim, or a source that is none. */
struct census_entry {
    uint8_t id[SINK_ID_SIZE];
    uint16_t epoch;
    const char *family, *order, *name; /* of its last check-in */
    enum census_class class;
    const char *reason; /* why it is in this class, for people */
    int64_t first_us, last_us;
    uint64_t checkins;
    uint32_t addresses, networks;
    uint32_t asn;
    char country[3];
    const struct sink_event *last; /* the last event, for reports, valid during the call; without
                                      network, machine, agent, received, lasted_ms and ja4 */
};

/* Calls `take` for every victim id, in no order. A negative value ends it and is returned. */
typedef int census_entry_fn(void *context, const struct census_entry *entry);
_must_check_ int census_each(const struct census *census, int64_t now_us, census_entry_fn *take,
                             void *context);

/* By what figures are cut. */
enum census_by { CENSUS_ALL, CENSUS_ORDER, CENSUS_FAMILY, CENSUS_ASN, CENSUS_COUNTRY, CENSUS_NAME };

/* Calls `take` for each cut, those with most proven victims first; `key` is its text ("64496",
 * "CH"). */
typedef int census_cut_fn(void *context, const char *key, const struct census_figures *figures);
_must_check_ int census_cuts(const struct census *census, int64_t now_us, enum census_by by,
                             size_t count_max, census_cut_fn *take, void *context);

/* One step of an order's series ("": of all), a whole number of days or hours. The first three are
 * exact, of proven victims: seen in the step, seen in it for the first time, and gone quiet in it,
 * which is quiet_s after they were last seen. */
struct census_point {
    int64_t at_us; /* end of the step */
    uint64_t seen, fresh, quiet;
    uint64_t addresses; /* of valid check-ins, about */
    bool rekeyed; /* the keys of ids changed: victims before and after are counted as different */
};
typedef int census_point_fn(void *context, const struct census_point *point);

/* Calls `take` for each step of the last 64 days, or, when the step is no whole number of days, of
 * the last 64 hours. -EINVAL: the step is no whole number of hours, or longer than that. */
_must_check_ int census_series(const struct census *census, const char *order, int64_t step_us,
                               census_point_fn *take, void *context);

size_t census_memory(const struct census *census);
