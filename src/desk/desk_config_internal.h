/* The configuration file as libcyaml loads it, before its values are checked, and what the checks
 * of its sections share: private to desk_config*.c.
 *
 * A section is: its raw struct here with a line in struct raw_desk_config, its fields, check and
 * clear in desk_config_<section>.c, and a line in each of the two lists of desk_config.c. Optional
 * values are pointers: NULL means that the file doesn't set them. */
#pragma once

#include "base/config_value.h"
#include "base/yaml_schema.h"
#include "desk/desk_config.h"

/* ---- Sections as written ---- */

struct raw_http_tls {
    char *certificate, *key;
};

struct raw_http {
    char **listen, **trusted_proxies;
    unsigned listen_count, trusted_proxies_count;
    struct raw_http_tls *tls;
    unsigned *threads, *workers, *queue_max, *connections_max, *connections_per_address_max;
    unsigned *bodies_mib_max, *timeout;
    char *base, *security_contact;
    bool *insecure_cookies;
};

struct raw_database {
    char *driver, *path, *connection, *password_file, *password_env;
    bool *migrate;
};

struct raw_desk_key {
    char *name, *algorithm, *secret, *secret_file, *secret_env;
};

struct raw_desk_server {
    char *name, *address, *key;
    bool *update;
};

struct raw_order_budget {
    unsigned *live, *shared, *cuts;
};

struct raw_rehearse {
    char **zones;
    unsigned zones_count;
    char *server;
    unsigned *valid_hours;
};

struct raw_desk_orders {
    char **listen, **notify, **contacts;
    unsigned listen_count, notify_count, contacts_count;
    char *catalog, *suffix, *key, *keyring, *signing_key;
    unsigned *hold_seconds;
    struct raw_order_budget *collateral_budget;
    struct raw_rehearse *rehearse;
};

struct raw_zone {
    char *name;
    unsigned *ttl;
    bool *free;
};

struct raw_plan {
    char *name;
    bool *free;
    unsigned *hosts_max, *updates_per_hour, *expiry_days;
};

struct raw_hosts {
    char **reserved, **look_alikes, **agents_refused;
    unsigned reserved_count, look_alikes_count, agents_refused_count;
    bool *agent_required;
    unsigned *cache_max, *loaders, *grace_days;
};

struct raw_retention {
    unsigned *unconfirmed_days, *expired_tokens_days, *failed_outbox_days;
    unsigned *audit_addresses_days, *audit_days;
};

struct raw_mail {
    char *from, *name, *bounces, *smtp, *ca_file, *user, *password_file, *password_env;
    bool *tls;
    unsigned *timeout;
};

struct raw_appeals {
    char *resolver;
    unsigned *prove_hours, *decide_hours, *per_address_hourly;
};

struct raw_report_class {
    char *name;
    unsigned *decide_hours, *notice_hours;
};

struct raw_reports {
    struct raw_report_class *classes;
    unsigned classes_count;
    char *lmtp;
    unsigned *mail_kib_max, *evidence_item_kib_max, *evidence_mib_max, *evidence_days;
    unsigned *duplicate_hours, *per_address_hourly, *answers_daily, *claim_minutes;
};

struct raw_ledger {
    char *origin, *key_file, **witnesses;
    unsigned witnesses_count, *interval;
};

struct raw_interests {
    char **key_files, **broad;
    unsigned key_files_count, broad_count, *evaluations_per_day, *interests_max;
};

struct raw_secrets {
    char *key_file;
};

struct raw_desk_config {
    struct raw_http *http;
    struct raw_database *database;
    struct raw_mail *mail;
    struct raw_appeals *appeals;
    char *state;
    struct raw_desk_key *keys;
    unsigned keys_count;
    struct raw_desk_server *servers;
    unsigned servers_count;
    struct raw_desk_orders *orders;
    struct raw_hosts *hosts;
    struct raw_reports *reports;
    struct raw_zone *zones;
    unsigned zones_count;
    struct raw_plan *plans;
    unsigned plans_count;
    struct raw_retention *retention;
    struct raw_ledger *ledger;
    struct raw_interests *interests;
    struct raw_secrets *secrets;
};

extern const cyaml_schema_field_t desk_http_fields[];
extern const cyaml_schema_field_t desk_database_fields[];
extern const cyaml_schema_field_t desk_hosts_fields[];
extern const cyaml_schema_field_t desk_reports_fields[];
extern const cyaml_schema_value_t desk_zone_schema;
extern const cyaml_schema_value_t desk_plan_schema;
extern const cyaml_schema_field_t desk_mail_fields[];
extern const cyaml_schema_field_t desk_appeals_fields[];
extern const cyaml_schema_field_t desk_retention_fields[];
extern const cyaml_schema_field_t desk_interests_fields[];
extern const cyaml_schema_field_t desk_secrets_fields[];
extern const cyaml_schema_field_t desk_ledger_fields[];
extern const cyaml_schema_value_t desk_key_schema;
extern const cyaml_schema_value_t desk_server_schema;
extern const cyaml_schema_field_t desk_orders_fields[];

/* ---- Checks ---- */

/* The text that was loaded and what it said. */
struct desk_config_source {
    struct config_value_source values;
    const struct raw_desk_config *raw;
};

/* Reads a secret from a file (its first line) or from a variable of the environment, whichever is
 * not NULL; both NULL: `*ret_secret` is NULL. A file that every user may read is refused. */
_must_check_ int desk_config_secret(const struct desk_config_source *source,
                                    struct config_value_place place, const char *file,
                                    const char *variable, char **ret_secret,
                                    struct error *ret_error);

/* Wipes and frees; NULL is ignored. */
void desk_config_secret_free(char *secret);

/* A section's check fills its part of `config`; on failure it leaves what its clear can free. */
_must_check_ int desk_config_check_http(const struct desk_config_source *source,
                                        struct desk_config *config, struct error *ret_error);
void desk_config_clear_http(struct desk_config *config);
_must_check_ int desk_config_check_database(const struct desk_config_source *source,
                                            struct desk_config *config, struct error *ret_error);
void desk_config_clear_database(struct desk_config *config);
_must_check_ int desk_config_check_hosts(const struct desk_config_source *source,
                                         struct desk_config *config, struct error *ret_error);
void desk_config_clear_hosts(struct desk_config *config);
_must_check_ int desk_config_check_retention(const struct desk_config_source *source,
                                             struct desk_config *config, struct error *ret_error);
void desk_config_clear_retention(struct desk_config *config);
_must_check_ int desk_config_check_mail(const struct desk_config_source *source,
                                        struct desk_config *config, struct error *ret_error);
void desk_config_clear_mail(struct desk_config *config);
_must_check_ int desk_config_check_appeals(const struct desk_config_source *source,
                                           struct desk_config *config, struct error *ret_error);
void desk_config_clear_appeals(struct desk_config *config);
_must_check_ int desk_config_check_reports(const struct desk_config_source *source,
                                           struct desk_config *config, struct error *ret_error);
void desk_config_clear_reports(struct desk_config *config);
_must_check_ int desk_config_check_keys(const struct desk_config_source *source,
                                        struct desk_config *config, struct error *ret_error);
void desk_config_clear_keys(struct desk_config *config);
/* After the keys, which servers refer to. */
_must_check_ int desk_config_check_servers(const struct desk_config_source *source,
                                           struct desk_config *config, struct error *ret_error);
void desk_config_clear_servers(struct desk_config *config);
/* After keys, servers and hosts. */
_must_check_ int desk_config_check_orders(const struct desk_config_source *source,
                                          struct desk_config *config, struct error *ret_error);
void desk_config_clear_orders(struct desk_config *config);
/* After `http`, whose address names the ledger. */
_must_check_ int desk_config_check_ledger(const struct desk_config_source *source,
                                          struct desk_config *config, struct error *ret_error);
void desk_config_clear_ledger(struct desk_config *config);
_must_check_ int desk_config_check_interests(const struct desk_config_source *source,
                                             struct desk_config *config, struct error *ret_error);
void desk_config_clear_interests(struct desk_config *config);
_must_check_ int desk_config_check_secrets(const struct desk_config_source *source,
                                           struct desk_config *config, struct error *ret_error);
void desk_config_clear_secrets(struct desk_config *config);

/* The key of a name that stands at `place`. */
_must_check_ int desk_config_key_find(const struct desk_config_source *source,
                                      const struct desk_config *config,
                                      struct config_value_place place, const char *name,
                                      const struct desk_config_key **ret_key,
                                      struct error *ret_error);
