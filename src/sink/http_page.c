#include "sink/http_page.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Writing into a buffer; the first failure stays and is told at the end. */
struct writer {
    struct octet_buffer *buffer;
    int rc;
};

static void put_octets(struct writer *writer, const char *octets, size_t size)
{
    if (writer->rc == 0)
        writer->rc = octet_buffer_add(writer->buffer, octets, size);
}

static void put(struct writer *writer, const char *text)
{
    put_octets(writer, text, strlen(text));
}

/* ---- Escaping ---- */

static const char *html_escape(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '|':
        return "&#124;"; /* splits the commands of bots */
    case '\\':
        return "&#92;"; /* and so does this */
    default:
        return NULL;
    }
}

/* Text or an attribute's value. Control characters have no place in either. */
static void put_html(struct writer *writer, const char *text)
{
    for (; *text != '\0'; text++) {
        const char *escape = html_escape(*text);
        if (escape != NULL)
            put(writer, escape);
        else
            put_octets(writer, (unsigned char)*text < ' ' ? " " : text, 1);
    }
}

/* What RFC 3986 has no place for, and RFC 8941 no plain one, is percent-encoded. */
static void put_uri(struct writer *writer, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c > ' ' && c < 0x7f && strchr("\"<>\\^`{|}", c) == NULL) {
            put_octets(writer, text, 1);
            continue;
        }
        char encoded[4];
        snprintf(encoded, sizeof(encoded), "%%%02X", c);
        put_octets(writer, encoded, 3);
    }
}

/* ---- The body ---- */

/* Only what opens a page or a mail becomes a link. */
static bool is_link(const char *uri)
{
    return strncasecmp(uri, "https://", 8) == 0 || strncasecmp(uri, "http://", 7) == 0 ||
           strncasecmp(uri, "mailto:", 7) == 0;
}

static void put_link(struct writer *writer, const char *uri)
{
    if (is_link(uri)) {
        put(writer, "<a href=\"");
        put_html(writer, uri);
        put(writer, "\">");
    }
    put_html(writer, uri);
    if (is_link(uri))
        put(writer, "</a>");
}

static void put_row(struct writer *writer, const char *label, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    put(writer, "<dt>");
    put(writer, label);
    put(writer, "</dt><dd>");
    put_link(writer, text);
    put(writer, "</dd>\n");
}

static const char page_begin[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">"
    "<title>This is a sinkhole</title></head><body>\n"
    "<h1>This is a sinkhole</h1>\n"
    "<p>The name that led here was used to control infected computers. By an order it now leads "
    "to this machine, which gives no commands and answers nothing but this page.</p>\n<dl>\n";

static const char page_end[] =
    "</dl>\n"
    "<h2>If your computer came here by itself</h2>\n"
    "<p>It may be infected. Disconnect it from networks that matter, and check it with an "
    "up-to-date scanner.</p>\n"
    "<h2>If this is your name, or you wanted its site</h2>\n"
    "<p>Write to the contact above and name the order: a name that is here by mistake is let go."
    "</p>\n"
    "<h2>What is recorded</h2>\n"
    "<p>Time, the name, ports, the number of octets, what kind of program connected, and the "
    "network and country of its address. The address itself is sealed, and opened only to tell "
    "the holder of its network of an infected machine. What infected machines say about "
    "themselves is kept as a hash, whose key is destroyed after a time.</p>\n"
    "<p>What you send, names of users and computers, files and keys typed are not kept. Only "
    "where an order demands evidence, what comes is sealed at once, so that we can't read it."
    "</p>\n</body></html>\n";

static void put_body(struct writer *writer, const char *operator_name, const char *contact,
                     const struct dialogue_order *order)
{
    put(writer, page_begin);
    put_row(writer, "Run by", operator_name);
    put_row(writer, "Order", order->id);
    put_row(writer, "Of", order->authority);
    put_row(writer, "Notice", order->notice);
    put_row(writer, "Whom to ask", contact);
    put(writer, page_end);
}

/* ---- The head ---- */

static void put_member(struct writer *writer, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    put(writer, ", ");
    put(writer, key);
    put(writer, "=\"");
    put_uri(writer, value);
    put(writer, "\"");
}

static void put_head(struct writer *writer, const char *contact, const struct dialogue_order *order,
                     size_t body_size)
{
    char length[64];

    put(writer, "HTTP/1.1 403 Forbidden\r\nSinkhole: contact=\"");
    put_uri(writer, contact);
    put(writer, "\"");
    put_member(writer, "order", order->id);
    put_member(writer, "notice", order->notice);
    if (order->notice != NULL && is_link(order->notice)) {
        put(writer, "\r\nLink: <");
        put_uri(writer, order->notice);
        put(writer, ">; rel=\"blocked-by\"");
    }
    snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", body_size);
    put(writer, length);
    put(writer, "Content-Type: text/html; charset=utf-8\r\n"
                "Content-Security-Policy: default-src 'none'\r\n"
                "X-Content-Type-Options: nosniff\r\n"
                "X-Robots-Tag: noindex\r\n"
                "Cache-Control: no-store\r\n"
                "Connection: close\r\n\r\n");
}

int http_page_write(const char *operator_name, const char *contact,
                    const struct dialogue_order *order, bool with_body,
                    struct octet_buffer *response)
{
    _cleanup_(octet_buffer_clear) struct octet_buffer body = {0};
    struct writer body_writer = {.buffer = &body}, writer = {.buffer = response};

    put_body(&body_writer, operator_name, contact, order);
    if (body_writer.rc < 0)
        return body_writer.rc;
    put_head(&writer, contact, order, body.size);
    if (with_body)
        put_octets(&writer, (const char *)body.octets, body.size);
    return writer.rc;
}
