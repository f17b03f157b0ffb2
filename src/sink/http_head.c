#include "sink/http_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Of the registered methods the longest, UPDATEREDIRECTREF, has 17 letters. */
#define METHOD_SIZE_MAX 24

struct text {
    const char *at;
    size_t size;
};

static bool text_is(struct text text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.at, word, text.size) == 0;
}

static bool text_begins(struct text text, const char *word)
{
    return text.size >= strlen(word) && strncasecmp(text.at, word, strlen(word)) == 0;
}

static struct text text_from(struct text text, size_t from)
{
    return (struct text){text.at + from, text.size - from};
}

static struct text text_trim(struct text text)
{
    while (text.size > 0 && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = text_from(text, 1);
    while (text.size > 0 && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static size_t text_find(struct text text, const char *any_of)
{
    size_t at = 0;
    while (at < text.size && memchr(any_of, text.at[at], strlen(any_of)) == NULL)
        at++;
    return at;
}

/* ---- The first line ---- */

/* Clients may send an empty line first (RFC 9112, 2.2). */
static size_t empty_lines(const uint8_t *octets, size_t size)
{
    size_t at = 0;
    while (at < size && at < 4 && (octets[at] == '\r' || octets[at] == '\n'))
        at++;
    return at;
}

static size_t method_size(struct text line)
{
    size_t at = 0;
    while (at < line.size && ((line.at[at] >= 'A' && line.at[at] <= 'Z') || line.at[at] == '-'))
        at++;
    return at;
}

static bool has_control(struct text line)
{
    for (size_t i = 0; i < line.size; i++) {
        if ((unsigned char)line.at[i] < ' ' || line.at[i] == 0x7f)
            return true;
    }
    return false;
}

/* The line's beginning may be a method and a target. */
static bool is_plausible(struct text line)
{
    size_t method = method_size(line);
    if (line.size == 0)
        return true;
    if (method == 0 || method > METHOD_SIZE_MAX)
        return false;
    return method == line.size || (line.at[method] == ' ' && !has_control(line));
}

/* "GET /path HTTP/1.1": what is in between may have spaces, since bots send such. */
static bool is_request_line(struct text line)
{
    static const char version[] = " HTTP/1.";
    size_t method = method_size(line);
    size_t tail = sizeof(version); /* with its digit */

    if (!is_plausible(line) || line.size < method + 1 + 1 + tail)
        return false;
    const char *end = line.at + line.size - tail;
    char digit = line.at[line.size - 1];
    return memcmp(end, version, sizeof(version) - 1) == 0 && digit >= '0' && digit <= '9' &&
           line.at[method + 1] != ' ';
}

/* The line without its end; false: there is no end yet. */
static bool line_take(struct text *from, struct text *ret_line)
{
    const char *end = from->size > 0 ? memchr(from->at, '\n', from->size) : NULL;
    if (end == NULL)
        return false;
    *ret_line = (struct text){from->at, (size_t)(end - from->at)};
    *from = text_from(*from, ret_line->size + 1);
    if (ret_line->size > 0 && ret_line->at[ret_line->size - 1] == '\r')
        ret_line->size--;
    return true;
}

int http_head_begins(const uint8_t *octets, size_t size)
{
    size_t empty = empty_lines(octets, size);
    struct text text = {(const char *)octets + empty, size - empty}, line;

    if (line_take(&text, &line))
        return line.size <= REQUEST_LINE_MAX && is_request_line(line) ? 0 : -EBADMSG;
    if (text.size > 0 && text.at[text.size - 1] == '\r')
        text.size--;
    return text.size <= REQUEST_LINE_MAX && is_plausible(text) ? -EAGAIN : -EBADMSG;
}

/* ---- The head ---- */

size_t http_head_size(const uint8_t *octets, size_t size, size_t from)
{
    size_t empty = empty_lines(octets, size);
    size_t at = from > empty + 3 ? from - 3 : empty;

    while (at < size) {
        const uint8_t *end = memchr(octets + at, '\n', size - at);
        if (end == NULL)
            return 0;
        at = (size_t)(end - octets) + 1;
        if (at < size && octets[at] == '\n')
            return at + 1;
        if (at + 1 < size && octets[at] == '\r' && octets[at + 1] == '\n')
            return at + 2;
    }
    return 0;
}

/* A host that an order may list: without "user@", port and last dot; anything else stays "". */
static void host_copy(struct text authority, char ret_host[static 256])
{
    for (size_t at; (at = text_find(authority, "@")) < authority.size;)
        authority = text_from(authority, at + 1);
    bool is_bracketed = authority.size > 0 && authority.at[0] == '[';
    size_t size = is_bracketed ? text_find(authority, "]") + 1 : text_find(authority, ":");
    if (size > authority.size)
        return;
    if (size > 0 && authority.at[size - 1] == '.')
        size--;
    if (size > 255)
        return;

    char host[256] = "";
    for (size_t i = 0; i < size; i++) {
        char c = authority.at[i];
        if (c <= ' ' || c == 0x7f)
            return;
        host[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    memcpy(ret_host, host, size);
    ret_host[size] = '\0';
}

/* RFC 9112, 3.2.2 and 3.2.3: a target with a host in it counts before Host. */
static void target_read(struct text line, struct http_head *request)
{
    struct text method = {line.at, method_size(line)};
    struct text target = text_from(line, method.size + 1);
    target.size -= strlen(" HTTP/1.1");

    request->is_head = method.size == 4 && memcmp(method.at, "HEAD", 4) == 0;
    if (method.size == 7 && memcmp(method.at, "CONNECT", 7) == 0) {
        host_copy(target, request->host);
        return;
    }
    size_t scheme = text_begins(target, "http://")    ? strlen("http://")
                    : text_begins(target, "https://") ? strlen("https://")
                                                      : 0;
    if (scheme == 0)
        return;
    target = text_from(target, scheme);
    target.size = text_find(target, "/?#");
    host_copy(target, request->host);
}

/* 0 for what is no number: nothing is waited for then. */
static uint64_t number(struct text text)
{
    uint64_t value = 0;
    if (text.size == 0 || text.size > 18)
        return 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return 0;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    }
    return value;
}

void http_head_read(const uint8_t *octets, size_t size, struct http_head *ret_request)
{
    size_t empty = empty_lines(octets, size);
    struct text text = {(const char *)octets + empty, size - empty}, line;
    bool is_final = false; /* nothing is to be waited for */

    *ret_request = (struct http_head){0};
    if (!line_take(&text, &line))
        return;
    target_read(line, ret_request);
    while (line_take(&text, &line) && line.size > 0) {
        size_t colon = text_find(line, ":");
        if (colon == line.size)
            continue;
        struct text name = {line.at, colon}, value = text_trim(text_from(line, colon + 1));
        if (text_is(name, "Host") && ret_request->host[0] == '\0')
            host_copy(value, ret_request->host);
        else if (text_is(name, "Content-Length"))
            ret_request->body_octets = number(value);
        else if (text_is(name, "Transfer-Encoding") || text_is(name, "Expect"))
            is_final = true;
    }
    if (is_final)
        ret_request->body_octets = 0;
}
