#include "desk/migrations.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "desk/store_internal.h"

static int applied_get(struct store *store, struct store_rows **ret_rows, struct error *ret_error)
{
    return store_query(store, ret_rows, ret_error,
                       "SELECT number, name FROM migrations ORDER BY number");
}

static bool is_applied(const struct store_rows *applied, unsigned number)
{
    for (size_t i = 0; i < store_rows_count(applied); i++)
        if (store_row_integer(applied, i, 0) == number)
            return true;
    return false;
}

static bool is_known(int64_t number)
{
    for (size_t i = 0; i < migration_count; i++)
        if (migrations[i].number == number)
            return true;
    return false;
}

static int newer_refuse(const struct store_rows *applied, struct error *ret_error)
{
    for (size_t i = 0; i < store_rows_count(applied); i++)
        if (!is_known(store_row_integer(applied, i, 0)))
            return error_set(ret_error, -ENOTSUP,
                             "the database has the migration %s_%s, which this program does not "
                             "know: run a newer tamis-desk, or restore the database from before",
                             store_row_text(applied, i, 0), store_row_text(applied, i, 1));
    return 0;
}

static int apply(struct store *store, void *context, struct error *ret_error)
{
    const struct migration *migration = context;
    int rc = store_script(store, migration->sql, ret_error);
    if (rc < 0)
        return rc;
    return store_change(store, NULL, ret_error,
                        "INSERT INTO migrations (number, name, applied_at) VALUES ($1, $2, $3)",
                        store_integer(migration->number), store_text(migration->name),
                        store_integer(time(NULL)));
}

static int table_make(struct store *store, struct error *ret_error)
{
    return store_change(
        store, NULL, ret_error,
        "CREATE TABLE IF NOT EXISTS migrations ("
        "number BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)");
}

int migrations_apply(struct store *store, size_t *ret_applied, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *applied = NULL;
    size_t count = 0;

    int rc = table_make(store, ret_error);
    if (rc == 0)
        rc = applied_get(store, &applied, ret_error);
    if (rc == 0)
        rc = newer_refuse(applied, ret_error);
    for (size_t i = 0; rc == 0 && i < migration_count; i++) {
        if (is_applied(applied, migrations[i].number))
            continue;
        rc = store_transact(store, apply, (void *)&migrations[i], ret_error);
        if (rc == 0)
            count++;
        else if (ret_error != NULL)
            rc = error_set(ret_error, rc, "migration %04u_%s: %s", migrations[i].number,
                           migrations[i].name, ret_error->text);
    }
    if (rc == 0 && ret_applied != NULL)
        *ret_applied = count;
    return rc;
}

int migrations_check(struct store *store, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *applied = NULL;

    /* A database without any table lacks all of them, which the next step finds. */
    int rc = table_make(store, ret_error);
    if (rc == 0)
        rc = applied_get(store, &applied, ret_error);
    if (rc == 0)
        rc = newer_refuse(applied, ret_error);
    for (size_t i = 0; rc == 0 && i < migration_count; i++)
        if (!is_applied(applied, migrations[i].number))
            return error_set(ret_error, -ENODATA,
                             "the database lacks the migration %04u_%s: run tamis-desk migrate, or "
                             "set database: migrate: yes",
                             migrations[i].number, migrations[i].name);
    return rc;
}
