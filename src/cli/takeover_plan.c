#include "cli/takeover_plan.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/address_option.h"

#define OPTIONAL         CYAML_FLAG_OPTIONAL
#define OPTIONAL_POINTER (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)

static const cyaml_schema_value_t string_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

static const cyaml_strval_t modes[] = {
    {"auto", PLAN_AUTO}, {"secondary", PLAN_SECONDARY}, {"forward", PLAN_FORWARD}};

static const cyaml_schema_field_t front_fields[] = {
    CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER, struct plan_front, address, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("control", CYAML_FLAG_POINTER, struct plan_front, control, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t server_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct plan_server, name, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("addresses", OPTIONAL_POINTER, struct plan_server, addresses,
                         &string_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t server_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct plan_server, server_fields),
};

static const cyaml_schema_field_t domain_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct plan_domain, name, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_ENUM("mode", CYAML_FLAG_STRICT | OPTIONAL, struct plan_domain, mode, modes,
                     CYAML_ARRAY_LEN(modes)),
    CYAML_FIELD_SEQUENCE("origins", CYAML_FLAG_POINTER, struct plan_domain, origins, &string_schema,
                         1, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("order", OPTIONAL_POINTER, struct plan_domain, order, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("names", OPTIONAL_POINTER, struct plan_domain, names, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t domain_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct plan_domain, domain_fields),
};

static const cyaml_schema_field_t update_fields[] = {
    CYAML_FIELD_STRING_PTR("server", CYAML_FLAG_POINTER, struct plan_update, server, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("key", OPTIONAL_POINTER, struct plan_update, key, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("algorithm", OPTIONAL_POINTER, struct plan_update, algorithm, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("secret", OPTIONAL_POINTER, struct plan_update, secret, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t delegation_fields[] = {
    CYAML_FIELD_STRING_PTR("parent-zone", CYAML_FLAG_POINTER, struct plan_delegation, parent_zone,
                           0, CYAML_UNLIMITED),
    CYAML_FIELD_UINT("ttl", OPTIONAL, struct plan_delegation, ttl),
    CYAML_FIELD_UINT("timeout", OPTIONAL, struct plan_delegation, timeout),
    CYAML_FIELD_STRING_PTR("command", OPTIONAL_POINTER, struct plan_delegation, command, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_MAPPING_PTR("update", OPTIONAL_POINTER, struct plan_delegation, update,
                            update_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t gate_fields[] = {
    CYAML_FIELD_UINT("queries", OPTIONAL, struct plan_gate, queries),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t canary_fields[] = {
    CYAML_FIELD_UINT("seconds", OPTIONAL, struct plan_canary, seconds),
    CYAML_FIELD_UINT("interval", OPTIONAL, struct plan_canary, interval),
    CYAML_FIELD_UINT("sample", OPTIONAL, struct plan_canary, sample),
    CYAML_FIELD_UINT("name-servers", OPTIONAL, struct plan_canary, name_servers),
    CYAML_FIELD_UINT("different-max", OPTIONAL, struct plan_canary, different_max),
    CYAML_FIELD_FLOAT("servfail-max", OPTIONAL, struct plan_canary, servfail_max),
    CYAML_FIELD_FLOAT("nxdomain-max", OPTIONAL, struct plan_canary, nxdomain_max),
    CYAML_FIELD_FLOAT("volume-min", OPTIONAL, struct plan_canary, volume_min),
    CYAML_FIELD_UINT("latency-ms-max", OPTIONAL, struct plan_canary, latency_ms_max),
    CYAML_FIELD_UINT_PTR("error-reports-max", OPTIONAL_POINTER, struct plan_canary,
                         error_reports_max),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t return_fields[] = {
    CYAML_FIELD_UINT("quiet-seconds", OPTIONAL, struct plan_return, quiet_seconds),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t plan_fields[] = {
    CYAML_FIELD_STRING_PTR("state", CYAML_FLAG_POINTER, struct takeover_plan, state, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_MAPPING_PTR("front", CYAML_FLAG_POINTER, struct takeover_plan, front, front_fields),
    CYAML_FIELD_STRING_PTR("keyring", OPTIONAL_POINTER, struct takeover_plan, keyring, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("prometheus", OPTIONAL_POINTER, struct takeover_plan, prometheus, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_UINT("expected-queries", OPTIONAL, struct takeover_plan, expected_queries),
    CYAML_FIELD_SEQUENCE("types", OPTIONAL_POINTER, struct takeover_plan, types, &string_schema, 1,
                         PLAN_TYPES_MAX),
    CYAML_FIELD_SEQUENCE("parents", CYAML_FLAG_POINTER, struct takeover_plan, parents,
                         &string_schema, 1, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("name-servers", CYAML_FLAG_POINTER, struct takeover_plan, name_servers,
                         &server_schema, 1, CYAML_UNLIMITED),
    CYAML_FIELD_MAPPING_PTR("delegation", CYAML_FLAG_POINTER, struct takeover_plan, delegation,
                            delegation_fields),
    CYAML_FIELD_MAPPING_PTR("gate", OPTIONAL_POINTER, struct takeover_plan, gate, gate_fields),
    CYAML_FIELD_MAPPING_PTR("canary", OPTIONAL_POINTER, struct takeover_plan, canary,
                            canary_fields),
    CYAML_FIELD_MAPPING_PTR("return", OPTIONAL_POINTER, struct takeover_plan, returning,
                            return_fields),
    CYAML_FIELD_SEQUENCE("domains", CYAML_FLAG_POINTER, struct takeover_plan, domains,
                         &domain_schema, 1, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t plan_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct takeover_plan, plan_fields),
};

/* ---- What the schema cannot say ---- */

struct checking {
    const struct yaml_source *source;
    struct takeover_plan *plan;
    struct error *error;
};

#define REFUSE(checking, place, ...)                                   \
    error_set_at((checking)->error, -EINVAL, (checking)->source->path, \
                 yaml_source_line((checking)->source, (place)), __VA_ARGS__)

struct exchange_address plan_address(const char *text)
{
    struct exchange_address address = {0};
    (void)address_option_parse(text, &address.socket, &address.size);
    return address;
}

static int check_address(const struct checking *checking, const char *place, const char *text)
{
    struct exchange_address address = {0};
    return address_option_parse(text, &address.socket, &address.size)
               ? 0
               : REFUSE(checking, place, "'%.80s' is no address: write it like 192.0.2.1@53", text);
}

static int check_addresses(const struct checking *checking, const char *key, char **texts,
                           unsigned count)
{
    char place[80];
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        snprintf(place, sizeof(place), "%s.%u", key, i);
        rc = check_address(checking, place, texts[i]);
    }
    return rc;
}

/* Takes the final dot off; what is left names files. */
static int check_name(const struct checking *checking, const char *place, char *name)
{
    uint8_t wire[NAME_SIZE_MAX];
    size_t size = strlen(name);
    if (size > 1 && name[size - 1] == '.')
        name[size - 1] = '\0';
    if (size == 0 || strchr(name, '/') != NULL || name[0] == '.' ||
        knot_dname_from_str(wire, name, sizeof(wire)) == NULL)
        return REFUSE(checking, place, "'%.80s' is no domain name", name);
    return 0;
}

/* Resolves against the plan's folder. */
static int resolve(const struct checking *checking, char **path)
{
    const char *slash = strrchr(checking->source->path, '/');
    char *resolved = NULL;
    if (*path == NULL || (*path)[0] == '/' || slash == NULL)
        return 0;
    if (asprintf(&resolved, "%.*s%s", (int)(slash + 1 - checking->source->path),
                 checking->source->path, *path) < 0)
        return error_set(checking->error, -ENOMEM, "out of memory");
    free(*path);
    *path = resolved;
    return 0;
}

static int check_domain(const struct checking *checking, unsigned index)
{
    struct plan_domain *domain = &checking->plan->domains[index];
    char place[80];

    snprintf(place, sizeof(place), "domains.%u.name", index);
    int rc = check_name(checking, place, domain->name);
    for (unsigned i = 0; i < index && rc == 0; i++)
        if (strcasecmp(checking->plan->domains[i].name, domain->name) == 0)
            rc = REFUSE(checking, place, "'%s' stands here twice: keep one", domain->name);
    if (rc == 0 && domain->origins_count == 0)
        rc = REFUSE(checking, place, "'%s' has no origins: add one, as in 198.51.100.1@53",
                    domain->name);
    snprintf(place, sizeof(place), "domains.%u.origins", index);
    if (rc == 0)
        rc = check_addresses(checking, place, domain->origins, domain->origins_count);
    if (rc == 0)
        rc = resolve(checking, &domain->order);
    return rc == 0 ? resolve(checking, &domain->names) : rc;
}

static int check_server(const struct checking *checking, unsigned index)
{
    const struct plan_server *server = &checking->plan->name_servers[index];
    struct exchange_address address = {0};
    char place[80];

    snprintf(place, sizeof(place), "name-servers.%u.name", index);
    int rc = check_name(checking, place, server->name);
    for (unsigned i = 0; i < server->addresses_count && rc == 0; i++) {
        snprintf(place, sizeof(place), "name-servers.%u.addresses.%u", index, i);
        if (strchr(server->addresses[i], '@') != NULL ||
            !address_option_parse(server->addresses[i], &address.socket, &address.size))
            rc = REFUSE(checking, place, "'%.80s' is no address of a glue record",
                        server->addresses[i]);
    }
    return rc;
}

static int check_delegation(const struct checking *checking)
{
    const struct plan_delegation *delegation = checking->plan->delegation;

    int rc = check_name(checking, "delegation.parent-zone", delegation->parent_zone);
    if (rc < 0)
        return rc;
    if ((delegation->command != NULL) == (delegation->update != NULL))
        return REFUSE(checking, "delegation",
                      "'delegation' needs either 'command' or 'update', and not both");
    if (delegation->update == NULL)
        return 0;
    const struct plan_update *update = delegation->update;
    if ((update->key == NULL) != (update->secret == NULL))
        return REFUSE(checking, "delegation.update",
                      "'key' and 'secret' belong together: give both or none");
    return check_address(checking, "delegation.update.server", update->server);
}

static int check_types(const struct checking *checking)
{
    uint16_t type;
    char place[40];
    for (unsigned i = 0; i < checking->plan->types_count; i++) {
        snprintf(place, sizeof(place), "types.%u", i);
        if (knot_rrtype_from_string(checking->plan->types[i], &type) < 0 ||
            knot_rrtype_is_metatype(type))
            return REFUSE(checking, place, "'%.40s' is no record type to ask for",
                          checking->plan->types[i]);
    }
    return 0;
}

static unsigned default_count(unsigned value, unsigned otherwise)
{
    return value != 0 ? value : otherwise;
}

static int set_defaults(const struct checking *checking)
{
    struct takeover_plan *plan = checking->plan;
    if (plan->gate == NULL)
        plan->gate = calloc(1, sizeof(*plan->gate));
    if (plan->canary == NULL)
        plan->canary = calloc(1, sizeof(*plan->canary));
    if (plan->returning == NULL)
        plan->returning = calloc(1, sizeof(*plan->returning));
    if (plan->gate == NULL || plan->canary == NULL || plan->returning == NULL)
        return error_set(checking->error, -ENOMEM, "out of memory");

    plan->delegation->timeout = default_count(plan->delegation->timeout, 60);
    plan->gate->queries = default_count(plan->gate->queries, 10000);
    plan->returning->quiet_seconds = default_count(plan->returning->quiet_seconds, 300);
    struct plan_canary *canary = plan->canary;
    canary->seconds = default_count(canary->seconds, 600);
    canary->interval = default_count(canary->interval, 10);
    canary->sample = default_count(canary->sample, 200);
    canary->latency_ms_max = default_count(canary->latency_ms_max, 50);
    if (canary->servfail_max <= 0)
        canary->servfail_max = 0.01;
    if (canary->nxdomain_max <= 0)
        canary->nxdomain_max = 0.05;
    return 0;
}

static int plan_check(const struct checking *checking)
{
    struct takeover_plan *plan = checking->plan;

    int rc = check_address(checking, "front.address", plan->front->address);
    if (rc == 0)
        rc = check_addresses(checking, "parents", plan->parents, plan->parents_count);
    if (rc == 0)
        rc = check_types(checking);
    for (unsigned i = 0; i < plan->name_servers_count && rc == 0; i++)
        rc = check_server(checking, i);
    if (rc == 0)
        rc = check_delegation(checking);
    for (unsigned i = 0; i < plan->domains_count && rc == 0; i++)
        rc = check_domain(checking, i);
    char **const paths[] = {&plan->state, &plan->keyring, &plan->prometheus, &plan->front->control};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && rc == 0; i++)
        rc = resolve(checking, paths[i]);
    return rc == 0 ? set_defaults(checking) : rc;
}

int plan_load(const char *path, struct takeover_plan **ret_plan, struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *source = NULL;
    void *value = NULL;

    int rc = yaml_source_read(path, &source, ret_error);
    if (rc == 0)
        rc = yaml_source_load(source, &plan_schema, &value, NULL, ret_error);
    if (rc < 0)
        return rc;
    struct takeover_plan *plan = value;
    const struct checking checking = {.source = source, .plan = plan, .error = ret_error};
    rc = plan_check(&checking);
    if (rc == 0 && (plan->path = strdup(path)) == NULL)
        rc = error_set(ret_error, -ENOMEM, "out of memory");
    if (rc < 0) {
        plan_free(plan);
        return rc;
    }
    *ret_plan = plan;
    return 0;
}

void plan_free(struct takeover_plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->path);
    yaml_value_free(&plan_schema, plan, 0);
}

const struct plan_domain *plan_domain_find(const struct takeover_plan *plan, const char *name)
{
    size_t size = strlen(name);
    if (size > 1 && name[size - 1] == '.')
        size--;
    for (unsigned i = 0; i < plan->domains_count; i++)
        if (strlen(plan->domains[i].name) == size &&
            strncasecmp(plan->domains[i].name, name, size) == 0)
            return &plan->domains[i];
    return NULL;
}

size_t plan_types(const struct takeover_plan *plan, uint16_t ret_types[PLAN_TYPES_MAX])
{
    if (plan->types_count == 0) {
        ret_types[0] = KNOT_RRTYPE_A;
        ret_types[1] = KNOT_RRTYPE_AAAA;
        return 2;
    }
    for (unsigned i = 0; i < plan->types_count; i++)
        (void)knot_rrtype_from_string(plan->types[i], &ret_types[i]);
    return plan->types_count;
}
