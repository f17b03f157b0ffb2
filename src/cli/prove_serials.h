/* The SOA serials that both sides showed, before and after: what a proof was made of. */
#pragma once

#include "cli/prove_exchange.h"
#include "cli/prove_names.h"

enum serial_moment { SERIAL_START, SERIAL_END, SERIAL_MOMENTS };

struct zone_serial {
    uint8_t name[NAME_SIZE_MAX]; /* wire form, lower case */
    bool seen[EXCHANGE_SIDES][SERIAL_MOMENTS];
    uint32_t serial[EXCHANGE_SIDES][SERIAL_MOMENTS];
};

struct zone_serials {
    struct zone_serial *zones;
    size_t count;
};

/* Finds the zones of the survey's samples and their serials at the start. */
_must_check_ int zone_serials_start(struct zone_serials *serials, struct exchange *exchange,
                                    const struct survey *survey, struct error *ret_error);
/* Asks for the serials of the same zones again. */
_must_check_ int zone_serials_end(struct zone_serials *serials, struct exchange *exchange,
                                  struct error *ret_error);
void zone_serials_clear(struct zone_serials *serials);

/* Whether a serial changed between start and end. */
bool zone_serial_changed(const struct zone_serial *zone);
/* Whether the sides show different serials at the end. */
bool zone_serial_differs(const struct zone_serial *zone);
/* The innermost zone seen that `name` is in, or NULL. */
const struct zone_serial *zone_serials_find(const struct zone_serials *serials,
                                            const uint8_t *name);
