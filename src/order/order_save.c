#include "order/order_save.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder_sync.h"
#include "order/name_text.h"
#include "order/order_document.h"
#include "order/timestamp.h"

static void write_name_list(FILE *stream, const char *key, const struct order_names *names)
{
    if (names->count == 0)
        return;
    fprintf(stream, "%s:\n", key);
    for (size_t i = 0; i < names->count; i++) {
        char text[NAME_TEXT_MAX + 1];
        (void)name_text_write(order_names_at(names, i), text);
        fprintf(stream, "  - ");
        order_document_quote(stream, text);
        fputc('\n', stream);
    }
}

static void write_sinkhole(FILE *stream, const struct verdict *verdict)
{
    char text[INET6_ADDRSTRLEN];
    fprintf(stream, "sinkhole:\n  ttl: %" PRIu32 "\n  a: [", verdict->ttl_s);
    for (size_t i = 0; i < verdict->a_count; i++)
        fprintf(stream, "%s\"%s\"", i == 0 ? "" : ", ",
                inet_ntop(AF_INET, verdict->a[i], text, sizeof(text)));
    fprintf(stream, "]\n  aaaa: [");
    for (size_t i = 0; i < verdict->aaaa_count; i++)
        fprintf(stream, "%s\"%s\"", i == 0 ? "" : ", ",
                inet_ntop(AF_INET6, verdict->aaaa[i], text, sizeof(text)));
    fprintf(stream, "]\n");
}

static void write_budget(FILE *stream, const struct order_budget *budget)
{
    const struct {
        const char *key;
        uint64_t bound;
    } bounds[] = {
        {"live", budget->live_max}, {"shared", budget->shared_max}, {"cuts", budget->cuts_max}};
    fprintf(stream, "budget:\n");
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        if (bounds[i].bound != UINT64_MAX)
            fprintf(stream, "  %s: %" PRIu64 "\n", bounds[i].key, bounds[i].bound);
    }
    fprintf(stream, "  query-share: %.9g\n  client-share: %.9g\n", budget->query_share_max,
            budget->client_share_max);
}

static void write_evidence(FILE *stream, const struct order_evidence *evidence)
{
    char key[sodium_base64_ENCODED_LEN(sizeof(evidence->seal_to), sodium_base64_VARIANT_ORIGINAL)];

    if (!evidence->content)
        return;
    sodium_bin2base64(key, sizeof(key), evidence->seal_to, sizeof(evidence->seal_to),
                      sodium_base64_VARIANT_ORIGINAL);
    fprintf(stream, "evidence: { content: true, seal-to: \"%s\" }\n", key);
}

/* What the writers of the two files need. */
struct saved {
    const struct order *order;
    const char *names_file;
};

static int write_document(FILE *stream, const void *context)
{
    const struct saved *saved = context;
    const struct order *order = saved->order;
    char time[TIMESTAMP_SIZE];

    fprintf(stream,
            "# Kept by tamisd: an order that was activated. Lift it with \"tamis ctl lift %s\".\n",
            order->id);
    fprintf(stream, "id: %s\nkind: %s\nauthority: ", order->id, order_kind_word(order->kind));
    order_document_quote(stream, order->authority);
    fprintf(stream, "\nstarts: %s\n", timestamp_write(order->starts, time));
    fprintf(stream, "ends: %s\n", timestamp_write(order->ends, time));
    fprintf(stream, "action: %s\n", order_action_word(order->action));
    if (order->action == VERDICT_SINKHOLE)
        write_sinkhole(stream, &order->verdict);
    if (order->notice != NULL) {
        fprintf(stream, "notice: ");
        order_document_quote(stream, order->notice);
        fputc('\n', stream);
    }
    fprintf(stream, "names-file: \"%s\"\n", saved->names_file);
    write_name_list(stream, "subtrees", &order->subtrees);
    write_name_list(stream, "exempt", &order->exempt);
    write_budget(stream, &order->budget);
    write_evidence(stream, &order->evidence);
    if (order->signature_count > 0)
        fprintf(stream, "signatures:\n");
    for (size_t i = 0; i < order->signature_count; i++) {
        char value[sodium_base64_ENCODED_LEN(64, sodium_base64_VARIANT_ORIGINAL)];
        sodium_bin2base64(value, sizeof(value), order->signatures[i].value, 64,
                          sodium_base64_VARIANT_ORIGINAL);
        fprintf(stream, "  - key: ");
        order_document_quote(stream, order->signatures[i].key);
        fprintf(stream, "\n    value: %s\n", value);
    }
    return 0;
}

static int write_names(FILE *stream, const void *context)
{
    const struct order *order = ((const struct saved *)context)->order;
    for (size_t i = 0; i < order->names.count; i++) {
        char text[NAME_TEXT_MAX + 1];
        size_t size = name_text_write(order_names_at(&order->names, i), text);
        text[size] = '\n';
        if (fwrite(text, 1, size + 1, stream) != size + 1)
            return -EIO;
    }
    return 0;
}

static int write_file(const char *path, int (*write)(FILE *stream, const void *context),
                      const void *context, struct error *ret_error)
{
    FILE *stream = fopen(path, "we");
    if (stream == NULL)
        return error_set_at(ret_error, -errno, path, 0, "cannot keep the order: %s",
                            strerror(errno));

    errno = 0;
    int rc = write(stream, context);
    if (rc == 0 && (fflush(stream) != 0 || fsync(fileno(stream)) < 0))
        rc = errno != 0 ? -errno : -EIO;
    if (fclose(stream) != 0 && rc == 0)
        rc = -errno;
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "cannot keep the order: %s", strerror(-rc));
    return 0;
}

static int build_path(char *ret_path, const char *directory, const char *id, const char *suffix,
                      struct error *ret_error)
{
    if (snprintf(ret_path, PATH_MAX, "%s/%s%s", directory, id, suffix) >= PATH_MAX)
        return error_set_at(ret_error, -ENAMETOOLONG, directory, 0,
                            "too long a path: shorten server.state");
    return 0;
}

/* Whether a file is a list of the order `id`; an id has no dot. */
static bool is_list(const char *file, const char *id)
{
    size_t id_size = strlen(id), size = strlen(file);
    return size > id_size + strlen(".names") && strncmp(file, id, id_size) == 0 &&
           file[id_size] == '.' && strcmp(file + size - strlen(".names"), ".names") == 0;
}

/* Removes the lists of `id` but the one named `kept` (NULL: all). One that stays does no harm: no
 * document names it. */
static void remove_lists(const char *directory, const char *id, const char *kept)
{
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return;
    for (const struct dirent *file = readdir(folder); file != NULL; file = readdir(folder)) {
        if (is_list(file->d_name, id) && (kept == NULL || strcmp(file->d_name, kept) != 0))
            (void)unlinkat(dirfd(folder), file->d_name, 0);
    }
    closedir(folder);
}

int order_save_prepare(const struct order *order, const char *directory,
                       struct order_saving *ret_saving, struct error *ret_error)
{
    struct order_saving saving;
    char document[PATH_MAX], names[PATH_MAX];
    snprintf(saving.id, sizeof(saving.id), "%s", order->id);
    snprintf(saving.names_file, sizeof(saving.names_file), "%s.%08" PRIx32 ".names", order->id,
             randombytes_random());
    struct saved saved = {.order = order, .names_file = saving.names_file};
    int rc = build_path(document, directory, order->id, ".yaml.new", ret_error);
    if (rc == 0)
        rc = build_path(names, directory, order->id, ".names.new", ret_error);
    if (rc < 0)
        return rc;
    rc = write_file(names, write_names, &saved, ret_error);
    if (rc == 0)
        rc = write_file(document, write_document, &saved, ret_error);
    if (rc < 0) {
        order_save_cancel(&saving, directory);
        return rc;
    }
    *ret_saving = saving;
    return 0;
}

/* Renames what was prepared, durably: the list is there for good before its document is. */
static int put_in_place(const char *directory, const char *id, const char *suffix, const char *path,
                        struct error *ret_error)
{
    char prepared[PATH_MAX];
    int rc = build_path(prepared, directory, id, suffix, ret_error);
    if (rc < 0)
        return rc;
    if (rename(prepared, path) < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot keep the order: %s",
                            strerror(errno));
    rc = folder_sync(directory);
    if (rc < 0)
        return error_set_at(ret_error, rc, directory, 0, "cannot keep the order: %s",
                            strerror(-rc));
    return 0;
}

int order_save_finish(const struct order_saving *saving, const char *directory,
                      struct error *ret_error)
{
    char document[PATH_MAX], names[PATH_MAX];
    int rc = build_path(document, directory, saving->id, ".yaml", ret_error);
    if (rc == 0)
        rc = build_path(names, directory, saving->names_file, "", ret_error);
    if (rc == 0)
        rc = put_in_place(directory, saving->id, ".names.new", names, ret_error);
    if (rc == 0)
        rc = put_in_place(directory, saving->id, ".yaml.new", document, ret_error);
    if (rc < 0)
        return rc;
    remove_lists(directory, saving->id, saving->names_file);
    return 0;
}

void order_save_cancel(const struct order_saving *saving, const char *directory)
{
    static const char *const suffixes[] = {".yaml.new", ".names.new"};
    char path[PATH_MAX];
    /* A rest does no harm: no document names it, and the next saving replaces it. */
    for (size_t i = 0; i < 2; i++) {
        if (snprintf(path, sizeof(path), "%s/%s%s", directory, saving->id, suffixes[i]) < PATH_MAX)
            (void)unlink(path);
    }
    if (snprintf(path, sizeof(path), "%s/%s", directory, saving->names_file) < PATH_MAX)
        (void)unlink(path);
}

int order_unsave(const char *id, const char *directory, struct error *ret_error)
{
    char path[PATH_MAX];
    int rc = build_path(path, directory, id, ".yaml", ret_error);
    if (rc < 0)
        return rc;
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_at(ret_error, -errno, path, 0, "cannot remove the order's file: %s",
                            strerror(errno));
    remove_lists(directory, id, NULL);
    rc = folder_sync(directory);
    if (rc < 0)
        return error_set_at(ret_error, rc, directory, 0, "cannot sync: %s", strerror(-rc));
    return 0;
}
