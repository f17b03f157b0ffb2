#include "cli/ledger_url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server that sends nothing for so long is given up. */
#define CONNECT_TIMEOUT_S 10L
#define STALLED_S         20L

#define URL_SIZE_MAX 2048

struct ledger_url {
    char base[URL_SIZE_MAX];
    CURL *curl;
    struct file_text text; /* of the request that is made */
    size_t room, size_max;
};

int ledger_url_open(const char *base, struct ledger_url **ret_url, struct error *ret_error)
{
    struct ledger_url *url = calloc(1, sizeof(*url));
    size_t size = strlen(base);
    while (size > 0 && base[size - 1] == '/')
        size--;
    if (url != NULL && curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
        url->curl = curl_easy_init();
    if (url == NULL || url->curl == NULL || size >= URL_SIZE_MAX) {
        free(url);
        return size >= URL_SIZE_MAX ? error_set(ret_error, -EINVAL, "the log's URL is too long")
                                    : error_set(ret_error, -ENOMEM, "no memory for an HTTP client");
    }
    memcpy(url->base, base, size);
    *ret_url = url;
    return 0;
}

void ledger_url_close(struct ledger_url *url)
{
    if (url == NULL)
        return;
    curl_easy_cleanup(url->curl);
    free(url);
}

/* Takes what the server sends; an answer that is too long ends the transfer. */
static size_t take(char *octets, size_t size, size_t count, void *context)
{
    struct ledger_url *url = context;
    const size_t more = size * count;
    if (url->text.size + more > url->size_max)
        return 0;
    if (url->text.size + more + 1 > url->room) {
        const size_t room = (url->text.size + more + 1) * 2;
        char *grown = realloc(url->text.octets, room);
        if (grown == NULL)
            return 0;
        url->text.octets = grown;
        url->room = room;
    }
    memcpy(url->text.octets + url->text.size, octets, more);
    url->text.size += more;
    url->text.octets[url->text.size] = '\0';
    return more;
}

static int judge(const char *address, CURLcode code, long status, struct error *error)
{
    if (code == CURLE_WRITE_ERROR)
        return error_set(error, -EFBIG, "%s: is longer than a log's file may be", address);
    if (code != CURLE_OK)
        return error_set(error, -EIO, "%s: %s", address, curl_easy_strerror(code));
    if (status == 404 || status == 410)
        return error_set(error, -ENOENT, "%s: is not there (HTTP %ld)", address, status);
    if (status != 200)
        return error_set(error, -EIO, "%s: the server answers with HTTP %ld", address, status);
    return 0;
}

int ledger_url_read(void *context, const char *path, size_t size_max, struct file_text *ret_text,
                    struct error *ret_error)
{
    struct ledger_url *url = context;
    char address[URL_SIZE_MAX + 128];
    (void)snprintf(address, sizeof(address), "%s/%s", url->base, path);
    url->text = (struct file_text){0};
    url->room = 0;
    url->size_max = size_max;

    curl_easy_reset(url->curl);
    curl_easy_setopt(url->curl, CURLOPT_URL, address);
    curl_easy_setopt(url->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(url->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(url->curl, CURLOPT_WRITEDATA, url);
    curl_easy_setopt(url->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(url->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(url->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(url->curl, CURLOPT_LOW_SPEED_TIME, STALLED_S);
    curl_easy_setopt(url->curl, CURLOPT_USERAGENT, "tamis/" TAMIS_VERSION);
    long status = 0;
    const CURLcode code = curl_easy_perform(url->curl);
    curl_easy_getinfo(url->curl, CURLINFO_RESPONSE_CODE, &status);
    int rc = judge(address, code, status, ret_error);
    if (rc == 0 && url->text.octets == NULL) {
        url->text.octets = calloc(1, 1); /* an empty file */
        rc = url->text.octets == NULL ? -ENOMEM : 0;
    }
    if (rc < 0) {
        file_text_clear(&url->text);
        return rc;
    }
    *ret_text = url->text;
    return 0;
}
