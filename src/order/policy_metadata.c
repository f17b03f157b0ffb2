/* The metadata is an order's document in other clothes: it is written out as one and loaded like a
 * file, so that the same rules hold for both. */
#include "order/policy_metadata.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "order/order_document.h"
#include "order/policy_form.h"

bool policy_string_next(const uint8_t *rdata, size_t size, size_t *at,
                        struct policy_string *ret_string)
{
    if (*at >= size || rdata[*at] > size - *at - 1)
        return false;
    *ret_string = (struct policy_string){.octets = rdata + *at + 1, .size = rdata[*at]};
    *at += 1 + ret_string->size;
    return true;
}

static bool string_is(const struct policy_string *string, const char *text)
{
    return string->size == strlen(text) && memcmp(string->octets, text, string->size) == 0;
}

/* The value behind "KEY="; NULL: the string is none of that key. The value ends with the string. */
static const uint8_t *value_of(const struct policy_string *string, const char *key,
                               size_t *ret_size)
{
    size_t key_size = strlen(key);

    if (string->size <= key_size || memcmp(string->octets, key, key_size) != 0 ||
        string->octets[key_size] != '=')
        return NULL;
    *ret_size = string->size - key_size - 1;
    return string->octets + key_size + 1;
}

int policy_metadata_find(const struct name_entry *owner, const char *path,
                         const uint8_t **ret_rdata, size_t *ret_size, struct error *ret_error)
{
    struct rrset rrset;
    int found = 0;

    if (owner == NULL || !name_entry_rrset(owner, KNOT_RRTYPE_TXT, &rrset))
        return 0;
    const uint8_t *at = rrset.data;
    for (uint16_t i = 0; i < rrset.rr_count; i++) {
        size_t size = knot_wire_read_u16(at), first = 0, value_size;
        const uint8_t *rdata = at + 2;
        struct policy_string string;
        at += 2 + size;
        if (!policy_string_next(rdata, size, &first, &string) ||
            value_of(&string, POLICY_FORM_KEY, &value_size) == NULL)
            continue;
        if (!string_is(&string, POLICY_FORM))
            return error_set_at(ret_error, -EINVAL, path, 0,
                                "its metadata has a form that this version does not know; "
                                "update Tamis");
        if (found++ > 0)
            return error_set_at(ret_error, -EINVAL, path, 0,
                                "holds the metadata of two orders; give each a zone of its own");
        *ret_rdata = rdata;
        *ret_size = size;
    }
    return found;
}

/* The keys by the place that their values have in the document. */
static const char *const plain_keys[] = {"id",   "kind",   "authority", "starts",
                                         "ends", "action", "notice"};
static const char *const budget_keys[] = {"live", "shared", "cuts", "query-share", "client-share"};

struct document {
    FILE *stream;
    const uint8_t *rdata;
    size_t size;
};

static void write_value(FILE *stream, const uint8_t *value, size_t size)
{
    char text[256];

    memcpy(text, value, size);
    text[size] = '\0';
    order_document_quote(stream, text);
}

/* Writes `before`, the value and `after` for each string of the key. */
static void write_key(const struct document *document, const char *key, const char *before,
                      const char *after)
{
    struct policy_string string;

    for (size_t at = 0; policy_string_next(document->rdata, document->size, &at, &string);) {
        size_t size;
        const uint8_t *value = value_of(&string, key, &size);
        if (value == NULL)
            continue;
        fputs(before, document->stream);
        write_value(document->stream, value, size);
        fputs(after, document->stream);
    }
}

static void write_budget(const struct document *document)
{
    fputs("budget: {", document->stream);
    for (size_t i = 0; i < sizeof(budget_keys) / sizeof(budget_keys[0]); i++) {
        char key[32], before[32];
        snprintf(key, sizeof(key), "budget-%s", budget_keys[i]);
        snprintf(before, sizeof(before), "%s: ", budget_keys[i]);
        write_key(document, key, before, ", ");
    }
    fputs("}\n", document->stream);
}

static void write_evidence(const struct document *document)
{
    write_key(document, "evidence-seal-to", "evidence: { content: true, seal-to: ", " }\n");
}

/* "KEY BASE64" each. A value without a blank has no signature, which the document's check names. */
static void write_signatures(const struct document *document)
{
    struct policy_string string;

    fputs("signatures:", document->stream);
    bool any = false;
    for (size_t at = 0; policy_string_next(document->rdata, document->size, &at, &string);) {
        size_t size;
        const uint8_t *value = value_of(&string, "signature", &size);
        if (value == NULL)
            continue;
        const uint8_t *blank = memchr(value, ' ', size);
        size_t name_size = blank != NULL ? (size_t)(blank - value) : size;
        fputs("\n- { key: ", document->stream);
        write_value(document->stream, value, name_size);
        fputs(", value: ", document->stream);
        write_value(document->stream, blank != NULL ? blank + 1 : value,
                    blank != NULL ? size - name_size - 1 : 0);
        fputs(" }", document->stream);
        any = true;
    }
    fputs(any ? "\n" : " []\n", document->stream);
}

static void write_document(const struct document *document)
{
    for (size_t i = 0; i < sizeof(plain_keys) / sizeof(plain_keys[0]); i++) {
        char before[32];
        snprintf(before, sizeof(before), "%s: ", plain_keys[i]);
        write_key(document, plain_keys[i], before, "\n");
    }
    fputs("sinkhole: {", document->stream);
    write_key(document, "ttl", "ttl: ", ", ");
    fputs("a: [", document->stream);
    write_key(document, "a", "", ", ");
    fputs("], aaaa: [", document->stream);
    write_key(document, "aaaa", "", ", ");
    fputs("] }\n", document->stream);
    write_budget(document);
    write_evidence(document);
    write_signatures(document);
}

/* Octets that the document could not hold as they are. */
static int check_strings(const uint8_t *rdata, size_t size, const char *path,
                         struct error *ret_error)
{
    struct policy_string string;
    size_t at = 0;

    while (policy_string_next(rdata, size, &at, &string))
        if (memchr(string.octets, '\0', string.size) != NULL)
            return error_set_at(ret_error, -EINVAL, path, 0,
                                "its metadata has a zero octet; compile the order anew");
    return 0;
}

int policy_metadata_read(const uint8_t *rdata, size_t size, const char *path,
                         struct order **ret_order, struct error *ret_error)
{
    static const struct order_policy unverified = {.unverified = true, .listless = true};
    char *text = NULL;
    size_t text_size;

    int rc = check_strings(rdata, size, path, ret_error);
    if (rc < 0)
        return rc;
    FILE *stream = open_memstream(&text, &text_size);
    if (stream == NULL)
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");
    const struct document document = {.stream = stream, .rdata = rdata, .size = size};
    write_document(&document);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(text);
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");
    }
    rc = order_load_text(path, text, text_size, &unverified, ret_order, ret_error);
    free(text);
    if (rc < 0 && ret_error != NULL)
        ret_error->line = 0; /* of a text that nobody sees */
    return rc;
}
