#include "desk/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/report_mail.h"

/* Earlier reports that are looked at for one that is the same. */
#define CANDIDATES_MAX 20

/* ---- The report on its way in ---- */

struct report_intake *report_intake_create(const char *channel)
{
    struct report_intake *intake = calloc(1, sizeof(*intake));
    if (intake == NULL)
        return NULL;
    intake->channel = channel;
    intake->report_class = report_class_other();
    return intake;
}

void report_intake_free(struct report_intake *intake)
{
    if (intake == NULL)
        return;
    for (size_t i = 0; i < intake->piece_count; i++)
        free(intake->pieces[i].octets);
    free(intake);
}

/* Octets of the UTF-8 sequence at `text`; 0: it is none (RFC 3629, 4). */
static size_t sequence_size(const unsigned char *text, size_t size)
{
    size_t more = text[0] < 0x80   ? 0
                  : text[0] < 0xc2 ? 9
                  : text[0] < 0xe0 ? 1
                  : text[0] < 0xf0 ? 2
                  : text[0] < 0xf5 ? 3
                                   : 9;
    if (more >= size)
        return 0;
    for (size_t i = 1; i <= more; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool is_wrong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
                    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f);
    return is_wrong ? 0 : more + 1;
}

/* Copies as UTF-8 without controls, but for line feeds and tabs where `has_lines`. */
static void text_clean(const char *text, size_t size, bool has_lines, char *ret_text,
                       size_t ret_size)
{
    size_t used = 0;
    for (size_t i = 0; i < size && text[i] != '\0';) {
        const unsigned char *at = (const unsigned char *)text + i;
        size_t length = sequence_size(at, size - i);
        bool is_control = at[0] < ' ' && !(has_lines && (at[0] == '\n' || at[0] == '\t'));
        bool is_c1 = length == 2 && at[0] == 0xc2 && at[1] < 0xa0;
        i += length > 0 ? length : 1;
        if (has_lines && at[0] == '\r')
            continue;
        bool is_bad = length == 0 || is_control || is_c1 || at[0] == 0x7f;
        if (used + (is_bad ? 1 : length) >= ret_size)
            break;
        if (is_bad)
            ret_text[used] = '?';
        else
            memcpy(ret_text + used, at, length);
        used += is_bad ? 1 : length;
    }
    ret_text[used] = '\0';
}

void report_intake_describe(struct report_intake *intake, const char *text, size_t size)
{
    text_clean(text, size, true, intake->description, sizeof(intake->description));
}

void report_intake_add(struct report_intake *intake, void *octets, size_t size, const char *type,
                       const char *label)
{
    if (octets == NULL || intake->piece_count == REPORT_PIECES_MAX) {
        free(octets);
        return;
    }
    struct report_piece *piece = &intake->pieces[intake->piece_count++];
    piece->octets = octets;
    piece->size = size;
    text_clean(type, strlen(type), false, piece->type, sizeof(piece->type));
    text_clean(label, strlen(label), false, piece->label, sizeof(piece->label));
}

int report_evidence_keep(const struct desk_config *config, struct store *store,
                         struct report_intake *intake, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint64_t item_max = (uint64_t)config->reports.evidence_item_kib_max << 10;
    uint64_t total_max = (uint64_t)config->reports.evidence_mib_max << 20;

    if (intake->piece_count == 0)
        return 0;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM evidence");
    if (rc < 0)
        return rc;
    uint64_t total = (uint64_t)store_row_integer(rows, 0, 0);
    for (size_t i = 0; i < intake->piece_count && rc == 0; i++) {
        struct report_piece *piece = &intake->pieces[i];
        if (piece->size > item_max || piece->size > total_max || total > total_max - piece->size)
            continue;
        rc = evidence_put(config->state, piece->octets, piece->size, piece->hash, ret_error);
        total += piece->size;
    }
    return rc;
}

/* ---- Who reports ---- */

struct reporter {
    char id[ID_SIZE];
    bool is_trusted;
    bool is_account;
};

static bool has_account(const struct change *change)
{
    return change->who != NULL && change->who->account[0] != '\0';
}

/* The sender of a mail is what it says, and nobody has checked it: such a reporter is a different
 * one from the account with the same address, and no reputation passes from one to the other. */
static int reporter_find(struct store *store, const struct report_taking *taking,
                         struct reporter *ret_reporter, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct report_intake *intake = taking->intake;
    char identity[EMAIL_SIZE_MAX + 8], id[ID_SIZE];
    bool is_account = has_account(&taking->change), has_mail = intake->contact[0] != '\0';

    snprintf(identity, sizeof(identity), "%s%s", !is_account && has_mail ? "mail:" : "",
             is_account ? taking->change.who->account
             : has_mail ? intake->contact
                        : "anonymous");
    id_make(ID_REPORTER, taking->change.now_ms, id);
    int rc = store_change(
        store, NULL, ret_error,
        "INSERT INTO reporters (id, kind, identity, label, created_at) VALUES ($1, $2, $3, "
        "COALESCE((SELECT email FROM accounts WHERE id = $4), $5), $6) "
        "ON CONFLICT (identity) DO NOTHING",
        store_text(id),
        store_text(is_account ? "account"
                   : has_mail ? "mail"
                              : "anonymous"),
        store_text(identity), store_text(identity),
        store_text(has_mail ? intake->contact : "anonymous"),
        store_integer(taking->change.now_ms / 1000));
    if (rc == 0)
        rc = store_query(store, &rows, ret_error,
                         "UPDATE reporters SET reports = reports + 1 WHERE identity = $1 "
                         "RETURNING id, trusted",
                         store_text(identity));
    if (rc < 0)
        return rc;
    snprintf(ret_reporter->id, sizeof(ret_reporter->id), "%s", store_row_text(rows, 0, 0));
    ret_reporter->is_trusted = store_row_integer(rows, 0, 1) != 0;
    ret_reporter->is_account = is_account;
    return 0;
}

/* Whether the acknowledgement goes out by mail, too: to who had no answer over HTTP, and not to an
 * address that somebody floods in the name of its owner. */
static int answer_is_due(struct store *store, const struct report_taking *taking,
                         const struct reporter *reporter, bool *ret_is_due, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct report_intake *intake = taking->intake;
    int64_t day_ago_s = taking->change.now_ms / 1000 - 24 * 3600;

    *ret_is_due = false;
    if (intake->contact[0] == '\0' || intake->is_automatic)
        return 0;
    if (strcmp(intake->channel, "mail") != 0 && strcmp(intake->channel, "form") != 0)
        return 0;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT COUNT(*) FROM reports WHERE reporter = $1 AND received_at > $2",
                         store_text(reporter->id), store_integer(day_ago_s));
    if (rc == 0)
        *ret_is_due = reporter->is_account ||
                      store_row_integer(rows, 0, 0) <= taking->desk->config->reports.answers_daily;
    return rc;
}

/* Strangers are bounded by their address; mail is bounded by the MTA. */
static int flood_check(struct store *store, const struct report_taking *taking,
                       struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct change *change = &taking->change;

    if (has_account(change) || change->client == NULL)
        return 0;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT COUNT(*) FROM reports WHERE client = $1 AND received_at > $2",
                         store_text(change->client), store_integer(change->now_ms / 1000 - 3600));
    if (rc == 0 &&
        store_row_integer(rows, 0, 0) >= taking->desk->config->reports.per_address_hourly)
        return error_set(ret_error, -EDQUOT,
                         "there were too many reports from your address within an hour: wait, or "
                         "ask for an account of a reporter");
    return rc;
}

/* ---- What is known already ---- */

static int taken_find(struct store *store, struct report_taking *taking, bool *ret_is_again,
                      struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct report_intake *intake = taking->intake;

    *ret_is_again = false;
    if (!intake->has_hash)
        return 0;
    int rc = store_query(store, &rows, ret_error, "SELECT id FROM reports WHERE intake = $1",
                         store_octets(intake->hash, sizeof(intake->hash)));
    if (rc == 0 && store_rows_count(rows) > 0) {
        *ret_is_again = true;
        snprintf(taking->receipt.id, ID_SIZE, "%s", store_row_text(rows, 0, 0));
    }
    return rc;
}

/* Whether a report has all of our names that this one has. */
static int names_are_all_in(struct store *store, const struct report_taking *taking,
                            const char *report, bool *ret_are, struct error *ret_error)
{
    char owner[REPORT_NAME_SIZE];
    int rc = 0;

    *ret_are = true;
    for (size_t i = 0; i < taking->intake->names.count && rc == 0 && *ret_are; i++) {
        _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
        const char *name = taking->intake->names.list[i];
        if (!report_name_owner(&taking->desk->config->hosts, name, owner))
            continue;
        rc = store_query(store, &rows, ret_error,
                         "SELECT 1 FROM report_names WHERE report = $1 AND name = $2",
                         store_text(report), store_text(name));
        *ret_are = rc == 0 && store_rows_count(rows) > 0;
    }
    return rc;
}

/* The report that this one repeats: of the same reporter, class and names, within the window, and
 * nobody has decided on it. What is reported again after a decision is looked at again. */
static int first_find(struct store *store, struct report_taking *taking,
                      const struct reporter *reporter, const char *name, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int64_t window_s = (int64_t)taking->desk->config->reports.duplicate_hours * 3600;
    bool is_it = false;

    int rc = store_query(
        store, &rows, ret_error,
        "SELECT r.id FROM report_names n JOIN reports r ON r.id = n.report WHERE n.name = $1 AND "
        "r.reporter = $2 AND r.class = $3 AND r.received_at > $4 AND r.state = 'open' "
        "ORDER BY r.received_at LIMIT $5",
        store_text(name), store_text(reporter->id), store_text(taking->intake->report_class->name),
        store_integer(taking->change.now_ms / 1000 - window_s), store_integer(CANDIDATES_MAX));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows) && !is_it; i++) {
        rc = names_are_all_in(store, taking, store_row_text(rows, i, 0), &is_it, ret_error);
        if (rc == 0 && is_it)
            snprintf(taking->receipt.first, ID_SIZE, "%s", store_row_text(rows, i, 0));
    }
    if (rc == 0 && is_it)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE reports SET seen = seen + 1, seen_at = $1 WHERE id = $2",
                          store_integer(taking->change.now_ms / 1000),
                          store_text(taking->receipt.first));
    return rc;
}

/* ---- Writing it down ---- */

static int report_write(struct store *store, const struct report_taking *taking,
                        const struct reporter *reporter, struct error *ret_error)
{
    const struct report_intake *intake = taking->intake;
    const struct report_receipt *receipt = &taking->receipt;
    int64_t now_s = taking->change.now_ms / 1000;
    uint8_t capability[SECRET_HASH_SIZE];

    secret_hash("report", receipt->token, capability);
    return store_change(
        store, NULL, ret_error,
        "INSERT INTO reports (id, capability, intake, channel, class, xarf_type, reporter, "
        "answer_to, client, description, observed_at, received_at, acknowledged_at, state, first, "
        "seen_at, decide_by, trusted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
        "$13, $14, $15, $16, $17, $18)",
        store_text(receipt->id), store_octets(capability, sizeof(capability)),
        store_octets(intake->has_hash ? intake->hash : NULL, sizeof(intake->hash)),
        store_text(intake->channel), store_text(intake->report_class->name),
        store_text(intake->xarf_type[0] != '\0' ? intake->xarf_type : NULL),
        store_text(reporter->id),
        store_text(intake->contact[0] != '\0' && !intake->is_automatic ? intake->contact : NULL),
        store_text(taking->change.client), store_text(intake->description),
        intake->observed_s != 0 ? store_integer(intake->observed_s) : store_null(),
        store_integer(now_s), store_integer(now_s), store_text(receipt->state),
        store_text(receipt->first[0] != '\0' ? receipt->first : NULL), store_integer(now_s),
        receipt->decide_by_s != 0 ? store_integer(receipt->decide_by_s) : store_null(),
        store_integer(reporter->is_trusted));
}

static int name_write(struct store *store, const struct report_taking *taking, const char *name,
                      struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char owner[REPORT_NAME_SIZE];
    const char *host = NULL, *account = NULL;
    bool is_ours = report_name_owner(&taking->desk->config->hosts, name, owner);
    int rc = 0;

    if (is_ours)
        rc = store_query(store, &rows, ret_error, "SELECT id, account FROM hosts WHERE name = $1",
                         store_text(owner));
    if (rc == 0 && is_ours && store_rows_count(rows) > 0) {
        host = store_row_text(rows, 0, 0);
        account = store_row_text(rows, 0, 1);
    }
    if (rc == 0)
        rc =
            store_change(store, NULL, ret_error,
                         "INSERT INTO report_names (report, name, is_ours, owner_name, host, "
                         "account) VALUES ($1, $2, $3, $4, $5, $6)",
                         store_text(taking->receipt.id), store_text(name), store_integer(is_ours),
                         store_text(is_ours ? owner : NULL), store_text(host), store_text(account));
    return rc;
}

static int piece_write(struct store *store, const struct report_taking *taking, size_t number,
                       struct error *ret_error)
{
    const struct report_piece *piece = &taking->intake->pieces[number];
    int rc = 0;
    if (piece->hash[0] != '\0')
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO evidence (hash, size, created_at) VALUES ($1, $2, $3) "
                          "ON CONFLICT (hash) DO NOTHING",
                          store_text(piece->hash), store_integer((int64_t)piece->size),
                          store_integer(taking->change.now_ms / 1000));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO report_evidence (report, number, hash, size, type, label) "
                          "VALUES ($1, $2, $3, $4, $5, $6)",
                          store_text(taking->receipt.id), store_integer((int64_t)number),
                          store_text(piece->hash[0] != '\0' ? piece->hash : NULL),
                          store_integer((int64_t)piece->size), store_text(piece->type),
                          store_text(piece->label));
    return rc;
}

static int all_write(struct store *store, const struct report_taking *taking,
                     const struct reporter *reporter, struct error *ret_error)
{
    const struct change *change = &taking->change;
    int rc = report_write(store, taking, reporter, ret_error);
    for (size_t i = 0; i < taking->intake->names.count && rc == 0; i++)
        rc = name_write(store, taking, taking->intake->names.list[i], ret_error);
    for (size_t i = 0; i < taking->intake->piece_count && rc == 0; i++)
        rc = piece_write(store, taking, i, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = change->now_ms,
                                               .who = change->who,
                                               .client = change->client,
                                               .action = "report.receive",
                                               .object = taking->receipt.id},
                         ret_error);
    return rc;
}

int report_take(struct store *store, void *context, struct error *ret_error)
{
    struct report_taking *taking = context;
    const struct report_intake *intake = taking->intake;
    struct report_receipt *receipt = &taking->receipt;
    char owner[REPORT_NAME_SIZE];
    const char *ours = NULL;
    struct reporter reporter;
    bool is_again;

    *receipt = (struct report_receipt){.state = "not-ours"};
    int rc = taken_find(store, taking, &is_again, ret_error);
    if (rc < 0 || is_again)
        return rc;
    rc = flood_check(store, taking, ret_error);
    if (rc == 0)
        rc = reporter_find(store, taking, &reporter, ret_error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < intake->names.count && ours == NULL; i++)
        if (report_name_owner(&taking->desk->config->hosts, intake->names.list[i], owner))
            ours = intake->names.list[i];
    if (ours != NULL)
        rc = first_find(store, taking, &reporter, ours, ret_error);
    if (rc < 0)
        return rc;

    if (ours != NULL && receipt->first[0] != '\0') {
        receipt->state = "duplicate";
    } else if (ours != NULL) {
        size_t index = report_class_index(intake->report_class);
        receipt->state = "open";
        receipt->decide_by_s =
            taking->change.now_ms / 1000 +
            (int64_t)taking->desk->config->reports.classes[index].decide_hours * 3600;
    }
    id_make(ID_REPORT, taking->change.now_ms, receipt->id);
    secret_make(receipt->token);
    bool is_due = false;
    rc = all_write(store, taking, &reporter, ret_error);
    if (rc == 0)
        rc = answer_is_due(store, taking, &reporter, &is_due, ret_error);
    if (rc == 0 && is_due)
        rc = report_mail_acknowledge(store, taking, ours, ret_error);
    return rc;
}
