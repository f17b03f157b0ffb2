/* The configuration file as libcyaml loads it, before its values are checked: private to
 * config*.c.
 *
 * Optional values are pointers: NULL means that the file doesn't set them. */
#pragma once

#include "base/yaml_load.h"
#include "server/config.h"

struct raw_server_tls {
    char **listen;
    unsigned listen_count;
    char *certificate, *key, *client_ca;
};

struct raw_journal {
    char *size, *age;
};

struct raw_cache {
    char *size;
    bool *persist;
    char *save_interval;
};

struct raw_error_reports {
    char *agent;
};

struct raw_server {
    struct raw_server_tls *tls;
    char **listen;
    unsigned listen_count;
    unsigned *workers;
    char *state, *control, *metrics, *nsid, *version, *identity;
    unsigned *udp_payload_max, *tcp_clients, *tcp_clients_per_address;
    char *tcp_idle_timeout;
    struct raw_journal *journal;
    struct raw_cache *cache;
    unsigned *forward_threads, *zone_counters;
    struct raw_error_reports *error_reports;
};

struct raw_key {
    char *name, *algorithm, *secret;
};

struct raw_primary {
    char *file;
};

struct raw_origin_tls {
    char *name, *ca, *certificate, *key;
    char **pin;
    unsigned pin_count;
};

struct raw_secondary {
    char **from;
    unsigned from_count;
    char *key, *zonemd, *transfer_time_max, *transfer_size_max;
    struct raw_origin_tls *tls;
    bool *forward_updates;
};

struct raw_forward {
    char **to;
    unsigned to_count;
    unsigned *rate_max, *unseen_rate_max;
    char *stale_max;
    bool *client_subnet, *aggressive_nsec;
};

struct raw_update_rule {
    char *key;
    char **names, **subtree, **types;
    unsigned names_count, subtree_count, types_count;
    bool *self, *self_subtree;
};

struct raw_zone {
    char *name;
    struct raw_primary *primary;
    struct raw_secondary *secondary;
    struct raw_forward *forward;
    char **allow_transfer, **allow_update, **allow_notify, **notify;
    unsigned allow_transfer_count, allow_update_count, allow_notify_count, notify_count;
    struct raw_update_rule *update_policy;
    unsigned update_policy_count;
};

struct raw_signer {
    char *name, *public_key;
};

struct raw_publish {
    char *catalog, *suffix;
    char **allow_transfer, **notify;
    unsigned allow_transfer_count, notify_count;
};

struct raw_orders {
    char **files, **zones;
    unsigned files_count, zones_count;
    char *catalog, *dnstap;
    struct raw_publish *publish;
    struct raw_signer *keyring;
    unsigned keyring_count;
    unsigned *signatures_min;
};

struct raw_config {
    struct raw_server *server;
    struct raw_key *keys;
    unsigned keys_count;
    struct raw_zone *zones;
    unsigned zones_count;
    struct raw_orders *orders;
};

/* The text that was loaded and what it said. */
struct config_source {
    const struct yaml_source *yaml;
    struct raw_config *raw; /* checks may take strings out of it, leaving NULL */
};

/* The place of a value, as yaml_source_line() takes it. */
struct config_place {
    char path[128];
};

struct config_place config_place(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fills `ret_error` with the source's path and the line of `place`; returns -EINVAL. Finding the
 * line costs one more pass over the text, made only when there is something to report. */
int config_fail(const struct config_source *source, struct config_place place,
                struct error *ret_error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* -ENOMEM with its text. */
int config_out_of_memory(struct error *ret_error);

/* Joins a path of the file to the folder that the file lies in. NULL: out of memory. */
char *config_path_resolve(const struct config *config, const char *path);

/* Resolves `path` and makes sure that it is a file that can be read; `what` names it in the error
 * ("the zone file"). */
_must_check_ int config_file_resolve(const struct config_source *source,
                                     const struct config *config, struct config_place place,
                                     const char *what, const char *path, char **ret_path,
                                     struct error *ret_error);

/* The same for a private key. One that every user of the system can read is worth a warning. */
_must_check_ int config_private_key_resolve(const struct config_source *source,
                                            struct config *config, struct config_place place,
                                            const char *path, char **ret_path,
                                            struct error *ret_error);

/* Parses a single address, not a prefix. */
_must_check_ int config_address_check(const struct config_source *source, struct config_place place,
                                      const char *text, uint16_t port_default,
                                      struct config_address *ret_address, struct error *ret_error);

/* The same for each of a list that stands at `place`. The caller frees `*ret_list`. */
_must_check_ int config_addresses_check(const struct config_source *source,
                                        struct config_place place, char *const *texts, size_t count,
                                        uint16_t port_default, struct config_address **ret_list,
                                        size_t *ret_count, struct error *ret_error);

/* Checks `server.tls` (config_tls.c), after `server.listen`. */
_must_check_ int config_check_tls(const struct config_source *source, struct config *config,
                                  struct error *ret_error);

/* Checks the `tls` of the secondary zone at `index` and reads its files; when the zone before says
 * the same, both share it, so that 100,000 zones of one origin cost one reading. */
_must_check_ int config_check_origin_tls(const struct config_source *source, struct config *config,
                                         size_t index, struct error *ret_error);

/* Checks what `source` says and fills `config`, whose path and directory are set. On failure
 * `config` holds a part of it that config_free() can free. */
_must_check_ int config_check_server(struct config_source *source, struct config *config,
                                     struct error *ret_error);
_must_check_ int config_check_keys(struct config_source *source, struct config *config,
                                   struct error *ret_error);
_must_check_ int config_check_orders(struct config_source *source, struct config *config,
                                     struct error *ret_error);

_must_check_ int config_check_journal(struct config_source *source, struct config *config,
                                      struct error *ret_error);

/* The cache of forwarded zones and who asks their origins (config_forward.c). */
_must_check_ int config_check_cache(struct config_source *source, struct config *config,
                                    struct error *ret_error);

/* Checks the `forward` of the zone at `index`. */
_must_check_ int config_check_forward(const struct config_source *source, size_t index,
                                      const struct raw_forward *raw, struct config_zone *zone,
                                      struct error *ret_error);

/* The zone has its name. config_update_rules_free() takes what there is of the rules. */
_must_check_ int config_check_update_policy(const struct config_source *source,
                                            const struct config *config,
                                            const struct config_key **keys, size_t index,
                                            const struct raw_zone *raw, struct config_zone *zone,
                                            struct error *ret_error);
void config_update_rules_free(struct config_zone *zone);

/* Finds a key among those of config_keys_sort() by a name that stands at `place`. */
_must_check_ int config_key_resolve(const struct config_source *source, const struct config *config,
                                    const struct config_key **keys, struct config_place place,
                                    const char *name, const struct config_key **ret_key,
                                    struct error *ret_error);

/* The keys ordered by name, for a search among as many keys as zones. The caller frees the array.
 */
_must_check_ int config_keys_sort(const struct config *config, const struct config_key ***ret_keys,
                                  struct error *ret_error);

/* After the keys, which zones refer to. */
_must_check_ int config_check_zones(struct config_source *source, struct config *config,
                                    struct error *ret_error);

/* Who takes error reports; after the zones. */
_must_check_ int config_check_error_reports(const struct config_source *source,
                                            struct config *config, struct error *ret_error);

/* The orders that are served as zones; after the keys and the zones. */
_must_check_ int config_check_publish(struct config_source *source, struct config *config,
                                      struct error *ret_error);
