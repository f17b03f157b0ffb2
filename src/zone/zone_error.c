#include <pthread.h>
#include <stdio.h>

#include "zone/zone.h"

/* One lock for all zones: texts change when something went wrong and are read by people. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void zone_last_error_set(struct zone *zone, const char *text)
{
    pthread_mutex_lock(&lock);
    snprintf(zone->last_error, sizeof(zone->last_error), "%s", text);
    pthread_mutex_unlock(&lock);
}

void zone_last_error_get(const struct zone *zone, char *ret_text, size_t size)
{
    pthread_mutex_lock(&lock);
    snprintf(ret_text, size, "%s", zone->last_error);
    pthread_mutex_unlock(&lock);
}
