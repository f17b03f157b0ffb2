/* Reports on mails that were not delivered (RFC 3464), as they come back to the desk's address. */
#include <ctype.h>
#include <errno.h>
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/mail.h"
#include "desk/mail_internal.h"

/* The report stands in front of what it returns; what is longer than this is a returned mail. */
#define LOOK_OCTETS_MAX 262144

/* Bounces that do not say that the address is none, as of a full mailbox: three in a month and no
 * more is sent. */
#define BOUNCES_MAX      3
#define BOUNCES_PERIOD_S (30 * 24 * 3600)

/* What a report says of the mail. */
struct bounce {
    bool is_report, has_failed;
    char status[16];       /* "5.1.1"; "" when there is none */
    char id[MAIL_ID_SIZE]; /* of the mail that it is about; "": not known */
    int64_t now_s;
};

/* ---- Reading ---- */

/* The value of a field in a text of headers: the rest of its line, without blanks around it. */
static bool field_find(const char *text, const char *name, char *ret_value, size_t room)
{
    size_t name_size = strlen(name);

    for (const char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\r\n");
        if (size > name_size && strncasecmp(line, name, name_size) == 0 && line[name_size] == ':') {
            const char *value = line + name_size + 1, *end = line + size;
            while (value < end && isspace((unsigned char)*value))
                value++;
            while (end > value && isspace((unsigned char)end[-1]))
                end--;
            snprintf(ret_value, room, "%.*s", (int)(end - value), value);
            return true;
        }
        line += size;
        line += strspn(line, "\r\n");
    }
    return false;
}

/* The secret part of "<id@domain>". */
static void message_id_take(const char *text, struct bounce *bounce)
{
    const char *begin = strchr(text, '<');
    begin = begin != NULL ? begin + 1 : text;
    size_t size = strcspn(begin, "@>");
    if (size >= sizeof(bounce->id))
        return;
    memcpy(bounce->id, begin, size);
    bounce->id[size] = '\0';
    if (!mail_id_is_valid(bounce->id))
        bounce->id[0] = '\0';
}

/* The decoded content of a part as a text that the caller frees; NULL: it has none. */
static char *content_of(GMimePart *part)
{
    GMimeDataWrapper *content = g_mime_part_get_content(part);
    if (content == NULL)
        return NULL;
    GMimeStream *stream = g_mime_stream_mem_new();
    g_mime_data_wrapper_write_to_stream(content, stream);
    GByteArray *octets = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
    char *text = strndup((const char *)octets->data, octets->len);
    g_object_unref(stream);
    return text;
}

/* The fields of each receiver (RFC 3464, 2.3). Our mails have one, so the last one counts. */
static void delivery_status_read(const char *text, struct bounce *bounce)
{
    char action[32];
    if (field_find(text, "Action", action, sizeof(action)))
        bounce->has_failed = strcasecmp(action, "failed") == 0;
    (void)field_find(text, "Status", bounce->status, sizeof(bounce->status));
    bounce->status[strcspn(bounce->status, " \t(")] = '\0';
}

static void part_read(GMimeObject *object, struct bounce *bounce)
{
    char id[300];

    if (GMIME_IS_MESSAGE_PART(object)) {
        GMimeMessage *message = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
        const char *found = message != NULL ? g_mime_message_get_message_id(message) : NULL;
        if (found != NULL)
            message_id_take(found, bounce);
        return;
    }
    if (!GMIME_IS_PART(object))
        return;
    GMimeContentType *type = g_mime_object_get_content_type(object);
    bool is_status = g_mime_content_type_is_type(type, "message", "delivery-status");
    if (!is_status && !g_mime_content_type_is_type(type, "text", "rfc822-headers"))
        return;
    char *text = content_of(GMIME_PART(object));
    if (text != NULL && is_status)
        delivery_status_read(text, bounce);
    else if (text != NULL && field_find(text, "Message-ID", id, sizeof(id)))
        message_id_take(id, bounce);
    free(text);
}

static void report_read(GMimeObject *top, struct bounce *bounce)
{
    GMimeContentType *type = g_mime_object_get_content_type(top);
    const char *kind = g_mime_content_type_get_parameter(type, "report-type");

    if (!GMIME_IS_MULTIPART(top) || !g_mime_content_type_is_type(type, "multipart", "report") ||
        kind == NULL || strcasecmp(kind, "delivery-status") != 0)
        return;
    bounce->is_report = true;
    int count = g_mime_multipart_get_count(GMIME_MULTIPART(top));
    for (int i = 0; i < count && i < 8; i++)
        part_read(g_mime_multipart_get_part(GMIME_MULTIPART(top), i), bounce);
}

static void bounce_read(const void *octets, size_t size, struct bounce *bounce)
{
    if (size > LOOK_OCTETS_MAX)
        size = LOOK_OCTETS_MAX;
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(octets, size);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    if (message != NULL && g_mime_message_get_mime_part(message) != NULL)
        report_read(g_mime_message_get_mime_part(message), bounce);
    if (message != NULL)
        g_object_unref(message);
    g_object_unref(parser);
    g_object_unref(stream);
}

/* ---- Marking ---- */

static int bounces_count(struct store *store, const char *address, int64_t now_s,
                         int64_t *ret_count, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT COUNT(*) FROM mails WHERE address = $1 AND created_at > $2 AND "
                         "state = 'bounced'",
                         store_text(address), store_integer(now_s - BOUNCES_PERIOD_S));
    if (rc == 0)
        *ret_count = store_row_integer(rows, 0, 0);
    return rc;
}

static int address_mark(struct store *store, const struct bounce *bounce, const char *address,
                        struct error *ret_error)
{
    int64_t count = 0;
    int rc = bounces_count(store, address, bounce->now_s, &count, ret_error);
    if (rc < 0 || (strncmp(bounce->status, "5.1.", 4) != 0 && count < BOUNCES_MAX))
        return rc;
    return mail_suppress(store, bounce->now_s,
                         &(struct mail_suppression){.address = address,
                                                    .topic = "",
                                                    .reason = "bounced",
                                                    .status = bounce->status,
                                                    .mail = bounce->id},
                         ret_error);
}

static int bounce_note(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct bounce *bounce = context;

    int rc = store_query(store, &rows, ret_error, "SELECT address FROM mails WHERE id = $1",
                         store_text(bounce->id));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    rc = mail_state_set(store, bounce->now_s, bounce->id, "bounced", bounce->status, ret_error);
    return rc < 0 ? rc : address_mark(store, bounce, store_row_text(rows, 0, 0), ret_error);
}

int mail_bounce_take(struct store *store, int64_t now_ms, const void *octets, size_t size,
                     struct error *ret_error)
{
    struct bounce bounce = {.now_s = now_ms / 1000};

    bounce_read(octets, size, &bounce);
    if (!bounce.is_report)
        return 0;
    if (bounce.has_failed && bounce.id[0] != '\0') {
        int rc = store_transact(store, bounce_note, &bounce, ret_error);
        if (rc < 0)
            return rc;
    }
    return 1;
}
