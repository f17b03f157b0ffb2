/* All texts that the desk sends, in one place: each says what happened, why, until when, and what
 * its reader can do about it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/clock.h"
#include "desk/desk.h"
#include "desk/mail.h"

#define PARAGRAPHS_MAX 8

/* A paragraph with {members}; it is left out when one of them has no value. */
struct text {
    const char *subject;
    const char *topic; /* NULL: cannot be unsubscribed from */
    const char *paragraphs[PARAGRAPHS_MAX];
};

#define HOW_TO_APPEAL                                                                             \
    "If you think that this is wrong, appeal: run\n\n    tamis appeal submit {name} --desk "      \
    "{base}\n\nor send a POST to {base}/v1/appeals (described in {base}/openapi.json). Somebody " \
    "other than who decided looks at it, and you get an answer with its reason."

static const struct text texts[MAIL_TEXT_COUNT] = {
    [MAIL_HOST_EXPIRES] =
        {"{name} expires soon",
         NULL,
         {"{name} was not updated for a long time. It expires on {deadline}, and then answers no "
          "more.",
          "To keep it, update it once, or open\n\n    {url}",
          "If you do not need it any more, you need not do anything."}},
    [MAIL_HOST_EXPIRED] =
        {"{name} has expired",
         NULL,
         {"{name} was not updated for a long time and has expired: it answers no more.",
          "To have it back, update it; for some time its name is kept for you."}},
    [MAIL_REPORT_RECEIVED] = {"Your report on {name}",
                              "reports",
                              {"Thank you for your report on {name}. Its number is {reference}.",
                               "It is decided by {deadline}.", "See how far it is:\n\n    {url}",
                               "You get the outcome by mail."}},
    [MAIL_REPORT_OUTCOME] = {"Outcome of your report on {name}",
                             "reports",
                             {"Your report {reference} on {name} is decided: {outcome}.",
                              "{detail}", "All about it:\n\n    {url}"}},
    [MAIL_CUSTOMER_WARNED] =
        {"{name} was reported: act by {deadline}",
         NULL,
         {"Your host {name} was reported. The reason: {reason}.", "{detail}",
          "If this is not mended by {deadline}, the host is blocked: its records are removed, and "
          "updates of it are refused.",
          "The case is {reference}.", HOW_TO_APPEAL}},
    [MAIL_CUSTOMER_BLOCKED] = {"{name} is blocked",
                               NULL,
                               {"Your host {name} is blocked: its records are removed, and updates "
                                "of it are refused. The "
                                "reason: {reason}.",
                                "{detail}", "The block lasts until {until}.",
                                "The case is {reference}.", HOW_TO_APPEAL}},
    [MAIL_APPEAL_RECEIVED] =
        {"Your appeal for {name}",
         NULL,
         {"Your appeal for {name} has reached somebody other than who decided. Its number is "
          "{reference}.",
          "It is decided by {deadline}.", "See how far it is:\n\n    {url}"}},
    [MAIL_APPEAL_ASSIGNED] =
        {"Appeal {reference} for {name} is yours",
         NULL,
         {"The appeal {reference} for {name} is in your queue. You have not decided on this name "
          "before.",
          "It must be decided by {deadline}.", "    {url}"}},
    [MAIL_APPEAL_OVERDUE] =
        {"Appeal {reference} for {name} is overdue",
         NULL,
         {"The appeal {reference} for {name} had to be decided by {deadline}, and is not.",
          "    {url}"}},
    [MAIL_APPEAL_GRANTED] = {"Your appeal for {name} is granted",
                             NULL,
                             {"Your appeal {reference} for {name} is granted. The name answers "
                              "again from now on; a host "
                              "with a changing address does after its next update.",
                              "The reason: {detail}"}},
    [MAIL_APPEAL_DENIED] =
        {"Your appeal for {name} is denied",
         NULL,
         {"Your appeal {reference} for {name} is denied: the name stays blocked.",
          "The reason: {detail}",
          "With something new you can appeal again; somebody else looks at it then."}},
    [MAIL_ORDER_NOTICE] = {"Notice of order {reference}",
                           NULL,
                           {"This is the notice of an order, {reference}.", "{detail}",
                            "It takes effect on {deadline}.", "Its public notice:\n\n    {url}",
                            "Whoever it blocks can appeal at {base}/v1/appeals."}},
    [MAIL_ORDER_AMENDED] = {"Order {reference} is amended",
                            NULL,
                            {"The order {reference} is amended: {outcome}.", "The reason: {detail}",
                             "Its public notice:\n\n    {url}"}},
    [MAIL_ORDER_ENDED] = {"Order {reference} {outcome}",
                          NULL,
                          {"The order {reference} {outcome}. It blocks nothing any more.",
                           "The reason: {detail}", "Its public notice:\n\n    {url}"}},
    [MAIL_ORDER_BLOCKS] =
        {"{name}: blocked by the order {reference}",
         NULL,
         {"The order {reference} blocks these names:\n\n{detail}",
          "It takes effect on {deadline} and ends on {until}.",
          "Who gave it, and why:\n\n    {url}",
          "If you think that this is wrong, appeal for each name: run\n\n    tamis appeal submit "
          "NAME --desk {base}\n\nor send a POST to {base}/v1/appeals (described in "
          "{base}/openapi.json). Somebody other than who decided looks at it, and you get an "
          "answer with its reason."}},
    [MAIL_ORDER_FREES] = {"{name}: no longer blocked by the order {reference}",
                          NULL,
                          {"The order {reference} no longer blocks these names:\n\n{detail}",
                           "Unless something else blocks them, they answer as before.",
                           "All about the order:\n\n    {url}"}},
    [MAIL_OVERLAP] = {"An order touches an interest of yours",
                      NULL,
                      {"An order touches an interest that you placed. The overlap is {reference}.",
                       "The order is held until {deadline}.",
                       "Talk to its other side:\n\n    {url}"}},
};

/* Codes of reasons, which stand in blocks and decisions, as a sentence's end. */
static const struct {
    const char *code, *words;
} reasons[] = {
    {"malware-controller", "it controls malware on other people's machines"},
    {"malware", "it spreads malware"},
    {"phishing", "it takes part in phishing or fraud"},
    {"spam", "it sends or advertises unwanted mail"},
    {"copyright", "it breaks a copyright"},
    {"attack", "it attacks other machines"},
    {"compromised", "it was taken over by somebody else"},
    {"csam", "it shows the abuse of children"},
    {"order", "an order of a court or an authority demands it"},
    {"policy", "it breaks the terms of use"},
    {"other", "it breaks the terms of use"},
};

const char *mail_reason_text(const char *code)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(reasons[i].code, code) == 0)
            return reasons[i].words;
    return code;
}

/* ---- Filling in ---- */

#define TIME_WORDS_SIZE 32

struct values {
    const struct mail_notice *notice;
    const char *base;
    char *url;
    char deadline[TIME_WORDS_SIZE], until[TIME_WORDS_SIZE];
};

/* "2026-11-23 21:30 UTC"; "" for 0. */
static void time_words(int64_t time_s, char ret_words[static TIME_WORDS_SIZE])
{
    char text[CLOCK_TEXT_SIZE];
    ret_words[0] = '\0';
    if (time_s == 0)
        return;
    clock_text(time_s, text);
    snprintf(ret_words, TIME_WORDS_SIZE, "%.10s %.5s UTC", text, text + 11);
}

/* NULL: there is no value. */
static const char *value_of(const struct values *values, const char *name, size_t size)
{
    const struct mail_notice *notice = values->notice;
    const struct {
        const char *name, *value;
    } members[] = {
        {"name", notice->name},
        {"reason", notice->reason != NULL ? mail_reason_text(notice->reason) : NULL},
        {"reference", notice->reference},
        {"outcome", notice->outcome},
        {"detail", notice->detail},
        {"url", values->url},
        {"base", values->base},
        {"deadline", values->deadline[0] != '\0' ? values->deadline : NULL},
        {"until", values->until[0] != '\0' ? values->until : NULL},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (strlen(members[i].name) == size && memcmp(members[i].name, name, size) == 0)
            return members[i].value;
    return NULL;
}

/* Writes `text` with its members' values, which are not looked at again: what a value looks like is
 * no member. Returns false when one is missing. */
static bool fill(FILE *stream, const struct values *values, const char *text)
{
    while (*text != '\0') {
        size_t plain = strcspn(text, "{");
        fwrite(text, 1, plain, stream);
        text += plain;
        if (*text == '\0')
            break;
        size_t size = strcspn(text + 1, "}");
        const char *value = value_of(values, text + 1, size);
        if (value == NULL)
            return false;
        fputs(value, stream);
        text += size + 2;
    }
    return true;
}

/* The text in memory that the caller frees; NULL: a value is missing, or memory is out. */
static char *filled(const struct values *values, const char *text)
{
    char *result = NULL;
    size_t size;

    FILE *stream = open_memstream(&result, &size);
    if (stream == NULL)
        return NULL;
    bool is_whole = fill(stream, values, text);
    if (fclose(stream) == 0 && is_whole)
        return result;
    free(result);
    return NULL;
}

static char *subject_make(const struct values *values, const struct text *text)
{
    char *subject = filled(values, text->subject);
    for (char *c = subject; c != NULL && *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    if (subject != NULL && strlen(subject) > MAIL_SUBJECT_SIZE_MAX) {
        size_t end = MAIL_SUBJECT_SIZE_MAX;
        while (end > 0 && ((unsigned char)subject[end] & 0xc0) == 0x80)
            end--;
        subject[end] = '\0';
    }
    return subject;
}

static char *body_make(const struct values *values, const struct text *text)
{
    char *body = NULL;
    size_t size, written = 0;

    FILE *stream = open_memstream(&body, &size);
    if (stream == NULL)
        return NULL;
    for (size_t i = 0; i < PARAGRAPHS_MAX && text->paragraphs[i] != NULL; i++) {
        char *paragraph = filled(values, text->paragraphs[i]);
        if (paragraph != NULL)
            fprintf(stream, "%s%s\n", written++ > 0 ? "\n" : "", paragraph);
        free(paragraph);
    }
    if (fclose(stream) == 0)
        return body;
    free(body);
    return NULL;
}

int mail_notice_put(const struct desk *desk, struct store *store, int64_t now_ms,
                    const struct mail_notice *notice, struct error *ret_error)
{
    const struct text *text = &texts[notice->text];
    struct values values = {.notice = notice, .base = desk->config->http.base};
    int rc = -ENOMEM;

    time_words(notice->deadline_s, values.deadline);
    time_words(notice->until_s, values.until);
    if (notice->url != NULL && notice->url[0] != '/')
        values.url = strdup(notice->url);
    else if (notice->url != NULL && asprintf(&values.url, "%s%s", values.base, notice->url) < 0)
        values.url = NULL;
    char *subject = subject_make(&values, text), *body = body_make(&values, text);
    if (subject == NULL || body == NULL)
        rc = error_set(ret_error, rc,
                       "out of memory for a mail, or it lacks what its subject names");
    else
        rc = mail_put(store, now_ms,
                      &(struct mail){.to = notice->to,
                                     .subject = subject,
                                     .text = body,
                                     .object = notice->reference,
                                     .reply_to = notice->reply_to,
                                     .topic = text->topic,
                                     .due_s = notice->due_s},
                      ret_error);
    free(values.url);
    free(subject);
    free(body);
    return rc;
}
