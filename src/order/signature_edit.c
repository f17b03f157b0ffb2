/* libyaml tells where the list and its parts stand; the edit is then one insertion or replacement
 * of text. Its marks count characters, files have octets: places are found by line and column. */
#include "order/signature_edit.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "order/signature.h"
#include "order/signing_key.h"

/* Where the signatures stand, as offsets into the text. */
struct places {
    bool found; /* the key is there */
    bool flow;  /* written as [ ... ] */
    size_t list_begin, list_end;
    size_t count;                  /* entries */
    size_t first_column;           /* of the '-' of a block list, in characters */
    size_t last_end;               /* of the last entry */
    bool value_found;              /* the signer has an entry */
    size_t value_begin, value_end; /* of its value */
    bool document_flow;            /* the whole order is written as { ... } */
};

/* Octets of a byte-order mark, which libyaml takes for text when it is told the encoding. */
static size_t mark_size(const char *text, size_t size)
{
    return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* Lines would be no help: libyaml ends one at a lone carriage return and at U+2028 as well. */
static size_t offset_of(const char *text, size_t size, const yaml_mark_t *mark)
{
    size_t at = mark_size(text, size);

    for (size_t characters = 0; characters < mark->index && at < size; characters++) {
        at++;
        while (at < size && ((unsigned char)text[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

static const char *scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

/* The value node under a key, or NULL. */
static yaml_node_t *find_value(yaml_document_t *document, const yaml_node_t *mapping,
                               const char *key)
{
    if (mapping == NULL || mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++)
        if (strcmp(scalar(yaml_document_get_node(document, pair->key)), key) == 0)
            return yaml_document_get_node(document, pair->value);
    return NULL;
}

/* A block mapping's end mark lies where the next token begins, behind comments and blank lines: its
 * true end is the end of its last value. */
static size_t node_end(yaml_document_t *document, const yaml_node_t *node, const char *text,
                       size_t size)
{
    if (node->type == YAML_MAPPING_NODE && node->data.mapping.style != YAML_FLOW_MAPPING_STYLE &&
        node->data.mapping.pairs.top > node->data.mapping.pairs.start)
        node = yaml_document_get_node(document, node->data.mapping.pairs.top[-1].value);
    return offset_of(text, size, &node->end_mark);
}

static void locate_entries(yaml_document_t *document, const yaml_node_t *list, const char *text,
                           size_t size, const char *key, struct places *places)
{
    for (const yaml_node_item_t *item = list->data.sequence.items.start;
         item < list->data.sequence.items.top; item++) {
        yaml_node_t *entry = yaml_document_get_node(document, *item);
        places->count++;
        places->last_end = node_end(document, entry, text, size);
        const yaml_node_t *name = find_value(document, entry, "key");
        const yaml_node_t *value = find_value(document, entry, "value");
        if (name == NULL || value == NULL || strcmp(scalar(name), key) != 0)
            continue;
        places->value_found = true;
        places->value_begin = offset_of(text, size, &value->start_mark);
        places->value_end = offset_of(text, size, &value->end_mark);
    }
}

static void locate(yaml_document_t *document, const char *text, size_t size, const char *key,
                   struct places *places)
{
    yaml_node_t *root = yaml_document_get_root_node(document);
    yaml_node_t *list = find_value(document, root, "signatures");

    places->document_flow = root != NULL && root->type == YAML_MAPPING_NODE &&
                            root->data.mapping.style == YAML_FLOW_MAPPING_STYLE;
    if (list == NULL || list->type != YAML_SEQUENCE_NODE)
        return;
    places->found = true;
    places->flow = list->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE;
    places->list_begin = offset_of(text, size, &list->start_mark);
    places->list_end = offset_of(text, size, &list->end_mark);
    places->first_column = list->start_mark.column;
    locate_entries(document, list, text, size, key, places);
}

/* Whether the places are what the edits take them for, whatever libyaml's marks say. */
static bool places_hold(const struct places *places, const char *text, size_t size)
{
    if (places->value_begin > places->value_end || places->list_begin > places->list_end ||
        places->last_end > size || places->list_end > size || places->value_end > size)
        return false;
    return !places->flow || (places->list_begin < size && text[places->list_begin] == '[');
}

static int find_places(const char *text, size_t size, const char *key, struct places *ret_places)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct places places = {0};

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    size_t begin = mark_size(text, size);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text + begin, size - begin);
    if (!yaml_parser_load(&parser, &document)) {
        yaml_parser_delete(&parser);
        return -ENOTSUP;
    }
    locate(&document, text, size, key, &places);
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    if (!places_hold(&places, text, size))
        return -ENOTSUP;
    *ret_places = places;
    return 0;
}

/* The text under edit and where the edited one goes. */
struct edit {
    const char *text;
    size_t size;
    const char *key, *value;
    FILE *stream;
};

static void write_slice(const struct edit *edit, size_t begin, size_t end)
{
    fwrite(edit->text + begin, 1, end - begin, edit->stream);
}

/* The entry as it stands in any list. */
static void write_entry(const struct edit *edit)
{
    fprintf(edit->stream, "{ key: \"%s\", value: \"%s\" }", edit->key, edit->value);
}

static size_t line_end(const struct edit *edit, size_t at)
{
    const char *newline = memchr(edit->text + at, '\n', edit->size - at);

    return newline != NULL ? (size_t)(newline - edit->text) : edit->size;
}

static void replace_value(const struct edit *edit, const struct places *places)
{
    write_slice(edit, 0, places->value_begin);
    fprintf(edit->stream, "\"%s\"", edit->value);
    write_slice(edit, places->value_end, edit->size);
}

static void append_list(const struct edit *edit)
{
    write_slice(edit, 0, edit->size);
    if (edit->size > 0 && edit->text[edit->size - 1] != '\n')
        fputc('\n', edit->stream);
    fputs("signatures:\n  - ", edit->stream);
    write_entry(edit);
    fputc('\n', edit->stream);
}

/* "signatures: [] # why" becomes a block list below the same comment. */
static void open_empty_list(const struct edit *edit, const struct places *places)
{
    size_t begin = places->list_begin, end = line_end(edit, places->list_end);
    size_t comment = places->list_end;

    while (comment < end && strchr(" \t\r", edit->text[comment]) != NULL)
        comment++;
    while (comment == end && begin > 0 && edit->text[begin - 1] == ' ')
        begin--;
    write_slice(edit, 0, begin);
    write_slice(edit, comment, end);
    fputs("\n  - ", edit->stream);
    write_entry(edit);
    write_slice(edit, end, edit->size);
}

static void append_to_flow(const struct edit *edit, const struct places *places)
{
    size_t at = places->count > 0 ? places->last_end : places->list_begin + 1;

    write_slice(edit, 0, at);
    if (places->count > 0)
        fputs(", ", edit->stream);
    write_entry(edit);
    write_slice(edit, at, edit->size);
}

/* A comment behind the last entry stays behind it. */
static void append_to_block(const struct edit *edit, const struct places *places)
{
    size_t at = line_end(edit, places->last_end);

    write_slice(edit, 0, at);
    fprintf(edit->stream, "\n%*s- ", (int)places->first_column, "");
    write_entry(edit);
    write_slice(edit, at, edit->size);
}

static void write_edited(const struct edit *edit, const struct places *places)
{
    if (places->value_found)
        replace_value(edit, places);
    else if (!places->found)
        append_list(edit);
    else if (places->count == 0 && !places->document_flow)
        open_empty_list(edit, places);
    else if (places->flow)
        append_to_flow(edit, places);
    else
        append_to_block(edit, places);
}

/* The proof of the edit: the new text loads, and the signature is in it and matches it, so that
 * nothing that is signed has changed. */
static bool edit_holds(const char *path, const char *text, size_t size,
                       const struct signing_key *key)
{
    const struct order_keyring_entry entry = {
        .name = key->name,
        .public_key = key->secret + SIGNING_SECRET_SIZE - SIGNING_PUBLIC_SIZE,
    };
    const struct order_policy loads = {.unverified = true};
    const struct order_policy verifies = {.keyring = &entry, .keyring_count = 1};
    _cleanup_(order_freep) struct order *order = NULL;

    return order_load_text(path, text, size, &loads, &order, NULL) == 0 &&
           order_signatures_valid(order, &verifies) == 1;
}

static int make_edit(const char *text, size_t size, const struct signing_key *key,
                     const char *value, char **ret_text, size_t *ret_size)
{
    struct places places;

    int rc = find_places(text, size, key->name, &places);
    if (rc < 0)
        return rc;
    FILE *stream = open_memstream(ret_text, ret_size);
    if (stream == NULL)
        return -ENOMEM;
    const struct edit edit = {
        .text = text, .size = size, .key = key->name, .value = value, .stream = stream};
    write_edited(&edit, &places);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(*ret_text);
        return -ENOMEM;
    }
    return 0;
}

int signature_edit(const char *path, const char *text, size_t size, const struct signing_key *key,
                   const uint8_t *value, char **ret_text, size_t *ret_size, struct error *ret_error)
{
    char encoded[BASE64_SIZE(SIGNATURE_SIZE)];
    char *edited = NULL;
    size_t edited_size = 0;

    sodium_bin2base64(encoded, sizeof(encoded), value, SIGNATURE_SIZE,
                      sodium_base64_VARIANT_ORIGINAL);
    int rc = make_edit(text, size, key, encoded, &edited, &edited_size);
    if (rc == 0 && !edit_holds(path, edited, edited_size, key)) {
        free(edited);
        rc = -ENOTSUP;
    }
    if (rc == -ENOTSUP)
        return error_set_at(ret_error, rc, path, 0,
                            "has its 'signatures' written in a way that cannot be edited; write "
                            "'signatures: []' on a line of its own, or add by hand: "
                            "{ key: \"%s\", value: \"%s\" }",
                            key->name, encoded);
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "out of memory");
    *ret_text = edited;
    *ret_size = edited_size;
    return 0;
}
