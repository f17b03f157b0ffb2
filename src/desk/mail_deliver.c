/* The outbox's kind "mail": each row is one mail to one address. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk.h"
#include "desk/mail.h"
#include "desk/mail_compose.h"
#include "desk/mail_internal.h"

/* What the row holds; texts are its own. */
struct letter {
    const char *id, *to, *subject, *text, *object, *reply_to, *topic;
    bool forget;
};

static bool letter_read(const json_t *payload, struct letter *ret_letter)
{
    *ret_letter = (struct letter){
        .id = json_string_value(json_object_get(payload, "id")),
        .to = json_string_value(json_object_get(payload, "to")),
        .subject = json_string_value(json_object_get(payload, "subject")),
        .text = json_string_value(json_object_get(payload, "text")),
        .object = json_string_value(json_object_get(payload, "object")),
        .reply_to = json_string_value(json_object_get(payload, "reply_to")),
        .topic = json_string_value(json_object_get(payload, "topic")),
        .forget = json_is_true(json_object_get(payload, "forget")),
    };
    return ret_letter->id != NULL && ret_letter->to != NULL && ret_letter->subject != NULL &&
           ret_letter->text != NULL;
}

/* Whether it still has to be sent: a crash after the MTA took it and before the row was deleted
 * leaves what is done already; an address may have been suppressed since. */
static int letter_look(struct store *store, const struct letter *letter, bool *ret_is_open,
                       bool *ret_is_withheld, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT m.state, (SELECT COUNT(*) FROM suppressions s WHERE "
                         "s.address = m.address AND (s.topic = '' OR s.topic = m.topic)) "
                         "FROM mails m WHERE m.id = $1",
                         store_text(letter->id));
    if (rc < 0)
        return rc;
    *ret_is_open = store_rows_count(rows) > 0 && strcmp(store_row_text(rows, 0, 0), "waiting") == 0;
    *ret_is_withheld = *ret_is_open && store_row_integer(rows, 0, 1) > 0;
    return 0;
}

struct refusal {
    const struct letter *letter;
    const struct mail_outcome *outcome;
    int64_t now_s;
};

static int refusal_note(struct store *store, void *context, struct error *ret_error)
{
    const struct refusal *refusal = context;
    int rc = mail_state_set(store, refusal->now_s, refusal->letter->id, "refused",
                            refusal->outcome->status, ret_error);
    if (rc == 0 && refusal->outcome->is_bad_address)
        rc = mail_suppress(store, refusal->now_s,
                           &(struct mail_suppression){.address = refusal->letter->to,
                                                      .topic = "",
                                                      .reason = "bounced",
                                                      .status = refusal->outcome->status,
                                                      .mail = refusal->letter->id},
                           ret_error);
    return rc;
}

static int letter_compose(const struct desk *desk, const struct letter *letter, int64_t date_s,
                          char **ret_octets, size_t *ret_size)
{
    const struct desk_config_mail *mail = &desk->config->mail;
    char *unsubscribe = NULL;

    if (letter->topic != NULL &&
        asprintf(&unsubscribe, "%s/mail/%s/unsubscribe", desk->config->http.base, letter->id) < 0)
        return -ENOMEM;
    int rc = mail_compose(&(struct mail_message){.id = letter->id,
                                                 .from = mail->from,
                                                 .from_name = mail->name,
                                                 .to = letter->to,
                                                 .subject = letter->subject,
                                                 .text = letter->text,
                                                 .object = letter->object,
                                                 .reply_to = letter->reply_to,
                                                 .unsubscribe = unsubscribe,
                                                 .date_s = date_s},
                          ret_octets, ret_size);
    free(unsubscribe);
    return rc;
}

static int letter_send(struct desk *desk, struct store *store, const struct letter *letter,
                       int64_t date_s, struct error *ret_error)
{
    struct mail_outcome outcome;
    char *octets = NULL;
    size_t size;

    int rc = letter_compose(desk, letter, date_s, &octets, &size);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory for a mail");
    rc = mailer_send(desk->mailer, letter->to, octets, size, &outcome);
    free(octets);
    int64_t now_s = clock_now_s(desk->clock);
    if (rc == 0 && letter->forget)
        return store_change(store, NULL, ret_error, "DELETE FROM mails WHERE id = $1",
                            store_text(letter->id));
    if (rc == 0)
        return mail_state_set(store, now_s, letter->id, "sent", NULL, ret_error);
    if (rc != -ECANCELED)
        return error_set(ret_error, rc, "%s", outcome.status);
    struct refusal refusal = {.letter = letter, .outcome = &outcome, .now_s = now_s};
    return store_transact(store, refusal_note, &refusal, ret_error);
}

int mail_deliver(struct desk *desk, struct store *store, const struct outbox_item *item,
                 struct error *ret_error)
{
    struct letter letter;
    bool is_open, is_withheld;

    if (desk->mailer == NULL)
        return error_set(ret_error, -EAGAIN, "no mail can be sent: add the section mail");
    if (!letter_read(item->payload, &letter))
        return error_set(ret_error, -ECANCELED, "the row is no mail");
    int rc = letter_look(store, &letter, &is_open, &is_withheld, ret_error);
    if (rc < 0 || !is_open)
        return rc;
    if (is_withheld)
        return mail_state_set(store, clock_now_s(desk->clock), letter.id, "withheld", NULL,
                              ret_error);
    return letter_send(desk, store, &letter, item->created_at, ret_error);
}
