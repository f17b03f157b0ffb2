/* What a handler may ask of a request. */
#include "desk/request.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/desk.h"
#include "desk/http_internal.h"
#include "desk/json_in.h"
#include "desk/percent.h"

#define PAGE_DEFAULT 50
#define PAGE_MAX     200

/* User and password together, in base64. */
#define BASIC_SIZE_MAX 1024

struct desk *request_desk(const struct request *request)
{
    return request->http->desk;
}

const struct route *request_route(const struct request *request)
{
    return request->match.route;
}

struct store *request_store(const struct request *request)
{
    return request->store;
}

const struct principal *request_principal(const struct request *request)
{
    return &request->principal;
}

int64_t request_now_ms(const struct request *request)
{
    return request->now_ms;
}

int64_t request_now_s(const struct request *request)
{
    return request->now_ms / 1000;
}

const char *request_method(const struct request *request)
{
    return strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
}

const char *request_path(const struct request *request)
{
    return request->path;
}

const char *request_param(const struct request *request, const char *name)
{
    const struct route_match *match = &request->match;
    size_t size = strlen(name);
    for (size_t i = 0; i < match->count; i++)
        if (match->name_sizes[i] == size && memcmp(match->names[i], name, size) == 0)
            return match->values[i];
    return NULL;
}

/* Keeps a decoded text as long as the request. */
static const char *text_decode(struct request *request, const char *text)
{
    size_t size = strlen(text);
    struct request_text *kept = malloc(sizeof(*kept) + size + 1);
    if (kept == NULL)
        return "";
    if (percent_decode(text, size, kept->text, size + 1) < 0)
        kept->text[0] = '\0'; /* what is no text is no value */
    kept->next = request->texts;
    request->texts = kept;
    return kept->text;
}

const char *request_query(const struct request *request, const char *name)
{
    const char *text = NULL;
    size_t size = 0;
    if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name,
                                      strlen(name), &text, &size) != MHD_YES)
        return NULL;
    if (text == NULL)
        return "";
    if (memchr(text, '%', size) == NULL && strlen(text) == size) {
        for (size_t i = 0; i < size; i++)
            if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] >= 0x7f)
                return "";
        return text;
    }
    return text_decode((struct request *)request, text);
}

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool request_basic(const struct request *request, char *ret_user, size_t user_size,
                   char *ret_password, size_t password_size)
{
    const char *text = request_header(request, "Authorization");
    char both[BASIC_SIZE_MAX];
    size_t size;

    if (text == NULL || strncasecmp(text, "Basic ", 6) != 0)
        return false;
    text += 6 + strspn(text + 6, " ");
    if (sodium_base642bin((unsigned char *)both, sizeof(both) - 1, text, strlen(text), NULL, &size,
                          NULL,
                          strchr(text, '=') != NULL || strlen(text) % 4 == 0
                              ? sodium_base64_VARIANT_ORIGINAL
                              : sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0)
        return false;
    both[size] = '\0';
    char *colon = strchr(both, ':');
    bool fits = colon != NULL && strlen(both) == size && (size_t)(colon - both) < user_size &&
                strlen(colon + 1) < password_size;
    if (fits) {
        *colon = '\0';
        memcpy(ret_user, both, strlen(both) + 1);
        memcpy(ret_password, colon + 1, strlen(colon + 1) + 1);
    }
    sodium_memzero(both, sizeof(both));
    return fits;
}

const char *request_body(const struct request *request, size_t *ret_size)
{
    *ret_size = request->body_size;
    return request->body != NULL ? request->body : "";
}

const struct sockaddr *request_client(const struct request *request)
{
    return (const struct sockaddr *)&request->client;
}

const char *request_client_text(const struct request *request)
{
    return request->client_text;
}

int request_page(const struct request *request, unsigned *ret_limit, const char **ret_cursor,
                 struct error *ret_error)
{
    const char *limit_text = request_query(request, "limit");
    const char *cursor = request_query(request, "cursor");
    unsigned long limit = PAGE_DEFAULT;

    if (limit_text != NULL) {
        char *end;
        limit = strtoul(limit_text, &end, 10);
        if (limit_text[0] < '0' || limit_text[0] > '9' || *end != '\0' || limit < 1 ||
            limit > PAGE_MAX)
            return error_set(ret_error, -EINVAL, "limit is out of bounds: give 1 to %d", PAGE_MAX);
    }
    *ret_limit = (unsigned)limit;
    *ret_cursor = cursor != NULL ? cursor : "";
    return 0;
}

int request_json(struct request *request, const json_t **ret_json, struct error *ret_error)
{
    if (request->json == NULL) {
        int rc = json_in_parse(request->body != NULL ? request->body : "", request->body_size,
                               &request->json, ret_error);
        if (rc < 0)
            return rc;
    }
    *ret_json = request->json;
    return 0;
}

int request_json_in(struct request *request, struct json_in *ret_in, struct error *ret_error)
{
    const json_t *json;
    int rc = request_json(request, &json, ret_error);
    return rc < 0 ? rc : json_in_open(json, "", ret_in, ret_error);
}

/* ---- Transactions ---- */

struct claimed_work {
    struct request *request;
    store_work_fn *work;
    void *context;
};

static int claim_and_work(struct store *store, void *context, struct error *ret_error)
{
    struct claimed_work *claimed = context;
    int rc = idempotency_claim(claimed->request, store, ret_error);
    return rc < 0 ? rc : claimed->work(store, claimed->context, ret_error);
}

int request_transact(struct request *request, store_work_fn *work, void *context,
                     struct error *ret_error)
{
    struct claimed_work claimed = {.request = request, .work = work, .context = context};
    int rc = store_transact(request->store, claim_and_work, &claimed, ret_error);
    request->is_claimed = rc >= 0 && request->idempotency_key != NULL;
    return rc;
}

/* ---- Answers that come later ---- */

struct pending *request_suspend(struct request *request)
{
    struct http *http = request->http;

    pthread_mutex_lock(&http->lock);
    http->pending++;
    pthread_mutex_unlock(&http->lock);
    /* A worker has it suspended already. */
    if (request->store == NULL)
        MHD_suspend_connection(request->connection);
    request->store = NULL; /* the worker's goes on to the next */
    return (struct pending *)request;
}

void pending_finish(struct pending *pending, struct reply *reply)
{
    struct request *request = (struct request *)pending;
    struct http *http = request->http;

    reply_clear(&request->reply);
    request->reply = *reply;
    *reply = REPLY_EMPTY;
    http_resume(request);
    pthread_mutex_lock(&http->lock);
    http->pending--;
    pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->lock);
}

void pending_fail(struct pending *pending, int code, const struct error *error)
{
    struct reply reply = REPLY_EMPTY;
    if (reply_error(&reply, code, error) < 0)
        (void)reply_status(&reply, 503);
    pending_finish(pending, &reply);
}
