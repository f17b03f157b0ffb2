/* Where a sinkhole's events are, as the commands that read them are told: by the configuration of
 * tamis-sink, or by their folder; and the census of them. */
#pragma once

#include <getopt.h>
#include <limits.h>
#include <stdbool.h>

#include "cli/command.h"
#include "sink/census.h"
#include "sink/sink_config.h"

struct sink_events_place {
    /* As given; NULL: not. */
    const char *config_path, *events, *keys;
    int64_t since_us, until_us; /* 0: no bound */
    bool json;

    /* As found by sink_events_open(). */
    struct sink_config *config;    /* NULL: there is none */
    struct census_options options; /* the configuration's, or the usual ones */
    char keys_folder[PATH_MAX];    /* "" where none is known */
    int64_t now_us;
};

/* The options that all of the commands take, for their own table of getopt_long(). */
enum {
    SINK_OPTION_CONFIG = 'c',
    SINK_OPTION_EVENTS = 0x100,
    SINK_OPTION_KEYS,
    SINK_OPTION_SINCE,
    SINK_OPTION_UNTIL,
    SINK_OPTION_JSON,
    SINK_OPTION_OWN, /* from here on the command's own */
};
/* clang-format off */
#define SINK_EVENTS_OPTIONS                                     \
    {"config", required_argument, NULL, SINK_OPTION_CONFIG},    \
    {"events", required_argument, NULL, SINK_OPTION_EVENTS},    \
    {"since", required_argument, NULL, SINK_OPTION_SINCE},      \
    {"until", required_argument, NULL, SINK_OPTION_UNTIL},      \
    {"json", no_argument, NULL, SINK_OPTION_JSON}
/* clang-format on */

/* Takes one of these options with its `optarg`, or says what is wrong; returns an exit code. */
int sink_events_option(const struct command *command, struct sink_events_place *place, int option,
                       char **argv);
/* After all options: whether it is known where the events are. Returns an exit code. */
int sink_events_check(const struct command *command, const struct sink_events_place *place,
                      int argc, char **argv);

/* Reads the configuration, if there is one. */
_must_check_ int sink_events_open(struct sink_events_place *place, struct error *ret_error);
void sink_events_close(struct sink_events_place *place);

/* What could not be read or counted, so that a figure is not taken for whole. */
struct sink_events_loss {
    uint64_t events, damaged;
    uint64_t uncounted; /* found no room */
    uint64_t ahead;     /* of what can't have been yet */
};

/* Feeds the events of from_us <= at < to_us (0: no bound) to a census; on a terminal its progress
 * shows. */
_must_check_ int sink_events_census(const struct sink_events_place *place, int64_t from_us,
                                    int64_t to_us, struct census **ret_census,
                                    struct sink_events_loss *ret_loss, struct error *ret_error);
/* Prints what was lost, and whether anything was. */
bool sink_events_loss_print(const struct sink_events_loss *loss);
