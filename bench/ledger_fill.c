/* Appends entries to a ledger as the desk does, without its database: ledger_fill FOLDER KEY COUNT
 * BATCH. Prints one JSON object: seconds, octets of entries, peak of memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ledger/ledger_log.h"

#define BATCH_MAX  65536
#define ENTRY_ROOM 512

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* About what an amendment of an order looks like. */
static size_t entry_write(uint64_t number, char *to)
{
    return (size_t)snprintf(
        to, ENTRY_ROOM,
        "{\"data\":{\"before\":\"%064" PRIx64 "\",\"document\":\"%064" PRIx64
        "\",\"names\":%" PRIu64 ",\"reference\":\"nv-2014-00987\",\"revision\":2},"
        "\"id\":\"led_%020" PRIu64 "\",\"kind\":\"order.amended\",\"object\":\"ord_%020" PRIu64
        "\",\"time\":\"2026-11-23T22:00:00Z\",\"v\":1}",
        number, number + 1, number % 20000, number, number / 10);
}

static int fill(struct ledger_log *log, uint64_t count, size_t batch, uint64_t *octets,
                struct error *error)
{
    static struct ledger_entry entries[BATCH_MAX];
    static char texts[BATCH_MAX][ENTRY_ROOM];
    uint64_t index;
    for (uint64_t done = 0; done < count;) {
        size_t some = count - done < batch ? (size_t)(count - done) : batch;
        for (size_t i = 0; i < some; i++) {
            entries[i] = (struct ledger_entry){.octets = (const uint8_t *)texts[i],
                                               .size = entry_write(done + i, texts[i])};
            *octets += entries[i].size;
        }
        int rc = ledger_log_append(log, entries, some, &index, error);
        if (rc < 0)
            return rc;
        done += some;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct note_signer signer;
    struct ledger_log *log = NULL;
    struct error error = {0};
    struct rusage usage;
    uint64_t octets = 0;
    size_t batch = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;

    if (batch < 1 || batch > BATCH_MAX) {
        fprintf(stderr, "usage: ledger_fill FOLDER KEY COUNT BATCH (at most %d)\n", BATCH_MAX);
        return 2;
    }
    int rc = note_signer_load(argv[2], &signer, &error);
    if (rc == 0)
        rc = ledger_log_open(argv[1], &signer, &log, &error);
    double begun_s = now_s();
    if (rc == 0)
        rc = fill(log, strtoull(argv[3], NULL, 10), batch, &octets, &error);
    double took_s = now_s() - begun_s;
    ledger_log_close(log);
    if (rc < 0) {
        error_print(stderr, "ledger_fill", &error);
        return 1;
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"seconds\": %.3f, \"octets\": %" PRIu64 ", \"peak_kib\": %ld}\n", took_s, octets,
           usage.ru_maxrss);
    return 0;
}
