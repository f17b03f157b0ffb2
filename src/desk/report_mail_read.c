/* From a mail to a report: feedback reports (ARF, RFC 5965), XARF as an attachment, and letters.
 * The mail is kept whole as evidence, so whatever is not understood here is not lost. */
#include <errno.h>
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/json_in.h"
#include "desk/mail_in.h"
#include "desk/xarf.h"

/* A mail with more parts than anybody's is not taken apart, only searched: its parser and its
 * readers go down by recursion. */
#define STRUCTURE_MAX 200
#define DEPTH_MAX     30

/* Octets of text that are searched for names, in all. */
#define SCAN_MAX (1024 * 1024)

struct reading {
    const struct desk_config *config;
    struct report_intake *intake;
    GString *text;         /* the first text of the letter, for people */
    GMimeObject *feedback; /* a message/feedback-report, borrowed */
    GString *json;         /* XARF */
    size_t scanned;
    bool is_cut; /* parts lie deeper than is looked */
};

/* ---- Texts of parts ---- */

static void scan(struct reading *reading, const char *text, size_t size)
{
    if (size > SCAN_MAX - reading->scanned)
        size = SCAN_MAX - reading->scanned;
    reading->scanned += size;
    report_names_scan(&reading->intake->names, &reading->config->hosts, text, size);
}

/* The content without its transfer encoding. NULL: there is none. */
static GString *content_of(GMimeObject *part)
{
    GMimeDataWrapper *wrapper = g_mime_part_get_content(GMIME_PART(part));
    if (wrapper == NULL)
        return NULL;
    GMimeStream *stream = g_mime_stream_mem_new();
    g_mime_data_wrapper_write_to_stream(wrapper, stream);
    GByteArray *octets = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
    GString *text = g_string_new_len((const char *)octets->data, octets->len);
    g_object_unref(stream);
    return text;
}

/* In UTF-8 when its character set is known; else as it is, of which names are found all the same.
 */
static GString *text_of(GMimeObject *part)
{
    char *converted =
        GMIME_IS_TEXT_PART(part) ? g_mime_text_part_get_text(GMIME_TEXT_PART(part)) : NULL;
    if (converted == NULL)
        return content_of(part);
    GString *text = g_string_new(converted);
    g_free(converted);
    return text;
}

static bool type_is(GMimeObject *part, const char *type, const char *subtype)
{
    GMimeContentType *is = g_mime_object_get_content_type(part);
    return is != NULL && g_mime_content_type_is_type(is, type, subtype);
}

static bool is_json(GMimeObject *part)
{
    const char *name = g_mime_part_get_filename(GMIME_PART(part));
    size_t size = name != NULL ? strlen(name) : 0;
    return type_is(part, "application", "json") || type_is(part, "application", "xarf+json") ||
           (size > 5 && strcasecmp(name + size - 5, ".json") == 0);
}

/* ---- Structure ---- */

static void leaf_visit(struct reading *reading, GMimeObject *part, unsigned depth)
{
    if (type_is(part, "message", "feedback-report")) {
        if (reading->feedback == NULL)
            reading->feedback = part;
        return;
    }
    if (is_json(part) && reading->json == NULL) {
        reading->json = content_of(part);
        return;
    }
    if (!type_is(part, "text", "*"))
        return;
    GString *text = text_of(part);
    if (text == NULL)
        return;
    scan(reading, text->str, text->len);
    if (reading->text == NULL && depth <= 3 && type_is(part, "text", "plain"))
        reading->text = text;
    else
        g_string_free(text, TRUE);
}

static void part_visit(struct reading *reading, GMimeObject *part, unsigned depth)
{
    if (depth > DEPTH_MAX)
        reading->is_cut = true;
    if (part == NULL || depth > DEPTH_MAX)
        return;
    if (GMIME_IS_MULTIPART(part)) {
        int count = g_mime_multipart_get_count(GMIME_MULTIPART(part));
        for (int i = 0; i < count; i++)
            part_visit(reading, g_mime_multipart_get_part(GMIME_MULTIPART(part), i), depth + 1);
    } else if (GMIME_IS_MESSAGE_PART(part)) {
        GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(part));
        if (inner == NULL)
            return;
        /* Where a mail came through stands in its header. */
        char *headers = g_mime_object_get_headers(GMIME_OBJECT(inner), NULL);
        if (headers != NULL)
            scan(reading, headers, strlen(headers));
        g_free(headers);
        part_visit(reading, g_mime_message_get_mime_part(inner), depth + 1);
    } else if (GMIME_IS_PART(part)) {
        leaf_visit(reading, part, depth);
    }
}

bool mail_is_too_deep(const char *octets, size_t size)
{
    size_t count = 0;
    for (const char *at = octets; (at = memchr(at, '/', size - (size_t)(at - octets))) != NULL;
         at++) {
        size_t before = (size_t)(at - octets);
        count += (before >= 9 && strncasecmp(at - 9, "multipart", 9) == 0) ||
                 (before >= 7 && strncasecmp(at - 7, "message", 7) == 0);
    }
    return count > STRUCTURE_MAX;
}

/* ---- Feedback reports (RFC 5965) ---- */

static const struct {
    const char *feedback, *report_class;
} feedback_types[] = {
    {"abuse", "spam"},  {"fraud", "phishing"}, {"virus", "malware"},
    {"other", "other"}, {"not-spam", "other"}, {"auth-failure", "phishing"},
};

static void feedback_field(struct reading *reading, const char *name, const char *value)
{
    struct report_intake *intake = reading->intake;
    GDateTime *date;

    value += strspn(value, " \t");
    if (strcasecmp(name, "Feedback-Type") == 0) {
        for (size_t i = 0; i < sizeof(feedback_types) / sizeof(feedback_types[0]); i++)
            if (strcasecmp(value, feedback_types[i].feedback) == 0)
                intake->report_class = report_class_find(feedback_types[i].report_class);
    } else if (strcasecmp(name, "Reported-Domain") == 0) {
        (void)report_names_add(&intake->names, value); /* what is no name reports none */
    } else if (strcasecmp(name, "Reported-URI") == 0) {
        (void)report_names_add_url(&intake->names, value);
    } else if (strcasecmp(name, "Arrival-Date") == 0 || strcasecmp(name, "Received-Date") == 0) {
        date = g_mime_utils_header_decode_date(value);
        if (date != NULL) {
            intake->observed_s = g_date_time_to_unix(date);
            g_date_time_unref(date);
        }
    }
}

/* The part's content is fields like those of a header, some of them several times. */
static void feedback_read(struct reading *reading)
{
    GString *text = content_of(reading->feedback);
    if (text == NULL)
        return;
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(text->str, text->len);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeObject *fields = g_mime_parser_construct_part(parser, NULL);
    if (fields != NULL) {
        GMimeHeaderList *list = g_mime_object_get_header_list(fields);
        for (int i = 0; i < g_mime_header_list_get_count(list); i++) {
            GMimeHeader *header = g_mime_header_list_get_header_at(list, i);
            const char *value = g_mime_header_get_value(header);
            if (value != NULL)
                feedback_field(reading, g_mime_header_get_name(header), value);
        }
        g_object_unref(fields);
    }
    g_object_unref(parser);
    g_object_unref(stream);
    g_string_free(text, TRUE);
}

/* ---- XARF in a mail ---- */

/* Takes class, names and evidence over; a part that is no XARF is only evidence, with the mail. */
static void xarf_take(struct reading *reading)
{
    struct report_intake *intake = reading->intake;
    json_t *json;

    if (json_in_parse(reading->json->str, reading->json->len, &json, NULL) < 0)
        return;
    struct report_intake *read = report_intake_create("mail");
    if (read != NULL && xarf_read(json, read, NULL) == 0) {
        struct report_names *names = &intake->names;
        intake->report_class = read->report_class;
        intake->observed_s = read->observed_s;
        memcpy(intake->xarf_type, read->xarf_type, sizeof(intake->xarf_type));
        memcpy(intake->description, read->description, sizeof(intake->description));
        *names = read->names; /* what the report says, not what the letter around it says */
        for (size_t i = 0; i < read->piece_count; i++)
            report_intake_add(intake, TAKE(read->pieces[i].octets), read->pieces[i].size,
                              read->pieces[i].type, read->pieces[i].label);
    }
    report_intake_free(read);
    json_decref(json);
}

/* ---- Letters ---- */

/* What a letter is about, as its subject says it. A person reads it anyway; this decides how soon.
 */
static const struct {
    const char *word, *report_class;
} subject_words[] = {
    {"phish", "phishing"},
    {"fraud", "phishing"},
    {"botnet", "malware-controller"},
    {"c2", "malware-controller"},
    {"malware", "malware"},
    {"virus", "malware"},
    {"spam", "spam"},
    {"copyright", "copyright"},
    {"dmca", "copyright"},
    {"trademark", "copyright"},
    {"attack", "attack"},
    {"scan", "attack"},
    {"child", "csam"},
    {"csam", "csam"},
};

static void subject_classify(struct report_intake *intake, const char *subject)
{
    for (size_t i = 0; i < sizeof(subject_words) / sizeof(subject_words[0]); i++)
        if (strcasestr(subject, subject_words[i].word) != NULL) {
            intake->report_class = report_class_find(subject_words[i].report_class);
            return;
        }
}

static void letter_describe(struct reading *reading, const char *subject)
{
    GString *text = g_string_new(subject);
    if (reading->text != NULL) {
        g_string_append(text, "\n\n");
        g_string_append_len(text, reading->text->str,
                            (gssize)MIN(reading->text->len, REPORT_DESCRIPTION_SIZE));
    }
    report_intake_describe(reading->intake, text->str, text->len);
    g_string_free(text, TRUE);
}

/* ---- The mail ---- */

/* Nothing is mailed back to what a program sent (RFC 3834, 2). */
static bool is_automatic(GMimeMessage *message, const char *sender)
{
    GMimeObject *object = GMIME_OBJECT(message);
    const char *automatic = g_mime_object_get_header(object, "Auto-Submitted");
    const char *precedence = g_mime_object_get_header(object, "Precedence");

    return (sender != NULL && (sender[0] == '\0' || strcmp(sender, "<>") == 0)) ||
           (automatic != NULL && strncasecmp(automatic, "no", 2) != 0) ||
           (precedence != NULL &&
            (strcasecmp(precedence, "bulk") == 0 || strcasecmp(precedence, "list") == 0 ||
             strcasecmp(precedence, "junk") == 0)) ||
           g_mime_object_get_header(object, "List-Id") != NULL;
}

static bool contact_take(struct report_intake *intake, InternetAddressList *list)
{
    char email[EMAIL_SIZE_MAX + 1];
    for (int i = 0; list != NULL && i < internet_address_list_length(list); i++) {
        InternetAddress *address = internet_address_list_get_address(list, i);
        const char *text =
            INTERNET_ADDRESS_IS_MAILBOX(address)
                ? internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address))
                : NULL;
        if (text != NULL && email_normalize(text, email)) {
            memcpy(intake->contact, email, sizeof(email));
            return true;
        }
    }
    return false;
}

static void message_read(struct reading *reading, GMimeMessage *message, const char *sender)
{
    struct report_intake *intake = reading->intake;
    const char *subject = g_mime_message_get_subject(message);

    intake->is_automatic = is_automatic(message, sender);
    if (!contact_take(intake, g_mime_message_get_from(message)) && sender != NULL &&
        !email_normalize(sender, intake->contact))
        intake->contact[0] = '\0';
    if (subject == NULL)
        subject = "(no subject)";
    subject_classify(intake, subject);
    scan(reading, subject, strlen(subject));
    part_visit(reading, g_mime_message_get_mime_part(message), 0);
    letter_describe(reading, subject);
    if (reading->feedback != NULL)
        feedback_read(reading);
    if (reading->json != NULL)
        xarf_take(reading);
}

static void structure_read(struct reading *reading, const char *sender, const void *octets,
                           size_t size)
{
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(octets, size);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    if (message != NULL) {
        message_read(reading, message, sender);
        g_object_unref(message);
    }
    g_object_unref(parser);
    g_object_unref(stream);
    if (reading->text != NULL)
        g_string_free(reading->text, TRUE);
    if (reading->json != NULL)
        g_string_free(reading->json, TRUE);
}

void report_mail_read(const struct desk_config *config, const char *sender, const void *octets,
                      size_t size, struct report_intake *intake)
{
    struct reading reading = {.config = config, .intake = intake};

    if (!mail_is_too_deep(octets, size)) {
        structure_read(&reading, sender, octets, size);
    } else {
        intake->is_automatic = reading.is_cut = true;
        report_intake_describe(intake, "A mail with too many parts to be taken apart.", 45);
    }
    if (reading.is_cut)
        scan(&reading, octets, size);
    void *copy = malloc(size);
    if (copy != NULL)
        memcpy(copy, octets, size);
    report_intake_add(intake, copy, size, "message/rfc822", "the mail as it came");
}
