/* Appeals: against a block of a name, an order that blocks it, or the suspension of an account.
 * Whoever appeals proves control of the name; whoever decides had no part in what the appeal is
 * against. A granted appeal lifts the block or exempts the name from the order in the transaction
 * of its decision, and every server follows at once. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/block.h"
#include "desk/change.h"
#include "desk/ids.h"
#include "desk/store.h"

struct desk;

#define APPEAL_STATEMENT_MAX   10000
#define APPEAL_EXPLANATION_MAX 4000
#define APPEAL_REASON_MAX      64
#define APPEAL_KEY_SIZE        32 /* Ed25519, public */
#define APPEAL_SIGNATURE_SIZE  64

/* Where the TXT record that proves control stands, and how its value begins. */
#define APPEAL_TXT_LABEL "_tamis-appeal"
#define APPEAL_TXT_VALUE "tamis-appeal="
#define APPEAL_TXT_KEY   "tamis-key=" /* a key that is made known: base64 behind it */

enum appeal_against { APPEAL_BLOCK, APPEAL_ORDER, APPEAL_ACCOUNT };

/* What an appeal is about, and how far it is. */
struct appeal {
    char id[ID_SIZE];
    enum appeal_against against;
    char name[BLOCK_NAME_SIZE];
    char report[ID_SIZE], order_id[ID_SIZE]; /* "": none */
    char account[ID_SIZE];                   /* who appeals; "": a stranger */
    char challenge[SECRET_TEXT_SIZE];
    char state[16], assigned_to[ID_SIZE];
    char email[255]; /* "": nowhere to answer to */
    int64_t attempts, prove_by_s, decide_by_s;
};

/* ---- Making one (appeal.c) ---- */

struct appeal_submission {
    const char *name;    /* normalized; NULL: against the suspension of `account` */
    const char *account; /* who is signed in, or NULL */
    const char *email;   /* of a stranger, or NULL */
    const char *statement;
    const char *client;
    char capability[SECRET_TEXT_SIZE]; /* to be set: what the answer carries */
};

/* -ENOENT: nothing is in force against it. -EEXIST: an appeal of this account is open already.
 * -EDQUOT: too many of this client. In a transaction. */
_must_check_ int appeal_submit(const struct desk *desk, struct store *store,
                               const struct change *change,
                               const struct appeal_submission *submission,
                               struct appeal *ret_appeal, struct error *ret_error);

_must_check_ int appeal_get(struct store *store, const char *id, struct appeal *ret_appeal,
                            struct error *ret_error);

/* An appeal that was proven: it gets its deadline and somebody who decides. In a transaction. */
_must_check_ int appeal_open(const struct desk *desk, struct store *store,
                             const struct change *change, struct appeal *appeal, const char *proof,
                             struct error *ret_error);

/* ---- Who decides (appeal_assign.c) ---- */

/* Notes all who had a part in what the appeal is against, or denied an earlier one for the name. In
 * a transaction. */
_must_check_ int appeal_bar(struct store *store, const struct appeal *appeal,
                            struct error *ret_error);

_must_check_ int appeal_is_barred(struct store *store, const char *appeal, const char *account,
                                  bool *ret_is_barred, struct error *ret_error);

/* Puts it into the queue of whoever may decide it and has least to do, and tells them; leaves it
 * without anybody when there is nobody. In a transaction. */
_must_check_ int appeal_assign(const struct desk *desk, struct store *store, int64_t now_ms,
                               struct appeal *appeal, struct error *ret_error);

/* Jobs: lapses what nobody proved, assigns what nobody has, tells of what is late. */
_must_check_ int appeals_look(struct desk *desk, struct store *store, int64_t now_s,
                              struct error *ret_error);

/* ---- Deciding (appeal_decide.c) ---- */

struct appeal_decision {
    const char *id;
    bool is_granted;
    const char *reason;      /* a code */
    const char *explanation; /* to who appealed */
};

/* -EACCES: whoever decides may not. -EEXIST: it is decided. In a transaction; appeal_settle() after
 * it. */
_must_check_ int appeal_decide(const struct desk *desk, struct store *store,
                               const struct change *change, const struct appeal_decision *decision,
                               struct appeal *ret_appeal, struct error *ret_error);

/* After a transaction of the above, whatever came of it. */
void appeal_settle(struct desk *desk, const struct appeal *appeal);

/* ---- Proofs (appeal_proof.c) ---- */

enum appeal_method { APPEAL_PROOF_TXT, APPEAL_PROOF_SIGNATURE, APPEAL_PROOF_HOST_KEY };

struct appeal_proof {
    enum appeal_method method;
    const char *signature; /* base64 */
    const char *host_key;
};

/* The text that a key signs. */
#define APPEAL_SIGNED_SIZE 512
size_t appeal_signed_text(const struct appeal *appeal, char ret_text[static APPEAL_SIGNED_SIZE]);

/* Whether the proof holds. Asks a resolver: not in a transaction. */
_must_check_ int appeal_proof_check(const struct desk *desk, struct store *store,
                                    const struct appeal *appeal, const struct appeal_proof *proof,
                                    bool *ret_holds, struct error *ret_error);

/* Whether the block or order is against a host that an account has, or had when it began: a block
 * outlives the host, and so does the right to appeal. */
_must_check_ int appeal_concerns(struct store *store, const char *account,
                                 const struct appeal *appeal, bool *ret_does,
                                 struct error *ret_error);

/* Whether an account has the host of this name. */
_must_check_ int appeal_owns(struct store *store, const char *account, const char *name,
                             bool *ret_owns, struct error *ret_error);
