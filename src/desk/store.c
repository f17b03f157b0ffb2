/* The face of the store: rows in memory, transactions that are tried again, connections that come
 * back. */
#include "desk/store.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "desk/store_internal.h"

/* A transaction that loses this often in a row meets a load that waiting a little longer won't
 * mend; the client is asked to come back. */
#define ATTEMPTS_MAX 10

/* The wait before another attempt grows from up to 2 ms to up to 256 ms, by chance, so that those
 * who met do not meet again. */
#define WAIT_FIRST_MS 2
#define WAIT_MAX_MS   256

/* ---- Rows ---- */

struct cell {
    size_t at; /* in `octets`; every cell is followed by a NUL */
    size_t size;
    bool is_null;
};

struct store_rows {
    size_t column_count;
    struct cell *cells;
    size_t cell_count, cell_room;
    char *octets;
    size_t octet_count, octet_room;
};

int store_rows_create(size_t column_count, struct store_rows **ret_rows)
{
    struct store_rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL)
        return -ENOMEM;
    rows->column_count = column_count;
    *ret_rows = rows;
    return 0;
}

void store_rows_free(struct store_rows *rows)
{
    if (rows == NULL)
        return;
    free(rows->cells);
    free(rows->octets);
    free(rows);
}

static int room_make(void **array, size_t *room, size_t needed, size_t entry_size)
{
    if (needed <= *room)
        return 0;
    size_t grown = *room * 2 > needed ? *room * 2 : needed + 15;
    void *moved = reallocarray(*array, grown, entry_size);
    if (moved == NULL)
        return -ENOMEM;
    *array = moved;
    *room = grown;
    return 0;
}

int store_rows_add(struct store_rows *rows, const void *data, size_t size)
{
    if (room_make((void **)&rows->cells, &rows->cell_room, rows->cell_count + 1,
                  sizeof(rows->cells[0])) < 0 ||
        room_make((void **)&rows->octets, &rows->octet_room, rows->octet_count + size + 1, 1) < 0)
        return -ENOMEM;
    rows->cells[rows->cell_count++] =
        (struct cell){.at = rows->octet_count, .size = size, .is_null = data == NULL};
    if (size > 0)
        memcpy(rows->octets + rows->octet_count, data, size);
    rows->octets[rows->octet_count + size] = '\0';
    rows->octet_count += size + 1;
    return 0;
}

size_t store_rows_count(const struct store_rows *rows)
{
    return rows->column_count == 0 ? 0 : rows->cell_count / rows->column_count;
}

static const struct cell *cell_at(const struct store_rows *rows, size_t row, size_t column)
{
    assert(column < rows->column_count && row < store_rows_count(rows));
    return &rows->cells[row * rows->column_count + column];
}

bool store_row_is_null(const struct store_rows *rows, size_t row, size_t column)
{
    return cell_at(rows, row, column)->is_null;
}

const char *store_row_text(const struct store_rows *rows, size_t row, size_t column)
{
    const struct cell *cell = cell_at(rows, row, column);
    return cell->is_null ? NULL : rows->octets + cell->at;
}

int64_t store_row_integer(const struct store_rows *rows, size_t row, size_t column)
{
    const struct cell *cell = cell_at(rows, row, column);
    return cell->is_null ? 0 : strtoll(rows->octets + cell->at, NULL, 10);
}

const uint8_t *store_row_octets(const struct store_rows *rows, size_t row, size_t column,
                                size_t *ret_size)
{
    const struct cell *cell = cell_at(rows, row, column);
    *ret_size = cell->size;
    return cell->is_null ? NULL : (const uint8_t *)rows->octets + cell->at;
}

/* ---- Connections ---- */

static int connect_again(struct store *store, struct error *ret_error)
{
    const struct store_driver *driver = store->place->driver;
    if (store->connection != NULL && !driver->is_broken(store->connection))
        return 0;
    if (store->connection != NULL)
        driver->close(store->connection);
    store->connection = NULL;
    return driver->open(store->place, &store->connection, ret_error);
}

int store_open(const struct store_place *place, struct store **ret_store, struct error *ret_error)
{
    _cleanup_(store_closep) struct store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while opening the database");
    store->place = place;
    int rc = connect_again(store, ret_error);
    if (rc < 0)
        return rc;
    *ret_store = TAKE(store);
    return 0;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    if (store->connection != NULL)
        store->place->driver->close(store->connection);
    free(store);
}

bool store_in_transaction(const struct store *store)
{
    return store->in_transaction;
}

/* ---- Statements ---- */

static bool is_select(const char *sql)
{
    return strncmp(sql, "SELECT", 6) == 0;
}

static int run(struct store *store, const char *sql, const struct store_value *values, size_t count,
               struct store_rows **ret_rows, uint64_t *ret_changed, struct error *ret_error)
{
    /* In a transaction a connection that is new would be a transaction that lost its beginning. */
    if (!store->in_transaction) {
        int rc = connect_again(store, ret_error);
        if (rc < 0)
            return rc;
    } else if (store->connection == NULL || store->place->driver->is_broken(store->connection)) {
        return error_set(ret_error, -EIO, "the connection to the database broke");
    }
    return store->place->driver->run(store->connection, sql, values, count, ret_rows, ret_changed,
                                     ret_error);
}

int store_statement(struct store *store, const char *sql, const struct store_value *values,
                    size_t count, struct store_rows **ret_rows, uint64_t *ret_changed,
                    struct error *ret_error)
{
    assert(count <= STORE_VALUES_MAX);
    int rc = run(store, sql, values, count, ret_rows, ret_changed, ret_error);
    /* A connection that broke while nobody used it shows only now. What reads alone can be asked
     * again; of what writes nobody knows whether it was done. */
    if (rc == -EIO && !store->in_transaction && is_select(sql))
        rc = run(store, sql, values, count, ret_rows, ret_changed, ret_error);
    return rc;
}

int store_script(struct store *store, const char *sql, struct error *ret_error)
{
    return store->place->driver->run_script(store->connection, sql, ret_error);
}

/* ---- Transactions ---- */

static void wait_by_chance(unsigned attempt)
{
    uint32_t bound_ms = WAIT_FIRST_MS << attempt;
    if (bound_ms > WAIT_MAX_MS)
        bound_ms = WAIT_MAX_MS;
    long wait_us = (long)randombytes_uniform(bound_ms * 1000) + 1;
    const struct timespec wait = {.tv_nsec = wait_us * 1000};
    (void)nanosleep(&wait, NULL); /* a shorter wait does no harm */
}

/* Nothing has happened yet, so a connection that turns out to be broken is simply opened anew. */
static int begin(struct store *store, struct error *ret_error)
{
    const char *sql = store->place->driver->begin;
    int rc = run(store, sql, NULL, 0, NULL, NULL, ret_error);
    if (rc == -EIO)
        rc = run(store, sql, NULL, 0, NULL, NULL, ret_error);
    return rc;
}

static void roll_back(struct store *store)
{
    /* What fails here leaves a broken connection, and that is closed before it is used again. */
    struct error ignored;
    int rc = run(store, "ROLLBACK", NULL, 0, NULL, NULL, &ignored);
    (void)rc;
}

static int attempt(struct store *store, store_work_fn *work, void *context, struct error *ret_error)
{
    int rc = begin(store, ret_error);
    if (rc < 0)
        return rc;
    store->in_transaction = true;
    rc = work(store, context, ret_error);
    if (rc >= 0) {
        int committed = run(store, "COMMIT", NULL, 0, NULL, NULL, ret_error);
        if (committed < 0)
            rc = committed;
    }
    if (rc < 0)
        roll_back(store);
    store->in_transaction = false;
    return rc;
}

int store_transact(struct store *store, store_work_fn *work, void *context, struct error *ret_error)
{
    assert(!store->in_transaction);
    int rc = -EAGAIN;
    for (unsigned i = 0; i < ATTEMPTS_MAX && rc == -EAGAIN; i++) {
        if (i > 0)
            wait_by_chance(i - 1);
        rc = attempt(store, work, context, ret_error);
    }
    return rc;
}

/* ---- The lock ---- */

struct store_lock {
    const struct store_driver *driver;
    void *held; /* the driver's */
};

int store_lock_take(const struct store_place *place, struct store_lock **ret_lock,
                    struct error *ret_error)
{
    struct store_lock *lock = calloc(1, sizeof(*lock));
    if (lock == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while locking the database");
    lock->driver = place->driver;
    int rc = place->driver->lock_take(place, &lock->held, ret_error);
    if (rc < 0) {
        free(lock);
        return rc;
    }
    *ret_lock = lock;
    return 0;
}

int store_lock_keep(struct store_lock *lock, struct error *ret_error)
{
    return lock->driver->lock_keep(lock->held, ret_error);
}

void store_lock_release(struct store_lock *lock)
{
    if (lock == NULL)
        return;
    lock->driver->lock_release(lock->held);
    free(lock);
}
