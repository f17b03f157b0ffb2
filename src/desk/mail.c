/* Putting mails into the outbox, and what is kept of them. */
#include "desk/mail.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/mail_internal.h"

/* ---- Checks ---- */

bool mail_id_is_valid(const char *text)
{
    size_t size = strlen(text);
    if (size == 0 || size >= MAIL_ID_SIZE)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("_-.", text[i]) == NULL)
            return false;
    return true;
}

int mail_address(const char *text, char ret_address[static EMAIL_SIZE_MAX + 1],
                 struct error *ret_error)
{
    char normal[EMAIL_SIZE_MAX + 1];
    char *domain = NULL;

    if (!email_normalize(text, normal))
        return error_set(ret_error, -EINVAL, "this is no mail address: write name@example.org");
    char *at = strrchr(normal, '@');
    *at = '\0';
    for (const char *c = normal; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            return error_set(ret_error, -EINVAL,
                             "mail is sent to ASCII before the '@' alone: give another address");
    if (idn2_lookup_u8((const uint8_t *)at + 1, (uint8_t **)&domain,
                       IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES) !=
        IDN2_OK)
        return error_set(ret_error, -EINVAL, "the address's domain is none: correct it");
    int size = snprintf(ret_address, EMAIL_SIZE_MAX + 1, "%s@%s", normal, domain);
    idn2_free(domain);
    return size <= EMAIL_SIZE_MAX
               ? 0
               : error_set(ret_error, -EINVAL, "the address is too long: give another one");
}

static bool has_controls(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

/* "<left@right>" of printable ASCII. */
static bool is_message_id(const char *text)
{
    size_t size = strlen(text);
    if (size < 5 || size > 250 || text[0] != '<' || text[size - 1] != '>' || !strchr(text, '@'))
        return false;
    for (size_t i = 1; i + 1 < size; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '<' || text[i] == '>')
            return false;
    return true;
}

static int mail_check(const struct mail *mail, struct error *ret_error)
{
    if (has_controls(mail->subject) || strlen(mail->subject) > MAIL_SUBJECT_SIZE_MAX)
        return error_set(ret_error, -EINVAL, "a mail's subject is one short line");
    if (strlen(mail->text) > MAIL_TEXT_SIZE_MAX)
        return error_set(ret_error, -EINVAL, "a mail's text is too long");
    if (mail->object != NULL && !mail_id_is_valid(mail->object))
        return error_set(ret_error, -EINVAL, "a mail's object is no id");
    return 0;
}

/* ---- Into the outbox ---- */

static json_t *payload_make(const char *id, const char *address, const struct mail *mail)
{
    /* What somebody else's mail calls itself is used when it is in order, and no reason to fail. */
    const char *reply_to =
        mail->reply_to != NULL && is_message_id(mail->reply_to) ? mail->reply_to : NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s?, s:b}", "id", id, "to", address,
                     "subject", mail->subject, "text", mail->text, "object", mail->object,
                     "reply_to", reply_to, "topic", mail->topic, "forget", mail->forget);
}

static int rows_add(struct store *store, int64_t now_ms, const char *id, const char *address,
                    const struct mail *mail, struct error *ret_error)
{
    int64_t now_s = now_ms / 1000;
    char outbox[ID_SIZE];

    json_t *payload = payload_make(id, address, mail);
    if (payload == NULL)
        return error_set(ret_error, -EINVAL, "a mail's text is no UTF-8, or memory is out");
    int rc = outbox_put(store, now_ms, MAIL_KIND, payload,
                        mail->due_s > now_s ? mail->due_s : now_s, outbox, ret_error);
    json_decref(payload);
    if (rc < 0)
        return rc;
    return store_change(store, NULL, ret_error,
                        "INSERT INTO mails (id, outbox, address, object, subject, topic, state, "
                        "created_at) VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7)",
                        store_text(id), store_text(outbox), store_text(address),
                        store_text(mail->object), store_text(mail->subject),
                        store_text(mail->topic), store_integer(now_s));
}

int mail_put(struct store *store, int64_t now_ms, const struct mail *mail, struct error *ret_error)
{
    char address[EMAIL_SIZE_MAX + 1], name[ID_SIZE], secret[SECRET_TEXT_SIZE], id[MAIL_ID_SIZE];

    assert(store_in_transaction(store));
    int rc = mail_address(mail->to, address, ret_error);
    if (rc == 0)
        rc = mail_check(mail, ret_error);
    if (rc < 0)
        return rc;
    id_make("mai", now_ms, name);
    secret_make(secret);
    snprintf(id, sizeof(id), "%s.%s", name, secret);
    return rows_add(store, now_ms, id, address, mail, ret_error);
}

/* ---- What became of it ---- */

int mail_state_set(struct store *store, int64_t now_s, const char *id, const char *state,
                   const char *status, struct error *ret_error)
{
    bool is_sent = strcmp(state, "sent") == 0;
    return store_change(store, NULL, ret_error,
                        "UPDATE mails SET state = $1, status = $2, sent_at = COALESCE($3, sent_at) "
                        "WHERE id = $4",
                        store_text(state), store_text(status),
                        is_sent ? store_integer(now_s) : store_null(), store_text(id));
}

int mail_suppress(struct store *store, int64_t now_s, const struct mail_suppression *suppression,
                  struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "INSERT INTO suppressions (address, topic, reason, status, mail, at) "
                        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (address, topic) DO NOTHING",
                        store_text(suppression->address), store_text(suppression->topic),
                        store_text(suppression->reason), store_text(suppression->status),
                        store_text(suppression->mail), store_integer(now_s));
}
