/* Hosts, as other parts see them. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/change.h"
#include "desk/host_names.h"
#include "desk/ids.h"
#include "desk/store.h"

struct desk;

/* What stands in the table of a host, for whoever has to do with its owner. */
struct host_owner {
    char id[ID_SIZE], account[ID_SIZE];
    char name[HOST_NAME_SIZE]; /* the host's: it may be above the name asked for */
};

/* The host that a name is or lies below, as www.home.dyn.example below home.dyn.example. `name` has
 * the form of host_name_normalize(). -ENOENT: there is none. */
_must_check_ int host_owner_find(struct store *store, const char *name,
                                 struct host_owner *ret_owner, struct error *ret_error);

/* Deletes all hosts of an account and takes their records from the zones, with an audit row each:
 * in the transaction that deletes the account, before it. */
_must_check_ int hosts_delete_of_account(struct store *store, const struct change *change,
                                         const char *account, struct error *ret_error);

/* Drops what is in memory of an account's hosts and of its sign-ins: after every commit that
 * changes the account's password, second factor, tokens, state, plan or role, or that deletes its
 * hosts. Any thread. */
void hosts_forget_account(struct desk *desk, const char *account);

/* The same of one name, and of all below it. */
void hosts_forget(struct desk *desk, const char *name);
