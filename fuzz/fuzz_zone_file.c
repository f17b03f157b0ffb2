/* The zone loader with any octets as its file: whatever it makes of them must be a zone that can be
 * walked and marked, or an error with a text. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "zone/zone_file.h"

static const uint8_t apex[] = "\1a\7example";

static int visit(void *context, const uint8_t *owner, const struct name_entry *entry)
{
    uint64_t *records = context;
    const uint8_t *at = name_entry_rrsets(entry);
    for (uint16_t index = 0; index < entry->rrset_count; index++) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        *records += rrset.rr_count;
    }
    FUZZ_ASSERT(name_wire_size(owner) <= NAME_SIZE_MAX);
    return 0;
}

static void check_zone(struct zone_data *data)
{
    static const uint8_t missing[] = "\7missing\1a\7example";
    uint64_t records = 0;

    FUZZ_ASSERT(data->apex_entry != NULL);
    FUZZ_ASSERT(zone_data_each(data, visit, &records) == 0);
    /* NSEC3 records are counted, but their hashed owners are not names of the zone. */
    FUZZ_ASSERT(records > 0 && records <= data->record_count);
    FUZZ_ASSERT(zone_data_mark(data, apex) == 0);
    FUZZ_ASSERT(zone_data_mark(data, missing) == 0);

    struct name name;
    FUZZ_ASSERT(name_parse(&name, missing, sizeof(missing)) > 0);
    FUZZ_ASSERT(zone_data_find(data, &name).marked);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    int file = memfd_create("zone", MFD_CLOEXEC);
    FUZZ_ASSERT(file >= 0);
    FUZZ_ASSERT(write(file, input, size) == (ssize_t)size);
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);

    struct zone_data *data = NULL;
    struct error error = {0};
    if (zone_file_load(path, apex, NULL, NULL, &data, &error) == 0)
        check_zone(data);
    else
        FUZZ_ASSERT(error.text[0] != '\0');

    zone_data_free(data);
    close(file);
    return 0;
}
