#include "desk/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define JSON_TYPE    "application/json"
#define PROBLEM_TYPE "application/problem+json"

static void content_clear(struct reply *reply)
{
    if (!reply->body_is_constant)
        free(reply->body);
    if (reply->fd >= 0)
        close(reply->fd);
    reply->body = NULL;
    reply->body_is_constant = false;
    reply->size = 0;
    reply->type = NULL;
    reply->fd = -1;
}

void reply_clear(struct reply *reply)
{
    content_clear(reply);
    for (size_t i = 0; i < reply->header_count; i++)
        free(reply->headers[i].name);
    reply->header_count = 0;
    reply->status = 0;
}

int reply_buffer(struct reply *reply, unsigned status, const char *type, char *octets, size_t size)
{
    content_clear(reply);
    reply->status = status;
    reply->type = type;
    reply->body = octets;
    reply->size = size;
    return 0;
}

int reply_octets(struct reply *reply, unsigned status, const char *type, const void *octets,
                 size_t size)
{
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, octets, size);
    copy[size] = '\0';
    return reply_buffer(reply, status, type, copy, size);
}

int reply_constant(struct reply *reply, unsigned status, const char *type, const char *text)
{
    content_clear(reply);
    reply->status = status;
    reply->type = type;
    reply->body = (char *)text; /* only read, as body_is_constant says */
    reply->body_is_constant = true;
    reply->size = strlen(text);
    return 0;
}

int reply_file(struct reply *reply, unsigned status, const char *type, int fd, uint64_t size)
{
    content_clear(reply);
    reply->status = status;
    reply->type = type;
    reply->fd = fd;
    reply->size = size;
    return 0;
}

int reply_status(struct reply *reply, unsigned status)
{
    content_clear(reply);
    reply->status = status;
    return 0;
}

static int json_take(struct reply *reply, unsigned status, const char *type, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL)
        return -ENOMEM;
    return reply_buffer(reply, status, type, text, strlen(text));
}

int reply_json(struct reply *reply, unsigned status, json_t *json)
{
    return json_take(reply, status, JSON_TYPE, json);
}

int reply_list(struct reply *reply, json_t *items, const char *next)
{
    return reply_json(reply, 200, json_pack("{s:o, s:s?}", "items", items, "next", next));
}

int reply_header_add(struct reply *reply, const char *name, const char *value)
{
    for (const char *at = value; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return -EINVAL;
    if (reply->header_count == REPLY_HEADERS_MAX)
        return -ENOMEM;
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    char *both = malloc(name_size + value_size);
    if (both == NULL)
        return -ENOMEM;
    memcpy(both, name, name_size);
    memcpy(both + name_size, value, value_size);
    reply->headers[reply->header_count++] =
        (struct reply_header){.name = both, .value = both + name_size};
    return 0;
}

/* ---- Problems (RFC 9457) ---- */

static const char *title_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

static int problem_make(struct reply *reply, unsigned status, const char *kind, const char *detail,
                        const char *remedy, const char *pointer)
{
    char type[96];
    snprintf(type, sizeof(type), "/problems/%s", kind);
    json_t *json = json_pack("{s:s, s:s, s:i, s:s}", "type", type, "title", title_of(status),
                             "status", (int)status, "detail", detail);
    /* What was quoted of the client may be no UTF-8, and then jansson makes nothing of it. */
    if (json == NULL)
        json = json_pack("{s:s, s:s, s:i}", "type", type, "title", title_of(status), "status",
                         (int)status);
    if (json != NULL && remedy != NULL)
        (void)json_object_set_new(json, "remedy", json_string(remedy));
    if (json != NULL && pointer != NULL)
        (void)json_object_set_new(json, "pointer", json_string(pointer));
    return json_take(reply, status, PROBLEM_TYPE, json);
}

int reply_problem(struct reply *reply, unsigned status, const char *kind, const char *remedy,
                  const char *pointer, const char *detail, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, detail);
    vsnprintf(text, sizeof(text), detail, arguments);
    va_end(arguments);
    return problem_make(reply, status, kind, text, remedy, pointer);
}

/* An error's text has its remedy behind the first colon or semicolon (base/error.h). */
static int client_problem(struct reply *reply, unsigned status, const char *kind,
                          const struct error *error)
{
    char detail[sizeof(error->text)];
    snprintf(detail, sizeof(detail), "%s", error->text);
    char *remedy = strstr(detail, ": ");
    if (remedy != NULL) {
        *remedy = '\0';
        remedy += 2;
    }
    bool is_pointer = error->file[0] == '/' || error->file[0] == '#';
    const char *pointer = error->file[0] == '#' ? "" : error->file;
    return problem_make(reply, status, kind, detail, remedy, is_pointer ? pointer : NULL);
}

static int unavailable(struct reply *reply)
{
    int rc = problem_make(reply, 503, "unavailable", "the desk cannot do this at the moment",
                          "try again in a few seconds", NULL);
    return rc == 0 ? reply_header_add(reply, "Retry-After", "5") : rc;
}

static void error_log(int level, int code, const struct error *error)
{
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    if (error->code != 0)
        log_event(level, "request: %s", error_format(error, text, sizeof(text)));
    else
        log_event(level, "request: %s", strerror(-code));
}

int reply_error(struct reply *reply, int code, const struct error *error)
{
    const struct error told = error->code != 0 ? *error : (struct error){.text = "not possible"};

    switch (code) {
    case -EINVAL:
        return client_problem(reply, 400, "invalid", &told);
    case -EACCES:
        return client_problem(reply, 403, "forbidden", &told);
    case -ENOENT:
        return client_problem(reply, 404, "not-found", &told);
    case -EEXIST:
        return client_problem(reply, 409, "conflict", &told);
    case -EMSGSIZE:
        return client_problem(reply, 413, "too-large", &told);
    case -EDQUOT:
        return client_problem(reply, 429, "too-many", &told);
    case -EAGAIN:
    case -EIO:
    case -ENOSPC:
    case -ENOMEM:
        error_log(LOG_WARNING, code, error);
        return unavailable(reply);
    default:
        error_log(LOG_ERR, code, error);
        return problem_make(reply, 500, "internal", "the desk failed to do this; it is in its log",
                            NULL, NULL);
    }
}
