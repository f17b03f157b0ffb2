#include "cli/sink_samples.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_text.h"

/* The most that the sensor reads of a client. */
#define SAMPLE_SIZE_MAX 65536

static bool ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text), ending_size = strlen(ending);

    return size > ending_size && strcmp(text + size - ending_size, ending) == 0;
}

static struct sample_expectation expectation_of(const char *folder)
{
    static const char beacon[] = "-beacon";
    struct sample_expectation expected = {.given = true, .kind = SINK_CHECKIN};

    if (strcmp(folder, "none") == 0) {
        expected.no_family = true;
        return expected;
    }
    for (unsigned i = 0; i < SINK_KIND_COUNT; i++)
        if (strcmp(folder, sink_kind_names[i]) == 0) {
            expected.kind = (enum sink_kind)i;
            return expected;
        }
    size_t size = strlen(folder);
    if (ends_with(folder, beacon)) {
        expected.kind = SINK_BEACON;
        size -= strlen(beacon);
    }
    snprintf(expected.family, sizeof(expected.family), "%.*s", (int)size, folder);
    return expected;
}

static bool agrees(const struct sample *sample)
{
    const struct sample_expectation *expected = &sample->expected;

    if (!expected->given)
        return true;
    if (expected->no_family)
        return sample->family[0] == '\0';
    return sample->kind == expected->kind && strcmp(sample->family, expected->family) == 0;
}

static struct sample *sample_list_grow(struct sample_list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 64;
        struct sample *samples = reallocarray(list->samples, capacity, sizeof(*samples));
        if (samples == NULL)
            return NULL;
        list->samples = samples;
        list->capacity = capacity;
    }
    struct sample *sample = &list->samples[list->count];
    memset(sample, 0, sizeof(*sample));
    return sample;
}

static void sample_look(struct sample *sample, struct recogniser *recogniser,
                        const struct file_text *text)
{
    struct sink_recognition recognition;
    const struct sink_flight flight = {
        .transport = ends_with(sample->path, ".udp") ? SINK_UDP : SINK_TCP,
        .in_tls = ends_with(sample->path, ".tls"),
        .ending = SINK_CLOSED,
        .received = text->size,
        .octets = (const uint8_t *)text->octets,
        .size = text->size,
    };

    recogniser_look(recogniser, 0, &flight, &recognition);
    sample->kind = recognition.kind;
    sample->wellformed = recognition.wellformed;
    sample->consistent = recognition.consistent;
    snprintf(sample->family, sizeof(sample->family), "%s", recognition.family);
    snprintf(sample->rule, sizeof(sample->rule), "%s", recognition.rule);
    snprintf(sample->version, sizeof(sample->version), "%s", recognition.version);
    snprintf(sample->fake, sizeof(sample->fake), "%s",
             recognition.fake != NULL ? recognition.fake : "");
}

int sample_list_add(struct sample_list *list, struct recogniser *recogniser, const char *path,
                    const struct sample_expectation *expected, struct error *ret_error)
{
    struct file_text text;

    int rc = file_text_read(path, SAMPLE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    struct sample *sample = sample_list_grow(list);
    if (sample == NULL || (sample->path = strdup(path)) == NULL) {
        file_text_clear(&text);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    if (expected != NULL)
        sample->expected = *expected;
    sample_look(sample, recogniser, &text);
    sample->agrees = agrees(sample);
    list->count++;
    file_text_clear(&text);
    return 0;
}

/* ---- Folders ---- */

/* What is done with one entry of a folder that is read. */
typedef int entry_fn(struct sample_list *list, struct recogniser *recogniser, const char *path,
                     const void *context, struct error *ret_error);

static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int each_entry(struct sample_list *list, struct recogniser *recogniser, const char *folder,
                      mode_t type, entry_fn *take, const void *context, struct error *ret_error)
{
    struct dirent **entries;
    struct stat status;
    char path[PATH_MAX];
    int rc = 0;

    int count = scandir(folder, &entries, is_visible, by_name);
    if (count < 0) {
        rc = -errno;
        return error_set_at(ret_error, rc, folder, 0, "cannot be read: %s", strerror(-rc));
    }
    for (int i = 0; i < count; i++) {
        if (rc == 0 &&
            snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) < (int)sizeof(path) &&
            stat(path, &status) == 0 && (status.st_mode & S_IFMT) == type)
            rc = take(list, recogniser, path, context, ret_error);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static int take_file(struct sample_list *list, struct recogniser *recogniser, const char *path,
                     const void *context, struct error *ret_error)
{
    return sample_list_add(list, recogniser, path, context, ret_error);
}

static int take_subfolder(struct sample_list *list, struct recogniser *recogniser, const char *path,
                          const void *context, struct error *ret_error)
{
    const struct sample_expectation expected = expectation_of(strrchr(path, '/') + 1);
    (void)context;

    return each_entry(list, recogniser, path, S_IFREG, take_file, &expected, ret_error);
}

int sample_list_add_folder(struct sample_list *list, struct recogniser *recogniser,
                           const char *folder, struct error *ret_error)
{
    size_t before = list->count;

    int rc = each_entry(list, recogniser, folder, S_IFDIR, take_subfolder, NULL, ret_error);
    if (rc == 0 && list->count == before)
        return error_set_at(ret_error, -ENOENT, folder, 0,
                            "holds no samples: put them into folders named after what they are");
    return rc;
}

void sample_list_clear(struct sample_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->samples[i].path);
    free(list->samples);
    *list = (struct sample_list){0};
}
