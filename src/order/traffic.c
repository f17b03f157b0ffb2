#include "order/traffic.h"

#include <errno.h>
#include <string.h>

#include "order/traffic_internal.h"

static bool is_own(const struct traffic *traffic, const struct address *client)
{
    for (size_t i = 0; client != NULL && i < traffic->own_count; i++)
        if (traffic->own[i].family == client->family &&
            memcmp(traffic->own[i].octets, client->octets, sizeof(client->octets)) == 0)
            return true;
    return false;
}

int traffic_message(struct traffic *traffic, const uint8_t *wire, size_t size,
                    const struct address *client, bool over_tcp)
{
    struct traffic_report *report = traffic->report;

    if (is_own(traffic, client)) {
        report->own++;
        return 0;
    }
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

#define MAGIC_SIZE 4

/* The magic numbers of pcap in both byte orders, with micro- and nanoseconds, and of pcapng. */
static bool is_capture(const uint8_t magic[MAGIC_SIZE])
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

/* Frame Streams begin with the length 0 of an escape, which no list and no capture does. */
static enum traffic_form form_of(const uint8_t *magic, size_t size)
{
    static const uint8_t escape[] = {0, 0, 0, 0};

    if (size < MAGIC_SIZE)
        return TRAFFIC_LIST;
    if (memcmp(magic, escape, sizeof(escape)) == 0)
        return TRAFFIC_DNSTAP;
    return is_capture(magic) ? TRAFFIC_CAPTURE : TRAFFIC_LIST;
}

static int read_form(struct traffic *traffic, const char *path, FILE *stream)
{
    switch (traffic->report->form) {
    case TRAFFIC_CAPTURE:
        return traffic_read_capture(traffic, path, stream);
    case TRAFFIC_DNSTAP:
        return traffic_read_dnstap(traffic, path, stream);
    case TRAFFIC_LIST:
        break;
    }
    return traffic_read_list(traffic, path, stream);
}

const char *traffic_form_word(enum traffic_form form)
{
    static const char *const words[] = {
        [TRAFFIC_LIST] = "list", [TRAFFIC_CAPTURE] = "capture", [TRAFFIC_DNSTAP] = "dnstap"};
    return words[form];
}

int traffic_read(const char *path, uint16_t port, traffic_fn *take, void *context,
                 struct traffic_report *ret_report, struct error *ret_error)
{
    uint8_t magic[MAGIC_SIZE] = {0};

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

    struct traffic_report report = {.form = form_of(magic, size)};
    report.has_clients = report.form == TRAFFIC_CAPTURE;
    struct traffic traffic = {
        .port = port,
        .take = take,
        .context = context,
        .report = &report,
        .error = ret_error,
    };
    int rc = read_form(&traffic, path, stream);
    if (rc == 0)
        *ret_report = report;
    return rc;
}
