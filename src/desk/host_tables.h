/* Hosts in the tables: every change of one is a function here, with its audit row and the outbox
 * row that brings the zone in line. After the commit: hosts_forget() and outbox_wake(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/change.h"
#include "desk/desk_config.h"
#include "desk/host_names.h"
#include "desk/hosts.h"
#include "desk/ids.h"
#include "desk/store.h"

/* "::1:2:3:4/64" and NUL. */
#define HOST_SUFFIX_SIZE 52

#define HOST_TXT_MAX        8
#define HOST_TXT_SIZE_MAX   255
#define HOST_LABEL_SIZE_MAX 64 /* of a key: what its owner calls it */

struct host_row {
    char id[ID_SIZE], account[ID_SIZE];
    char name[HOST_NAME_SIZE];
    char state[8]; /* active, offline, expired */
    bool wildcard;
    bool is_clean;                 /* false: the zone may still have what is not this host's */
    char suffix[HOST_SUFFIX_SIZE]; /* "": none */
};

/* -ENOENT: there is no such host. */
_must_check_ int host_row_find(struct store *store, const char *name, struct host_row *ret_row,
                               struct error *ret_error);

/* What a new host is to be. */
struct host_new {
    const char *name; /* in its one form, and checked by host_name_check() */
    const char *zone;
    const char *account;
    bool wildcard;
    const char *suffix; /* "": none */
};

/* How many hosts an account has and may have; -EACCES: the account may have none. */
struct host_allowance {
    uint64_t count, count_max;
    bool free; /* its plan: only zones that are for all */
};
_must_check_ int host_allowance_get(struct store *store, const struct desk_config_hosts *config,
                                    const char *account, struct host_allowance *ret_allowance,
                                    struct error *ret_error);

/* In a transaction. -EEXIST: somebody has the name; -EACCES: it is blocked. */
_must_check_ int host_insert(struct store *store, const struct change *change,
                             const struct host_new *new, char ret_id[static ID_SIZE],
                             struct error *ret_error);

/* In a transaction: writes what may change of `row`. */
_must_check_ int host_save(struct store *store, const struct change *change,
                           const struct host_row *row, struct error *ret_error);

/* In a transaction. */
_must_check_ int host_remove(struct store *store, const struct change *change,
                             const struct host_row *row, const char *action,
                             struct error *ret_error);

/* Transactions of their own, for updates. -ENOENT: there is no such host any more. */
_must_check_ int host_life_change(struct store *store, const struct change *change,
                                  const char *name, bool is_offline, struct error *ret_error);

enum host_txt_way {
    HOST_TXT_ADD,    /* beside what there is */
    HOST_TXT_ONLY,   /* in place of all */
    HOST_TXT_REMOVE, /* this one */
    HOST_TXT_CLEAR,  /* all */
};
_must_check_ int host_txt_change(struct store *store, const struct change *change, const char *name,
                                 enum host_txt_way way, const char *value, struct error *ret_error);

/* The same as a part of a transaction, with several values. */
_must_check_ int host_txt_write(struct store *store, const struct change *change,
                                const struct host_row *row, enum host_txt_way way,
                                const char *const *values, size_t count, struct error *ret_error);

/* Printable ASCII. */
bool host_txt_is_valid(const char *value);
