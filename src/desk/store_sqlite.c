/* SQLite as the store: one file, durable at every commit. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "desk/store_internal.h"

/* How long a writer waits for another; one transaction takes milliseconds. */
#define BUSY_TIMEOUT_MS 5000

struct statement {
    const char *sql; /* of the program, not copied */
    sqlite3_stmt *prepared;
};

struct connection {
    sqlite3 *database;
    struct statement statements[STORE_STATEMENTS_MAX];
    size_t statement_count;
};

static int fail(sqlite3 *database, struct error *ret_error)
{
    int code;
    switch (sqlite3_extended_errcode(database)) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        code = -EEXIST;
        break;
    default:
        switch (sqlite3_errcode(database) & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            code = -EAGAIN;
            break;
        case SQLITE_CONSTRAINT:
            code = -EDOM;
            break;
        case SQLITE_FULL:
            code = -ENOSPC;
            break;
        case SQLITE_NOMEM:
            code = -ENOMEM;
            break;
        case SQLITE_ERROR:
        case SQLITE_RANGE:
        case SQLITE_MISUSE:
        case SQLITE_MISMATCH:
            code = -EBADMSG;
            break;
        default:
            code = -EIO;
        }
    }
    if (code == -EEXIST)
        return error_set(ret_error, code, STORE_EXISTS_TEXT);
    return error_set(ret_error, code, "database: %s", sqlite3_errmsg(database));
}

static void sqlite_close(void *context)
{
    struct connection *connection = context;
    for (size_t i = 0; i < connection->statement_count; i++)
        sqlite3_finalize(connection->statements[i].prepared);
    sqlite3_close(connection->database);
    free(connection);
}

static int sqlite_open(const struct store_place *place, void **ret_connection,
                       struct error *ret_error)
{
    /* FULL syncs the log at every commit: what was acknowledged survives a power cut. */
    static const char settings[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while opening the database");

    int status =
        sqlite3_open_v2(place->path, &connection->database,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (status == SQLITE_OK)
        status = sqlite3_busy_timeout(connection->database, BUSY_TIMEOUT_MS);
    if (status == SQLITE_OK)
        status = sqlite3_exec(connection->database, settings, NULL, NULL, NULL);
    if (status != SQLITE_OK) {
        int rc = status == SQLITE_BUSY ? -EAGAIN : -EIO;
        error_set(ret_error, rc,
                  "the database %s cannot be opened: %s; see that its folder is there and may be "
                  "written to",
                  place->path, sqlite3_errmsg(connection->database));
        sqlite_close(connection);
        return rc;
    }
    *ret_connection = connection;
    return 0;
}

static bool sqlite_is_broken(void *connection)
{
    (void)connection; /* a file does not go away */
    return false;
}

static int statement_find(struct connection *connection, const char *sql,
                          sqlite3_stmt **ret_prepared, struct error *ret_error)
{
    for (size_t i = 0; i < connection->statement_count; i++)
        if (connection->statements[i].sql == sql ||
            strcmp(connection->statements[i].sql, sql) == 0) {
            *ret_prepared = connection->statements[i].prepared;
            return 0;
        }
    if (connection->statement_count == STORE_STATEMENTS_MAX)
        return error_set(ret_error, -EBADMSG, "database: more than %d different statements",
                         STORE_STATEMENTS_MAX);
    if (sqlite3_prepare_v3(connection->database, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_prepared,
                           NULL) != SQLITE_OK)
        return fail(connection->database, ret_error);
    connection->statements[connection->statement_count++] =
        (struct statement){.sql = sql, .prepared = *ret_prepared};
    return 0;
}

/* $1 is the name of a parameter to SQLite; its number is the order in which names appear. */
static int value_bind(sqlite3_stmt *prepared, size_t index, const struct store_value *value)
{
    char name[24];
    snprintf(name, sizeof(name), "$%zu", index + 1);
    int at = sqlite3_bind_parameter_index(prepared, name);

    switch (value->type) {
    case STORE_TYPE_NULL:
        return sqlite3_bind_null(prepared, at);
    case STORE_TYPE_TEXT:
        return sqlite3_bind_text(prepared, at, value->data, -1, SQLITE_STATIC);
    case STORE_TYPE_INTEGER:
        return sqlite3_bind_int64(prepared, at, value->integer);
    case STORE_TYPE_OCTETS:
        return sqlite3_bind_blob64(prepared, at, value->data, value->size, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static int row_copy(sqlite3_stmt *prepared, struct store_rows *rows)
{
    int count = sqlite3_column_count(prepared);
    for (int i = 0; i < count; i++) {
        int rc;
        if (sqlite3_column_type(prepared, i) == SQLITE_NULL) {
            rc = store_rows_add(rows, NULL, 0);
        } else {
            /* An empty blob's pointer is NULL, and that would be SQL's NULL. Integers become text,
             * as libpq gives them. */
            const void *data = sqlite3_column_type(prepared, i) == SQLITE_BLOB
                                   ? sqlite3_column_blob(prepared, i)
                                   : (const void *)sqlite3_column_text(prepared, i);
            size_t size = (size_t)sqlite3_column_bytes(prepared, i);
            if (data == NULL && size > 0)
                return -ENOMEM;
            rc = store_rows_add(rows, data != NULL ? data : "", size);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int rows_take(struct connection *connection, sqlite3_stmt *prepared, struct store_rows *rows,
                     struct error *ret_error)
{
    int status;
    while ((status = sqlite3_step(prepared)) == SQLITE_ROW)
        if (rows != NULL && row_copy(prepared, rows) < 0)
            return error_set(ret_error, -ENOMEM, "out of memory for the rows of a result");
    return status == SQLITE_DONE ? 0 : fail(connection->database, ret_error);
}

static int sqlite_run(void *context, const char *sql, const struct store_value *values,
                      size_t count, struct store_rows **ret_rows, uint64_t *ret_changed,
                      struct error *ret_error)
{
    struct connection *connection = context;
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    sqlite3_stmt *prepared;

    int rc = statement_find(connection, sql, &prepared, ret_error);
    if (rc < 0)
        return rc;
    if (sqlite3_bind_parameter_count(prepared) != (int)count)
        return error_set(ret_error, -EBADMSG, "database: a statement lacks a value: %.60s", sql);
    for (size_t i = 0; i < count; i++)
        if (value_bind(prepared, i, &values[i]) != SQLITE_OK)
            return error_set(ret_error, -EBADMSG, "database: no $%zu in %.60s", i + 1, sql);
    if (ret_rows != NULL && store_rows_create((size_t)sqlite3_column_count(prepared), &rows) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory for the rows of a result");

    rc = rows_take(connection, prepared, rows, ret_error);
    uint64_t changed = (uint64_t)sqlite3_changes64(connection->database);
    sqlite3_reset(prepared);
    sqlite3_clear_bindings(prepared);
    if (rc < 0)
        return rc;
    if (ret_rows != NULL)
        *ret_rows = TAKE(rows);
    if (ret_changed != NULL)
        *ret_changed = changed;
    return 0;
}

static int sqlite_run_script(void *context, const char *sql, struct error *ret_error)
{
    struct connection *connection = context;
    if (sqlite3_exec(connection->database, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(connection->database, ret_error);
    return 0;
}

/* The lock is on a file of its own: SQLite's locks on the database file would end with the first
 * close() of it by anyone in this process. */
static int sqlite_lock_take(const struct store_place *place, void **ret_lock,
                            struct error *ret_error)
{
    char *path;
    if (asprintf(&path, "%s.lock", place->path) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory while locking the database");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    int rc = 0;
    if (fd < 0)
        rc = error_set(ret_error, -errno,
                       "%s cannot be made: %s; give the database a folder that "
                       "is there and may be written to",
                       path, strerror(errno));
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = error_set(ret_error, errno == EWOULDBLOCK ? -EBUSY : -errno,
                       "the database %s is served by another process: end that one first",
                       place->path);
    free(path);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_lock = (void *)(intptr_t)fd;
    return 0;
}

static int sqlite_lock_keep(void *lock, struct error *ret_error)
{
    (void)lock, (void)ret_error; /* the kernel keeps it as long as the process lives */
    return 0;
}

static void sqlite_lock_release(void *lock)
{
    close((int)(intptr_t)lock);
}

const struct store_driver store_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .is_broken = sqlite_is_broken,
    .run = sqlite_run,
    .run_script = sqlite_run_script,
    /* Taking the writer's place at once: a transaction that reads first and then writes would fail
     * whenever another wrote between. */
    .begin = "BEGIN IMMEDIATE",
    .lock_take = sqlite_lock_take,
    .lock_keep = sqlite_lock_keep,
    .lock_release = sqlite_lock_release,
};
