#include "zone/zone_file.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libzscanner/scanner.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* TTL of records in front of any $TTL, as other servers have it. RFC 1035 would use the last stated
 * TTL, and libzscanner does; this one is for a file that states none at all. */
#define TTL_DEFAULT_S 3600

/* $INCLUDE inside of $INCLUDE; a file that includes itself ends here. */
#define INCLUDE_DEPTH_MAX 16

struct load {
    struct zone_builder *builder;
    zone_finding_fn *report;
    void *context;
    struct error *error;
    bool failed;
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

static void include_file(struct load *load, const zs_scanner_t *outer)
{
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
        if (zs_set_input_file(inner, (const char *)outer->include_filename) == 0) {
            load->depth++;
            parse_all(load, inner);
            load->depth--;
        } else {
            char text[512];
            snprintf(text, sizeof(text), "cannot read the included file %.300s: %s",
                     (const char *)outer->include_filename, zs_strerror(inner->error.code));
            finding(load, outer, scanner_file(outer), true, -ENOENT, text);
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

int zone_file_load(const char *path, const uint8_t *apex, zone_finding_fn *report, void *context,
                   struct zone_data **ret_data, struct error *ret_error)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot read the zone file: %s",
                            strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set_at(ret_error, -EINVAL, path, 0, "not a regular file");
    if (status.st_size == 0)
        return error_set_at(ret_error, -EINVAL, path, 0, "the zone file is empty");

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
    if (zs_init(scanner, origin, KNOT_CLASS_IN, TTL_DEFAULT_S) != 0 ||
        zs_set_input_file(scanner, path) != 0) {
        rc = error_set_at(ret_error, -EIO, path, 0, "cannot read the zone file: %s",
                          zs_strerror(scanner->error.code));
        zs_deinit(scanner);
        free(scanner);
        return rc;
    }
    parse_all(&load, scanner);
    zs_deinit(scanner);
    free(scanner);

    if (!load.failed) {
        struct error error;
        rc = zone_builder_finish(builder, ret_data, &error);
        if (rc == 0)
            return 0;
        finding(&load, NULL, path, true, rc, error.text);
    }
    if (ret_error != NULL)
        *ret_error = first;
    return load.code;
}
