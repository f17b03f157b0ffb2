#include "cli/interest_tokens.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"
#include "cli/desk_client.h"
#include "desk/interest_token.h"

#define LIST_SIZE_MAX  (16 << 20)
#define BATCH_MAX      200 /* names of one evaluation, as the desk takes */
#define BASE64_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define BASE64_SIZE    sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_URLSAFE_NO_PADDING)

/* A name on its way: an interest needs its own and those above it. */
struct blinded {
    const char *name;
    size_t pattern;
    enum interest_relation relation;
    uint8_t blind[BLINDING_SCALAR_SIZE], element[BLINDING_ELEMENT_SIZE];
};

struct blinded_list {
    struct blinded *items;
    size_t count, room;
};

static int out_of_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "out of memory for interests");
}

static bool grow(void **items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    const size_t more = *room > 0 ? 2 * *room : 16;
    void *grown = reallocarray(*items, more, size);
    if (grown == NULL)
        return false;
    *items = grown;
    *room = more;
    return true;
}

/* ---- Patterns ---- */

int interest_patterns_add(struct interest_patterns *patterns, const char *text,
                          struct error *ret_error)
{
    const char *reason;
    if (!grow((void **)&patterns->items, patterns->count, &patterns->room,
              sizeof(*patterns->items)))
        return out_of_memory(ret_error);
    char *copy = strdup(text);
    if (copy == NULL)
        return out_of_memory(ret_error);
    size_t size = strlen(copy);
    if (size > 0 && copy[size - 1] == '.')
        copy[size - 1] = '\0';
    for (char *at = copy; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    const bool is_tree = strncmp(copy, "*.", 2) == 0;
    const char *name = copy + (is_tree ? 2 : 0);
    if (!interest_name_valid(name, &reason)) {
        int rc =
            error_set(ret_error, -EINVAL, "'%s' is no name to be interested in: %s", text, reason);
        free(copy);
        return rc;
    }
    patterns->items[patterns->count++] =
        (struct interest_pattern){.text = copy, .name = name, .is_tree = is_tree};
    return 0;
}

int interest_patterns_read(struct interest_patterns *patterns, const char *path,
                           struct error *ret_error)
{
    struct file_text text;
    struct error problem;
    uint32_t number = 0;
    char *rest;
    int rc = file_text_read(path, LIST_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    rest = text.octets;
    for (char *line; rc == 0 && (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        line[strcspn(line, "#")] = '\0';
        line += strspn(line, " \t\r");
        line[strcspn(line, " \t\r")] = '\0';
        if (line[0] == '\0')
            continue;
        rc = interest_patterns_add(patterns, line, &problem);
        if (rc < 0)
            error_set_at(ret_error, rc, path, number, "%s", problem.text);
    }
    file_text_clear(&text);
    return rc;
}

void interest_patterns_clear(struct interest_patterns *patterns)
{
    for (size_t i = 0; i < patterns->count; i++)
        free(patterns->items[i].text);
    free(patterns->items);
    *patterns = (struct interest_patterns){0};
}

/* ---- Blinding ---- */

static int blinded_add(struct blinded_list *list, const char *name, size_t pattern,
                       enum interest_relation relation, struct error *ret_error)
{
    if (!grow((void **)&list->items, list->count, &list->room, sizeof(*list->items)))
        return out_of_memory(ret_error);
    struct blinded *item = &list->items[list->count++];
    *item = (struct blinded){.name = name, .pattern = pattern, .relation = relation};
    if (blinding_blind(name, strlen(name), item->blind, item->element) < 0)
        return error_set(ret_error, -EDOM, "the name %s cannot be blinded", name);
    return 0;
}

static int blinded_make(const struct interest_patterns *patterns, struct blinded_list *list,
                        struct error *ret_error)
{
    int rc = 0;
    for (size_t i = 0; i < patterns->count && rc == 0; i++) {
        const struct interest_pattern *pattern = &patterns->items[i];
        rc = blinded_add(list, pattern->name, i, pattern->is_tree ? INTEREST_TREE : INTEREST_NAME,
                         ret_error);
        for (const char *up = interest_parent(pattern->name); up != NULL && rc == 0;
             up = interest_parent(up))
            rc = blinded_add(list, up, i, INTEREST_BELOW, ret_error);
    }
    return rc;
}

/* ---- Asking ---- */

static json_t *octets_text(const uint8_t octets[static 32])
{
    char text[BASE64_SIZE];
    sodium_bin2base64(text, sizeof(text), octets, 32, BASE64_VARIANT);
    return json_string(text);
}

static bool octets_read(const json_t *json, uint8_t ret_octets[static 32])
{
    size_t size = 0;
    return json_is_string(json) &&
           sodium_base642bin(ret_octets, 32, json_string_value(json), json_string_length(json),
                             NULL, &size, NULL, BASE64_VARIANT) == 0 &&
           size == 32;
}

/* Adds the token to the body of its pattern. */
static int token_add(const struct blinded *item, const json_t *evaluated, const char *key,
                     json_t *bodies, struct error *ret_error)
{
    uint8_t element[32], output[BLINDING_OUTPUT_SIZE], token[INTEREST_TOKEN_SIZE];
    json_t *body = json_array_get(bodies, item->pattern);
    const char *known = json_string_value(json_object_get(body, "key"));
    if (!octets_read(evaluated, element) ||
        blinding_finalize(item->name, strlen(item->name), item->blind, element, output) < 0)
        return error_set(ret_error, -EBADMSG, "the desk sent no element of ristretto255");
    if (known != NULL && strcmp(known, key) != 0)
        return error_set(ret_error, -EAGAIN, "the desk has changed its key meanwhile: try again");
    json_object_set_new(body, "key", json_string(key));
    interest_token_make(item->relation, output, token);
    json_array_append_new(json_object_get(body, "tokens"), octets_text(token));
    return 0;
}

static int batch_evaluate(struct desk_client *client, const struct blinded *items, size_t count,
                          json_t *bodies, struct error *ret_error)
{
    json_t *answer = NULL, *elements = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(elements, octets_text(items[i].element));
    json_t *body = json_pack("{s:o}", "elements", elements);
    int rc = desk_client_ask(client, "POST", "/v1/interests/evaluations", body, &answer, ret_error);
    json_decref(body);
    if (rc < 0)
        return rc;
    const json_t *evaluated = json_object_get(answer, "elements");
    const char *key = json_string_value(json_object_get(answer, "key"));
    if (key == NULL || json_array_size(evaluated) != count)
        rc = error_set(ret_error, -EBADMSG, "the desk answered another number of names");
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = token_add(&items[i], json_array_get(evaluated, i), key, bodies, ret_error);
    json_decref(answer);
    return rc;
}

int interest_bodies_make(struct desk_client *client, const struct interest_patterns *patterns,
                         json_t **ret_bodies, struct error *ret_error)
{
    struct blinded_list list = {0};
    json_t *bodies = json_array();
    if (sodium_init() < 0)
        return error_set(ret_error, -EIO, "no randomness to blind with");
    for (size_t i = 0; i < patterns->count; i++)
        json_array_append_new(bodies, json_pack("{s:[]}", "tokens"));
    int rc = blinded_make(patterns, &list, ret_error);
    for (size_t at = 0; at < list.count && rc == 0; at += BATCH_MAX) {
        const size_t left = list.count - at;
        rc = batch_evaluate(client, list.items + at, left < BATCH_MAX ? left : BATCH_MAX, bodies,
                            ret_error);
    }
    if (list.items != NULL)
        sodium_memzero(list.items, list.count * sizeof(*list.items));
    free(list.items);
    if (rc < 0) {
        json_decref(bodies);
        return rc;
    }
    *ret_bodies = bodies;
    return 0;
}
