/* Shorthands for the tables of a configuration's schema (yaml_load.h). OPTIONAL values are NULL or
 * empty when the file leaves them out: optional numbers and flags are pointers, too. */
#pragma once

#include <cyaml/cyaml.h>

#define TEXT(key, type, member) \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 0, CYAML_UNLIMITED)
#define OPTIONAL_TEXT(key, type, member)                                                   \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
                           CYAML_UNLIMITED)
#define OPTIONAL_NUMBER(key, type, member) \
    CYAML_FIELD_UINT_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member)
#define OPTIONAL_FLAG(key, type, member) \
    CYAML_FIELD_BOOL_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member)
#define OPTIONAL_MAP(key, type, member, fields) \
    CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, fields)
#define OPTIONAL_LIST(key, type, member, entry, count_max)                                      \
    CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, entry, 0, \
                         count_max)
#define OPTIONAL_TEXTS(key, type, member) \
    OPTIONAL_LIST(key, type, member, &yaml_text_schema, CYAML_UNLIMITED)

/* The entry of a list of texts. */
extern const cyaml_schema_value_t yaml_text_schema;
