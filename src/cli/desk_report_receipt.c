#include "cli/desk_report_receipt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"

#define RECEIPT_SIZE_MAX (1 << 20)

#define ID_SIZE_MAX    64
#define TOKEN_SIZE_MAX 128

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int report_receipt_keep(const char *path, const json_t *answer, struct error *ret_error)
{
    char *text = json_dumps(answer, JSON_INDENT(2));
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for the receipt");
    int rc = file_text_create(path, 0600, text, strlen(text), ret_error);
    free(text);
    return rc;
}

static int address_make(const char *id, const char *token, struct desk_path *ret_path,
                        struct error *ret_error)
{
    return desk_path(ret_path, ret_error, "/v1/reports/{}?token={}", id, token);
}

/* Takes the letters of an id or a token off `*at`. False: there are none, or too many. */
static bool word_take(const char **at, char *ret_word, size_t size)
{
    size_t length = strspn(*at, letters);
    if (length == 0 || length >= size)
        return false;
    memcpy(ret_word, *at, length);
    ret_word[length] = '\0';
    *at += length;
    return true;
}

/* Mails are often kept as they were sent, where "=" is "=3D" (RFC 2045, 6.7). */
static bool token_begins(const char **at)
{
    static const char *const begins[] = {"?token=3D", "?token="};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
        if (strncmp(*at, begins[i], strlen(begins[i])) == 0) {
            *at += strlen(begins[i]);
            return true;
        }
    return false;
}

static bool address_find(const char *text, char ret_id[static ID_SIZE_MAX],
                         char ret_token[static TOKEN_SIZE_MAX])
{
    static const char begin[] = "/v1/reports/";
    for (const char *at = strstr(text, begin); at != NULL; at = strstr(at, begin)) {
        at += strlen(begin);
        if (word_take(&at, ret_id, ID_SIZE_MAX) && token_begins(&at) &&
            word_take(&at, ret_token, TOKEN_SIZE_MAX))
            return true;
    }
    return false;
}

int report_receipt_path(const char *path, struct desk_path *ret_path, struct error *ret_error)
{
    char id_found[ID_SIZE_MAX], token_found[TOKEN_SIZE_MAX];
    struct file_text text;

    int rc = file_text_read(path, RECEIPT_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    json_t *receipt = json_loadb(text.octets, text.size, 0, NULL);
    const char *id = json_string_value(json_object_get(receipt, "id"));
    const char *token = json_string_value(json_object_get(receipt, "token"));
    if (id != NULL && token != NULL)
        rc = address_make(id, token, ret_path, ret_error);
    else if (address_find(text.octets, id_found, token_found))
        rc = address_make(id_found, token_found, ret_path, ret_error);
    else
        rc = error_set_at(ret_error, -EINVAL, path, 0,
                          "is no receipt of a report: give the file that 'tamis report submit "
                          "--output' made, or one with the address that the acknowledgement has");
    json_decref(receipt);
    file_text_clear(&text);
    return rc;
}
