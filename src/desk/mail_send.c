/* Handing a mail to the provider's MTA by SMTP (RFC 5321) with libcurl. Each mail has a connection
 * of its own: an MTA on the same machine is asked for little by that, and a connection that died
 * meanwhile is no case of its own. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/desk.h"
#include "desk/mail_compose.h"
#include "desk/mail_internal.h"

#define CONNECT_TIMEOUT_S 10

struct mailer {
    struct desk *desk;
    CURL *curl;
    char *url; /* with the name that EHLO tells */

    /* Of the mail at hand. */
    const char *octets;
    size_t size, sent;
    bool is_quitting;
    bool is_about_mail; /* the last command was RCPT, DATA or its end: its refusal is the mail's */
    struct mail_outcome *outcome;
};

static size_t octets_give(char *buffer, size_t size, size_t count, void *context)
{
    struct mailer *mailer = context;
    size_t part = mailer->size - mailer->sent;
    if (part > size * count)
        part = size * count;
    memcpy(buffer, mailer->octets + mailer->sent, part);
    mailer->sent += part;
    return part;
}

static int ending_look(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct mailer *mailer = context;
    (void)a, (void)b, (void)c, (void)d;
    return outbox_is_ending(mailer->desk);
}

/* Notes a line of the other side, as "550 5.1.1 no such user", for people: printable ASCII alone.
 */
static void reply_note(struct mailer *mailer, const char *text, size_t size)
{
    char *to = mailer->outcome->status;
    size_t used = 0;
    for (size_t i = 0; i < size && used + 1 < sizeof(mailer->outcome->status); i++)
        if (text[i] >= ' ' && text[i] <= '~')
            to[used++] = text[i];
    to[used] = '\0';
    mailer->outcome->code = atoi(to);
}

static bool begins_with(const char *text, size_t size, const char *word)
{
    return size >= strlen(word) && strncasecmp(text, word, strlen(word)) == 0;
}

/* libcurl tells what was said in no other way: after a refusal it says QUIT, and the reply to that
 * is what it has last. It shows user and password here, too: nothing of ours but words is looked
 * at.
 */
static int talk_follow(CURL *curl, curl_infotype type, char *text, size_t size, void *context)
{
    struct mailer *mailer = context;
    (void)curl;
    if (type == CURLINFO_HEADER_OUT) {
        mailer->is_quitting |= begins_with(text, size, "QUIT");
        if (!mailer->is_quitting)
            mailer->is_about_mail =
                begins_with(text, size, "RCPT") || begins_with(text, size, "DATA");
    } else if (type == CURLINFO_HEADER_IN && !mailer->is_quitting) {
        reply_note(mailer, text, size);
    }
    return 0;
}

static void options_set(struct mailer *mailer)
{
    const struct desk_config_mail *mail = &mailer->desk->config->mail;
    CURL *curl = mailer->curl;

    curl_easy_setopt(curl, CURLOPT_URL, mailer->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL,
                     mail->tls ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE);
    if (mail->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, mail->ca_file);
    if (mail->user != NULL) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, mail->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, mail->password);
    }
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, mail->bounces);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)mail->timeout_s);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 5L * (long)mail->timeout_s);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, octets_give);
    curl_easy_setopt(curl, CURLOPT_READDATA, mailer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ending_look);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, mailer);
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, talk_follow);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, mailer);
}

int mailer_create(struct desk *desk, struct mailer **ret_mailer, struct error *ret_error)
{
    const struct desk_config_mail *mail = &desk->config->mail;
    struct mailer *mailer = calloc(1, sizeof(*mailer));

    if (mailer == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for sending mail");
    mailer->desk = desk;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
        mailer->curl = curl_easy_init();
    /* What follows the authority is what EHLO says: the domain that mail comes from. */
    if (mailer->curl == NULL ||
        asprintf(&mailer->url, "%s/%s", mail->smtp, mail_domain(mail->from)) < 0) {
        mailer->url = NULL;
        mailer_free(mailer);
        return error_set(ret_error, -ENOMEM, "out of memory for sending mail");
    }
    *ret_mailer = mailer;
    return 0;
}

void mailer_free(struct mailer *mailer)
{
    if (mailer == NULL)
        return;
    curl_easy_cleanup(mailer->curl);
    free(mailer->url);
    free(mailer);
}

/* A refusal of the address or of the mail is for good; one of the desk's own doing, as a wrong
 * password or a sender that is not allowed, is mended by the operator, and the mail then goes. */
static int outcome_judge(const struct mailer *mailer, CURLcode code, struct mail_outcome *outcome)
{
    if (code == CURLE_OK)
        return 0;
    if (outcome->code < 400)
        snprintf(outcome->status, sizeof(outcome->status), "%s", curl_easy_strerror(code));
    /* 503 and 530: the desk's own order of commands, and a password that it lacks. */
    outcome->is_refused = mailer->is_about_mail && outcome->code >= 500 && outcome->code != 503 &&
                          outcome->code != 530;
    outcome->is_bad_address = outcome->is_refused && strstr(outcome->status, " 5.1.") != NULL;
    return outcome->is_refused ? -ECANCELED : -EAGAIN;
}

int mailer_send(struct mailer *mailer, const char *to, const char *octets, size_t size,
                struct mail_outcome *ret_outcome)
{
    *ret_outcome = (struct mail_outcome){0};
    struct curl_slist *receivers = curl_slist_append(NULL, to);
    if (receivers == NULL)
        return -EAGAIN;
    curl_easy_reset(mailer->curl);
    options_set(mailer);
    curl_easy_setopt(mailer->curl, CURLOPT_MAIL_RCPT, receivers);
    mailer->octets = octets;
    mailer->size = size;
    mailer->sent = 0;
    mailer->is_about_mail = mailer->is_quitting = false;
    mailer->outcome = ret_outcome;
    CURLcode code = curl_easy_perform(mailer->curl);
    int rc = outcome_judge(mailer, code, ret_outcome);
    mailer->outcome = NULL;
    curl_slist_free_all(receivers);
    return rc;
}
