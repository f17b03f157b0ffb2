/* A snapshot with any octets in it, its checksums made right: whatever it is read as must be a zone
 * that answers every question without a crash, or an error with a text.
 *
 * The input is what is changed in a good snapshot, so that a corpus outlives changes of the format.
 * Its first octet chooses one of the zones in FUZZ_FIXTURES; then come records of four octets: a
 * place, and what happens there. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <libknot/libknot.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/rcu.h"
#include "fuzz/fuzz.h"
#include "server/responder.h"
#include "zone/snapshot_internal.h"
#include "zone/zone_file.h"

static const char *const zone_names[] = {"plain.example.", "signed.example.", "signed3.example."};
#define ZONE_COUNT (sizeof(zone_names) / sizeof(zone_names[0]))

/* Entries that are asked about; more would tell nothing more. */
#define ASKED_MAX 64

struct good {
    struct zone zone;
    struct zone_set *set;
    uint8_t *octets; /* of its snapshot */
    size_t size;
};

static const struct sockaddr_in client = {.sin_family = AF_INET};
static struct good goods[ZONE_COUNT];
static struct responder_view view;
static struct responder *responder;

static bool notify_allowed(void *context, const struct zone *zone, const struct sockaddr *from,
                           const char *key_name)
{
    (void)context, (void)zone, (void)from, (void)key_name;
    return false;
}

/* ---- The good snapshots ---- */

static void write_good(struct good *good, struct zone_data *data)
{
    char folder[] = "/tmp/tamis-fuzz-XXXXXX", path[64];
    FUZZ_ASSERT(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/snapshot", folder);
    struct zone_view *snapshot_view;
    struct error error;
    uint64_t size;
    FUZZ_ASSERT(zone_view_open(data, &snapshot_view) == 0);
    FUZZ_ASSERT(snapshot_write(path, snapshot_view, 1, NULL, &size, &error) == 0);
    zone_view_close(snapshot_view);

    good->size = (size_t)size;
    good->octets = malloc(good->size);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    FUZZ_ASSERT(read(file, good->octets, good->size) == (ssize_t)good->size);
    close(file);
    FUZZ_ASSERT(unlink(path) == 0 && rmdir(folder) == 0);
}

static void set_up_zone(struct good *good, const char *text)
{
    struct zone *zone = &good->zone;
    uint8_t apex[NAME_SIZE_MAX];
    FUZZ_ASSERT(knot_dname_from_str(apex, text, sizeof(apex)) != NULL);
    FUZZ_ASSERT(name_parse(&zone->name, apex, sizeof(apex)) > 0);
    char path[512];
    snprintf(path, sizeof(path), "%s/%szone", FUZZ_FIXTURES, text);
    struct error error = {0};
    struct zone_data *data = NULL;
    FUZZ_ASSERT(zone_file_load(path, apex, NULL, NULL, &data, &error) == 0);
    write_good(good, data);
    zone_data_free(data);
    atomic_store(&zone->status, ZONE_SERVING);
    FUZZ_ASSERT(zone_set_create(&zone, 1, &good->set) == 0);
}

static void set_up(void)
{
    static const struct responder_options options = {
        .view = &view,
        .udp_payload_max = 1232,
        .tcp_idle_timeout_ms = 10000,
        .notify_allowed = notify_allowed,
    };
    struct error error = {0};
    rcu_register_thread();
    name_hash_key_set(1, 2);
    for (size_t i = 0; i < ZONE_COUNT; i++)
        set_up_zone(&goods[i], zone_names[i]);
    view.zones = goods[0].set;
    FUZZ_ASSERT(responder_create(&options, &responder, &error) == 0);
}

/* ---- Asking ---- */

static void ask(const uint8_t *name, uint16_t type)
{
    static uint8_t response[RESPONSE_SIZE_MAX];
    static const uint8_t opt_with_do[] = {0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0};
    uint8_t request[KNOT_WIRE_HEADER_SIZE + NAME_SIZE_MAX + 4 + sizeof(opt_with_do)] = {0};
    knot_wire_set_qdcount(request, 1);
    knot_wire_set_arcount(request, 1);
    uint8_t *at = request + KNOT_WIRE_HEADER_SIZE;
    size_t size = name_wire_size(name);
    memcpy(at, name, size);
    at += size;
    knot_wire_write_u16(at, type);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    memcpy(at + 4, opt_with_do, sizeof(opt_with_do));
    at += 4 + sizeof(opt_with_do);

    size_t answered = responder_answer(responder, request, (size_t)(at - request),
                                       (const struct sockaddr *)&client, TRANSPORT_TCP, 1, response,
                                       sizeof(response));
    FUZZ_ASSERT(answered >= KNOT_WIRE_HEADER_SIZE);
    rcu_quiescent_state();
}

/* Asks for the owner and for names below it that may not exist. */
static void ask_about(const uint8_t *owner)
{
    static const uint16_t types[] = {KNOT_RRTYPE_A,   KNOT_RRTYPE_CNAME, KNOT_RRTYPE_DS,
                                     KNOT_RRTYPE_ANY, KNOT_RRTYPE_RRSIG, KNOT_RRTYPE_MX};
    static const char *const prefixes[] = {"", "\7missing", "\1a\1b"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        uint8_t name[NAME_SIZE_MAX + 16];
        size_t size = strlen(prefixes[i]);
        memcpy(name, prefixes[i], size);
        memcpy(name + size, owner, name_wire_size(owner));
        if (name_wire_size(name) > NAME_SIZE_MAX)
            continue;
        for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
            ask(name, types[k]);
    }
}

static int visit(void *context, const uint8_t *owner, const struct name_entry *entry)
{
    unsigned *left = context;
    (void)entry;
    ask_about(owner);
    return --*left == 0;
}

static void check_zone(struct good *good, struct zone_data *data)
{
    good->zone.data = data;
    view.zones = good->set;
    unsigned left = ASKED_MAX;
    (void)zone_data_each(data, visit, &left);

    uint8_t listed[NAME_SIZE_MAX];
    memcpy(listed, "\6listed", 7);
    memcpy(listed + 7, good->zone.name.wire, good->zone.name.size);
    FUZZ_ASSERT(zone_data_reserve(data, 3 * data->entry_count + 100) == 0);
    FUZZ_ASSERT(zone_data_mark(data, listed) == 0);
    ask_about(listed);
    good->zone.data = NULL;
}

/* ---- The changes ---- */

/* Places in the header and behind its page; what is between means nothing. */
static size_t place_of(uint16_t number, size_t size)
{
    const size_t header = sizeof(struct snapshot_header);
    size_t place = number % (header + size - SNAPSHOT_PAGE);
    return place < header ? place : place - header + SNAPSHOT_PAGE;
}

static void change(uint8_t *octets, size_t size, const uint8_t *record)
{
    uint8_t *at = octets + place_of(knot_wire_read_u16(record), size);
    switch (record[2] % 4) {
    case 0:
        *at = record[3];
        break;
    case 1:
        *at ^= (uint8_t)(1 << record[3] % 8);
        break;
    case 2:
        *at = (uint8_t)(*at + (int8_t)record[3]);
        break;
    default: { /* octets from elsewhere */
        const uint8_t *from = octets + place_of((uint16_t)(record[3] * 64), size);
        size_t room = (size_t)(octets + size - (at > from ? at : from));
        memmove(at, from, room < 8 ? room : 8);
    }
    }
}

static void make_sums_right(uint8_t *octets, size_t size)
{
    struct snapshot_header *header = (struct snapshot_header *)octets;
    memcpy(header->magic, SNAPSHOT_MAGIC, sizeof(header->magic));
    header->byte_order = SNAPSHOT_BYTE_ORDER;
    header->version = SNAPSHOT_VERSION;
    header->pointer_size = sizeof(void *);
    header->header_size = sizeof(*header);
    header->file_size = size;
    snapshot_name_hash(header->name_hash);
    uint64_t others =
        header->nsec3_size + (header->slot_count + header->nsec_count) * sizeof(uint64_t);
    if (others <= size - SNAPSHOT_PAGE)
        header->entries_size = size - SNAPSHOT_PAGE - others;
    header->body_checksum = XXH3_64bits(octets + SNAPSHOT_PAGE, size - SNAPSHOT_PAGE);
    header->header_checksum = snapshot_header_checksum(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (responder == NULL)
        set_up();
    if (size == 0)
        return 0;
    struct good *good = &goods[input[0] % ZONE_COUNT];
    uint8_t *octets = malloc(good->size);
    memcpy(octets, good->octets, good->size);
    for (size_t at = 1; size - at >= 4; at += 4)
        change(octets, good->size, input + at);
    make_sums_right(octets, good->size);

    int file = memfd_create("snapshot", MFD_CLOEXEC);
    FUZZ_ASSERT(file >= 0 && write(file, octets, good->size) == (ssize_t)good->size);
    free(octets);
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    struct snapshot *snapshot = NULL;
    struct zone_data *data = NULL;
    struct error error = {0};
    int rc = snapshot_open(path, good->zone.name.wire, &snapshot, &error);
    if (rc == 0)
        rc = snapshot_read(snapshot, &data, &error);
    FUZZ_ASSERT(size >= 5 || rc == 0); /* nothing was changed */
    if (rc == 0)
        check_zone(good, data);
    else
        FUZZ_ASSERT(error.text[0] != '\0');
    zone_data_free(data);
    snapshot_close(snapshot);
    close(file);
    return 0;
}
