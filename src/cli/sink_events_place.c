#include "cli/sink_events_place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/quantity.h"
#include "cli/sink_span.h"
#include "sink/event_log.h"

/* Where the configuration is looked for, when neither it nor a folder is given. */
#define CONFIG_HERE   "tamis-sink.yaml"
#define CONFIG_SYSTEM "/etc/tamis-sink/tamis-sink.yaml"

/* Events between two lines of progress. */
#define PROGRESS_STEP (1 << 16)

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Options ---- */

static int time_take(const struct command *command, struct sink_events_place *place, int64_t *time)
{
    if (place->now_us == 0)
        place->now_us = now_us();
    if (sink_time_parse(optarg, place->now_us, time) == 0)
        return EXIT_OK;
    return command_usage_error(
        command, "'%s' is no time: write 7d, 2026-11-24 or 2026-11-24T12:00:00Z", optarg);
}

int sink_events_option(const struct command *command, struct sink_events_place *place, int option,
                       char **argv)
{
    switch (option) {
    case SINK_OPTION_CONFIG:
        place->config_path = optarg;
        return EXIT_OK;
    case SINK_OPTION_EVENTS:
        place->events = optarg;
        return EXIT_OK;
    case SINK_OPTION_KEYS:
        place->keys = optarg;
        return EXIT_OK;
    case SINK_OPTION_SINCE:
        return time_take(command, place, &place->since_us);
    case SINK_OPTION_UNTIL:
        return time_take(command, place, &place->until_us);
    case SINK_OPTION_JSON:
        place->json = true;
        return EXIT_OK;
    default:
        return command_usage_error(
            command, option == ':' ? "%s needs an argument" : "no option '%s'", argv[optind - 1]);
    }
}

int sink_events_check(const struct command *command, const struct sink_events_place *place,
                      int argc, char **argv)
{
    if (optind < argc)
        return command_usage_error(command, "no argument is taken: '%s'", argv[optind]);
    if (place->since_us != 0 && place->until_us != 0 && place->since_us >= place->until_us)
        return command_usage_error(command, "--since is not before --until");
    return EXIT_OK;
}

/* ---- Open and close ---- */

static const char *config_find(const struct sink_events_place *place)
{
    if (place->config_path != NULL || place->events != NULL)
        return place->config_path;
    return access(CONFIG_HERE, F_OK) == 0 ? CONFIG_HERE : CONFIG_SYSTEM;
}

int sink_events_open(struct sink_events_place *place, struct error *ret_error)
{
    const char *path = config_find(place), *keys = place->keys;

    place->options = census_defaults;
    if (place->now_us == 0)
        place->now_us = now_us();
    if (path != NULL) {
        int rc = sink_config_load(path, &place->config, ret_error);
        if (rc == -ENOENT && place->config_path == NULL)
            return error_set(ret_error, rc,
                             "no configuration of tamis-sink here or in %s: name it with -c FILE, "
                             "or the events with --events FOLDER",
                             CONFIG_SYSTEM);
        if (rc < 0)
            return rc;
        place->options = place->config->census;
        if (place->events == NULL)
            place->events = place->config->events;
    }
    if (keys != NULL)
        (void)snprintf(place->keys_folder, sizeof(place->keys_folder), "%s", keys);
    else if (place->config != NULL)
        (void)snprintf(place->keys_folder, sizeof(place->keys_folder), "%s/keys",
                       place->config->state);
    return 0;
}

void sink_events_close(struct sink_events_place *place)
{
    sink_config_free(place->config);
    place->config = NULL;
}

/* ---- Reading ---- */

static void progress_show(uint64_t events)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rreading: %s events", quantity_count((int64_t)events).text);
}

static int feed(struct event_reader *reader, struct census *census, struct sink_events_loss *loss,
                struct error *ret_error)
{
    struct sink_event event;
    int rc;

    while ((rc = event_reader_next(reader, &event, ret_error)) > 0) {
        const int rc_feed = census_feed(census, &event);
        loss->ahead += rc_feed == -ERANGE;
        loss->uncounted += rc_feed < 0 && rc_feed != -ERANGE;
        if (++loss->events % PROGRESS_STEP == 0)
            progress_show(loss->events);
    }
    if (loss->events >= PROGRESS_STEP && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    loss->damaged = event_reader_damaged(reader);
    return rc;
}

int sink_events_census(const struct sink_events_place *place, int64_t from_us, int64_t to_us,
                       struct census **ret_census, struct sink_events_loss *ret_loss,
                       struct error *ret_error)
{
    _cleanup_(census_freep) struct census *census = census_create(&place->options);
    _cleanup_(event_reader_closep) struct event_reader *reader = NULL;
    struct sink_events_loss loss = {0};

    if (census == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for the census");
    census_set_now(census, place->now_us);
    int rc = event_reader_open(place->events, from_us, to_us, NULL, &reader, ret_error);
    if (rc == 0)
        rc = feed(reader, census, &loss, ret_error);
    if (rc < 0)
        return rc;
    *ret_census = TAKE(census);
    *ret_loss = loss;
    return 0;
}

bool sink_events_loss_print(const struct sink_events_loss *loss)
{
    if (loss->damaged > 0)
        fprintf(stderr,
                "tamis: %s damaged blocks of events were left out: look at the disk, and copy the "
                "folder before it gets worse\n",
                quantity_count((int64_t)loss->damaged).text);
    if (loss->uncounted > 0)
        fprintf(stderr,
                "tamis: %s events found no room in the census: give a shorter span, or more with "
                "census: { memory-mib } of the configuration\n",
                quantity_count((int64_t)loss->uncounted).text);
    if (loss->ahead > 0)
        fprintf(stderr,
                "tamis: %s events are dated more than a day ahead and were left out: set the clock "
                "of the machine that has the wrong time, the sinkhole's or this one\n",
                quantity_count((int64_t)loss->ahead).text);
    return loss->damaged > 0 || loss->uncounted > 0 || loss->ahead > 0;
}
