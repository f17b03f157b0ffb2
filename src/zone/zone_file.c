#include "zone/zone_file.h"

#include <errno.h>
#include <libgen.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libzscanner/scanner.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file_text.h"

/* TTL of records in front of any $TTL, as other servers have it. RFC 1035 would use the last stated
 * TTL, and libzscanner does; this one is for a file that states none at all. */
#define TTL_DEFAULT_S 3600

/* $INCLUDE inside of $INCLUDE; a file that includes itself ends here. */
#define INCLUDE_DEPTH_MAX 16

/* Longest file: 200 million records of the usual length. */
#define ZONE_FILE_SIZE_MAX ((size_t)16 << 30)

/* The clock that stamps files ticks this often at worst: what was written within one tick has one
 * stamp, so a stamp this young does not tell two contents apart. */
#define STAMP_TICK_NS 20000000

struct load {
    struct zone_builder *builder;
    zone_finding_fn *report;
    void *context;
    struct error *error;
    bool failed;
    bool includes; /* the file is not the whole of the zone */
    int code;
    unsigned depth;
};

static void finding(struct load *load, const zs_scanner_t *scanner, const char *file, bool fatal,
                    int code, const char *text)
{
    uint64_t line = scanner != NULL ? scanner->line_counter : 0;
    if (load->report != NULL) {
        struct zone_finding found = {.file = file, .line = line, .fatal = fatal, .text = text};
        load->report(load->context, &found);
    }
    if (fatal && !load->failed) {
        load->failed = true;
        load->code = code;
        error_set_at(load->error, code, file, (uint32_t)line, "%s", text);
    }
}

static const char *scanner_file(const zs_scanner_t *scanner)
{
    return scanner->file.name != NULL ? scanner->file.name : "";
}

static void add_record(struct load *load, zs_scanner_t *scanner)
{
    if (scanner->r_class != KNOT_CLASS_IN) {
        finding(load, scanner, scanner_file(scanner), true, -EINVAL,
                "a class other than IN: only Internet zones are served");
        return;
    }
    struct error error;
    int rc = zone_builder_add(load->builder, scanner->r_owner, scanner->r_type, scanner->r_ttl,
                              scanner->r_data, (uint16_t)scanner->r_data_length, &error);
    if (rc < 0)
        /* What lies outside is left out, as every server does; what contradicts itself is not
         * served. */
        finding(load, scanner, scanner_file(scanner), rc != -ERANGE, rc, error.text);
    if (rc == -ENOMEM)
        scanner->state = ZS_STATE_STOP;
}

static void parse_all(struct load *load, zs_scanner_t *scanner);

/* Gives the scanner the content of `path`, which stays in `ret_text` until parsing is done. The
 * scanner could open the file itself; it would map it, and whoever cut the file short meanwhile
 * would end this process by SIGBUS. */
static int scanner_open(zs_scanner_t *scanner, const char *path, struct file_text *ret_text,
                        struct error *ret_error)
{
    struct file_text text;
    int rc = file_text_read(path, ZONE_FILE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;

    /* What zs_set_input_file() would set: the name for messages, the folder for $INCLUDE. */
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    free(scanner->path);
    scanner->path = strdup(dirname(copy));
    int failed = zs_set_input_string(scanner, text.octets, text.size); /* forgets the name */
    scanner->file.name = strdup(path);
    if (failed || scanner->path == NULL || scanner->file.name == NULL) {
        file_text_clear(&text);
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");
    }
    *ret_text = text;
    return 0;
}

static void include_file(struct load *load, const zs_scanner_t *outer)
{
    load->includes = true;
    if (load->code == -ELOOP)
        return; /* a loop with branches would take all day to go round in */
    if (load->depth >= INCLUDE_DEPTH_MAX) {
        finding(load, outer, scanner_file(outer), true, -ELOOP,
                "$INCLUDE nested too deeply: does the file include itself?");
        return;
    }

    zs_scanner_t *inner = malloc(sizeof(*inner));
    if (inner == NULL) {
        finding(load, outer, scanner_file(outer), true, -ENOMEM, "out of memory");
        return;
    }
    /* The scanner leaves the included file's origin, as text, in its buffer. */
    if (zs_init(inner, (const char *)outer->buffer, KNOT_CLASS_IN, outer->default_ttl) == 0) {
        struct file_text text;
        struct error error;
        int rc = scanner_open(inner, (const char *)outer->include_filename, &text, &error);
        if (rc == 0) {
            load->depth++;
            parse_all(load, inner);
            load->depth--;
            file_text_clear(&text);
        } else {
            char cause[sizeof(error.file) + sizeof(error.text) + 64];
            snprintf(cause, sizeof(cause), "cannot read the included file %s: %s", error.file,
                     error.text);
            finding(load, outer, scanner_file(outer), true, rc, cause);
        }
        zs_deinit(inner);
    }
    free(inner);
}

static void parse_all(struct load *load, zs_scanner_t *scanner)
{
    for (;;) {
        if (zs_parse_record(scanner) != 0) {
            finding(load, scanner, scanner_file(scanner), true, -EINVAL,
                    zs_strerror(scanner->error.code));
            return;
        }
        switch (scanner->state) {
        case ZS_STATE_DATA:
            add_record(load, scanner);
            if (load->code == -ENOMEM)
                return;
            break;
        case ZS_STATE_INCLUDE:
            include_file(load, scanner);
            break;
        case ZS_STATE_ERROR:
            finding(load, scanner, scanner_file(scanner), true, -EINVAL,
                    zs_strerror(scanner->error.code));
            if (scanner->error.fatal)
                return;
            break;
        case ZS_STATE_EOF:
        case ZS_STATE_STOP:
            return;
        default:
            break;
        }
    }
}

/* ---- The file as a whole ---- */

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

int zone_file_source(const char *path, struct zone_source *ret_source)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    *ret_source = (struct zone_source){
        .kind = ZONE_SOURCE_FILE,
        .file_size = (uint64_t)status.st_size,
        .inode = status.st_ino,
        .device = status.st_dev,
        .mtime_ns = nanoseconds(&status.st_mtim),
        .ctime_ns = nanoseconds(&status.st_ctim),
    };
    return 0;
}

bool zone_file_source_equal(const struct zone_source *one, const struct zone_source *other)
{
    /* The change time catches what keeps the others: a copy that takes the times along. */
    return one->kind == other->kind && one->file_size == other->file_size &&
           one->inode == other->inode && one->device == other->device &&
           one->mtime_ns == other->mtime_ns && one->ctime_ns == other->ctime_ns;
}

/* The source of records that were read between `before` and now; of no kind when the file changed
 * meanwhile, or might have. */
static struct zone_source settled_source(const char *path, const struct zone_source *before,
                                         int64_t opened_ns)
{
    struct zone_source now;
    if (zone_file_source(path, &now) < 0 || !zone_file_source_equal(before, &now) ||
        opened_ns - now.ctime_ns < STAMP_TICK_NS)
        return (struct zone_source){0};
    return now;
}

int zone_file_load(const char *path, const uint8_t *apex, zone_finding_fn *report, void *context,
                   struct zone_data **ret_data, struct error *ret_error)
{
    struct timespec opened;
    clock_gettime(CLOCK_REALTIME, &opened);
    struct zone_source source;
    if (zone_file_source(path, &source) < 0)
        source = (struct zone_source){0}; /* reading it will tell why */

    char origin[KNOT_DNAME_TXT_MAXLEN + 1];
    if (knot_dname_to_str(origin, apex, sizeof(origin)) == NULL)
        return error_set_at(ret_error, -EINVAL, path, 0, "a bad zone name");

    _cleanup_(zone_builder_freep) struct zone_builder *builder = NULL;
    int rc = zone_builder_create(apex, &builder);
    zs_scanner_t *scanner = rc == 0 ? malloc(sizeof(*scanner)) : NULL;
    if (scanner == NULL)
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");

    struct error first = {0};
    struct load load = {.builder = builder, .report = report, .context = context, .error = &first};
    struct file_text text = {0};
    if (zs_init(scanner, origin, KNOT_CLASS_IN, TTL_DEFAULT_S) != 0)
        rc = error_set_at(ret_error, -EINVAL, path, 0, "%s", zs_strerror(scanner->error.code));
    else
        rc = scanner_open(scanner, path, &text, ret_error);
    if (rc == 0 && text.size == 0)
        rc = error_set_at(ret_error, -EINVAL, path, 0, "the zone file is empty");
    if (rc < 0) {
        file_text_clear(&text);
        zs_deinit(scanner);
        free(scanner);
        return rc;
    }
    parse_all(&load, scanner);
    file_text_clear(&text);
    zs_deinit(scanner);
    free(scanner);

    if (!load.failed) {
        struct error error;
        struct zone_data *data;
        rc = zone_builder_finish(builder, &data, &error);
        if (rc == 0) {
            if (!load.includes)
                data->source = settled_source(path, &source, nanoseconds(&opened));
            data->source.serial = data->soa.serial;
            *ret_data = data;
            return 0;
        }
        finding(&load, NULL, path, true, rc, error.text);
    }
    if (ret_error != NULL)
        *ret_error = first;
    return load.code;
}
