/* The plan file of a cut-over: which domains, whose servers, by what bounds (tamis-takeover(1)). */
#pragma once

#include "base/yaml_load.h"
#include "cli/prove_exchange.h"
#include "dns/name.h"

#define PLAN_TYPES_MAX 16

enum plan_mode { PLAN_AUTO, PLAN_SECONDARY, PLAN_FORWARD };

struct plan_server {
    char *name;
    char **addresses;
    unsigned addresses_count;
};

struct plan_domain {
    char *name; /* without the final dot */
    enum plan_mode mode;
    char **origins; /* ADDR@PORT; the first is the one compared with */
    unsigned origins_count;
    char *order, *names; /* resolved paths, or NULL */
};

struct plan_update {
    char *server, *key, *algorithm, *secret;
};

struct plan_delegation {
    char *parent_zone;
    unsigned ttl;     /* seconds; 0: as the parent has it */
    unsigned timeout; /* seconds for the command, and for the parents to show the change; 0: 60 */
    char *command;    /* a shell command, or NULL */
    struct plan_update *update;
};

struct plan_front {
    char *address, *control;
};

struct plan_gate {
    unsigned queries; /* 0: 10,000 */
};

/* Bounds of the watch; for those that are absent see plan_load(). */
struct plan_canary {
    unsigned seconds, interval, sample;
    unsigned name_servers; /* of ours in a canary's NS set; 0: all, and none of the old ones */
    unsigned different_max;
    double servfail_max, nxdomain_max; /* share above the origin's, or the domain's own past */
    double volume_min; /* share of the domain's queries a second so far; 0: not looked at */
    unsigned latency_ms_max;
    unsigned *error_reports_max; /* in an interval; NULL: not looked at */
};

struct plan_return {
    unsigned quiet_seconds; /* 0: 300 */
};

struct takeover_plan {
    char *path;
    /* As in the file. */
    char *state, *keyring, *prometheus;
    unsigned expected_queries; /* a second; 0: not told */
    struct plan_front *front;
    char **parents;
    unsigned parents_count;
    char **types;
    unsigned types_count;
    struct plan_server *name_servers;
    unsigned name_servers_count;
    struct plan_delegation *delegation;
    struct plan_gate *gate;
    struct plan_canary *canary;
    struct plan_return *returning;
    struct plan_domain *domains;
    unsigned domains_count;
};

/* What stands in the plan's folder is resolved against it; absent maps are there with defaults. */
_must_check_ int plan_load(const char *path, struct takeover_plan **ret_plan,
                           struct error *ret_error);
void plan_free(struct takeover_plan *plan);
DEFINE_FREEP(struct takeover_plan, plan_free)

/* NULL: no domain of that name. */
const struct plan_domain *plan_domain_find(const struct takeover_plan *plan, const char *name);

/* Types to ask for; at most PLAN_TYPES_MAX. */
size_t plan_types(const struct takeover_plan *plan, uint16_t ret_types[PLAN_TYPES_MAX]);

/* An address that plan_load() has checked. */
struct exchange_address plan_address(const char *text);
