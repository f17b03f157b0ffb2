/* The form for people: HTML without script and style, which the policy of content forbids anyway.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk.h"
#include "desk/html.h"
#include "desk/reports_internal.h"

static const char page_head[] = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                                "<meta name=\"viewport\" content=\"width=device-width\">"
                                "<title>Report abuse</title></head><body><h1>Report abuse</h1>\n";
static const char page_foot[] = "</body></html>\n";

/* ---- HTML ---- */

static int page_reply(struct reply *reply, unsigned status,
                      void (*write)(FILE *stream, const void *context), const void *context)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return -ENOMEM;
    fputs(page_head, stream);
    write(stream, context);
    fputs(page_foot, stream);
    if (fclose(stream) != 0) {
        free(text);
        return -ENOMEM;
    }
    return reply_buffer(reply, status, "text/html; charset=utf-8", text, size);
}

static void form_write(FILE *stream, const void *context)
{
    (void)context;
    fputs("<p>Tell us of a host in one of our zones that is used for abuse. You get a number at "
          "once, and we answer.</p>\n"
          "<form method=\"post\" action=\"/report\">\n"
          "<p><label>Addresses or host names, one a line<br>"
          "<textarea name=\"names\" rows=\"4\" cols=\"60\" required></textarea></label></p>\n"
          "<p><label>What is it?<br><select name=\"class\">\n",
          stream);
    for (size_t i = 0; i < REPORT_CLASS_COUNT; i++)
        fprintf(stream, "<option value=\"%s\">%s</option>\n", report_classes[i].name,
                report_classes[i].title);
    fputs("</select></label></p>\n"
          "<p><label>What did you see?<br>"
          "<textarea name=\"description\" rows=\"6\" cols=\"60\"></textarea></label></p>\n"
          "<p><label>Your mail address, if you want an answer by mail<br>"
          "<input type=\"email\" name=\"contact\" size=\"40\"></label></p>\n"
          "<p><button type=\"submit\">Send</button></p>\n</form>\n",
          stream);
}

struct thanks {
    const struct report_intake *intake;
    const struct report_receipt *receipt;
};

static void thanks_write(FILE *stream, const void *context)
{
    const struct thanks *thanks = context;
    const struct report_receipt *receipt = thanks->receipt;
    char time[CLOCK_TEXT_SIZE];

    fprintf(stream, "<p>Thank you. Your report is here and has the number <b>%s</b>.</p>\n<p>",
            receipt->id);
    if (strcmp(receipt->state, "not-ours") == 0)
        fputs("None of its names is in a zone of ours, so there is nothing that we can do about "
              "them: please report them to who runs their zone.",
              stream);
    else if (strcmp(receipt->state, "duplicate") == 0)
        fputs("You told us of it before; both are dealt with as one.", stream);
    else
        fprintf(stream, "We decide on it before %s.", clock_text(receipt->decide_by_s, time));
    fputs("</p>\n<ul>\n", stream);
    for (size_t i = 0; i < thanks->intake->names.count; i++) {
        fputs("<li>", stream);
        html_text(stream, thanks->intake->names.list[i]);
        fputs("</li>\n", stream);
    }
    fprintf(stream, "</ul>\n<p><a href=\"/v1/reports/%s?token=%s\">See what became of it</a></p>\n",
            receipt->id, receipt->token);
}

static void refusal_write(FILE *stream, const void *context)
{
    fputs("<p>", stream);
    html_text(stream, context);
    fputs("</p>\n<p><a href=\"/report\">Back to the form</a></p>\n", stream);
}

int report_form_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    (void)request, (void)ret_error;
    return page_reply(reply, 200, form_write, NULL);
}

/* ---- What the form sends ---- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes a field of application/x-www-form-urlencoded. It may have lines, unlike what stands in a
 * path; whoever takes the text looks at what is in it. A NUL ends it. */
static char *decode(const char *text, size_t size)
{
    char *value = malloc(size + 1);
    size_t used = 0;
    for (size_t i = 0; value != NULL && i < size; i++) {
        int high = i + 2 < size && text[i] == '%' ? digit_of(text[i + 1]) : -1;
        int low = high >= 0 ? digit_of(text[i + 2]) : -1;
        value[used++] = text[i] == '+' ? ' ' : low >= 0 ? (char)(high << 4 | low) : text[i];
        i += low >= 0 ? 2 : 0;
    }
    if (value != NULL)
        value[used] = '\0';
    return value;
}

/* The value of a field; the caller frees it. NULL: it is not there. */
static char *field_get(const char *body, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = body; *at != '\0'; at += strcspn(at, "&"), at += *at == '&')
        if (strncmp(at, name, length) == 0 && at[length] == '=')
            return decode(at + length + 1, strcspn(at + length + 1, "&"));
    return NULL;
}

/* A line each, or apart by blanks and commas. */
static void names_take(struct report_intake *intake, char *text)
{
    char *rest = NULL;
    for (char *word = strtok_r(text, " \t\r\n,;", &rest); word != NULL;
         word = strtok_r(NULL, " \t\r\n,;", &rest))
        (void)report_names_add_url(&intake->names, word); /* other words are no names */
}

static const char *form_read(const char *body, struct report_intake *intake)
{
    char *names = field_get(body, "names"), *class = field_get(body, "class");
    char *description = field_get(body, "description"), *contact = field_get(body, "contact");
    const char *problem = NULL;

    if (names != NULL)
        names_take(intake, names);
    if (class != NULL && report_class_find(class) != NULL)
        intake->report_class = report_class_find(class);
    if (description != NULL)
        report_intake_describe(intake, description, strlen(description));
    if (intake->names.count == 0)
        problem = "There is no host name in what you sent: write its full name, or the address as "
                  "your browser shows it.";
    else if (contact != NULL && contact[0] != '\0' && !email_normalize(contact, intake->contact))
        problem = "Your mail address is none that we can write to: write name@example.org, or "
                  "leave it out.";
    free(names);
    free(class);
    free(description);
    free(contact);
    return problem;
}

int report_form_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(report_intake_freep) struct report_intake *intake = report_intake_create("form");
    struct report_receipt receipt;
    size_t size;

    if (intake == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a report");
    const char *problem = form_read(request_body(request, &size), intake);
    if (problem != NULL)
        return page_reply(reply, 400, refusal_write, problem);
    int rc = report_request_take(request, intake, &receipt, ret_error);
    if (rc == -EDQUOT)
        return page_reply(reply, 429, refusal_write,
                          "There were too many reports from your address: wait for an hour, or "
                          "write us a mail.");
    if (rc < 0)
        return rc;
    return page_reply(reply, 201, thanks_write, &(struct thanks){intake, &receipt});
}
