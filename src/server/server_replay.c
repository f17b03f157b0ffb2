/* At the start: what the journal has beyond a zone's snapshot or file. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "server/log.h"
#include "server/server_internal.h"

/* Octets of changes that one edit takes before it is committed: enough that its own cost is little,
 * and little memory. */
#define EDIT_OCTETS_MAX ((size_t)4 << 20)

struct replay {
    struct zone_data *data;
    struct zone_edit *edit;
    size_t octets, octets_max; /* in the edit; 0: a commit for each */
    uint64_t staged, done;     /* commits of the journal */
    struct error *error;
};

static int flush(struct replay *replay)
{
    if (replay->edit == NULL)
        return 0;
    int rc = zone_edit_prepare(replay->edit);
    if (rc == 0) {
        zone_edit_commit(replay->edit);
        replay->done += replay->staged;
    } else {
        error_set(replay->error, -EBADMSG, "the changes make no zone");
    }
    zone_edit_end(TAKE(replay->edit));
    replay->octets = replay->staged = 0;
    return rc < 0 ? -EBADMSG : 0;
}

static int replay_commit(void *context, const struct commit *commit)
{
    struct replay *replay = context;
    int rc = 0;
    if (replay->edit == NULL)
        rc = zone_edit_begin(replay->data, &replay->edit, replay->error);
    if (rc == 0)
        rc = zone_edit_apply(replay->edit, commit->changes, commit->changes_size, false,
                             replay->error);
    if (rc == 0 && zone_edit_serial(replay->edit) != commit->serial_to)
        rc = error_set(replay->error, -EBADMSG, "the changes do not lead to their serial, %u",
                       commit->serial_to);
    if (rc < 0) {
        zone_edit_end(TAKE(replay->edit));
        replay->octets = replay->staged = 0;
        return rc;
    }
    replay->staged++;
    replay->octets += commit->changes_size;
    return replay->octets > replay->octets_max ? flush(replay) : 0;
}

/* Replays from where the data is. What fails is not made in part; an edit that failed took earlier
 * commits with it, which the second time are made one by one. */
static int replay_all(struct journal *journal, struct replay *replay)
{
    static const size_t octets_max[] = {EDIT_OCTETS_MAX, 0};
    int rc = 0;
    for (size_t i = 0; i < 2; i++) {
        const uint64_t done = replay->done;
        replay->octets_max = octets_max[i];
        rc = journal_read(journal, replay->data->apex.wire, replay->data->soa.serial, replay_commit,
                          replay, replay->error);
        /* What the journal could give before it failed is good. */
        int rc_rest = flush(replay);
        if (rc == 0)
            rc = rc_rest;
        if (rc == 0 || rc == -ENOMEM || (rc == -ENOENT && replay->done == done))
            return rc;
    }
    return rc;
}

/* Takes the zone's serial beyond all that were ever given out, so that secondaries which know the
 * lost ones follow again, and begins the journal anew there. */
static int begin_anew(struct journal *journal, struct zone_data *data, uint32_t serial_to,
                      struct error *ret_error)
{
    _cleanup_(zone_edit_endp) struct zone_edit *edit = NULL;
    static const char *const author = "server";
    const uint32_t serial_from = data->soa.serial;
    int rc = zone_edit_begin(data, &edit, ret_error);
    if (rc == 0)
        rc = zone_edit_set_serial(edit, serial_to);
    if (rc == 0)
        rc = zone_edit_prepare(edit);
    if (rc < 0)
        return rc;
    const struct change_list *changes = zone_edit_changes(edit);
    const struct commit commit = {
        .apex = data->apex.wire,
        .serial_from = serial_from,
        .serial_to = serial_to,
        .at_us = (int64_t)time(NULL) * 1000000,
        .kind = COMMIT_RESTORE,
        .authors = &author,
        .author_count = 1,
        .changes = changes->octets,
        .changes_size = changes->size,
    };
    rc = journal_write(journal, &commit, 1, ret_error);
    if (rc == 0)
        zone_edit_commit(edit);
    return rc;
}

/* What was replayed stands in the journal alone, which is to forget it: makes a snapshot of it. */
static int keep(const struct zone_load *load, struct zone_data *data, struct error *ret_error)
{
    struct zone_view *view;
    uint64_t size;
    if (load->snapshot == NULL || zone_view_open(data, &view) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (data->source.kind == ZONE_SOURCE_NONE)
        data->source.kind = ZONE_SOURCE_FILE;
    int rc = snapshot_write(load->snapshot, view, 0, NULL, &size, ret_error);
    zone_view_close(view);
    return rc;
}

/* The journal does not fit what was loaded: serves that, and says what is missing. */
static void give_up_chain(struct server *server, const struct zone_load *load, uint32_t first,
                          uint32_t last, const struct error *reason)
{
    const struct zone *zone = load->owner;
    struct zone_data *data = load->data;
    struct error error;
    if (zone->role != ZONE_PRIMARY) {
        if (journal_forget(server->journal, data->apex.wire, &error) < 0)
            server_log(LOG_WARNING, "zone %s: %s", zone->text, error.text);
        server_log(LOG_WARNING,
                   "zone %s: the journal, which has serials %u to %u, does not lead on from serial "
                   "%u: %s; the zone is transferred",
                   zone->text, first, last, data->soa.serial, reason->text);
        return;
    }
    server_log(LOG_ERR,
               "zone %s: the journal, which has serials %u to %u, does not lead on from serial %u: "
               "%s; the zone is served as of then, and later updates are lost",
               zone->text, first, last, data->soa.serial, reason->text);
    int rc = keep(load, data, &error);
    if (rc == 0)
        rc = journal_forget(server->journal, data->apex.wire, &error);
    if (rc == 0 && (int32_t)(last + 1 - data->soa.serial) > 0)
        rc = begin_anew(server->journal, data, last + 1, &error);
    if (rc < 0)
        server_log(LOG_ERR, "zone %s: the journal cannot be begun anew: %s", zone->text,
                   error.text);
}

void server_replay(struct zone_load *load)
{
    struct server *server = load->context;
    struct zone_data *data = load->data;
    uint32_t first, last;
    if (server->journal == NULL ||
        journal_range(server->journal, data->apex.wire, &first, &last) < 0 ||
        data->soa.serial == last)
        return;

    struct error error = {.text = "no commit begins there"};
    struct replay replay = {.data = data, .error = &error};
    int rc = replay_all(server->journal, &replay);
    load->replayed = replay.done;
    if (rc < 0)
        give_up_chain(server, load, first, last, &error);
}
