#include "desk/mail_compose.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* RFC 2047, 2: an encoded word has at most 75 octets: 12 around 60 of base64, which hold 45. */
#define WORD_OCTETS_MAX 45

/* What is shorter and plain ASCII stands as it is: it fits a line with its header's name. */
#define PLAIN_OCTETS_MAX 60

/* RFC 3676, 4.2: lines of at most 78 octets, of which 72 are written. */
#define FLOW_OCTETS_MAX 72

/* RFC 2045, 6.7: 76 with the '=' of a soft break. */
#define QUOTED_OCTETS_MAX 75

/* RFC 5322, 2.1.1: 998; a word as long as that is encoded, which may break anywhere. */
#define LINE_OCTETS_MAX 990

const char *mail_domain(const char *address)
{
    const char *at = strrchr(address, '@');
    return at != NULL ? at + 1 : address;
}

/* ---- Headers ---- */

static bool is_plain(const char *text)
{
    size_t size = strlen(text);
    if (size > PLAIN_OCTETS_MAX || strstr(text, "=?") != NULL)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] > '~')
            return false;
    return size == 0 || (text[0] != ' ' && text[size - 1] != ' ');
}

/* The octets of the next word: whole characters (RFC 2047, 5). */
static size_t word_size(const char *text, size_t size)
{
    if (size <= WORD_OCTETS_MAX)
        return size;
    size_t end = WORD_OCTETS_MAX;
    while (end > 1 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    return end;
}

/* Encoded words, one a line: no octet of the text stands for itself, so none ends the header. */
static void words_write(FILE *stream, const char *text)
{
    char base64[sodium_base64_ENCODED_LEN(WORD_OCTETS_MAX, sodium_base64_VARIANT_ORIGINAL)];
    size_t size = strlen(text);

    for (size_t at = 0; at < size;) {
        size_t part = word_size(text + at, size - at);
        sodium_bin2base64(base64, sizeof(base64), (const unsigned char *)text + at, part,
                          sodium_base64_VARIANT_ORIGINAL);
        fprintf(stream, "%s=?UTF-8?B?%s?=", at > 0 ? "\r\n " : "", base64);
        at += part;
    }
}

static void text_header(FILE *stream, const char *name, const char *text)
{
    fprintf(stream, "%s: ", name);
    if (is_plain(text))
        fputs(text, stream);
    else
        words_write(stream, text);
    fputs("\r\n", stream);
}

static void from_header(FILE *stream, const struct mail_message *message)
{
    const char *name = message->from_name;

    fputs("From: ", stream);
    if (name != NULL && is_plain(name)) {
        fputc('"', stream);
        for (const char *c = name; *c != '\0'; c++)
            fprintf(stream, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        fputs("\" ", stream);
    } else if (name != NULL) {
        words_write(stream, name);
        fputs("\r\n ", stream);
    }
    fprintf(stream, "<%s>\r\n", message->from);
}

/* RFC 5322, 3.3, without the locale's names. */
static void date_header(FILE *stream, int64_t date_s)
{
    static const char days[] = "SunMonTueWedThuFriSat",
                      months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t time = (time_t)date_s;
    struct tm tm;

    gmtime_r(&time, &tm);
    fprintf(stream, "Date: %.3s, %d %.3s %04d %02d:%02d:%02d +0000\r\n",
            days + 3 * (size_t)tm.tm_wday, tm.tm_mday, months + 3 * (size_t)tm.tm_mon,
            tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* The thread is found by a Message-ID that no mail has: all on one matter refer to it, and none
 * needs to know the other. */
static void thread_headers(FILE *stream, const struct mail_message *message)
{
    const char *domain = mail_domain(message->from);

    if (message->reply_to != NULL)
        fprintf(stream, "In-Reply-To: %s\r\n", message->reply_to);
    if (message->object != NULL && message->reply_to != NULL)
        fprintf(stream, "References: <%s@%s>\r\n %s\r\n", message->object, domain,
                message->reply_to);
    else if (message->object != NULL)
        fprintf(stream, "References: <%s@%s>\r\n", message->object, domain);
    else if (message->reply_to != NULL)
        fprintf(stream, "References: %s\r\n", message->reply_to);
}

static void headers_write(FILE *stream, const struct mail_message *message, bool is_quoted)
{
    date_header(stream, message->date_s);
    from_header(stream, message);
    fprintf(stream, "To: <%s>\r\n", message->to);
    text_header(stream, "Subject", message->subject);
    fprintf(stream, "Message-ID: <%s@%s>\r\n", message->id, mail_domain(message->from));
    thread_headers(stream, message);
    /* RFC 3834, 5: so that no other machine answers. */
    fprintf(stream, "Auto-Submitted: %s\r\n",
            message->reply_to != NULL ? "auto-replied" : "auto-generated");
    if (message->unsubscribe != NULL)
        fprintf(stream,
                "List-Unsubscribe: <%s>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
                message->unsubscribe);
    fprintf(stream,
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8; format=flowed\r\n"
            "Content-Transfer-Encoding: %s\r\n\r\n",
            is_quoted ? "quoted-printable" : "7bit");
}

/* ---- Text ---- */

static bool needs_quoting(const char *text)
{
    size_t word = 0;
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char octet = (unsigned char)*c;
        word = octet == ' ' || octet == '\n' ? 0 : word + 1;
        if (octet > '~' || (octet < ' ' && octet != '\n' && octet != '\t') ||
            word > LINE_OCTETS_MAX)
            return true;
    }
    return false;
}

static void quoted_write(FILE *stream, const char *line, size_t size)
{
    size_t column = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)line[i];
        /* A blank at the end of a line would be taken off on the way. */
        bool is_literal = (c > ' ' && c <= '~' && c != '=') || (c == ' ' && i + 1 < size);
        size_t room = is_literal ? 1 : 3;
        if (column + room > QUOTED_OCTETS_MAX) {
            fputs("=\r\n", stream);
            column = 0;
        }
        fprintf(stream, is_literal ? "%c" : "=%02X", c);
        column += room;
    }
    fputs("\r\n", stream);
}

/* One line on the way; `line` begins where a reader's line begins or goes on. */
static void line_write(FILE *stream, const char *line, size_t size, bool is_quoted)
{
    char stuffed[LINE_OCTETS_MAX + 2];

    /* RFC 3676, 4.4. */
    bool needs_stuffing = size > 0 && (line[0] == ' ' || line[0] == '>' ||
                                       (size >= 5 && memcmp(line, "From ", 5) == 0));
    if (needs_stuffing && size < sizeof(stuffed)) {
        stuffed[0] = ' ';
        memcpy(stuffed + 1, line, size);
        line = stuffed;
        size++;
    }
    if (is_quoted) {
        quoted_write(stream, line, size);
        return;
    }
    fwrite(line, 1, size, stream);
    fputs("\r\n", stream);
}

/* The octets of `text` that go on one line: up to and with a blank, unless all of it fits or the
 * word itself is longer. */
static size_t flow_size(const char *text, size_t size)
{
    size_t end = FLOW_OCTETS_MAX;
    if (size <= FLOW_OCTETS_MAX)
        return size;
    while (end > 0 && text[end - 1] != ' ')
        end--;
    if (end > 0)
        return end;
    for (end = FLOW_OCTETS_MAX; end < size && text[end] != ' ';)
        end++;
    return end < size ? end + 1 : size;
}

/* A line that ends with a blank goes on in the next one. */
static void paragraph_write(FILE *stream, const char *text, size_t size, bool is_quoted)
{
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\r'))
        size--;
    do {
        size_t part = flow_size(text, size);
        line_write(stream, text, part, is_quoted);
        text += part;
        size -= part;
    } while (size > 0);
}

int mail_compose(const struct mail_message *message, char **ret_octets, size_t *ret_size)
{
    char *octets = NULL;
    size_t size;

    FILE *stream = open_memstream(&octets, &size);
    if (stream == NULL)
        return -ENOMEM;
    bool is_quoted = needs_quoting(message->text);
    headers_write(stream, message, is_quoted);
    for (const char *line = message->text; *line != '\0';) {
        size_t part = strcspn(line, "\n");
        paragraph_write(stream, line, part, is_quoted);
        line += part + (line[part] == '\n');
    }
    bool has_failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || has_failed) {
        free(octets);
        return -ENOMEM;
    }
    *ret_octets = octets;
    *ret_size = size;
    return 0;
}
