/* The figures over HTTP, and the months that are published. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/clock.h"
#include "desk/desk.h"
#include "desk/figures.h"
#include "desk/ledger_queue.h"
#include "ledger/note.h"

/* Months that one run publishes, and that one request asks for. */
#define MONTHS_MAX 24

#define HASH_TEXT_SIZE (2 * crypto_hash_sha256_BYTES + 1)
#define NOTE_SIZE      512

/* ---- A month's document ---- */

/* As it is hashed: sorted members, no blanks. The caller frees it. */
static int document_make(struct store *store, const char *month, char **ret_text,
                         struct error *ret_error)
{
    json_t *all = NULL, *classes = NULL, *appeals = NULL;
    int64_t from_s, to_s;

    if (!figures_month_parse(month, &from_s, &to_s))
        return error_set(ret_error, -EINVAL, "\"%s\" is no month", month);
    int rc = figures_get(store, FIGURES_ALL, from_s, to_s, &all, ret_error);
    if (rc == 0)
        rc = figures_get(store, FIGURES_CLASS, from_s, to_s, &classes, ret_error);
    if (rc == 0)
        rc = figures_get(store, FIGURES_APPEALS, from_s, to_s, &appeals, ret_error);
    json_t *document = json_pack("{s:i, s:s, s:o*, s:o*, s:o*}", "v", 1, "month", month, "reports",
                                 all, "classes", classes, "appeals", appeals);
    char *text = rc == 0 ? json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(document);
    if (rc < 0)
        return rc;
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the figures");
    *ret_text = text;
    return 0;
}

static void hash_text(const char *text, char ret_hash[static HASH_TEXT_SIZE])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const uint8_t *)text, strlen(text));
    sodium_bin2hex(ret_hash, HASH_TEXT_SIZE, hash, sizeof(hash));
}

/* What is signed names what it is, so that it is taken for nothing else that the key signs. */
static int note_make(const struct desk *desk, const char *month, const char *hash,
                     char ret_note[static NOTE_SIZE + NOTE_LINE_SIZE], struct error *ret_error)
{
    struct note_signer signer;
    int rc = note_signer_load(desk->config->ledger.key_file, &signer, ret_error);
    if (rc < 0)
        return rc;
    int size = snprintf(ret_note, NOTE_SIZE, "%.255s\nfigures %s\nsha256 %s\n",
                        desk->config->ledger.origin, month, hash);
    memcpy(ret_note + size, "\n", 1);
    size_t line = note_sign(&signer, ret_note, (size_t)size, 0, ret_note + size + 1);
    ret_note[(size_t)size + 1 + line] = '\0';
    note_signer_clear(&signer);
    return 0;
}

/* ---- Publishing ---- */

struct publication {
    const struct desk *desk;
    int64_t now_s;
    char month[FIGURES_MONTH_SIZE];
};

static int row_add(struct store *store, const struct publication *publication, const char *document,
                   const char *hash, struct error *ret_error)
{
    char note[NOTE_SIZE + NOTE_LINE_SIZE];
    int rc = note_make(publication->desk, publication->month, hash, note, ret_error);
    if (rc < 0)
        return rc;
    return store_change(store, NULL, ret_error,
                        "INSERT INTO figures (month, document, hash, note, published_at) VALUES "
                        "($1, $2, $3, $4, $5)",
                        store_text(publication->month), store_text(document), store_text(hash),
                        store_text(note), store_integer(publication->now_s));
}

/* Document, ledger and audit in one transaction: published is published once. */
static int month_publish(struct store *store, void *context, struct error *ret_error)
{
    const struct publication *publication = context;
    int64_t now_ms = publication->now_s * 1000;
    char hash[HASH_TEXT_SIZE], id[ID_SIZE], *document = NULL;

    int rc = document_make(store, publication->month, &document, ret_error);
    if (rc < 0)
        return rc;
    hash_text(document, hash);
    rc = row_add(store, publication, document, hash, ret_error);
    free(document);
    if (rc < 0)
        return rc;
    json_t *content = json_pack("{s:s, s:s}", "month", publication->month, "document", hash);
    rc = ledger_queue_put(store, now_ms, "figures.published", NULL, content, id, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = now_ms,
                                               .action = "figures.publish",
                                               .object = publication->month,
                                               .detail = content},
                         ret_error);
    json_decref(content);
    return rc;
}

/* The month to begin with: the one after the last that was published, or that of the first report.
 * 0: there is nothing yet. */
static int first_month(struct store *store, int64_t *ret_time_s, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int64_t from_s, to_s;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT (SELECT MAX(month) FROM figures), (SELECT MIN(received_at) FROM "
                         "reports) WHERE 1 = $1",
                         store_integer(1));
    if (rc < 0)
        return rc;
    const char *last = store_row_text(rows, 0, 0);
    *ret_time_s = last != NULL && figures_month_parse(last, &from_s, &to_s)
                      ? to_s
                      : store_row_integer(rows, 0, 1);
    return 0;
}

int figures_publish(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    struct publication publication = {.desk = desk, .now_s = now_s};
    int64_t time_s, from_s, to_s;

    int rc = first_month(store, &time_s, ret_error);
    if (rc < 0 || time_s == 0)
        return rc;
    for (unsigned i = 0; i < MONTHS_MAX && rc == 0; i++) {
        figures_month_text(time_s, publication.month);
        if (!figures_month_parse(publication.month, &from_s, &to_s) || to_s > now_s)
            break;
        rc = store_transact(store, month_publish, &publication, ret_error);
        time_s = to_s;
    }
    return rc;
}

/* ---- HTTP ---- */

int figures_month_show(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char published[CLOCK_TEXT_SIZE];

    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT month, document, hash, note, published_at FROM figures WHERE "
                         "month = $1",
                         store_text(request_param(request, "month")));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT,
                         "no figures of that month are published: a month is when it is over");
    clock_text(store_row_integer(rows, 0, 4), published);
    return reply_json(reply, 200,
                      json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "month",
                                store_row_text(rows, 0, 0), "figures",
                                json_loads(store_row_text(rows, 0, 1), 0, NULL), "document",
                                store_row_text(rows, 0, 1), "sha256", store_row_text(rows, 0, 2),
                                "note", store_row_text(rows, 0, 3), "published_at", published));
}

/* `from` and `to` are months, both within; by default the present one. */
static int months_read(const struct request *request, int64_t *ret_from_s, int64_t *ret_to_s,
                       struct error *ret_error)
{
    const char *from = request_query(request, "from"), *to = request_query(request, "to");
    char present[FIGURES_MONTH_SIZE];
    int64_t ignored_s;

    figures_month_text(request_now_s(request), present);
    from = from != NULL ? from : to != NULL ? to : present;
    to = to != NULL ? to : from;
    if (!figures_month_parse(from, ret_from_s, &ignored_s) ||
        !figures_month_parse(to, &ignored_s, ret_to_s) || *ret_to_s <= *ret_from_s)
        return error_set(ret_error, -EINVAL, "from and to are months in order: write from=2026-10");
    return 0;
}

static int by_month(struct store *store, int64_t from_s, int64_t to_s, json_t **ret_figures,
                    struct error *ret_error)
{
    json_t *figures = json_object(), *of_month;
    char month[FIGURES_MONTH_SIZE];
    int64_t begin_s, end_s = from_s;
    int rc = 0;

    for (unsigned i = 0; i < MONTHS_MAX && end_s < to_s && rc == 0; i++) {
        figures_month_text(end_s, month);
        (void)figures_month_parse(month, &begin_s, &end_s);
        rc = figures_get(store, FIGURES_ALL, begin_s, end_s, &of_month, ret_error);
        if (rc < 0)
            break;
        json_t *all = json_object_get(of_month, "all");
        json_object_set(figures, month, all != NULL ? all : of_month);
        json_decref(of_month);
    }
    if (rc < 0)
        json_decref(figures);
    else
        *ret_figures = figures;
    return rc;
}

int figures_show(struct request *request, struct reply *reply, struct error *ret_error)
{
    static const char *const words[] = {"all", "class", "reporter", "appeals", "month"};
    const char *by = request_query(request, "by");
    int64_t from_s, to_s;
    json_t *figures;
    size_t word = 0;

    while (by != NULL && word < sizeof(words) / sizeof(words[0]) && strcmp(words[word], by) != 0)
        word++;
    if (word == sizeof(words) / sizeof(words[0]))
        return error_set(ret_error, -EINVAL,
                         "by is no such word: write class, reporter, month, appeals or all");
    int rc = months_read(request, &from_s, &to_s, ret_error);
    if (rc == 0)
        rc = strcmp(words[word], "month") == 0
                 ? by_month(request_store(request), from_s, to_s, &figures, ret_error)
                 : figures_get(request_store(request), (enum figures_by)word, from_s, to_s,
                               &figures, ret_error);
    if (rc < 0)
        return rc;
    char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
    return reply_json(reply, 200,
                      json_pack("{s:s, s:s, s:s, s:o}", "from", clock_text(from_s, from), "to",
                                clock_text(to_s, to), "by", words[word], "figures", figures));
}
