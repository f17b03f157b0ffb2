/* The desk's database: one face, and SQLite or PostgreSQL behind it.
 *
 * All SQL is the same text for both: placeholders $1 to $9 and on, every one of them used, types
 * TEXT, BIGINT, BYTEA and SMALLINT; times are Unix seconds in a BIGINT, booleans a SMALLINT, JSON a
 * TEXT. ON CONFLICT and RETURNING may be used. Values are parameters, never parts of the text: a
 * text is prepared once for a connection and kept by its content, so texts are constants.
 *
 * A `struct store` is one connection and belongs to one thread at a time. What reads alone may run
 * as a statement by itself; whatever changes more than one row goes through store_transact(). An
 * acknowledged transaction survives a power cut.
 *
 * Errors: -EAGAIN another transaction was in the way (store_transact() has tried again already),
 * -EIO the database cannot be reached or lost the connection: the next call connects anew,
 * -EEXIST a unique key is there already, -EDOM another constraint refused the row, -ENOSPC the
 * disk is full, -EBADMSG the statement is wrong. After -EIO from a commit nobody knows whether it
 * happened: what is done again must be so that twice is once.
 *
 * Within a transaction any error ends it: PostgreSQL takes nothing more. Where a row may be there
 * already, say ON CONFLICT and look at what changed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct store;
struct store_driver;

extern const struct store_driver store_sqlite;
extern const struct store_driver store_postgresql;

/* Where the database is. The texts live as long as the stores opened from it. */
struct store_place {
    const struct store_driver *driver;
    const char *path;       /* SQLite: the file */
    const char *connection; /* PostgreSQL: libpq's connection string, without the password */
    const char *password;   /* PostgreSQL: NULL: none */
};

/* ---- Parameters ---- */

enum store_type { STORE_TYPE_NULL, STORE_TYPE_TEXT, STORE_TYPE_INTEGER, STORE_TYPE_OCTETS };

/* A parameter; it borrows what it points to for the call. */
struct store_value {
    enum store_type type;
    const void *data; /* text (NUL-terminated) or octets */
    size_t size;      /* of octets */
    int64_t integer;
};

static inline struct store_value store_null(void)
{
    return (struct store_value){.type = STORE_TYPE_NULL};
}

/* NULL is SQL's NULL. */
static inline struct store_value store_text(const char *text)
{
    return (struct store_value){.type = text != NULL ? STORE_TYPE_TEXT : STORE_TYPE_NULL,
                                .data = text};
}

static inline struct store_value store_integer(int64_t integer)
{
    return (struct store_value){.type = STORE_TYPE_INTEGER, .integer = integer};
}

static inline struct store_value store_octets(const void *octets, size_t size)
{
    return (struct store_value){
        .type = octets != NULL ? STORE_TYPE_OCTETS : STORE_TYPE_NULL, .data = octets, .size = size};
}

/* ---- Statements ---- */

/* All rows of a result, in memory: of a large table take pages (WHERE id > $1 ORDER BY id LIMIT n).
 * What the accessors point to lives as long as the rows. */
struct store_rows;

size_t store_rows_count(const struct store_rows *rows);
bool store_row_is_null(const struct store_rows *rows, size_t row, size_t column);
/* NULL for SQL's NULL. */
const char *store_row_text(const struct store_rows *rows, size_t row, size_t column);
/* 0 for SQL's NULL, and for a text that is no number. */
int64_t store_row_integer(const struct store_rows *rows, size_t row, size_t column);
/* NULL for SQL's NULL. */
const uint8_t *store_row_octets(const struct store_rows *rows, size_t row, size_t column,
                                size_t *ret_size);
void store_rows_free(struct store_rows *rows);
DEFINE_FREEP(struct store_rows, store_rows_free)

/* Runs a statement. `ret_rows` NULL drops what it returns; `ret_changed` (or NULL) gets the number
 * of rows that it changed. */
_must_check_ int store_statement(struct store *store, const char *sql,
                                 const struct store_value *values, size_t count,
                                 struct store_rows **ret_rows, uint64_t *ret_changed,
                                 struct error *ret_error);

/* The values of a statement, in place: store_query(store, &rows, error, "SELECT ...",
 * store_text(id)).
 */
#define STORE_VALUES(...)                      \
    (const struct store_value[]){__VA_ARGS__}, \
        sizeof((const struct store_value[]){__VA_ARGS__}) / sizeof(struct store_value)

/* A statement that returns rows. */
#define store_query(store, ret_rows, ret_error, sql, ...) \
    store_statement(store, sql, STORE_VALUES(__VA_ARGS__), ret_rows, NULL, ret_error)

/* A statement that changes; `ret_changed` may be NULL. */
#define store_change(store, ret_changed, ret_error, sql, ...) \
    store_statement(store, sql, STORE_VALUES(__VA_ARGS__), NULL, ret_changed, ret_error)

/* ---- Connections and transactions ---- */

_must_check_ int store_open(const struct store_place *place, struct store **ret_store,
                            struct error *ret_error);
void store_close(struct store *store);
DEFINE_FREEP(struct store, store_close)

/* Does the work of one transaction. A negative return rolls back. It may run several times, so it
 * changes nothing but the database and what `context` says it may overwrite. */
typedef int store_work_fn(struct store *store, void *context, struct error *ret_error);

/* Runs `work` in a serializable transaction and commits; again, a bounded number of times, when
 * another transaction was in the way. Returns what `work` returned, or the store's own error.
 * Transactions do not nest. */
_must_check_ int store_transact(struct store *store, store_work_fn *work, void *context,
                                struct error *ret_error);

/* Whether a transaction is open: functions that only make sense as a part of one assert it. */
bool store_in_transaction(const struct store *store);

/* ---- One process a database ---- */

/* Held by the process that serves a database: an advisory lock in PostgreSQL, a lock on a file
 * beside that of SQLite. */
struct store_lock;

/* -EBUSY: another process has it. */
_must_check_ int store_lock_take(const struct store_place *place, struct store_lock **ret_lock,
                                 struct error *ret_error);

/* Takes it again when the connection that held it broke, as of a PostgreSQL that was restarted.
 * -EBUSY: another process took it meanwhile, and this one must end; -EIO: not yet. */
_must_check_ int store_lock_keep(struct store_lock *lock, struct error *ret_error);
void store_lock_release(struct store_lock *lock);
