/* The client of a desk (tamis-desk(8)), for every command that speaks to one.
 *
 * Where the desk is: --desk URL, else $TAMIS_DESK, else `desk` of ~/.config/tamis/desk.yaml
 * ($XDG_CONFIG_HOME). The token that proves who asks comes from the file that --token-file names,
 * else from $TAMIS_DESK_TOKEN, else from the `token-file` of desk.yaml: never from the command
 * line, which every user of the machine can read. It is sent over http: only to the machine itself.
 *
 * A command takes the common options, opens a client, asks, prints:
 *
 *     static const struct option table[] = {{"limit", ...}, DESK_OPTIONS, {0}};
 *     struct desk_options options = {0};
 *     while ((option = desk_option_next(command, table, &options, argc, argv)) >= 0)
 *         ...
 *     rc = desk_client_open(&options, &client, &error);
 *     rc = desk_client_list(client, "/v1/hosts", &items, &error);
 */
#pragma once

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

/* ---- Options ---- */

struct command;

struct desk_options {
    const char *url, *token_file; /* NULL: not given */
    bool json;
};

enum { DESK_OPTION_URL = 0x400, DESK_OPTION_TOKEN_FILE, DESK_OPTION_JSON };

/* For a command's table of options. */
/* clang-format off */
#define DESK_OPTIONS                                              \
    {"desk", required_argument, NULL, DESK_OPTION_URL},           \
    {"token-file", required_argument, NULL, DESK_OPTION_TOKEN_FILE}, \
    {"json", no_argument, NULL, DESK_OPTION_JSON}
/* clang-format on */

/* For a command's help. */
#define DESK_OPTIONS_HELP                                                                    \
    "  --desk URL         the desk (default: $TAMIS_DESK, else ~/.config/tamis/desk.yaml)\n" \
    "  --token-file FILE  a file with the API token (default: $TAMIS_DESK_TOKEN, else the\n" \
    "                     one that 'tamis account login' made)\n"                            \
    "  --json             write the result as JSON\n"

#define DESK_OPTION_COUNT 3

/* The next option of `table` that is none of the common ones, which are noted in `options`; -1
 * behind the last. What is no option, or lacks its argument, is told: DESK_OPTION_WRONG, and the
 * command ends with EXIT_USAGE. */
#define DESK_OPTION_WRONG (-2)
int desk_option_next(const struct command *command, const struct option *table,
                     struct desk_options *options, int argc, char **argv);

/* The table of a command that takes the common options and some of `all`: those of `takes`, which 0
 * ends. `ret_table` has room for `count` and DESK_OPTION_COUNT + 1. */
void desk_options_pick(const struct option *all, size_t count, const int *takes,
                       struct option *ret_table);

/* ---- Where the desk is ---- */

/* The folder of desk.yaml; NULL: out of memory, or there is no home. The caller frees it. */
char *desk_folder(void);

/* What is known of the desk. The texts are the place's. */
struct desk_place {
    char *url;   /* without a last '/' */
    char *token; /* NULL: there is none */
};

/* -EINVAL: no desk is named anywhere, or what names it is wrong. */
_must_check_ int desk_place_find(const struct desk_options *options, struct desk_place *ret_place,
                                 struct error *ret_error);
void desk_place_clear(struct desk_place *place);

/* ---- Asking ---- */

/* One desk and one connection to it, kept alive; of one thread. */
struct desk_client;

_must_check_ int desk_client_open(const struct desk_options *options,
                                  struct desk_client **ret_client, struct error *ret_error);
void desk_client_close(struct desk_client *client);
DEFINE_FREEP(struct desk_client, desk_client_close)

const char *desk_client_url(const struct desk_client *client);

/* From here on asks in a session, with the cookie that POST /v1/sessions has set, in place of the
 * token; `csrf` is copied and sent with every change. NULL: asks as nobody. */
void desk_client_session(struct desk_client *client, const char *csrf);

/* A path with its parameters percent-encoded: each "{}" of `format` stands for the next of `count`
 * texts. Parameters of a query are encoded alike. */
#define DESK_PATH_SIZE 2048
struct desk_path {
    char text[DESK_PATH_SIZE];
};
_must_check_ int desk_path_make(struct desk_path *ret_path, struct error *ret_error,
                                const char *format, const char *const *values, size_t count);
#define desk_path(ret_path, ret_error, format, ...)                                 \
    desk_path_make(ret_path, ret_error, format, (const char *const[]){__VA_ARGS__}, \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* What the desk answers. */
struct desk_answer {
    long status;
    char *text; /* the body, with a NUL behind it; NULL: none */
    size_t size;
    json_t *json; /* the body when it is JSON, else NULL */
};
void desk_answer_clear(struct desk_answer *answer);

/* Sends `size` octets of `type` (`octets` NULL: no body). An answer of 400 and more is an error
 * with the desk's cause and remedy, and the JSON pointer as its file: -EACCES (401, 403), -ENOENT
 * (404), -EEXIST (409), -EINVAL (other 4xx), -EAGAIN (429, 503), -EREMOTEIO (other 5xx); -EIO:
 * there was no answer. */
_must_check_ int desk_client_send(struct desk_client *client, const char *method, const char *path,
                                  const char *type, const void *octets, size_t size,
                                  struct desk_answer *ret_answer, struct error *ret_error);

/* Sends JSON (borrowed; NULL: no body) and takes JSON, which is the caller's; `*ret_json` is NULL
 * when there is none, as for 204. `ret_json` may be NULL. */
_must_check_ int desk_client_ask(struct desk_client *client, const char *method, const char *path,
                                 const json_t *body, json_t **ret_json, struct error *ret_error);

/* All items of a list, over all of its pages, as an array that is the caller's. `path` may have a
 * query. */
_must_check_ int desk_client_list(struct desk_client *client, const char *path, json_t **ret_items,
                                  struct error *ret_error);

/* ---- Printing ---- */

struct desk_column {
    const char *title;
    const char *member; /* "email", or "owner/email" of an object within */
    bool right;         /* numbers */
};

/* A table with one row for each of `items`. -ENOMEM. */
_must_check_ int desk_table_print(const json_t *items, const struct desk_column *columns,
                                  size_t column_count);

/* One object as lines "title  value". */
_must_check_ int desk_object_print(const json_t *object, const struct desk_column *columns,
                                   size_t column_count);

/* For --json. */
void desk_json_print(const json_t *json);
