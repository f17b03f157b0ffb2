/* Mail that leaves the desk: it is put into the outbox in the transaction of the change that causes
 * it, and handed to the provider's MTA afterwards, with one Message-ID however often that takes.
 *
 * How to use it from a part that changes something:
 *
 *     rc = mail_notice_put(request_desk(request), store, request_now_ms(request),
 *                          &(struct mail_notice){.text = MAIL_REPORT_OUTCOME, .to = address, ...},
 *                          ret_error);
 *     ...
 *     outbox_wake(desk); (after the transaction: saves the wait)
 *
 * An address that bounced for good, or whose owner does not want a topic, gets nothing: that is no
 * error, and found at delivery. What is sent is plain text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/store.h"

struct desk;

#define MAIL_SUBJECT_SIZE_MAX 200   /* octets of UTF-8 */
#define MAIL_TEXT_SIZE_MAX    65536 /* octets of UTF-8 */
#define MAIL_THREAD_SIZE      64    /* with its NUL */

/* ---- Any mail ---- */

struct mail {
    const char *to;       /* one address, as email_normalize() writes it or as typed */
    const char *subject;  /* one line of UTF-8 */
    const char *text;     /* UTF-8, paragraphs apart by blank lines, lines end with "\n" */
    const char *object;   /* id of what it is about: mails about one make a thread; NULL: none */
    const char *reply_to; /* Message-ID of a mail that this answers, "<...>", or NULL */
    const char
        *topic;    /* what its receiver may unsubscribe from, as "reports"; NULL: must be sent */
    int64_t due_s; /* 0: at once */
    bool forget;   /* keep nothing of it once it is sent */
};

/* In a transaction. -EINVAL: the address cannot be written to, a line feed or another control
 * character is where it may not be, or something is too long. */
_must_check_ int mail_put(struct store *store, int64_t now_ms, const struct mail *mail,
                          struct error *ret_error);

/* ---- The desk's own texts (mail_text.c) ---- */

enum mail_text {
    MAIL_HOST_EXPIRES,     /* name, deadline_s, url */
    MAIL_HOST_EXPIRED,     /* name */
    MAIL_REPORT_RECEIVED,  /* name, reference (the report), url, deadline_s: decided until */
    MAIL_REPORT_OUTCOME,   /* name, reference, outcome, detail, url */
    MAIL_CUSTOMER_WARNED,  /* name, reason, reference, deadline_s: blocked then; detail */
    MAIL_CUSTOMER_BLOCKED, /* name, reason, reference, until_s (0: until lifted); detail */
    MAIL_APPEAL_RECEIVED,  /* name, reference (the appeal), deadline_s: decided until; url */
    MAIL_APPEAL_ASSIGNED,  /* to staff: name, reference, deadline_s, url */
    MAIL_APPEAL_OVERDUE,   /* to staff: name, reference, deadline_s, url */
    MAIL_APPEAL_GRANTED,   /* name, reference, detail */
    MAIL_APPEAL_DENIED,    /* name, reference, detail */
    MAIL_ORDER_NOTICE,  /* reference (the order), detail: what it orders; url; deadline_s: begins */
    MAIL_ORDER_AMENDED, /* reference, outcome: what changed; detail: why; url */
    MAIL_ORDER_ENDED,   /* reference, outcome: "is lifted"; detail: why, or NULL; url */
    MAIL_ORDER_BLOCKS,  /* to a customer: name: of what; reference, detail: its hosts; url,
                           deadline_s: begins, until_s */
    MAIL_ORDER_FREES,   /* to a customer: name, reference, detail: its hosts; url */
    MAIL_OVERLAP,       /* to a partner: reference, url, deadline_s: held until */
    MAIL_TEXT_COUNT,
};

/* A text with what it names. What the text does not use is ignored; a paragraph whose value is
 * missing is left out. Values may come from strangers: they cannot leave their place. */
struct mail_notice {
    enum mail_text text;
    const char *to;
    const char *name;            /* host or domain, lower case */
    const char *reason;          /* a code, as "malware-controller": written out in plain words */
    const char *reference;       /* id: also the thread */
    const char *outcome;         /* a few words */
    const char *detail;          /* a sentence or paragraphs by a person */
    const char *url;             /* a path below http.base, as "/v1/reports/rep_..."; or absolute */
    const char *reply_to;        /* as of struct mail */
    int64_t deadline_s, until_s; /* 0: none */
    int64_t due_s;               /* 0: at once */
};

/* In a transaction; as mail_put(). */
_must_check_ int mail_notice_put(const struct desk *desk, struct store *store, int64_t now_ms,
                                 const struct mail_notice *notice, struct error *ret_error);

/* The plain words of a reason's code; the code itself when it is not known. */
const char *mail_reason_text(const char *code);

/* ---- What comes back ---- */

/* Takes in a mail that arrived at the desk's address if it is a report about one that the desk sent
 * (RFC 3464), and marks the address. It has to show the secret Message-ID of that mail, so that
 * nobody silences an address by a letter of his own making. Opens its own transaction.
 * 1: it was one and is dealt with; 0: it is another mail. */
_must_check_ int mail_bounce_take(struct store *store, int64_t now_ms, const void *octets,
                                  size_t size, struct error *ret_error);
