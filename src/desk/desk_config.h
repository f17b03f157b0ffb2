/* The configuration of tamis-desk: YAML, checked against a schema, with errors that name file, line
 * and remedy. Each section is checked by a file of its own, desk_config_<section>.c, which also
 * says how it is freed; a section that is not in the file is its defaults. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/config_address.h"
#include "base/error.h"
#include "desk/report_class.h"
#include "desk/store.h"
#include "ledger/note.h"

struct desk_config_http {
    struct config_address *listen;
    size_t listen_count;
    char *certificate, *key;                /* absolute; NULL: in the clear, behind a proxy */
    struct config_address *trusted_proxies; /* addresses and prefixes */
    size_t trusted_proxy_count;
    unsigned threads;   /* that read and write connections */
    unsigned workers;   /* that run handlers */
    unsigned queue_max; /* requests that wait for a worker */
    unsigned connections_max, connections_per_address_max;
    unsigned bodies_mib_max; /* of large bodies together */
    unsigned timeout_s; /* of a connection on which nothing moves, and of a request's arrival */
    char *base;         /* "https://desk.example", without a last '/' */
    bool insecure_cookies;
    char *security_contact; /* of /.well-known/security.txt: a URI; NULL: there is no such page */
};

struct desk_config_database {
    struct store_place place;
    bool migrate;
    char *path, *connection, *password; /* what `place` points to */
};

/* A TSIG key. */
struct desk_config_key {
    char *name;      /* a domain name as text */
    char *algorithm; /* hmac-sha256, ... */
    char *secret;    /* base64, checked */
};

/* A tamisd. */
struct desk_config_server {
    char *name;
    struct config_address address;
    const struct desk_config_key *key; /* NULL: unsigned */
    bool update;                       /* takes the UPDATEs: the first that says so */
};

/* Whom to tell of a changed zone, with which key. */
struct desk_config_notify {
    struct config_address address;
    const struct desk_config_key *key; /* NULL: unsigned */
};

/* Orders, and the zones by which servers get them. */
struct desk_config_orders {
    struct config_address *listen; /* none: orders are kept, and no server gets them */
    size_t listen_count;
    char *catalog, *suffix;            /* names as text; NULL without `listen` */
    const struct desk_config_key *key; /* that transfers are asked for with */
    struct desk_config_notify *notify;
    size_t notify_count;
    unsigned hold_s;                         /* of an order that touches an interest */
    uint64_t live_max, shared_max, cuts_max; /* above them two people approve; UINT64_MAX: none */
    unsigned rehearsal_valid_s;              /* an older rehearsal is not approved */
    char **rehearse_zones;                   /* names as text */
    size_t rehearse_zone_count;
    const struct desk_config_server *rehearse_from; /* NULL: there is no server */
    char *keyring;     /* path of the public keys of signers; NULL: signatures are not judged */
    char *signing_key; /* path of the desk's own, for zones of documents without one; or NULL */
    char **contacts;   /* addresses that get the notice of every order */
    size_t contact_count;
};

/* What an account may have. The first plan is that of accounts which name none. */
struct desk_config_plan {
    char *name;
    bool free;                 /* its hosts live in zones that say `free: yes` */
    unsigned hosts_max;        /* of an account */
    unsigned updates_per_hour; /* changes of an address family of a host */
    unsigned expiry_days;      /* without an update until a host expires; 0: never */
};

/* A zone in which hosts live. */
struct desk_config_zone {
    char *name; /* lower case, A-labels, no last dot */
    unsigned ttl_s;
    bool free; /* also for free plans */
};

struct desk_config_hosts {
    struct desk_config_zone *zones;
    size_t zone_count;
    struct desk_config_plan *plans; /* at least one */
    size_t plan_count;
    char **reserved; /* labels that nobody may take, beside those that are built in */
    size_t reserved_count;
    char **look_alikes; /* names of others that no label may imitate */
    size_t look_alike_count;
    bool agent_required; /* an update without User-Agent gets `badagent` */
    char **agents_refused;
    size_t agent_refused_count;
    unsigned cache_max;  /* hosts, and sign-ins, that are kept in memory */
    unsigned loaders;    /* threads that fetch what is not */
    unsigned grace_days; /* that an expired host's name is still kept for its owner */
};

/* For how many days what is kept; 0: for ever. */
struct desk_config_retention {
    unsigned unconfirmed_days;     /* accounts that nobody confirmed */
    unsigned expired_tokens_days;  /* API tokens, after their end */
    unsigned failed_outbox_days;   /* what could not be delivered */
    unsigned audit_addresses_days; /* from where something was done */
    unsigned audit_days;           /* that it was done */
};

/* Mail that the desk sends. */
struct desk_config_mail {
    char *from; /* NULL: there is no section, and mail waits */
    char *name; /* of the sender, for people; NULL: none */
    char *bounces;
    char *smtp;            /* "smtp://HOST:PORT" or smtps */
    bool tls;              /* STARTTLS, and no mail without */
    char *ca_file;         /* NULL: the system's */
    char *user, *password; /* both or none */
    unsigned timeout_s;    /* of one answer */
};

struct desk_config_appeals {
    struct config_address *resolver; /* NULL: TXT records prove nothing */
    unsigned prove_hours, decide_hours;
    unsigned per_address_hourly; /* appeals of one client that has not signed in */
};

/* Reports of abuse. */
struct desk_config_reports {
    struct { /* by the class's place in report_classes */
        unsigned decide_hours, notice_hours;
    } classes[REPORT_CLASS_COUNT];
    struct config_address *lmtp; /* where an MTA hands in mail; NULL: nowhere */
    unsigned mail_kib_max;       /* of a mail or another report */
    unsigned evidence_item_kib_max, evidence_mib_max; /* of one piece, and of all that is kept */
    unsigned evidence_days;                           /* kept after the decision */
    unsigned duplicate_hours;    /* in which the same report of the same reporter counts as one */
    unsigned per_address_hourly; /* reports of one client that has not signed in */
    unsigned answers_daily;      /* mails to one address that nobody has confirmed */
    unsigned claim_minutes;      /* that a report is kept for the analyst who took it */
};

struct desk_config_ledger {
    char *origin;     /* its URL without the scheme: the name of its key, too */
    char *key_file;   /* absolute */
    bool key_is_made; /* nobody named the key's file: the first start makes it */
    struct note_verifier *witnesses;
    size_t witness_count;
    unsigned interval_ms; /* longest wait for company in a batch */
};

/* Deconfliction (doc/deconfliction.md). */
struct desk_config_interests {
    char **key_files; /* absolute, the present key first; none: the first start makes one */
    size_t key_count;
    unsigned evaluations_per_day; /* names that a partner may have evaluated */
    unsigned interests_max;       /* of a partner */
    char **broad; /* names, beside the zones, in whose whole subtree nobody may be interested */
    size_t broad_count;
};

/* What is sealed in the database (desk/sealing.h). */
struct desk_config_secrets {
    char *key_file; /* absolute; NULL: state/secrets.key, which the first start makes */
};

struct desk_config {
    char *path;      /* of the file, absolute */
    char *directory; /* that relative paths are relative to */
    char *state;     /* absolute folder, made on start when missing */
    struct desk_config_http http;
    struct desk_config_database database;
    struct desk_config_mail mail;
    struct desk_config_appeals appeals;
    struct desk_config_hosts hosts;
    struct desk_config_reports reports;
    struct desk_config_retention retention;
    struct desk_config_key *keys;
    size_t key_count;
    struct desk_config_server *servers;
    size_t server_count;
    struct desk_config_orders orders;
    struct desk_config_ledger ledger;
    struct desk_config_interests interests;
    struct desk_config_secrets secrets;
};

_must_check_ int desk_config_load(const char *path, struct desk_config **ret_config,
                                  struct error *ret_error);
void desk_config_free(struct desk_config *config);
DEFINE_FREEP(struct desk_config, desk_config_free)
