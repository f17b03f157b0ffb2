#include "cli/rehearsed_zones.h"

#include <errno.h>
#include <inttypes.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/address_option.h"

/* An origin to transfer from, with the address it points to. */
struct origin {
    struct transfer_source source;
    struct sockaddr_storage socket;
};

static const char *const no_memory = "there is no memory for it";

/* Text of a zone's name without its final dot. */
static bool name_zone(struct zone *zone, const char *text, size_t size)
{
    uint8_t wire[NAME_SIZE_MAX];

    if (size == 0 || size >= sizeof(zone->text))
        return false;
    memcpy(zone->text, text, size);
    zone->text[size] = '\0';
    if (knot_dname_from_str(wire, zone->text, sizeof(wire)) == NULL ||
        name_parse(&zone->name, wire, sizeof(wire)) < 0)
        return false;
    if (size > 1 && zone->text[size - 1] == '.')
        zone->text[size - 1] = '\0';
    return true;
}

static bool is_named(const struct rehearsed_zones *zones, const struct name *name)
{
    for (size_t i = 0; i < zones->count; i++)
        if (name_equal(zones->zones[i]->name.wire, name->wire))
            return true;
    return false;
}

static const char *take_origin(struct zone_load *load, const char *text)
{
    struct origin *origin = calloc(1, sizeof(*origin));

    if (origin == NULL)
        return no_memory;
    if (!address_option_parse(text, &origin->socket, &origin->source.origin_size)) {
        free(origin);
        return "what stands behind '=' is no address and port, as in 192.0.2.1@53";
    }
    origin->source.origin = (const struct sockaddr *)&origin->socket;
    load->source = &origin->source; /* the first member: freed by this pointer */
    return NULL;
}

static bool make_room(struct rehearsed_zones *zones)
{
    if (zones->count < zones->room)
        return true;
    size_t room = zones->room == 0 ? 32 : zones->room * 2;
    struct zone **list = reallocarray(zones->zones, room, sizeof(struct zone *));
    if (list == NULL)
        return false;
    zones->zones = list;
    struct zone_load *loads = reallocarray(zones->loads, room, sizeof(*loads));
    if (loads == NULL)
        return false;
    zones->loads = loads;
    zones->room = room;
    return true;
}

const char *rehearsed_zones_add(struct rehearsed_zones *zones, const char *argument, bool transfers)
{
    const char *equals = strchr(argument, '=');
    const char *fault = NULL;

    if (equals == NULL || equals[1] == '\0')
        return transfers ? "takes NAME=ADDR@PORT" : "takes NAME=FILE";
    if (!make_room(zones))
        return no_memory;
    struct zone *zone = calloc(1, sizeof(*zone));
    if (zone == NULL)
        return no_memory;
    struct zone_load load = {.path = equals + 1};
    if (!name_zone(zone, argument, (size_t)(equals - argument)))
        fault = "what stands before '=' is no name of a zone";
    else if (is_named(zones, &zone->name))
        fault = "names a zone that is there already";
    else if (transfers)
        fault = take_origin(&load, equals + 1);
    if (fault != NULL) {
        free(zone);
        return fault;
    }
    load.apex = zone->name.wire;
    zone->role = ZONE_PRIMARY;
    zones->loads[zones->count] = load;
    zones->zones[zones->count++] = zone;
    return NULL;
}

static void tell_findings(const struct zone_load *load)
{
    size_t kept =
        load->finding_count < LOADER_FINDINGS_MAX ? load->finding_count : LOADER_FINDINGS_MAX;

    for (size_t i = 0; i < kept; i++)
        error_print(stderr, "tamis: warning", &load->findings[i]);
    if (load->finding_count > kept)
        fprintf(stderr, "tamis: warning: %s: %" PRIu64 " more of this kind\n", load->path,
                load->finding_count - kept);
}

int rehearsed_zones_load(struct rehearsed_zones *zones, struct error *ret_error)
{
    struct timespec start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    zone_loader_run(zones->loads, zones->count, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    zones->took_s =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    for (size_t i = 0; i < zones->count; i++) {
        const struct zone_load *load = &zones->loads[i];
        tell_findings(load);
        if (load->data == NULL) {
            *ret_error = load->error;
            return load->error.code;
        }
        zones->zones[i]->data = load->data;
        atomic_store(&zones->zones[i]->status, ZONE_SERVING);
    }
    int rc = zone_set_create(zones->zones, zones->count, &zones->set);
    return rc < 0 ? error_set(ret_error, rc, "out of memory") : 0;
}

void rehearsed_zones_clear(struct rehearsed_zones *zones)
{
    zone_set_free(zones->set);
    for (size_t i = 0; i < zones->count; i++) {
        zone_data_free(zones->loads[i].data);
        free((void *)zones->loads[i].source);
        free(zones->zones[i]);
    }
    free(zones->zones);
    free(zones->loads);
    *zones = (struct rehearsed_zones){0};
}
