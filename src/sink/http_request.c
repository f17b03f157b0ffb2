#include "sink/http_request.h"

#include <errno.h>

#include "sink/text_part.h"

/* Longest of the registered methods is UPDATEREDIRECTREF. */
#define METHOD_SIZE_MAX 20

/* RFC 9110, section 5.6.2. */
static bool is_token(uint8_t octet)
{
    return is_letter(octet) || is_digit(octet) ||
           (octet != '\0' && strchr("!#$%&'*+-.^_`|~", octet) != NULL);
}

/* Takes a line off the front of `rest`. False when it isn't whole: then it is what came of it. */
static bool take_line(struct sink_text *rest, struct sink_text *ret_line, bool *strict)
{
    size_t end = text_find_octet(*rest, '\n');
    bool whole = end < rest->size;
    *ret_line = text_first(*rest, end);
    *rest = text_after(*rest, whole ? end + 1 : end);
    bool has_return = end > 0 && ret_line->octets[end - 1] == '\r';
    if (has_return)
        ret_line->size--;
    if (whole && !has_return)
        *strict = false;
    return whole;
}

/* What a request may ask for: a path, a whole URI, "*", or of CONNECT an authority. */
static bool is_target(struct sink_text method, struct sink_text target)
{
    if (target.size == 0)
        return false;
    return target.octets[0] == '/' || text_is(target, "*") || text_begins_as(target, "http://") ||
           text_begins_as(target, "https://") || text_is(method, "connect");
}

static bool read_request_line(struct sink_text line, bool whole, struct http_request *request)
{
    size_t method = 0;
    while (method < line.size && method <= METHOD_SIZE_MAX && is_token(line.octets[method]))
        method++;
    if (method == 0 || method > METHOD_SIZE_MAX || method == line.size ||
        line.octets[method] != ' ')
        return false;
    request->method = text_first(line, method);
    request->target = text_after(line, method + 1);

    for (size_t at = request->target.size; at-- > 0;) {
        if (request->target.octets[at] != ' ')
            continue;
        struct sink_text version = text_after(request->target, at + 1);
        if (version.size == 8 && text_begins_as(version, "http/")) {
            request->version = version;
            request->target.size = at;
        }
        break;
    }
    if (whole && request->version.size == 0 && !text_is(request->method, "get"))
        return false; /* HTTP/0.9 has no other */
    for (size_t i = 0; i < request->target.size; i++) {
        if (request->target.octets[i] < ' ')
            return false;
        if (request->target.octets[i] == ' ')
            request->strict = false;
    }
    return is_target(request->method, request->target);
}

/* "[2001:db8::1]:80" and "host.example:80" without the port. */
static struct sink_text without_port(struct sink_text host)
{
    size_t end = 0;
    if (host.size > 0 && host.octets[0] == '[')
        end = text_find(host, text_word("]"));
    size_t port = end + text_find(text_after(host, end), text_word(":"));
    return text_first(host, port);
}

static void read_field(struct sink_text line, struct http_request *request)
{
    size_t colon = text_find_octet(line, ':');
    struct sink_text name = text_first(line, colon);
    for (size_t i = 0; i < name.size; i++)
        request->strict = request->strict && is_token(name.octets[i]);
    if (colon == 0 || colon == line.size) {
        request->strict = false;
        return;
    }
    struct sink_text value = text_trim(text_after(line, colon + 1));
    if (text_is(name, "host") && request->host.size == 0)
        request->host = without_port(value);
    else if (text_is(name, "user-agent") && request->agent.size == 0)
        request->agent = value;
}

int http_request_read(const uint8_t *octets, size_t size, struct http_request *ret_request)
{
    const struct sink_text none = text_word("");
    struct http_request request = {none, none, none, none, none, none, true};
    struct sink_text rest = text_part(octets, size), line;

    if (text_begins(rest, text_word("\r\n"))) { /* a client's fault (RFC 9112, section 2.2) */
        request.strict = false;
        rest = text_after(rest, 2);
    }
    bool whole = take_line(&rest, &line, &request.strict);
    if (!read_request_line(line, whole, &request))
        return -EBADMSG;
    bool old = whole && request.version.size == 0; /* HTTP/0.9 is one line */
    while (whole && !old) {
        whole = take_line(&rest, &line, &request.strict);
        if (line.size == 0)
            break;
        read_field(line, &request);
    }
    if (whole)
        request.body = rest;
    *ret_request = request;
    return whole ? 0 : -EAGAIN;
}
