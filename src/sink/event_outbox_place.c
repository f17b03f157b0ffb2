/* Where the outbox stands, in a file of one line: "tamis-outbox-place 1 <node> <segment> <octet>".
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/file_text.h"
#include "base/log.h"
#include "sink/event_outbox_internal.h"
#include "sink/segment.h"

#define PLACE_MARK     "tamis-outbox-place 1 "
#define PLACE_FORM     PLACE_MARK "%016" PRIx64 " %" PRIu64 " %" PRIu64 "\n"
#define PLACE_SIZE_MAX 256
#define PLACE_MODE     0640

/* ---- The file ---- */

/* Takes a number and the character behind it. */
static bool take_number(const char **text, int base, char behind, uint64_t *ret_number)
{
    char *end;
    if (!isxdigit((unsigned char)**text))
        return false;
    errno = 0;
    *ret_number = strtoull(*text, &end, base);
    if (errno != 0 || *end != behind)
        return false;
    *text = end + 1;
    return true;
}

static bool parse(const char *text, uint64_t *ret_node, struct event_place *ret_place)
{
    if (strncmp(text, PLACE_MARK, strlen(PLACE_MARK)) != 0)
        return false;
    text += strlen(PLACE_MARK);
    return take_number(&text, 16, ' ', ret_node) &&
           take_number(&text, 10, ' ', &ret_place->segment) &&
           take_number(&text, 10, '\n', &ret_place->octet) && *text == '\0';
}

int outbox_place_load(struct event_outbox *outbox, struct error *ret_error)
{
    struct file_text text;
    if (access(outbox->place_path, F_OK) < 0 && errno == ENOENT)
        return 0;
    int rc = file_text_read(outbox->place_path, PLACE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    const bool is_right = parse(text.octets, &outbox->node, &outbox->place);
    file_text_clear(&text);
    if (!is_right)
        return error_set_at(ret_error, -EINVAL, outbox->place_path, 0,
                            "does not tell a place in the log of events; remove it to send all "
                            "events that are kept");
    outbox->saved = outbox->place;
    return 0;
}

static bool is_same(const struct event_place *one, const struct event_place *other)
{
    return one->segment == other->segment && one->octet == other->octet;
}

/* A failure costs nothing but that more is sent again after the next start. */
static void save(struct event_outbox *outbox)
{
    char text[PLACE_SIZE_MAX];
    struct error error = {0};
    if (is_same(&outbox->place, &outbox->saved))
        return;
    const int size = snprintf(text, sizeof(text), PLACE_FORM, outbox->node, outbox->place.segment,
                              outbox->place.octet);
    if (file_text_put(outbox->place_path, PLACE_MODE, text, (size_t)size, &error) < 0) {
        if (!outbox->has_told_place)
            log_event(LOG_WARNING,
                      "%s: %s; until it is kept, a new start sends again what was "
                      "sent",
                      error.file, error.text);
        outbox->has_told_place = true;
        return;
    }
    outbox->saved = outbox->place;
    outbox->has_told_place = false;
}

/* ---- The log that it is a place of ---- */

/* The node of the first segment that tells it; 0: none does. */
static uint64_t read_node(const struct event_outbox *outbox)
{
    struct segment_name *names = NULL;
    size_t count = 0;
    uint64_t node = 0;
    if (segment_list(outbox->events, &names, &count) < 0)
        return 0;
    for (size_t i = 0; i < count && node == 0; i++) {
        char path[PATH_MAX];
        uint8_t octets[SEGMENT_HEADER_SIZE];
        struct segment_header header;
        (void)snprintf(path, sizeof(path), "%s/%s", outbox->events, names[i].name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            continue;
        if (pread(file, octets, sizeof(octets), 0) == SEGMENT_HEADER_SIZE &&
            segment_header_read(octets, &header) == 0)
            node = header.node;
        close(file);
    }
    free(names);
    return node;
}

int outbox_place_check(struct event_outbox *outbox)
{
    const uint64_t node = read_node(outbox);
    if (node == 0)
        return 0;
    if (outbox->node != 0 && outbox->node != node) {
        log_event(LOG_WARNING, "%s: is a place in another log than %s; all that is there is sent",
                  outbox->place_path, outbox->events);
        outbox->place = (struct event_place){0};
    }
    outbox->node = node;
    return 1;
}

/* ---- What is not sent ---- */

static uint64_t unsent(const struct event_place *place, const struct outbox_segment *segment)
{
    const uint64_t from = segment->number == place->segment && place->octet > SEGMENT_HEADER_SIZE
                              ? place->octet
                              : SEGMENT_HEADER_SIZE;
    return segment->number >= place->segment && segment->size > from ? segment->size - from : 0;
}

static bool is_listed(const struct outbox_segment *segments, size_t count, uint64_t number)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (segments[middle].number == number)
            return true;
        if (segments[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* The segments from the place on, in ascending order. Negative: it can't be told now. */
static int list_segments(const struct event_outbox *outbox, struct outbox_segment **ret_segments,
                         size_t *ret_count)
{
    struct segment_name *names = NULL;
    size_t count = 0, kept = 0;
    int rc = segment_list(outbox->events, &names, &count);
    if (rc < 0)
        return rc;
    struct outbox_segment *segments = calloc(count + 1, sizeof(*segments));
    for (size_t i = 0; segments != NULL && i < count; i++) {
        char path[PATH_MAX];
        struct stat status;
        if (names[i].number < outbox->place.segment)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", outbox->events, names[i].name);
        if (stat(path, &status) == 0)
            segments[kept++] = (struct outbox_segment){names[i].number, (uint64_t)status.st_size};
    }
    free(names);
    if (segments == NULL)
        return -ENOMEM;
    *ret_segments = segments;
    *ret_count = kept;
    return 0;
}

static void count_lost(struct event_outbox *outbox, const struct outbox_segment *segments,
                       size_t count)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < outbox->segment_count; i++)
        if (!is_listed(segments, count, outbox->segments[i].number))
            lost += unsent(&outbox->place, &outbox->segments[i]);
    if (lost == 0)
        return;
    atomic_fetch_add(&outbox->lost, lost);
    log_event(LOG_ERR,
              "%s: up to %" PRIu64 " octets of events were deleted as too old before NATS "
              "took them",
              outbox->events, lost);
}

/* What was deleted while no outbox ran is known by the place alone, and not how much it was. A
 * place at the beginning of a segment comes from a time when all had been sent. */
static void tell_gone(const struct event_outbox *outbox, const struct outbox_segment *segments,
                      size_t count)
{
    if (outbox->place.octet > SEGMENT_HEADER_SIZE && count > 0 &&
        segments[0].number != outbox->place.segment)
        log_event(LOG_WARNING,
                  "%s: segment %" PRIu64 ", where the outbox stands, is deleted; what "
                  "was behind the place in it and up to segment %" PRIu64 " is not sent",
                  outbox->events, outbox->place.segment, segments[0].number);
}

/* Where all is sent, the place goes on to the segment that is written: those before may be deleted
 * then, and nobody has to wonder whether there was more in them. */
static void pass_sent(struct event_outbox *outbox, uint64_t behind)
{
    const size_t count = outbox->segment_count;
    if (behind == 0 && count > 0 && outbox->segments[count - 1].number > outbox->place.segment)
        outbox->place = (struct event_place){.segment = outbox->segments[count - 1].number};
}

void outbox_look(struct event_outbox *outbox)
{
    struct outbox_segment *segments = NULL;
    size_t count = 0;
    uint64_t behind = 0;
    if (list_segments(outbox, &segments, &count) == 0) {
        if (outbox->segments == NULL)
            tell_gone(outbox, segments, count);
        count_lost(outbox, segments, count);
        free(outbox->segments);
        outbox->segments = segments;
        outbox->segment_count = count;
        for (size_t i = 0; i < count; i++)
            behind += unsent(&outbox->place, &segments[i]);
        atomic_store(&outbox->behind, behind);
        pass_sent(outbox, behind);
    }
    save(outbox);
}
