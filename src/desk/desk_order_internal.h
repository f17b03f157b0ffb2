/* What the files of orders share: private to them. */
#pragma once

#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "desk/desk.h"
#include "desk/desk_order.h"
#include "desk/json_in.h"
#include "desk/mail.h"
#include "desk/router.h"
#include "order/keyring.h"
#include "order/order.h"
#include "order/signing_key.h"

struct zone_publisher;

#define ORDER_REASON_SIZE_MAX 400 /* of a lift or an amendment */

/* Orders in force at a time: with the exemptions' zone what a catalog may list (tamisd.conf(5)). */
#define ORDERS_ACTIVE_MAX 4095

#define ORDER_NAME_TEXT_SIZE 254 /* RFC 1035, 3.1, and NUL */

/* What the part keeps in `struct desk`. */
struct desk_orders {
    struct keyring *keyring; /* NULL: signatures are not judged */
    struct signing_key signing_key;
    bool has_signing_key;
    pthread_mutex_t rehearsing;       /* whole zones are in memory meanwhile: one at a time */
    struct zone_publisher *publisher; /* NULL: no server gets anything */
};

/* ---- A row ---- */

/* An order without its document. Times are Unix seconds; 0: not yet, or never. */
struct order_row {
    char id[ID_SIZE], name[DESK_ORDER_NAME_SIZE];
    char state[12], kind[12], action[12];
    char authority[241], notice[129];
    char document_hash[2 * crypto_hash_sha256_BYTES + 1];
    uint8_t salt[32];
    int64_t version, starts_s, ends_s, name_count, subtree_count, exempt_count;
    bool is_signed, exceeds_own, exceeds_desk;
    int64_t sealed_until_s, opened_at_s, rehearsed_at_s, notified_at_s, notice_due_s;
    int64_t approved_at_s, activated_at_s, ended_at_s, created_at_s, updated_at_s, serial;
    char end_reason[ORDER_REASON_SIZE_MAX + 1];
};

/* By the row's id or the document's, in any letter case. -ENOENT. */
_must_check_ int order_row_get(struct store *store, const char *id, struct order_row *ret_row,
                               struct error *ret_error);

/* The columns that order_row_read() reads, for SELECTs of other files. */
#define ORDER_COLUMNS                                                                       \
    "id, name, state, kind, action, authority, notice, document_hash, salt, version, "      \
    "starts_at, ends_at, name_count, subtree_count, exempt_count, is_signed, exceeds_own, " \
    "exceeds_desk, sealed_until, opened_at, rehearsed_at, notified_at, notice_due_at, "     \
    "approved_at, activated_at, ended_at, created_at, updated_at, serial, end_reason"
void order_row_read(const struct store_rows *rows, size_t row, struct order_row *ret_row);

static inline bool order_row_is(const struct order_row *row, const char *state)
{
    return strcmp(row->state, state) == 0;
}

/* Whether what it says may be told to everybody: it is or was in force, and is not sealed. */
bool order_row_is_public(const struct order_row *row, int64_t now_s);
bool order_row_is_sealed(const struct order_row *row, int64_t now_s);

/* What is published of a document before it may be read: SHA-256 over the salt and the document's
 * SHA-256. */
void order_row_commitment(const struct order_row *row,
                          char ret_hex[static 2 * crypto_hash_sha256_BYTES + 1]);

/* For staff. NULL: out of memory. */
json_t *order_row_json(const struct order_row *row, int64_t now_s);

/* ---- Events ---- */

/* Notes what happened: event, audit row, entry of the ledger. `detail` (or NULL) is taken, also on
 * failure; it is published when the order may be. In a transaction. */
_must_check_ int order_event(struct store *store, const struct change *change,
                             const struct order_row *row, const char *action, json_t *detail,
                             struct error *ret_error);

/* Gives the order's policy zone its next serial, as seconds since 1970 that only grow. */
_must_check_ int order_serial_bump(struct store *store, const char *id, int64_t now_s,
                                   struct error *ret_error);

/* ---- Documents ---- */

/* Loads a document by the desk's rules. */
_must_check_ int order_document_load(const struct desk *desk, const char *path, const char *text,
                                     size_t size, struct order **ret_order,
                                     struct error *ret_error);
/* The same of a stored one. */
_must_check_ int order_stored_load(const struct desk *desk, struct store *store, const char *id,
                                   struct order **ret_order, struct error *ret_error);

/* Takes another document into an order that is not approved, which is a draft again. */
_must_check_ int order_document_replace(struct desk *desk, struct store *store,
                                        const struct change *change, const struct order_row *row,
                                        const struct desk_order_draft *draft,
                                        struct error *ret_error);
/* Takes one into an active order when it blocks less and nothing else. -EEXIST: it blocks more. */
_must_check_ int order_document_narrow(struct desk *desk, struct store *store,
                                       const struct change *change, const struct order_row *row,
                                       const struct desk_order_draft *draft, const char *reason,
                                       struct error *ret_error);

/* What is wrong with a draft beside its document. */
_must_check_ int desk_order_draft_check(const struct desk_order_draft *draft, int64_t now_s,
                                        struct error *ret_error);

/* A name as clients write it, in lower case and A-labels. -EINVAL. */
_must_check_ int order_name_normalize(const char *text, char ret_name[static ORDER_NAME_TEXT_SIZE],
                                      struct error *ret_error);

/* The text of a listed name; false for one over 253 characters, which no hostname is. */
bool order_name_write(const uint8_t *wire, char ret_name[static ORDER_NAME_TEXT_SIZE]);

/* ---- Life: each in a transaction ---- */

/* What a rehearsal found. */
struct order_figures {
    int64_t version; /* of the document that was rehearsed */
    json_t *json;
    bool exceeds_own, exceeds_desk;
    const struct rehearsal *rehearsal;
};

_must_check_ int order_rehearsed(struct store *store, const struct change *change,
                                 const struct order_row *row, const struct order_figures *figures,
                                 struct error *ret_error);
/* `due_s`: when the notice goes out; 0: at once. */
_must_check_ int order_notify(struct desk *desk, struct store *store, const struct change *change,
                              const struct order_row *row, int64_t due_s, struct error *ret_error);
_must_check_ int order_approve(struct desk *desk, struct store *store, const struct change *change,
                               const struct order_row *row, struct error *ret_error);
_must_check_ int order_activate(const struct desk *desk, struct store *store,
                                const struct change *change, const struct order_row *row,
                                struct error *ret_error);

/* Ends what is over and opens what is no longer sealed. Returns 0; `ret_count`: changed. */
_must_check_ int orders_expire(struct desk *desk, struct store *store, int64_t now_s,
                               struct error *ret_error);

/* Different people who must approve, and those who have. */
_must_check_ int order_approvals(struct store *store, const struct order_row *row,
                                 unsigned *ret_needed, unsigned *ret_given,
                                 struct error *ret_error);

/* ---- Who is told: each in the transaction of the change (order_mail.c) ---- */

/* What is to be told. */
struct order_news {
    enum mail_text contacts, customers;
    const char *outcome, *detail; /* as the texts need them */
};

/* To the provider's own contacts and those of the order. What is told while its notice waits, waits
 * as long. `ret_count`: how many they are. */
_must_check_ int order_contacts_tell(const struct desk *desk, struct store *store,
                                     const struct change *change, const struct order_row *row,
                                     const struct order_news *news, size_t *ret_count,
                                     struct error *ret_error);

/* To customers whose hosts the order blocks, when it begins. One that observes blocks nothing. */
_must_check_ int order_customers_block(const struct desk *desk, struct store *store,
                                       const struct change *change, const struct order_row *row,
                                       struct error *ret_error);

/* To the contacts, and to customers whose hosts an amendment lets go. `outcome` completes "the
 * order is amended: "; `reason` is a person's. */
_must_check_ int order_amended_tell(const struct desk *desk, struct store *store,
                                    const struct change *change, const struct order_row *row,
                                    const char *outcome, const char *reason,
                                    struct error *ret_error);

/* To both, of the end: `outcome` completes "the order "; `reason` may be NULL. An order of which
 * nobody had notice ends in silence. */
_must_check_ int order_ended_tell(const struct desk *desk, struct store *store,
                                  const struct change *change, const struct order_row *row,
                                  const char *outcome, const char *reason, struct error *ret_error);

/* desk_order_exempt() of which the caller tells. */
_must_check_ int order_exempt_untold(struct store *store, const struct change *change,
                                     const struct desk_order_exemption *exemption,
                                     size_t *ret_count, struct error *ret_error);

/* ---- Rehearsal ---- */

/* Lays the stored document over the zones as the configured server has them. Takes seconds to
 * minutes; not in a transaction. -EHOSTUNREACH: the server does not give them; -EBUSY: another
 * rehearsal is at work. `ret_figures->json` is the caller's; `->rehearsal` is freed by
 * order_rehearsal_free(). */
struct order_rehearsal;
_must_check_ int order_rehearse(struct desk *desk, struct store *store, const struct order_row *row,
                                struct order_rehearsal **ret_rehearsal,
                                struct order_figures *ret_figures, struct error *ret_error);
void order_rehearsal_free(struct order_rehearsal *rehearsal);
DEFINE_FREEP(struct order_rehearsal, order_rehearsal_free)

/* ---- Servers ---- */

/* What each configured server confirms. Blocks for seconds when some are silent. */
_must_check_ int order_servers_ask(struct desk *desk, struct store *store,
                                   const struct order_row *row, json_t **ret_items,
                                   struct error *ret_error);

/* ---- Handlers of order_public.c ---- */
handler_fn order_name_get, order_notice_get, order_name_staff_get;

/* ---- Handlers of order_steps.c ---- */
handler_fn order_rehearsals_post, order_notifications_post, order_approvals_post,
    order_activations_post, order_amendments_post, order_lifts_post, order_exemptions_post;

/* Answers with an order as it is now. */
_must_check_ int order_reply(struct request *request, struct reply *reply, unsigned status,
                             const char *id, struct error *ret_error);

/* Reads `document`: a text, or an object, which is kept as the JSON that it is. The text is the
 * caller's. */
_must_check_ int order_document_in(struct json_in *in, char **ret_text, struct error *ret_error);
