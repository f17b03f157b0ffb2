/* Snapshots: what is written is what is read, and nothing else is ever read. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/wire.h>
#include <xxhash.h>

#include "zone/nsec_chain.h"
#include "zone/snapshot_internal.h"
#include "zone/zone_file.h"

static const uint8_t apex[] = "\1a\7example";
#define CHECKED_AT 1790000000

static char folder[] = "/tmp/tamis-snapshot-XXXXXX";
static char path[sizeof(folder) + 64];
static uint64_t seed_used;

/* ---- Random zones ---- */

/* splitmix64: the same zones from the same seed everywhere. */
static uint64_t random_state;

static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned random_below(unsigned bound)
{
    return (unsigned)(random_next() % bound);
}

/* A name in the zone, of few labels that often meet. */
static void random_name(uint8_t *ret_wire)
{
    static const char *const labels[] = {"a", "b", "c", "*", "www", "mail", "deep", "host"};
    uint8_t *at = ret_wire;
    for (unsigned left = random_below(4); left > 0; left--) {
        char label[24];
        if (random_below(2) == 0)
            snprintf(label, sizeof(label), "%s", labels[random_below(8)]);
        else
            snprintf(label, sizeof(label), "host-%u", random_below(400));
        *at = (uint8_t)strlen(label);
        memcpy(at + 1, label, *at);
        at += *at + 1;
    }
    memcpy(at, apex, sizeof(apex));
}

static void add(struct zone_builder *builder, const uint8_t *owner, uint16_t type,
                const uint8_t *rdata, size_t size)
{
    struct error error;
    /* Some cannot stand beside what is there: the builder's business. */
    int rc =
        zone_builder_add(builder, owner, type, random_below(3) * 60, rdata, (uint16_t)size, &error);
    assert_true(rc == 0 || rc == -EINVAL);
}

static void add_random_record(struct zone_builder *builder)
{
    static const uint16_t types[] = {KNOT_RRTYPE_A,     KNOT_RRTYPE_A,     KNOT_RRTYPE_A,
                                     KNOT_RRTYPE_A,     KNOT_RRTYPE_AAAA,  KNOT_RRTYPE_AAAA,
                                     KNOT_RRTYPE_CNAME, KNOT_RRTYPE_MX,    KNOT_RRTYPE_TXT,
                                     KNOT_RRTYPE_NS,    KNOT_RRTYPE_DNAME, 65534};
    uint8_t owner[NAME_SIZE_MAX], rdata[512];
    random_name(owner);
    uint16_t type = types[random_below(12)];
    if ((type == KNOT_RRTYPE_NS || type == KNOT_RRTYPE_DNAME) && random_below(4) != 0)
        type = KNOT_RRTYPE_A; /* few, or all is below them */
    size_t size = 0;
    switch (type) {
    case KNOT_RRTYPE_MX:
        knot_wire_write_u16(rdata, 10);
        random_name(rdata + 2);
        size = 2 + name_wire_size(rdata + 2);
        break;
    case KNOT_RRTYPE_CNAME:
    case KNOT_RRTYPE_NS:
    case KNOT_RRTYPE_DNAME:
        random_name(rdata);
        size = name_wire_size(rdata);
        break;
    default:
        size = type == KNOT_RRTYPE_A ? 4 : type == KNOT_RRTYPE_AAAA ? 16 : 1 + random_below(255);
        memset(rdata, (int)random_below(256), size);
        if (type == KNOT_RRTYPE_TXT)
            rdata[0] = (uint8_t)(size - 1);
    }
    add(builder, owner, type, rdata, size);
}

static void add_apex(struct zone_builder *builder, uint32_t serial)
{
    uint8_t rdata[2 * sizeof(apex) + 20];
    memcpy(rdata, apex, sizeof(apex));
    memcpy(rdata + sizeof(apex), apex, sizeof(apex));
    const uint32_t numbers[5] = {serial, 3600, 600, 1209600, 60};
    for (size_t i = 0; i < 5; i++)
        knot_wire_write_u32(rdata + 2 * sizeof(apex) + 4 * i, numbers[i]);
    add(builder, apex, KNOT_RRTYPE_SOA, rdata, sizeof(rdata));
    add(builder, apex, KNOT_RRTYPE_NS, (const uint8_t *)"\2ns\1a\7example", 14);
}

enum chain { PLAIN, NSEC, NSEC3 };

/* Names with NSEC records; what they say does not matter here. */
static void add_nsec(struct zone_builder *builder)
{
    static const uint8_t rdata[] = "\1a\7example\0\0\1\x40";
    add(builder, apex, KNOT_RRTYPE_NSEC, rdata, sizeof(apex) + 3);
    for (unsigned left = random_below(200); left > 0; left--) {
        uint8_t owner[NAME_SIZE_MAX];
        random_name(owner);
        add(builder, owner, KNOT_RRTYPE_NSEC, rdata, sizeof(apex) + 3);
    }
}

static void add_nsec3(struct zone_builder *builder)
{
    static const uint8_t parameters[] = {1, 0, 0, 2, 2, 0xab, 0xcd};
    add(builder, apex, KNOT_RRTYPE_NSEC3PARAM, parameters, sizeof(parameters));
    for (unsigned left = 1 + random_below(200); left > 0; left--) {
        uint8_t owner[1 + 32 + sizeof(apex)] = {32}, rdata[7 + 1 + 20 + 3];
        for (size_t i = 1; i <= 32; i++)
            owner[i] = (uint8_t) "0123456789abcdefghijklmnopqrstuv"[random_below(32)];
        memcpy(owner + 33, apex, sizeof(apex));
        memcpy(rdata, parameters, sizeof(parameters));
        rdata[7] = 20;
        memset(rdata + 8, (int)left, 20);
        memcpy(rdata + 28, "\0\1\x40", 3);
        add(builder, owner, KNOT_RRTYPE_NSEC3, rdata, sizeof(rdata));
    }
}

static struct zone_data *random_zone(enum chain chain, unsigned records)
{
    _cleanup_(zone_builder_freep) struct zone_builder *builder = NULL;
    assert_int_equal(zone_builder_create(apex, &builder), 0);
    add_apex(builder, (uint32_t)random_next());
    if (chain == NSEC)
        add_nsec(builder);
    if (chain == NSEC3)
        add_nsec3(builder);
    for (unsigned left = random_below(records + 1); left > 0; left--)
        add_random_record(builder);

    struct zone_data *data;
    struct error error;
    if (zone_builder_finish(builder, &data, &error) != 0)
        fail_msg("%s", error.text);
    data->source = (struct zone_source){.kind = ZONE_SOURCE_FILE,
                                        .file_size = random_next(),
                                        .inode = random_next(),
                                        .device = random_next(),
                                        .mtime_ns = (int64_t)random_next(),
                                        .ctime_ns = (int64_t)random_next()};
    return data;
}

/* ---- Writing, reading, comparing ---- */

static uint64_t write_snapshot(struct zone_data *data)
{
    struct zone_view *view;
    struct error error;
    uint64_t size;
    assert_int_equal(zone_view_open(data, &view), 0);
    if (snapshot_write(path, view, CHECKED_AT, NULL, &size, &error) != 0)
        fail_msg("%s", error.text);
    zone_view_close(view);
    return size;
}

static int read_snapshot(struct zone_data **ret_data, struct error *ret_error)
{
    struct snapshot *snapshot;
    int rc = snapshot_open(path, apex, &snapshot, ret_error);
    if (rc < 0)
        return rc;
    rc = snapshot_read(snapshot, ret_data, ret_error);
    snapshot_close(snapshot);
    return rc;
}

static void assert_same_entry(const struct name_entry *one, const struct name_entry *other)
{
    uint64_t records = 0;
    assert_int_equal(snapshot_entry_size(one, &records), snapshot_entry_size(other, &records));
    assert_memory_equal(one, other, snapshot_entry_size(one, &records));
}

struct compare {
    const struct zone_data *other;
    uint64_t entries;
    bool marks_are_kept;
};

static int compare_entry(void *context, const struct name_entry *entry, bool marked)
{
    struct compare *compare = context;
    (void)marked;
    const struct zone_data *other = compare->other;
    struct name_hit hit = name_table_find(other->table, zone_data_entry_hash(other, entry),
                                          entry->owner, entry->owner_size);
    assert_non_null(hit.entry);
    assert_false(hit.marked);
    assert_same_entry(entry, hit.entry);
    compare->entries++;
    return 0;
}

static void assert_same_chain(const struct nsec_chain *one, const struct nsec_chain *other)
{
    assert_int_equal(one == NULL, other == NULL);
    if (one == NULL)
        return;
    assert_int_equal(one->nsec_count, other->nsec_count);
    assert_int_equal(one->nsec3_count, other->nsec3_count);
    for (size_t i = 0; i < one->nsec_count; i++)
        assert_same_entry(one->nsec[i], other->nsec[i]);
    for (size_t i = 0; i < one->nsec3_count; i++) {
        assert_memory_equal(one->nsec3[i].hash, other->nsec3[i].hash, NSEC3_HASH_SIZE);
        assert_same_entry(one->nsec3[i].entry, other->nsec3[i].entry);
    }
    assert_int_equal(one->iterations, other->iterations);
    assert_int_equal(one->salt_size, other->salt_size);
    assert_memory_equal(one->salt, other->salt, one->salt_size);
}

static void assert_same_zone(const struct zone_data *written, const struct zone_data *read)
{
    struct compare compare = {.other = read};
    assert_int_equal(name_table_each(written->table, compare_entry, &compare), 0);
    assert_int_equal(compare.entries, read->entry_count);
    assert_int_equal(read->table->used, read->entry_count);
    assert_int_equal(written->entry_count, read->entry_count);
    assert_int_equal(written->name_count, read->name_count);
    assert_int_equal(written->depth_max, read->depth_max);
    assert_memory_equal(&written->soa, &read->soa, sizeof(read->soa));
    assert_memory_equal(written->apex.wire, read->apex.wire, read->apex.size);
    assert_true(read->source.is_snapshot);
    assert_true(zone_file_source_equal(&written->source, &read->source));
    assert_int_equal(read->source.checked_at, CHECKED_AT);
    assert_same_entry(written->apex_entry, read->apex_entry);
    assert_same_chain(written->chain, read->chain);
    assert_true(read->memory > 0);
}

static int remove_file(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

/* ---- What is written is what is read ---- */

static void test_a_random_zone_comes_back_as_it_was(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 150; round++) {
        struct zone_data *written = random_zone((enum chain)(round % 3), 1500), *read;
        uint64_t size = write_snapshot(written);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, size);
        assert_int_equal(status.st_mode & 0777, 0600);
        struct error error;
        if (read_snapshot(&read, &error) != 0)
            fail_msg("round %u: %s", round, error.text);
        assert_same_zone(written, read);
        zone_data_free(written);
        zone_data_free(read);
    }
}

static void test_marks_stay_out(void **state)
{
    (void)state;
    struct zone_data *written = random_zone(PLAIN, 1500), *read;
    for (unsigned i = 0; i < 5000; i++) { /* the table grows on the way */
        uint8_t owner[NAME_SIZE_MAX];
        random_name(owner);
        assert_int_equal(zone_data_mark(written, owner), 0);
        snprintf((char *)owner, sizeof(owner), "\012dead-%05u", i);
        memcpy(owner + 11, apex, sizeof(apex));
        assert_int_equal(zone_data_mark(written, owner), 0);
    }
    write_snapshot(written);
    assert_int_equal(read_snapshot(&read, NULL), 0);
    assert_same_zone(written, read);

    /* And what was read takes marks like any other. */
    static const uint8_t listed[] = "\6listed\1a\7example";
    struct name name;
    assert_true(name_parse(&name, listed, sizeof(listed)) > 0);
    assert_int_equal(zone_data_reserve(read, 3 * read->entry_count + 100), 0);
    assert_int_equal(zone_data_mark(read, listed), 0);
    assert_true(zone_data_find(read, &name).marked);
    assert_int_equal(zone_data_name_state(read, &name), zone_data_name_state(written, &name));
    zone_data_free(read);
    zone_data_free(written);
}

static void test_a_held_generation_outlives_its_owner_and_its_table(void **state)
{
    (void)state;
    struct zone_data *data = random_zone(NSEC3, 300), *kept = random_zone(PLAIN, 0);
    struct zone_view *view;
    assert_int_equal(zone_view_open(data, &view), 0);
    const struct name_table *table = data->table;
    assert_int_equal(zone_data_reserve(data, 100000), 0);
    assert_ptr_not_equal(data->table, table);
    zone_data_retire(data);

    struct error error;
    uint64_t size;
    assert_int_equal(snapshot_write(path, view, CHECKED_AT, NULL, &size, &error), 0);
    zone_view_close(view);
    zone_data_free(kept);
}

static void test_a_check_moves_on_and_a_torn_one_is_passed_over(void **state)
{
    (void)state;
    struct zone_data *data = random_zone(PLAIN, 50);
    data->source = (struct zone_source){.kind = ZONE_SOURCE_TRANSFER};
    write_snapshot(data);
    struct error error;
    for (int64_t i = 1; i <= 5; i++) {
        assert_int_equal(
            snapshot_set_checked(path, apex, data->soa.serial, CHECKED_AT + 10 * i, &error), 0);
        struct snapshot *snapshot;
        assert_int_equal(snapshot_open(path, apex, &snapshot, &error), 0);
        assert_int_equal(snapshot_info(snapshot)->source.checked_at, CHECKED_AT + 10 * i);
        assert_int_equal(snapshot_info(snapshot)->source.kind, ZONE_SOURCE_TRANSFER);
        assert_int_equal(snapshot_info(snapshot)->soa.serial, data->soa.serial);
        struct zone_data *read;
        assert_int_equal(snapshot_read(snapshot, &read, &error), 0);
        zone_data_free(read);
        snapshot_close(snapshot);
    }

    /* The fifth lies in the second place; torn, the fourth counts; both torn, the header's. */
    int file = open(path, O_RDWR);
    for (unsigned torn = 1; torn <= 2; torn++) {
        assert_int_equal(pwrite(file, "torn", 4, (off_t)snapshot_check_offset(torn % 2)), 4);
        struct snapshot *snapshot;
        assert_int_equal(snapshot_open(path, apex, &snapshot, &error), 0);
        assert_int_equal(snapshot_info(snapshot)->source.checked_at,
                         torn == 1 ? CHECKED_AT + 40 : CHECKED_AT);
        snapshot_close(snapshot);
    }
    close(file);

    assert_int_equal(snapshot_set_checked(path, apex, data->soa.serial + 1, CHECKED_AT, &error),
                     -ESTALE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(snapshot_set_checked(path, apex, data->soa.serial, CHECKED_AT, &error),
                     -ENOENT);
    zone_data_free(data);
}

static void test_a_path_is_one_file_name_whatever_the_zone(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(snapshot_path("/s", (const uint8_t *)"\1A\7eXample", text, sizeof(text)), 0);
    assert_string_equal(text, "/s/a.example.snapshot");
    assert_int_equal(snapshot_path("/s", (const uint8_t *)"", text, sizeof(text)), 0);
    assert_string_equal(text, "/s/..snapshot");
    assert_int_equal(snapshot_path("/s", (const uint8_t *)"\5a/../\1b", text, sizeof(text)), 0);
    assert_null(strchr(text + 3, '/'));
    assert_int_equal(snapshot_path("/s", (const uint8_t *)"\1a", text, 8), -ENAMETOOLONG);

    /* 253 octets of escaped text would be a thousand. */
    uint8_t wire[NAME_SIZE_MAX] = {0};
    for (size_t at = 0; at + 52 < sizeof(wire); at += 51)
        wire[at] = 50;
    assert_int_equal(snapshot_path("/s", wire, text, sizeof(text)), 0);
    assert_true(strlen(text + 3) < 256);
    assert_null(strchr(text + 3, '/'));
}

static void test_a_failed_or_cancelled_write_leaves_the_old_snapshot(void **state)
{
    (void)state;
    struct zone_data *old = random_zone(PLAIN, 200), *new = random_zone(PLAIN, 200), *read;
    write_snapshot(old);
    struct zone_view *view;
    struct error error;
    uint64_t size;
    _Atomic(bool) cancel = true;
    assert_int_equal(zone_view_open(new, &view), 0);
    assert_int_equal(snapshot_write(path, view, 0, &cancel, &size, &error), -ECANCELED);
    assert_int_equal(read_snapshot(&read, &error), 0);
    assert_same_zone(old, read);
    zone_data_free(read);

    /* In the way of the temporary file. */
    char temporary[sizeof(path) + 8];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    assert_int_equal(access(temporary, F_OK), -1);
    assert_int_equal(mkdir(temporary, 0700), 0);
    zone_view_close(view);
    assert_int_equal(zone_view_open(new, &view), 0);
    assert_int_equal(snapshot_write(path, view, 0, NULL, &size, &error), -EISDIR);
    assert_non_null(strstr(error.text, "cannot be written"));
    assert_int_equal(rmdir(temporary), 0);
    assert_int_equal(read_snapshot(&read, &error), 0);
    assert_same_zone(old, read);
    zone_data_free(read);
    zone_view_close(view);
    zone_data_free(old);
    zone_data_free(new);
}

/* ---- What is damaged is refused ---- */

struct image {
    uint8_t *octets;
    size_t size;
};

static struct image image_read(void)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    struct image image = {.octets = malloc((size_t)status.st_size), .size = (size_t)status.st_size};
    int file = open(path, O_RDONLY);
    assert_int_equal(read(file, image.octets, image.size), image.size);
    close(file);
    return image;
}

static void image_write(const uint8_t *octets, size_t size)
{
    /* Not cut to nothing first: a file system that takes care of those who replace files like this
     * would write each of ten thousand to the disk. */
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(pwrite(file, octets, size, 0), size);
    assert_int_equal(ftruncate(file, (off_t)size), 0);
    close(file);
}

/* Makes the checksums right again. */
static void image_fix(uint8_t *octets, size_t size)
{
    struct snapshot_header *header = (struct snapshot_header *)octets;
    header->body_checksum = XXH3_64bits(octets + SNAPSHOT_PAGE, size - SNAPSHOT_PAGE);
    header->header_checksum = snapshot_header_checksum(header);
}

/* Reads what must be refused with a reason. */
static void assert_refused(int code, const char *why)
{
    struct zone_data *data = NULL;
    struct error error = {0};
    int rc = read_snapshot(&data, &error);
    if (rc != code || strstr(error.text, why) == NULL || strcmp(error.file, path) != 0)
        fail_msg("expected %d (%s), got %d: %s", code, why, rc, error.text);
}

/* Reads what may be refused or not; what is not must be a zone. */
static bool read_whatever(void)
{
    struct zone_data *data = NULL;
    struct error error = {0};
    if (read_snapshot(&data, &error) < 0) {
        assert_true(error.text[0] != '\0');
        return false;
    }
    for (unsigned i = 0; i < 10; i++) {
        uint8_t owner[NAME_SIZE_MAX];
        random_name(owner);
        struct name name;
        assert_true(name_parse(&name, owner, sizeof(owner)) > 0);
        (void)zone_data_name_state(data, &name);
        assert_int_equal(zone_data_mark(data, owner), 0);
        (void)zone_data_find(data, &name); /* the hashes may be of malice, too */
    }
    zone_data_free(data);
    return true;
}

static void test_a_cut_snapshot_is_refused_at_every_length(void **state)
{
    (void)state;
    for (unsigned chain = PLAIN; chain <= NSEC3; chain++) {
        struct zone_data *data = random_zone((enum chain)chain, 20);
        write_snapshot(data);
        struct image image = image_read();
        for (size_t size = 0; size < image.size; size++) {
            assert_int_equal(truncate(path, (off_t)size), 0);
            assert_refused(-EBADMSG, size < SNAPSHOT_PAGE ? "first page" : "damaged");
            /* And with a header that claims just this length. */
            if (size >= SNAPSHOT_PAGE) {
                uint8_t *copy = malloc(size);
                memcpy(copy, image.octets, size);
                ((struct snapshot_header *)copy)->file_size = size;
                image_fix(copy, size);
                image_write(copy, size);
                assert_refused(-EBADMSG, "damaged");
                free(copy);
            }
            image_write(image.octets, image.size);
        }
        image_write(image.octets, image.size);
        assert_true(truncate(path, (off_t)image.size + 8) == 0);
        assert_refused(-EBADMSG, "damaged");
        free(image.octets);
        zone_data_free(data);
    }
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct zone_data *data = random_zone(NSEC, 20), *read;
    write_snapshot(data);
    struct image image = image_read();
    for (size_t at = 0; at < image.size; at++) {
        bool is_used = at < sizeof(struct snapshot_header) || at >= SNAPSHOT_PAGE;
        if (!is_used && at % 64 != 0)
            continue; /* of the rest of the first page a sample will do */
        image.octets[at] ^= (uint8_t)(1 << at % 8);
        image_write(image.octets, image.size);
        struct error error;
        int rc = read_snapshot(&read, &error);
        if (is_used) {
            assert_true(rc == -EBADMSG || rc == -ENOTSUP);
        } else {
            assert_int_equal(rc, 0);
            assert_same_zone(data, read);
            zone_data_free(read);
        }
        image.octets[at] ^= (uint8_t)(1 << at % 8);
    }
    free(image.octets);
    zone_data_free(data);
}

static void test_octets_of_malice_with_right_checksums_make_a_zone_or_an_error(void **state)
{
    (void)state;
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    unsigned refused = 0;
    for (unsigned chain = PLAIN; chain <= NSEC3; chain++) {
        struct zone_data *data = random_zone((enum chain)chain, 30);
        write_snapshot(data);
        struct image image = image_read();
        uint8_t *copy = malloc(image.size);
        for (size_t at = 0; at < image.size; at++) {
            if (at == sizeof(struct snapshot_header))
                at = SNAPSHOT_PAGE;
            for (size_t i = 0; i <= sizeof(values); i++) {
                memcpy(copy, image.octets, image.size);
                copy[at] = i < sizeof(values) ? values[i] : copy[at] ^ 0x10;
                image_fix(copy, image.size);
                image_write(copy, image.size);
                refused += !read_whatever();
            }
        }
        /* And many at once. */
        for (unsigned round = 0; round < 3000; round++) {
            memcpy(copy, image.octets, image.size);
            for (unsigned left = 1 + random_below(8); left > 0; left--)
                copy[SNAPSHOT_PAGE + random_below((unsigned)image.size - SNAPSHOT_PAGE)] =
                    (uint8_t)random_next();
            image_fix(copy, image.size);
            image_write(copy, image.size);
            refused += !read_whatever();
        }
        free(copy);
        free(image.octets);
        zone_data_free(data);
    }
    assert_true(refused > 1000);
}

/* Changes one field of a good snapshot, with right checksums, and expects a refusal. */
#define assert_field_refused(image, field, value, code, why)                         \
    do {                                                                             \
        struct snapshot_header *header_ = (struct snapshot_header *)(image)->octets; \
        struct snapshot_header before_ = *header_;                                   \
        header_->field = (value);                                                    \
        image_fix((image)->octets, (image)->size);                                   \
        image_write((image)->octets, (image)->size);                                 \
        assert_refused(code, why);                                                   \
        *header_ = before_;                                                          \
    } while (0)

static void test_a_wrong_header_is_refused_with_its_reason(void **state)
{
    (void)state;
    struct zone_data *data = random_zone(NSEC3, 100);
    write_snapshot(data);
    struct image image = image_read();
    assert_field_refused(&image, magic[0], 'X', -EBADMSG, "not a snapshot");
    assert_field_refused(&image, version, SNAPSHOT_VERSION + 1, -ENOTSUP, "of version 4");
    assert_field_refused(&image, byte_order, 0x04030201, -ENOTSUP, "byte order");
    assert_field_refused(&image, pointer_size, 4, -ENOTSUP, "another kind of machine");
    assert_field_refused(&image, header_size, 8, -ENOTSUP, "another kind of machine");
    assert_field_refused(&image, file_size, 1, -EBADMSG, "octets of 1");
    assert_field_refused(&image, name_hash[0], 1, -EKEYREJECTED, "another key");
    assert_field_refused(&image, apex[1], 'b', -EBADMSG, "of another zone");
    assert_field_refused(&image, entries_size, UINT64_MAX - 7, -EBADMSG, "its parts");
    assert_field_refused(&image, nsec3_size, UINT64_MAX - 7, -EBADMSG, "its parts");
    assert_field_refused(&image, slot_count, UINT64_MAX / 8 + 2, -EBADMSG, "its parts");
    assert_field_refused(&image, nsec_count, UINT64_MAX / 8 + 2, -EBADMSG, "its parts");
    assert_field_refused(&image, entry_count, 0, -EBADMSG, "damaged");
    assert_field_refused(&image, entry_count, UINT64_MAX, -EBADMSG, "its parts");
    assert_field_refused(&image, nsec3_count, 0, -EBADMSG, "damaged");
    assert_field_refused(&image, name_count, 1, -EBADMSG, "damaged");
    assert_field_refused(&image, record_count, 1, -EBADMSG, "damaged");
    assert_field_refused(&image, serial, data->soa.serial + 1, -EBADMSG, "damaged");
    assert_field_refused(&image, depth_max, 100, -EBADMSG, "damaged");
    assert_field_refused(&image, chain_kind, SNAPSHOT_CHAIN_NONE, -EBADMSG, "damaged");
    assert_field_refused(&image, chain_kind, SNAPSHOT_CHAIN_NSEC, -EBADMSG, "damaged");
    image_fix(image.octets, image.size);
    image_write(image.octets, image.size);
    assert_true(read_whatever());
    free(image.octets);
    zone_data_free(data);
}

static void test_another_key_of_the_name_hash_is_noticed(void **state)
{
    (void)state;
    struct zone_data *data = random_zone(PLAIN, 10);
    write_snapshot(data);
    name_hash_key_set(3, 4);
    assert_refused(-EKEYREJECTED, "another key");
    name_hash_key_set(1, 2);
    assert_true(read_whatever());
    zone_data_free(data);
}

static void test_what_is_no_file_is_refused(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_refused(-ENOENT, "cannot be read");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(-EBADMSG, "not a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* which nobody writes to: opening must not wait */
    assert_refused(-EBADMSG, "not a regular file");
}

/* ---- Where a zone's data comes from ---- */

static struct zone_data *load_file(const char *file, unsigned age_ms)
{
    usleep(age_ms * 1000);
    struct zone_data *data;
    struct error error;
    if (zone_file_load(file, apex, NULL, NULL, &data, &error) < 0)
        fail_msg("%s", error.text);
    return data;
}

static void write_text(const char *file, const char *more)
{
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    fprintf(stream, "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n%s\n", more);
    fclose(stream);
}

static void test_a_zone_file_is_its_zones_source_unless_it_is_not_all_of_it(void **state)
{
    (void)state;
    char file[sizeof(path) + 8], other[sizeof(path) + 8], include[sizeof(other) + 16];
    snprintf(file, sizeof(file), "%s/zone", folder);
    snprintf(other, sizeof(other), "%s/included", folder);
    write_text(file, "host A 192.0.2.1");
    struct zone_data *data = load_file(file, 40);
    struct zone_source now;
    assert_int_equal(data->source.kind, ZONE_SOURCE_FILE);
    assert_int_equal(zone_file_source(file, &now), 0);
    assert_true(zone_file_source_equal(&data->source, &now));

    /* Same size, same times as far as one can set them: still another file. */
    struct timespec times[2] = {
        {.tv_sec = now.mtime_ns / 1000000000, .tv_nsec = now.mtime_ns % 1000000000},
        {.tv_sec = now.mtime_ns / 1000000000, .tv_nsec = now.mtime_ns % 1000000000}};
    write_text(file, "host A 192.0.2.2");
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    assert_int_equal(zone_file_source(file, &now), 0);
    assert_int_equal(now.mtime_ns, data->source.mtime_ns);
    assert_int_equal(now.file_size, data->source.file_size);
    assert_false(zone_file_source_equal(&data->source, &now));
    zone_data_free(data);

    /* Written a moment ago, it may be written again within the same stamp. */
    write_text(file, "host A 192.0.2.3");
    data = load_file(file, 0);
    assert_int_equal(data->source.kind, ZONE_SOURCE_NONE);
    zone_data_free(data);

    write_text(other, "");
    FILE *stream = fopen(other, "w");
    fprintf(stream, "included A 192.0.2.4\n");
    fclose(stream);
    snprintf(include, sizeof(include), "$INCLUDE %s", other);
    write_text(file, include);
    data = load_file(file, 40);
    assert_int_equal(data->source.kind, ZONE_SOURCE_NONE);
    zone_data_free(data);
    (void)unlink(file);
    (void)unlink(other);
}

int main(int argc, char **argv)
{
    /* A seed as argument repeats a run. */
    seed_used = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)arc4random() << 16;
    printf("seed %llu\n", (unsigned long long)seed_used);
    random_state = seed_used;
    name_hash_key_set(1, 2);
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/a.example.snapshot", folder);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_random_zone_comes_back_as_it_was, remove_file),
        cmocka_unit_test_teardown(test_marks_stay_out, remove_file),
        cmocka_unit_test_teardown(test_a_held_generation_outlives_its_owner_and_its_table,
                                  remove_file),
        cmocka_unit_test_teardown(test_a_check_moves_on_and_a_torn_one_is_passed_over, remove_file),
        cmocka_unit_test(test_a_path_is_one_file_name_whatever_the_zone),
        cmocka_unit_test_teardown(test_a_failed_or_cancelled_write_leaves_the_old_snapshot,
                                  remove_file),
        cmocka_unit_test_teardown(test_a_cut_snapshot_is_refused_at_every_length, remove_file),
        cmocka_unit_test_teardown(test_every_flipped_bit_is_noticed, remove_file),
        cmocka_unit_test_teardown(
            test_octets_of_malice_with_right_checksums_make_a_zone_or_an_error, remove_file),
        cmocka_unit_test_teardown(test_a_wrong_header_is_refused_with_its_reason, remove_file),
        cmocka_unit_test_teardown(test_another_key_of_the_name_hash_is_noticed, remove_file),
        cmocka_unit_test_teardown(test_what_is_no_file_is_refused, remove_file),
        cmocka_unit_test(test_a_zone_file_is_its_zones_source_unless_it_is_not_all_of_it),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    return failed;
}
