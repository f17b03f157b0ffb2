/* The section `database`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk_config_internal.h"

const cyaml_schema_field_t desk_database_fields[] = {
    OPTIONAL_TEXT("driver", struct raw_database, driver),
    OPTIONAL_TEXT("path", struct raw_database, path),
    OPTIONAL_TEXT("connection", struct raw_database, connection),
    OPTIONAL_TEXT("password-file", struct raw_database, password_file),
    OPTIONAL_TEXT("password-env", struct raw_database, password_env),
    OPTIONAL_FLAG("migrate", struct raw_database, migrate),
    CYAML_FIELD_END,
};

static int sqlite_check(const struct desk_config_source *source, struct desk_config *config,
                        const struct raw_database *raw, struct error *ret_error)
{
    if (raw->connection != NULL || raw->password_file != NULL || raw->password_env != NULL)
        return config_value_fail(
            &source->values, config_value_place("database"), ret_error,
            "connection and password are PostgreSQL's: leave them out, or write "
            "driver: postgresql");
    return config_value_path(&source->values, config_value_place("database.path"), "the database",
                             raw->path != NULL ? raw->path : "desk.db", &config->database.path,
                             ret_error);
}

static int postgresql_check(const struct desk_config_source *source, struct desk_config *config,
                            const struct raw_database *raw, struct error *ret_error)
{
    if (raw->path != NULL)
        return config_value_fail(&source->values, config_value_place("database.path"), ret_error,
                                 "the path is SQLite's: leave it out, or write driver: sqlite");
    if (raw->connection == NULL)
        return config_value_fail(&source->values, config_value_place("database"), ret_error,
                                 "PostgreSQL is nowhere: add connection: \"host=... dbname=...\"");
    if (strstr(raw->connection, "password=") != NULL)
        return config_value_fail(&source->values, config_value_place("database.connection"),
                                 ret_error,
                                 "a password stands here: put it in a file and name it in "
                                 "password-file");
    int rc = config_value_copy(raw->connection, &config->database.connection, ret_error);
    if (rc == 0)
        rc = desk_config_secret(source, config_value_place("database.password-file"),
                                raw->password_file, raw->password_env, &config->database.password,
                                ret_error);
    return rc;
}

int desk_config_check_database(const struct desk_config_source *source, struct desk_config *config,
                               struct error *ret_error)
{
    const struct raw_database nothing = {0};
    const struct raw_database *raw =
        source->raw->database != NULL ? source->raw->database : &nothing;
    struct desk_config_database *database = &config->database;
    int rc;

    if (raw->driver == NULL || strcmp(raw->driver, "sqlite") == 0) {
        database->place.driver = &store_sqlite;
        rc = sqlite_check(source, config, raw, ret_error);
    } else if (strcmp(raw->driver, "postgresql") == 0) {
        database->place.driver = &store_postgresql;
        rc = postgresql_check(source, config, raw, ret_error);
    } else {
        rc = config_value_fail(&source->values, config_value_place("database.driver"), ret_error,
                               "\"%s\" is no database that this program knows: write sqlite or "
                               "postgresql",
                               raw->driver);
    }
    if (rc < 0)
        return rc;
    database->place.path = database->path;
    database->place.connection = database->connection;
    database->place.password = database->password;
    database->migrate = raw->migrate == NULL || *raw->migrate;
    return 0;
}

void desk_config_clear_database(struct desk_config *config)
{
    free(config->database.path);
    free(config->database.connection);
    desk_config_secret_free(config->database.password);
}
