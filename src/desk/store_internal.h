/* What the store's face and its drivers share: private to store*.c. */
#pragma once

#include "desk/store.h"

/* A statement's text is a constant, so the number of different ones is bounded by the program; the
 * bound is there for the one who breaks that rule. */
#define STORE_STATEMENTS_MAX 512

/* Longest list of parameters of any statement. */
#define STORE_VALUES_MAX 40

/* Of a unique key that is taken: clients may see it, so it names no table. */
#define STORE_EXISTS_TEXT "there is one already: choose another"

struct store {
    const struct store_place *place;
    bool in_transaction;
    void *connection; /* the driver's */
};

struct store_driver {
    const char *name;

    /* Opens, and sets the connection up so that a commit is durable. */
    int (*open)(const struct store_place *place, void **ret_connection, struct error *ret_error);
    void (*close)(void *connection);
    /* Whether it works as far as is known without asking; a broken one is opened anew. */
    bool (*is_broken)(void *connection);
    /* Runs one prepared statement. */
    int (*run)(void *connection, const char *sql, const struct store_value *values, size_t count,
               struct store_rows **ret_rows, uint64_t *ret_changed, struct error *ret_error);
    /* Runs several statements without values, up to the first that fails. */
    int (*run_script)(void *connection, const char *sql, struct error *ret_error);
    const char *begin; /* opens a serializable transaction that may write */

    int (*lock_take)(const struct store_place *place, void **ret_lock, struct error *ret_error);
    int (*lock_keep)(void *lock, struct error *ret_error);
    void (*lock_release)(void *lock);
};

/* ---- Rows, as a driver fills them ---- */

_must_check_ int store_rows_create(size_t column_count, struct store_rows **ret_rows);
/* Adds the next cell, row by row; `data` NULL is SQL's NULL. Copies. */
_must_check_ int store_rows_add(struct store_rows *rows, const void *data, size_t size);

/* Runs statements outside of store_transact(), for migrations. */
_must_check_ int store_script(struct store *store, const char *sql, struct error *ret_error);
