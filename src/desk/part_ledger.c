/* The public ledger: its files as C2SP tlog-tiles has them, the signatures of its witnesses, and
 * single entries with their proofs. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "desk/desk.h"
#include "desk/ledger_entry.h"
#include "desk/ledger_seal.h"
#include "desk/ledger_sequencer.h"
#include "desk/parts.h"
#include "ledger/tile.h"

#define TEXT_TYPE  "text/plain; charset=utf-8"
#define TILE_TYPE  "application/octet-stream"
#define TILE_KEPT  "public, max-age=31536000, immutable"
#define DAY_S      (24 * 3600)
#define NUMBER_MAX (UINT64_C(1) << 48) /* of a tile: more than there can be */

/* Rows of the queue that are in the tree, kept so that an older copy of the tree's folder can be
 * brought up to date again. */
#define QUEUE_KEPT_S (30 * DAY_S)

static const char *folder_of(const struct request *request)
{
    return ledger_sequencer_folder(request_desk(request)->ledger);
}

/* ---- Files ---- */

static int file_send(const struct request *request, const char *name, const char *type,
                     struct reply *reply, struct error *ret_error)
{
    char path[PATH_MAX];
    struct stat status;
    int size = snprintf(path, sizeof(path), "%s/%s", folder_of(request), name);
    int fd = size < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 && errno == ENOENT)
        return error_set(ret_error, -ENOENT,
                         "there is no such tile: a partial one is in the full one by now");
    if (fd < 0 || fstat(fd, &status) < 0) {
        int rc = error_set_at(ret_error, -EIO, path, 0, "cannot be read: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    return reply_file(reply, 200, type, fd, (uint64_t)status.st_size);
}

/* The file is replaced whole: who has it open reads one checkpoint, not two halves. */
static int checkpoint_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    int rc = reply_header_add(reply, "Cache-Control", "no-cache");
    return rc < 0 ? rc : file_send(request, "checkpoint", TEXT_TYPE, reply, ret_error);
}

/* Reads one path component of a number, "x001" or "234" or "234.p"; moves `*at` behind it and the
 * slash that follows. */
static bool digits_read(const char **at, uint64_t *number)
{
    if (strspn(*at, "0123456789") != 3)
        return false;
    *number = *number * 1000 + (uint64_t)((*at)[0] - '0') * 100 + (uint64_t)((*at)[1] - '0') * 10 +
              (uint64_t)((*at)[2] - '0');
    *at += 3;
    return *number < NUMBER_MAX;
}

/* Reads what stands behind "tile/". What is written in any other way than tile_path() does, is
 * refused by whoever compares. */
static bool tile_parse(const char *text, struct tile *ret_tile)
{
    struct tile tile = {.width = TILE_WIDTH};
    if (strncmp(text, "entries/", 8) == 0) {
        tile.level = TILE_ENTRIES;
        text += 8;
    } else if (text[0] >= '0' && text[0] < '0' + TILE_LEVELS && text[1] == '/') {
        tile.level = (unsigned)(text[0] - '0');
        text += 2;
    } else {
        return false;
    }
    while (*text == 'x') {
        text++;
        if (!digits_read(&text, &tile.number) || *text++ != '/')
            return false;
    }
    if (!digits_read(&text, &tile.number))
        return false;
    if (strncmp(text, ".p/", 3) == 0) {
        char *end;
        unsigned long width = strtoul(text + 3, &end, 10);
        if (width < 1 || width >= TILE_WIDTH)
            return false;
        tile.width = (unsigned)width;
        text = end;
    }
    *ret_tile = tile;
    return *text == '\0';
}

static bool is_within(const struct tile *tile, uint64_t size)
{
    const unsigned level = tile->level == TILE_ENTRIES ? 0 : tile->level;
    return tile->number * TILE_WIDTH + tile->width <= size >> (TILE_LEVEL_BITS * level);
}

/* Whether the checkpoint counts all of the tile: what lies beyond may yet become another, and
 * caches keep tiles for ever. Who asks may have read a checkpoint whose append is not over. */
static bool is_signed_for(const struct tile *tile, struct ledger_sequencer *ledger)
{
    return is_within(tile, ledger_sequencer_size(ledger)) ||
           is_within(tile, ledger_sequencer_size_settled(ledger));
}

static int tile_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    const char *text = request_param(request, "path");
    char path[TILE_PATH_SIZE];
    struct tile tile;

    if (!tile_parse(text, &tile))
        return error_set(ret_error, -ENOENT, "there is no such tile");
    tile_path(&tile, path);
    if (strcmp(path + strlen("tile/"), text) != 0 ||
        !is_signed_for(&tile, request_desk(request)->ledger))
        return error_set(ret_error, -ENOENT, "there is no such tile");
    int rc = file_send(request, path, TILE_TYPE, reply, ret_error);
    if (rc == 0)
        rc = reply_header_add(reply, "Cache-Control", TILE_KEPT);
    return rc;
}

/* ---- Cosignatures ---- */

/* Open to everybody: a witness proves itself by its signature, and no other line is kept. */
static int cosignatures_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    size_t size;
    unsigned added = 0;
    const char *body = request_body(request, &size);
    int rc = ledger_sequencer_cosign(request_desk(request)->ledger, body, size, &added, ret_error);
    if (rc == -ESTALE)
        return reply_problem(reply, 409, "stale-checkpoint",
                             "read /ledger/checkpoint again and sign that", NULL,
                             "this is not over the present checkpoint");
    if (rc == -EBADMSG)
        return reply_problem(reply, 422, "cosignature", "send what the witness's key signed", NULL,
                             "a cosignature does not hold");
    return rc < 0 ? rc : reply_json(reply, 200, json_pack("{s:i}", "added", (int)added));
}

/* ---- Entries ---- */

static int entry_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    char id[ID_SIZE];
    bool is_waiting = false;
    uint64_t place = 0;
    json_t *proof;

    int rc = ledger_entry_find(request_store(request), request_param(request, "id"), &place, id,
                               &is_waiting, ret_error);
    if (rc < 0)
        return rc;
    if (is_waiting) {
        rc = reply_header_add(reply, "Retry-After", "1");
        return rc < 0 ? rc : reply_json(reply, 202, json_pack("{s:s}", "id", id));
    }
    rc = ledger_entry_prove(folder_of(request), place, &proof, ret_error);
    return rc < 0 ? rc : reply_json(reply, 200, proof);
}

/* ---- The part ---- */

static int start(struct desk *desk, struct error *ret_error)
{
    return ledger_sequencer_start(desk, &desk->ledger, ret_error);
}

static void stop(struct desk *desk)
{
    ledger_sequencer_stop(desk->ledger);
    desk->ledger = NULL;
}

static void health(struct desk *desk, json_t *alarms)
{
    struct ledger_figures figures;
    ledger_sequencer_figures(desk->ledger, &figures);
    if (figures.is_failing)
        json_array_append_new(
            alarms, json_string("the ledger takes no entries: see the log; they wait in the "
                                "database, nothing is lost"));
}

static void metrics(struct desk *desk, FILE *stream)
{
    struct ledger_figures figures;
    ledger_sequencer_figures(desk->ledger, &figures);
    fprintf(stream,
            "# TYPE tamis_desk_ledger_entries gauge\ntamis_desk_ledger_entries %" PRIu64 "\n"
            "# TYPE tamis_desk_ledger_appends_total counter\n"
            "tamis_desk_ledger_appends_total %" PRIu64 "\n"
            "# TYPE tamis_desk_ledger_behind_seconds gauge\n"
            "tamis_desk_ledger_behind_seconds %" PRId64 "\n"
            "# TYPE tamis_desk_ledger_failing gauge\ntamis_desk_ledger_failing %d\n",
            figures.entries, figures.appends, figures.behind_s, figures.is_failing);
}

static int queue_forget(struct desk *desk, struct store *store, int64_t now_s,
                        struct error *ret_error)
{
    (void)desk;
    return store_change(store, NULL, ret_error,
                        "DELETE FROM ledger_queue WHERE taken = 1 AND at < $1",
                        store_integer((now_s - QUEUE_KEPT_S) * 1000));
}

static const struct route routes[] = {
    {"GET", "/ledger/checkpoint", ROLE_PUBLIC, 0, checkpoint_get},
    {"GET", "/ledger/tile/{path...}", ROLE_PUBLIC, 0, tile_get},
    {"POST", "/ledger/cosignatures", ROLE_PUBLIC, 0, cosignatures_post, .body_max = NOTE_SIZE_MAX,
     .body_type = "text/plain"},
    {"GET", "/ledger/entries/{id}", ROLE_PUBLIC, 0, entry_get},
};

static const struct job jobs[] = {
    {"ledger.open", 30, ledger_seal_open_due},
    {"ledger.forget", DAY_S, queue_forget},
};

const struct desk_part part_ledger = {
    .name = "ledger",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
    .start = start,
    .stop = stop,
    .health = health,
    .metrics = metrics,
};
