/* The configuration of tamisd: YAML, checked against a schema, with errors that name file, line and
 * remedy. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/config_address.h"
#include "base/error.h"
#include "zone/zonemd.h"

struct config_key {
    char *name;      /* a domain name as text */
    char *algorithm; /* as written: hmac-sha256, ... */
    char *secret;    /* base64, checked */
};

/* Who may do something. Written as an address or a prefix without port, as a key's name, or as
 * "ADDRESS key NAME" when both must hold. A word that is a key's name is that key, else it must be
 * an address. */
struct config_access {
    bool has_address;
    struct config_address address;
    const struct config_key *key; /* NULL: no key asked for */
};

/* What a zone is for. Of all but ordinary ones only who may transfer them gets answers. */
enum config_zone_use {
    CONFIG_ORDINARY,
    CONFIG_POLICY,  /* an order (orders.zones, or a member of the catalog) */
    CONFIG_CATALOG, /* lists policy zones (orders.catalog) */
};

/* A secondary to notify, written as "ADDRESS" or "ADDRESS key NAME". */
struct config_notify {
    struct config_address address;
    const struct config_key *key; /* NULL: unsigned */
};

/* What a key may change of a zone. */
struct config_update_rule {
    const struct config_key *key; /* NULL: every key */
    uint8_t **names, **subtrees;  /* wire form, lower case, in the zone */
    size_t name_count, subtree_count;
    bool self, self_subtree; /* the name that is the key's own; what is at or below it */
    uint16_t *types;         /* none: all but SOA and NS; KNOT_RRTYPE_ANY: all */
    size_t type_count;
};

enum config_zone_kind { CONFIG_PRIMARY, CONFIG_SECONDARY, CONFIG_FORWARD };

/* How the origins of a zone are recognised when it is transferred over TLS (RFC 9103). */
struct origin_tls;

/* DNS over TLS (RFC 7858). Paths are absolute; what is in the files is not checked here. */
struct config_tls {
    struct config_address *listen; /* none: no TLS */
    size_t listen_count;
    char *certificate, *key;
    char *client_ca; /* NULL: every client is served */
};

struct config_zone {
    char *name;    /* as written */
    uint8_t *apex; /* wire form, lower case */
    uint32_t line; /* where it stands in the file */
    enum config_zone_kind kind;
    enum config_zone_use use;
    bool is_member; /* not of the file: made for a member of the catalog, with its origins */
    char *file;     /* primary: absolute path */
    struct config_address *from; /* secondary: origins; forward: servers */
    size_t from_count;
    const struct config_key *key; /* secondary: TSIG key towards the origins, or NULL */
    /* Secondary: over TLS, or NULL for in the clear. Neighbours that say the same share it: it is
     * the first one's. */
    struct origin_tls *tls;
    bool owns_tls;
    enum zonemd_policy zonemd;     /* of a secondary */
    unsigned transfer_time_max_ms; /* of a secondary, for each exchange with an origin */
    uint64_t transfer_size_max;    /* octets on the wire */
    bool forwards_updates;         /* secondary: to the origins, which decide */
    /* Forward: messages to the origin and questions about names never seen, a second, 0: no bound;
     * how long an answer may be used that has expired. */
    unsigned rate_max, unseen_rate_max;
    uint32_t stale_s;
    bool passes_client_subnet;
    bool uses_denials; /* RFC 8198 */
    /* allow_notify of a secondary zone ends with its origins, with no key asked for. */
    struct config_access *allow_transfer, *allow_update, *allow_notify;
    size_t allow_transfer_count, allow_update_count, allow_notify_count;
    struct config_update_rule *update_rules; /* those of every key first, then by key */
    size_t update_rule_count;
    struct config_notify *notify;
    size_t notify_count;
};

struct config_signer {
    char *name;
    uint8_t public_key[32]; /* Ed25519 */
};

struct config {
    char *path;      /* of the file, absolute */
    char *directory; /* that relative paths are relative to */

    struct config_address *listen;
    size_t listen_count;
    struct config_tls tls;
    unsigned workers; /* at least 1; default one a core */
    char *state;      /* absolute directory; made on start when missing */
    char *control;    /* absolute socket path */
    struct config_address metrics;
    bool has_metrics;
    char *nsid;               /* text, or "0x" and hex; NULL: none */
    char *version;            /* version.bind; NULL: "tamis <version>"; "": refused */
    char *identity;           /* id.server and hostname.bind; NULL: host name; "": refused */
    uint16_t udp_payload_max; /* default 1232 */
    unsigned tcp_clients_max; /* connections of all clients, per worker */
    unsigned tcp_clients_per_address_max;
    unsigned tcp_idle_timeout_ms;
    uint64_t journal_size_max, journal_age_max_s; /* 0: the journal's default */

    uint64_t cache_octets_max; /* of forwarded zones */
    bool cache_persists;
    unsigned cache_save_interval_s; /* what a crash loses of it, at most */
    unsigned forward_threads;       /* 0: one for two cores */

    uint8_t *error_agent; /* domain that takes error reports, in wire form; NULL: none */

    unsigned zone_counters_max; /* zones whose answers are counted; 0: none */

    struct config_key *keys;
    size_t key_count;
    struct config_zone *zones;
    size_t zone_count;

    char *dnstap;       /* UNIX socket that is told of answers which orders decided; NULL: none */
    char **order_files; /* absolute paths */
    size_t order_file_count;
    const struct config_zone *order_catalog; /* NULL: none */
    /* Orders served as policy zones; catalog NULL: none are. Wire form, lower case. */
    uint8_t *publish_catalog, *publish_suffix;
    struct config_access *publish_allow_transfer;
    size_t publish_allow_transfer_count;
    struct config_notify *publish_notify;
    size_t publish_notify_count;
    struct config_signer *signers; /* keyring that orders' signatures are checked against */
    size_t signer_count;
    unsigned
        signatures_min; /* valid signatures that every order needs; default 0, subtrees always 2 */

    struct error *warnings; /* what works and should not be: for the log */
    size_t warning_count;
};

/* Loads and checks `path`, in time n log n of the zones. An unknown key, a wrong type, a bad value,
 * a duplicate zone or a missing file is an error with file, line and the nearest known key.
 * Existence of zone files is checked here, their content is not; the certificates that origins are
 * recognised by are read here. */
_must_check_ int config_load(const char *path, struct config **ret_config, struct error *ret_error);
void config_free(struct config *config);
DEFINE_FREEP(struct config, config_free)

/* Whether the zone takes updates from anyone. */
bool config_zone_is_updated(const struct config_zone *zone);

/* Whether `client` matches an access list; `key_name` is the TSIG key that signed the message
 * (text, any letter case), or NULL. IPv4 clients of a dual-stack socket match IPv4 entries. Any
 * thread may call; nothing is allocated. */
bool config_access_allows(const struct config_access *list, size_t count,
                          const struct sockaddr *client, const char *key_name);
