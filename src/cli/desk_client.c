#include "cli/desk_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A desk that sends nothing for so long is given up. */
#define CONNECT_TIMEOUT_S 10L
#define STALLED_S         60L

/* Longer than any page or export. */
#define ANSWER_SIZE_MAX ((size_t)256 << 20)

/* More pages than any list that a person wants to see; ends a list that leads in a circle. */
#define PAGES_MAX 100000

struct desk_client {
    struct desk_place place;
    CURL *curl;
    bool has_session;
    char csrf[128]; /* "" while there is none */
};

/* An answer while it arrives. */
struct arrival {
    struct desk_answer answer;
    size_t room;
    bool is_too_long;
};

static size_t take(char *octets, size_t size, size_t count, void *context)
{
    struct arrival *arrival = context;
    struct desk_answer *answer = &arrival->answer;
    const size_t more = size * count;

    if (answer->size + more > ANSWER_SIZE_MAX) {
        arrival->is_too_long = true;
        return 0;
    }
    if (answer->size + more + 1 > arrival->room) {
        const size_t room = (answer->size + more + 1) * 2;
        char *grown = realloc(answer->text, room);
        if (grown == NULL)
            return 0;
        answer->text = grown;
        arrival->room = room;
    }
    memcpy(answer->text + answer->size, octets, more);
    answer->size += more;
    answer->text[answer->size] = '\0';
    return more;
}

/* What is the same for all that is asked. */
static void curl_prepare(CURL *curl)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_COOKIEFILE, ""); /* in memory alone */
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALLED_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tamis/" TAMIS_VERSION);
}

int desk_client_open(const struct desk_options *options, struct desk_client **ret_client,
                     struct error *ret_error)
{
    _cleanup_(desk_client_closep) struct desk_client *client = calloc(1, sizeof(*client));
    if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
        (client->curl = curl_easy_init()) == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for an HTTP client");
    int rc = desk_place_find(options, &client->place, ret_error);
    if (rc < 0)
        return rc;
    curl_prepare(client->curl);
    *ret_client = TAKE(client);
    return 0;
}

void desk_client_close(struct desk_client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    desk_place_clear(&client->place);
    sodium_memzero(client->csrf, sizeof(client->csrf));
    free(client);
}

const char *desk_client_url(const struct desk_client *client)
{
    return client->place.url;
}

void desk_client_session(struct desk_client *client, const char *csrf)
{
    client->has_session = true;
    (void)snprintf(client->csrf, sizeof(client->csrf), "%s", csrf != NULL ? csrf : "");
}

int desk_path_make(struct desk_path *ret_path, struct error *ret_error, const char *format,
                   const char *const *values, size_t count)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t size = 0, next = 0;
    bool fits = true;

    for (const char *at = format; *at != '\0' && fits; at++) {
        const bool is_value = at[0] == '{' && at[1] == '}' && next < count;
        const char *text = is_value ? values[next++] : at;
        const size_t text_size = is_value ? strlen(text) : 1;
        for (size_t i = 0; i < text_size && fits; i++) {
            const bool is_plain = !is_value || strchr(plain, text[i]) != NULL;
            fits = size + 4 <= sizeof(ret_path->text);
            if (fits)
                size += (size_t)sprintf(ret_path->text + size, is_plain ? "%c" : "%%%02X",
                                        (unsigned char)text[i]);
        }
        at += is_value;
    }
    if (!fits)
        return error_set(ret_error, -EINVAL, "a name is too long for a path");
    ret_path->text[size] = '\0';
    return 0;
}

void desk_answer_clear(struct desk_answer *answer)
{
    if (answer->text != NULL)
        sodium_memzero(answer->text, answer->size); /* it may hold a token */
    free(answer->text);
    json_decref(answer->json);
    *answer = (struct desk_answer){0};
}

/* ---- One exchange ---- */

static bool header_add(struct curl_slist **list, const char *name, const char *value)
{
    char *line;
    if (asprintf(&line, "%s: %s", name, value) < 0)
        return false;
    struct curl_slist *longer = curl_slist_append(*list, line);
    sodium_memzero(line, strlen(line));
    free(line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static bool headers_make(const struct desk_client *client, const char *type,
                         struct curl_slist **list)
{
    char bearer[600];
    bool is_made = header_add(list, "Accept", "application/json, application/problem+json, */*");

    if (is_made && type != NULL)
        is_made = header_add(list, "Content-Type", type) && header_add(list, "Expect", "");
    if (is_made && client->has_session && client->csrf[0] != '\0')
        is_made = header_add(list, "X-CSRF-Token", client->csrf);
    if (is_made && !client->has_session && client->place.token != NULL) {
        (void)snprintf(bearer, sizeof(bearer), "Bearer %s", client->place.token);
        is_made = header_add(list, "Authorization", bearer);
        sodium_memzero(bearer, sizeof(bearer));
    }
    return is_made;
}

static void curl_set(struct desk_client *client, const char *method, const char *address,
                     const void *octets, size_t size, struct curl_slist *headers,
                     struct arrival *arrival)
{
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_URL, address);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, arrival);
    if (octets != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, octets);
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

static int code_of(long status)
{
    switch (status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EEXIST;
    case 429:
    case 503:
        return -EAGAIN;
    default:
        return status < 500 ? -EINVAL : -EREMOTEIO;
    }
}

/* The problem (RFC 9457) that a desk answers, or what there is of one. */
static int problem_of(const struct desk_client *client, const struct desk_answer *answer,
                      struct error *ret_error)
{
    const char *title = NULL, *detail = NULL, *remedy = NULL, *pointer = NULL;
    const int code = code_of(answer->status);

    if (answer->json != NULL)
        (void)json_unpack(answer->json, "{s?s, s?s, s?s, s?s}", "title", &title, "detail", &detail,
                          "remedy", &remedy, "pointer", &pointer);
    const char *cause = detail != NULL ? detail : title;
    if (cause == NULL)
        return error_set(ret_error, code, "%s answers with HTTP %ld: is there a desk?",
                         client->place.url, answer->status);
    if (answer->status == 401 && client->place.token == NULL && !client->has_session)
        remedy = "sign in by tamis account login, or give --token-file";
    return error_set_at(ret_error, code, pointer != NULL ? pointer : "", 0, "%s%s%s", cause,
                        remedy != NULL ? ": " : "", remedy != NULL ? remedy : "");
}

static int judge(const struct desk_client *client, CURLcode code, struct arrival *arrival,
                 struct error *ret_error)
{
    struct desk_answer *answer = &arrival->answer;
    const char *type = NULL;

    if (arrival->is_too_long)
        return error_set(ret_error, -EFBIG, "%s answers with more than a client takes",
                         client->place.url);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return error_set(ret_error, -EIO,
                         "%s cannot be reached: is the address right, and does "
                         "tamis-desk run?",
                         client->place.url);
    if (code != CURLE_OK)
        return error_set(ret_error, -EIO, "%s: %s", client->place.url, curl_easy_strerror(code));
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(client->curl, CURLINFO_CONTENT_TYPE, &type);
    if (type != NULL && answer->text != NULL &&
        (strncasecmp(type, "application/json", 16) == 0 ||
         strncasecmp(type, "application/problem+json", 24) == 0))
        answer->json = json_loadb(answer->text, answer->size, JSON_DECODE_ANY, NULL);
    if (answer->status >= 400)
        return problem_of(client, answer, ret_error);
    if (answer->status < 200 || answer->status >= 300)
        return error_set(ret_error, -EREMOTEIO,
                         "%s leads elsewhere (HTTP %ld): give the address that it leads to",
                         client->place.url, answer->status);
    return 0;
}

int desk_client_send(struct desk_client *client, const char *method, const char *path,
                     const char *type, const void *octets, size_t size,
                     struct desk_answer *ret_answer, struct error *ret_error)
{
    struct arrival arrival = {0};
    struct curl_slist *headers = NULL;
    char *address = NULL;
    int rc;

    if (!headers_make(client, octets != NULL ? type : NULL, &headers) ||
        asprintf(&address, "%s%s", client->place.url, path) < 0) {
        rc = error_set(ret_error, -ENOMEM, "no memory for a request");
    } else {
        curl_set(client, method, address, octets, size, headers, &arrival);
        rc = judge(client, curl_easy_perform(client->curl), &arrival, ret_error);
    }
    curl_slist_free_all(headers);
    free(address);
    if (rc < 0) {
        desk_answer_clear(&arrival.answer);
        return rc;
    }
    *ret_answer = arrival.answer;
    return 0;
}

/* ---- JSON ---- */

int desk_client_ask(struct desk_client *client, const char *method, const char *path,
                    const json_t *body, json_t **ret_json, struct error *ret_error)
{
    struct desk_answer answer;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;

    if (body != NULL && text == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for a request");
    int rc = desk_client_send(client, method, path, "application/json", text,
                              text != NULL ? strlen(text) : 0, &answer, ret_error);
    if (text != NULL)
        sodium_memzero(text, strlen(text)); /* it may hold a password */
    free(text);
    if (rc < 0)
        return rc;
    if (answer.size > 0 && answer.json == NULL)
        rc = error_set(ret_error, -EREMOTEIO, "%s answers with something else than JSON",
                       client->place.url);
    else if (ret_json != NULL)
        *ret_json = TAKE(answer.json);
    desk_answer_clear(&answer);
    return rc;
}

static int page_path(const char *path, const char *cursor, struct desk_path *ret_path,
                     struct error *ret_error)
{
    char format[DESK_PATH_SIZE];
    if (cursor == NULL) {
        (void)snprintf(format, sizeof(format), "%s%climit=200", path,
                       strchr(path, '?') != NULL ? '&' : '?');
        return desk_path_make(ret_path, ret_error, format, NULL, 0);
    }
    (void)snprintf(format, sizeof(format), "%s%climit=200&cursor={}", path,
                   strchr(path, '?') != NULL ? '&' : '?');
    return desk_path(ret_path, ret_error, format, cursor);
}

int desk_client_list(struct desk_client *client, const char *path, json_t **ret_items,
                     struct error *ret_error)
{
    json_t *items = json_array(), *page = NULL;
    const char *cursor = NULL;
    struct desk_path asked;
    int rc = 0;

    for (size_t i = 0; i < PAGES_MAX && rc == 0 && (i == 0 || cursor != NULL); i++) {
        rc = page_path(path, cursor, &asked, ret_error);
        json_decref(page);
        page = NULL;
        if (rc == 0)
            rc = desk_client_ask(client, "GET", asked.text, NULL, &page, ret_error);
        if (rc == 0 && json_array_extend(items, json_object_get(page, "items")) < 0)
            rc = error_set(ret_error, -EREMOTEIO, "%s answers with something else than a list",
                           client->place.url);
        if (rc == 0)
            cursor = json_string_value(json_object_get(page, "next"));
    }
    json_decref(page);
    if (rc < 0) {
        json_decref(items);
        return rc;
    }
    *ret_items = items;
    return 0;
}
