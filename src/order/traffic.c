#include "order/traffic.h"

#include <errno.h>
#include <string.h>

#include "order/traffic_internal.h"

int traffic_message(struct traffic *traffic, const uint8_t *wire, size_t size,
                    const struct address *client, bool over_tcp)
{
    struct traffic_report *report = traffic->report;

    if (request_parse(&traffic->request, &traffic->name, wire, size) != REQUEST_OK) {
        report->malformed++;
        return 0;
    }
    if (!request_asks_data(&traffic->request)) {
        report->others++;
        return 0;
    }
    report->queries++;
    struct traffic_query query = {
        .request = &traffic->request,
        .name = &traffic->name,
        .client = client,
        .over_tcp = over_tcp,
    };
    return traffic->take(traffic->context, &query, traffic->error);
}

/* The magic numbers of pcap in both byte orders, with micro- and nanoseconds, and of pcapng. */
static bool is_capture(const uint8_t magic[4])
{
    static const uint8_t known[][4] = {
        {0xa1, 0xb2, 0xc3, 0xd4}, {0xd4, 0xc3, 0xb2, 0xa1}, {0xa1, 0xb2, 0x3c, 0x4d},
        {0x4d, 0x3c, 0xb2, 0xa1}, {0x0a, 0x0d, 0x0d, 0x0a},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (memcmp(magic, known[i], sizeof(known[i])) == 0)
            return true;
    return false;
}

int traffic_read(const char *path, uint16_t port, traffic_fn *take, void *context,
                 struct traffic_report *ret_report, struct error *ret_error)
{
    uint8_t magic[4] = {0};

    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));
    size_t size = fread(magic, 1, sizeof(magic), stream);
    if (ferror(stream) || fseek(stream, 0, SEEK_SET) < 0) {
        int rc = -errno;
        fclose(stream);
        return error_set_at(ret_error, rc, path, 0, "cannot be read: %s; give a file, not a pipe",
                            strerror(-rc));
    }

    struct traffic_report report = {.is_capture = size == sizeof(magic) && is_capture(magic)};
    struct traffic traffic = {
        .port = port,
        .take = take,
        .context = context,
        .report = &report,
        .error = ret_error,
    };
    int rc = report.is_capture ? traffic_read_capture(&traffic, path, stream)
                               : traffic_read_list(&traffic, path, stream);
    if (rc == 0)
        *ret_report = report;
    return rc;
}
