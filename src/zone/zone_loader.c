#include "zone/zone_loader.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* More threads than this gain nothing: the memory bus is the limit. */
#define THREADS_MAX 16

struct loader {
    struct zone_load *loads;
    size_t count;
    _Atomic(size_t) next;
};

static void keep_finding(void *context, const struct zone_finding *finding)
{
    struct zone_load *load = context;
    if (finding->fatal)
        return; /* the first fatal one is the load's error */
    if (load->finding_count < LOADER_FINDINGS_MAX)
        error_set_at(&load->findings[load->finding_count], -EINVAL, finding->file,
                     (uint32_t)finding->line, "%s", finding->text);
    load->finding_count++;
}

static int transfer_one(struct zone_load *load)
{
    struct transfer_report report;
    int rc = transfer_axfr(load->source, load->apex, &load->data, &report, &load->error);
    if (rc == 0 && report.refused > 0) {
        error_set(
            &load->findings[0], -EINVAL,
            "%llu transferred records cannot stand in the zone and are left out; the first: %s",
            (unsigned long long)report.refused, report.first_refused);
        load->finding_count = 1;
    }
    return rc;
}

static int load_snapshot(struct zone_load *load)
{
    if (load->snapshot == NULL)
        return -ENOENT;
    _cleanup_(snapshot_closep) struct snapshot *snapshot = NULL;
    int rc = snapshot_open(load->snapshot, load->apex, &snapshot, &load->unusable);
    if (rc == 0)
        rc = load->judge(load, snapshot_info(snapshot), &load->unusable);
    if (rc == 0)
        rc = snapshot_read(snapshot, &load->data, &load->unusable);
    if (rc == -ENOENT)
        load->unusable = (struct error){0};
    return rc;
}

static int load_source(struct zone_load *load)
{
    if (load->source != NULL)
        return transfer_one(load);
    if (load->path == NULL)
        return -ENOENT;
    return zone_file_load(load->path, load->apex, keep_finding, load, &load->data, &load->error);
}

static void load_one(struct zone_load *load)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (load_snapshot(load) < 0 && load_source(load) < 0)
        load->data = NULL;
    if (load->data != NULL && load->loaded != NULL)
        load->loaded(load);
    clock_gettime(CLOCK_MONOTONIC, &end);
    load->took_s =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

static void *load_some(void *context)
{
    struct loader *loader = context;
    for (;;) {
        size_t index = atomic_fetch_add(&loader->next, 1);
        if (index >= loader->count)
            return NULL;
        load_one(&loader->loads[index]);
    }
}

void zone_loader_run(struct zone_load *loads, size_t count, unsigned threads)
{
    struct loader loader = {.loads = loads, .count = count};
    if (threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        threads = cores > 0 ? (unsigned)cores : 1;
    }
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    if (threads > count)
        threads = (unsigned)count;

    /* This thread works, too: where no other can be started, it does all of it. */
    pthread_t others[THREADS_MAX];
    unsigned started = 0;
    while (started + 1 < threads && pthread_create(&others[started], NULL, load_some, &loader) == 0)
        started++;
    load_some(&loader);
    while (started > 0)
        pthread_join(others[--started], NULL);
}

void zone_loads_free(struct zone_load *loads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(loads[i].snapshot);
    free(loads);
}
