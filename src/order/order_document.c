#include "order/order_document.h"

#define OPTIONAL_POINTER (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)

static const cyaml_schema_value_t string_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

static const cyaml_strval_t kinds[] = {
    {"court", ORDER_COURT},
    {"provider", ORDER_PROVIDER},
    {"registry", ORDER_REGISTRY},
};

/* In the order of the enumeration; the last two are no words of a file. */
static const cyaml_strval_t actions[] = {
    {"sinkhole", VERDICT_SINKHOLE}, {"nxdomain", VERDICT_NXDOMAIN}, {"nodata", VERDICT_NODATA},
    {"refuse", VERDICT_REFUSE},     {"observe", VERDICT_OBSERVE},   {"drop", VERDICT_DROP},
    {"tcp-only", VERDICT_TCP_ONLY},
};
#define FILE_ACTIONS (VERDICT_OBSERVE + 1)

static const cyaml_schema_field_t sinkhole_fields[] = {
    CYAML_FIELD_SEQUENCE("a", OPTIONAL_POINTER, struct document_sinkhole, a, &string_schema, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("aaaa", OPTIONAL_POINTER, struct document_sinkhole, aaaa, &string_schema,
                         0, CYAML_UNLIMITED),
    CYAML_FIELD_UINT_PTR("ttl", OPTIONAL_POINTER, struct document_sinkhole, ttl),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t signature_fields[] = {
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct document_signature, key, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("value", CYAML_FLAG_POINTER, struct document_signature, value, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t signature_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct document_signature, signature_fields),
};

static const cyaml_schema_field_t budget_fields[] = {
    CYAML_FIELD_UINT_PTR("live", OPTIONAL_POINTER, struct document_budget, live),
    CYAML_FIELD_UINT_PTR("shared", OPTIONAL_POINTER, struct document_budget, shared),
    CYAML_FIELD_UINT_PTR("cuts", OPTIONAL_POINTER, struct document_budget, cuts),
    CYAML_FIELD_FLOAT_PTR("query-share", OPTIONAL_POINTER, struct document_budget, query_share),
    CYAML_FIELD_FLOAT_PTR("client-share", OPTIONAL_POINTER, struct document_budget, client_share),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t evidence_fields[] = {
    CYAML_FIELD_BOOL("content", CYAML_FLAG_DEFAULT, struct document_evidence, content),
    CYAML_FIELD_STRING_PTR("seal-to", OPTIONAL_POINTER, struct document_evidence, seal_to, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

/* `ends` is optional here only so that its absence gets a sentence of its own. */
static const cyaml_schema_field_t order_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, struct order_document, id, 0, CYAML_UNLIMITED),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct order_document, kind, kinds,
                     CYAML_ARRAY_LEN(kinds)),
    CYAML_FIELD_STRING_PTR("authority", CYAML_FLAG_POINTER, struct order_document, authority, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("starts", CYAML_FLAG_POINTER, struct order_document, starts, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("ends", OPTIONAL_POINTER, struct order_document, ends, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_ENUM("action", CYAML_FLAG_STRICT, struct order_document, action, actions,
                     FILE_ACTIONS),
    CYAML_FIELD_MAPPING_PTR("sinkhole", OPTIONAL_POINTER, struct order_document, sinkhole,
                            sinkhole_fields),
    CYAML_FIELD_STRING_PTR("notice", OPTIONAL_POINTER, struct order_document, notice, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("names-file", OPTIONAL_POINTER, struct order_document, names_file, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("names", OPTIONAL_POINTER, struct order_document, names, &string_schema, 0,
                         CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("subtrees", OPTIONAL_POINTER, struct order_document, subtrees,
                         &string_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("exempt", OPTIONAL_POINTER, struct order_document, exempt, &string_schema,
                         0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("signatures", OPTIONAL_POINTER, struct order_document, signatures,
                         &signature_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_MAPPING_PTR("budget", OPTIONAL_POINTER, struct order_document, budget,
                            budget_fields),
    CYAML_FIELD_MAPPING_PTR("evidence", OPTIONAL_POINTER, struct order_document, evidence,
                            evidence_fields),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t order_document_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct order_document, order_fields),
};

const char *order_kind_word(enum order_kind kind)
{
    return kinds[kind].str;
}

const char *order_action_word(enum verdict_action action)
{
    return actions[action].str;
}

void order_document_quote(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char octet = (unsigned char)*at;
        if (octet == '"' || octet == '\\')
            fprintf(stream, "\\%c", octet);
        else if (octet < 0x20 || octet == 0x7f)
            fprintf(stream, "\\x%02x", octet);
        else
            fputc(octet, stream);
    }
    fputc('"', stream);
}
