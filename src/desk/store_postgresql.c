/* PostgreSQL as the store, by libpq. */
#include <errno.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "desk/store_internal.h"

/* Of pg_type. */
#define OID_BYTEA 17

/* "tamis" in ASCII: one desk a database. */
#define LOCK_KEY "499850766707"

/* A server that is away without refusing must not hold a worker longer. */
#define CONNECT_TIMEOUT "5"

/* What each session is to hold to. */
static const char session_options[] = "-c synchronous_commit=on -c standard_conforming_strings=on "
                                      "-c bytea_output=hex";

struct connection {
    PGconn *server;
    const char *statements[STORE_STATEMENTS_MAX]; /* prepared as "s<index>" */
    size_t statement_count;
};

static int fail_text(struct error *ret_error, int code, const char *text)
{
    size_t size = strcspn(text, "\n"); /* the first line is the cause */
    return error_set(ret_error, code, "database: %.*s", (int)size, text);
}

/* SQLSTATE classes (PostgreSQL's manual, appendix A). */
static int code_of(const char *state)
{
    if (state == NULL || strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0 ||
        strncmp(state, "58", 2) == 0)
        return -EIO; /* connection, shut down by an operator, input and output */
    if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 || strncmp(state, "55", 2) == 0)
        return -EAGAIN; /* serialization, deadlock, lock not available */
    if (strcmp(state, "23505") == 0)
        return -EEXIST;
    if (strncmp(state, "23", 2) == 0)
        return -EDOM;
    if (strcmp(state, "53100") == 0)
        return -ENOSPC;
    if (strncmp(state, "53", 2) == 0)
        return -EIO; /* too many connections, out of its memory */
    if (strncmp(state, "25006", 5) == 0)
        return -EIO; /* a read-only server, as after a switch-over */
    return -EBADMSG;
}

static int fail(const PGconn *server, const PGresult *result, struct error *ret_error)
{
    int code = code_of(PQresultErrorField(result, PG_DIAG_SQLSTATE));
    if (PQstatus(server) != CONNECTION_OK)
        code = -EIO;
    if (code == -EEXIST)
        return error_set(ret_error, code, STORE_EXISTS_TEXT);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return fail_text(ret_error, code, text != NULL ? text : PQerrorMessage(server));
}

static void notices_drop(void *context, const PGresult *result)
{
    (void)context, (void)result; /* "already exists, skipping" is what was wanted */
}

static int server_connect(const struct store_place *place, PGconn **ret_server,
                          struct error *ret_error)
{
    /* Behind the connection string, so that what it says of these does not count: commits are
     * durable, and what the server sends is UTF-8. */
    const char *names[] = {"dbname",  "password",        "connect_timeout",
                           "options", "client_encoding", "application_name",
                           NULL};
    const char *values[] = {place->connection,
                            place->password,
                            CONNECT_TIMEOUT,
                            session_options,
                            "UTF8",
                            "tamis-desk",
                            NULL};
    PGconn *server = PQconnectdbParams(names, values, 1);
    if (server == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while connecting to the database");
    if (PQstatus(server) != CONNECTION_OK) {
        int rc = fail_text(ret_error, -EIO, PQerrorMessage(server));
        PQfinish(server);
        return rc;
    }
    PQsetNoticeReceiver(server, notices_drop, NULL);
    *ret_server = server;
    return 0;
}

static int postgresql_open(const struct store_place *place, void **ret_connection,
                           struct error *ret_error)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while connecting to the database");
    int rc = server_connect(place, &connection->server, ret_error);
    if (rc < 0) {
        free(connection);
        return rc;
    }
    *ret_connection = connection;
    return 0;
}

static void postgresql_close(void *context)
{
    struct connection *connection = context;
    PQfinish(connection->server);
    free(connection);
}

static bool postgresql_is_broken(void *context)
{
    struct connection *connection = context;
    return PQstatus(connection->server) != CONNECTION_OK;
}

/* ---- Statements ---- */

/* The same statement takes the same types every time but for NULLs, which fit any: the server finds
 * out the types from the columns, and values are sent in the form of their own type. */
static int statement_find(struct connection *connection, const char *sql, char ret_name[16],
                          struct error *ret_error)
{
    size_t i = 0;
    while (i < connection->statement_count && connection->statements[i] != sql &&
           strcmp(connection->statements[i], sql) != 0)
        i++;
    snprintf(ret_name, 16, "s%zu", i);
    if (i < connection->statement_count)
        return 0;
    if (i == STORE_STATEMENTS_MAX)
        return error_set(ret_error, -EBADMSG, "database: more than %d different statements",
                         STORE_STATEMENTS_MAX);

    PGresult *result = PQprepare(connection->server, ret_name, sql, 0, NULL);
    int rc = 0;
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        connection->statements[connection->statement_count++] = sql;
    else
        rc = fail(connection->server, result, ret_error);
    PQclear(result);
    return rc;
}

struct arguments {
    const char *values[STORE_VALUES_MAX];
    int sizes[STORE_VALUES_MAX], formats[STORE_VALUES_MAX];
    char numbers[STORE_VALUES_MAX][24];
};

/* Octets go as they are, all else as text. */
static void arguments_fill(struct arguments *arguments, const struct store_value *values,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        arguments->sizes[i] = 0;
        arguments->formats[i] = 0;
        switch (values[i].type) {
        case STORE_TYPE_NULL:
            arguments->values[i] = NULL;
            break;
        case STORE_TYPE_TEXT:
            arguments->values[i] = values[i].data;
            break;
        case STORE_TYPE_INTEGER:
            snprintf(arguments->numbers[i], sizeof(arguments->numbers[i]), "%lld",
                     (long long)values[i].integer);
            arguments->values[i] = arguments->numbers[i];
            break;
        case STORE_TYPE_OCTETS:
            arguments->values[i] = values[i].data;
            arguments->sizes[i] = (int)values[i].size;
            arguments->formats[i] = 1;
            break;
        }
    }
}

static int cell_copy(const PGresult *result, int row, int column, struct store_rows *rows)
{
    if (PQgetisnull(result, row, column))
        return store_rows_add(rows, NULL, 0);
    const char *text = PQgetvalue(result, row, column);
    if (PQftype(result, column) != OID_BYTEA)
        return store_rows_add(rows, text, (size_t)PQgetlength(result, row, column));

    size_t size;
    unsigned char *octets = PQunescapeBytea((const unsigned char *)text, &size);
    if (octets == NULL)
        return -ENOMEM;
    int rc = store_rows_add(rows, octets, size);
    PQfreemem(octets);
    return rc;
}

static int rows_copy(const PGresult *result, struct store_rows **ret_rows, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int columns = PQnfields(result), count = PQntuples(result);

    int rc = store_rows_create((size_t)columns, &rows);
    for (int row = 0; rc == 0 && row < count; row++)
        for (int column = 0; rc == 0 && column < columns; column++)
            rc = cell_copy(result, row, column, rows);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory for the rows of a result");
    *ret_rows = TAKE(rows);
    return 0;
}

static int result_take(const struct connection *connection, const PGresult *result,
                       struct store_rows **ret_rows, uint64_t *ret_changed, struct error *ret_error)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return fail(connection->server, result, ret_error);
    /* The server answers the commit of a transaction that had failed with "ROLLBACK", and no error.
     */
    if (ret_changed != NULL)
        *ret_changed = strtoull(PQcmdTuples((PGresult *)result), NULL, 10);
    return ret_rows != NULL ? rows_copy(result, ret_rows, ret_error) : 0;
}

static int postgresql_run(void *context, const char *sql, const struct store_value *values,
                          size_t count, struct store_rows **ret_rows, uint64_t *ret_changed,
                          struct error *ret_error)
{
    struct connection *connection = context;
    struct arguments arguments;
    char name[16];

    int rc = statement_find(connection, sql, name, ret_error);
    if (rc < 0)
        return rc;
    arguments_fill(&arguments, values, count);
    PGresult *result = PQexecPrepared(connection->server, name, (int)count, arguments.values,
                                      arguments.sizes, arguments.formats, 0);
    rc = result_take(connection, result, ret_rows, ret_changed, ret_error);
    if (rc == 0 && strcmp(sql, "COMMIT") == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        rc = error_set(ret_error, -EBADMSG, "database: a statement of the transaction had failed");
    PQclear(result);
    return rc;
}

static int postgresql_run_script(void *context, const char *sql, struct error *ret_error)
{
    struct connection *connection = context;
    PGresult *result = PQexec(connection->server, sql);
    int rc = result_take(connection, result, NULL, NULL, ret_error);
    PQclear(result);
    return rc;
}

/* ---- The lock: as long as its own connection lives ---- */

struct lock {
    const struct store_place *place;
    PGconn *server;
};

static int lock_ask(struct lock *lock, struct error *ret_error)
{
    PGresult *result = PQexec(lock->server, "SELECT pg_try_advisory_lock(" LOCK_KEY ")");
    int rc = 0;
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        rc = fail(lock->server, result, ret_error);
    else if (PQgetvalue(result, 0, 0)[0] != 't')
        rc = error_set(ret_error, -EBUSY,
                       "the database is served by another process: end that one first");
    PQclear(result);
    return rc;
}

static void postgresql_lock_release(void *context)
{
    struct lock *lock = context;
    if (lock->server != NULL)
        PQfinish(lock->server);
    free(lock);
}

/* The server sees a moment later that a process which was killed is gone. */
#define LOCK_TRIES_MAX 20
#define LOCK_WAIT_NS   100000000

static int postgresql_lock_take(const struct store_place *place, void **ret_lock,
                                struct error *ret_error)
{
    struct lock *lock = calloc(1, sizeof(*lock));
    if (lock == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while locking the database");
    lock->place = place;
    int rc = server_connect(place, &lock->server, ret_error);
    if (rc == 0)
        rc = lock_ask(lock, ret_error);
    for (unsigned tries = 0; rc == -EBUSY && tries < LOCK_TRIES_MAX; tries++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_NS}, NULL);
        rc = lock_ask(lock, ret_error);
    }
    if (rc < 0) {
        postgresql_lock_release(lock);
        return rc;
    }
    *ret_lock = lock;
    return 0;
}

static int postgresql_lock_keep(void *context, struct error *ret_error)
{
    struct lock *lock = context;
    if (lock->server != NULL) {
        PGresult *result = PQexec(lock->server, "SELECT 1");
        bool works = PQresultStatus(result) == PGRES_TUPLES_OK;
        PQclear(result);
        if (works)
            return 0;
        PQfinish(lock->server);
        lock->server = NULL;
    }
    int rc = server_connect(lock->place, &lock->server, ret_error);
    if (rc < 0)
        return rc;
    rc = lock_ask(lock, ret_error);
    if (rc < 0) {
        PQfinish(lock->server);
        lock->server = NULL;
    }
    return rc;
}

const struct store_driver store_postgresql = {
    .name = "postgresql",
    .open = postgresql_open,
    .close = postgresql_close,
    .is_broken = postgresql_is_broken,
    .run = postgresql_run,
    .run_script = postgresql_run_script,
    .begin = "BEGIN ISOLATION LEVEL SERIALIZABLE",
    .lock_take = postgresql_lock_take,
    .lock_keep = postgresql_lock_keep,
    .lock_release = postgresql_lock_release,
};
