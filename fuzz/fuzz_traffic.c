/* Recorded traffic with any octets as its file, then with any octets as the packets of a capture:
 * each query that comes out of it must be a question, and the counts must add up. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "order/traffic.h"

/* A capture's head: the first octet of the input chooses among these link types. */
static const uint32_t link_types[] = {1, 113, 276, 101, 0, 108};

static int take(void *context, const struct traffic_query *query, struct error *ret_error)
{
    uint64_t *count = context;

    (void)ret_error;
    (*count)++;
    FUZZ_ASSERT(request_asks_data(query->request));
    FUZZ_ASSERT(query->request->question_end <= query->request->size);
    FUZZ_ASSERT(name_wire_size(query->name->wire) == query->name->size);
    FUZZ_ASSERT(query->client == NULL || query->client->family == 4 || query->client->family == 6);
    return 0;
}

static void read_file(int file)
{
    struct traffic_report report;
    struct error error = {0};
    uint64_t count = 0;
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (traffic_read(path, 53, take, &count, &report, &error) == 0)
        FUZZ_ASSERT(report.queries == count);
    else
        FUZZ_ASSERT(error.text[0] != '\0');
}

static void put(int file, const void *data, size_t size)
{
    FUZZ_ASSERT(write(file, data, size) == (ssize_t)size);
}

/* Each packet has its size in front, so that the fuzzer finds packets, not headers of captures. */
static void put_capture(int file, const uint8_t *input, size_t size)
{
    uint32_t link = link_types[input[0] % (sizeof(link_types) / sizeof(link_types[0]))];
    const uint32_t head[] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, link};

    put(file, head, sizeof(head));
    for (size_t at = 1; at < size;) {
        size_t packet_size = input[at++];
        if (packet_size > size - at)
            packet_size = size - at;
        const uint32_t packet[] = {0, 0, (uint32_t)packet_size, (uint32_t)packet_size};
        put(file, packet, sizeof(packet));
        put(file, input + at, packet_size);
        at += packet_size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    int plain = memfd_create("traffic", MFD_CLOEXEC),
        capture = memfd_create("capture", MFD_CLOEXEC);
    FUZZ_ASSERT(plain >= 0 && capture >= 0);

    put(plain, input, size);
    read_file(plain);
    if (size > 0) {
        put_capture(capture, input, size);
        read_file(capture);
    }
    close(plain);
    close(capture);
    return 0;
}
