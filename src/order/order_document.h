/* The order file as YAML says it, before anything is understood: private to the order module. */
#pragma once

#include <cyaml/cyaml.h>
#include <stdint.h>
#include <stdio.h>

#include "order/order.h"

struct document_sinkhole {
    char **a;
    unsigned a_count;
    char **aaaa;
    unsigned aaaa_count;
    uint32_t *ttl;
};

struct document_signature {
    char *key;
    char *value;
};

struct document_budget {
    uint64_t *live, *shared, *cuts;
    double *query_share, *client_share;
};

struct document_evidence {
    bool content;
    char *seal_to;
};

struct order_document {
    char *id;
    enum order_kind kind;
    char *authority;
    char *starts;
    char *ends;
    enum verdict_action action;
    struct document_sinkhole *sinkhole;
    char *notice;
    char *names_file;
    char **names;
    unsigned names_count;
    char **subtrees;
    unsigned subtrees_count;
    char **exempt;
    unsigned exempt_count;
    struct document_signature *signatures;
    unsigned signatures_count;
    struct document_budget *budget;
    struct document_evidence *evidence;
};

extern const cyaml_schema_value_t order_document_schema;

/* Makes order->verdict whole, as the answer path needs it: from what the order says, beside the
 * addresses and the TTL, which are set. */
void order_make_verdict(struct order *order);

/* Writes a string in YAML's double-quoted form, which takes any octet. */
void order_document_quote(FILE *stream, const char *text);
