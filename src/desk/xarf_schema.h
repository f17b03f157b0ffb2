/* The schemas of XARF 4 as data: what members a type has, what they must be, and which of them name
 * the hosts that a report is about. After the published JSON schemas (xarf.org, schemas/v4). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xarf_form {
    XARF_TEXT,     /* at most `max` characters; 0: no bound but the desk's */
    XARF_URI,      /* RFC 3986: begins with a scheme */
    XARF_HOSTNAME, /* RFC 1123 */
    XARF_EMAIL,
    XARF_TIME,    /* RFC 3339 */
    XARF_WORD,    /* one of `words` */
    XARF_INTEGER, /* `min` to `max` */
    XARF_NUMBER,  /* `min` to `max` */
    XARF_FLAG,
    XARF_COUNTRY, /* two capital letters */
    XARF_TEXTS,   /* a list of texts */
    XARF_URIS,
    XARF_WORDS,  /* a list of `words`, with at least `min` entries */
    XARF_OBJECT, /* with `members` */
    XARF_OBJECTS,
};

struct xarf_member {
    const char *name;
    enum xarf_form form;
    bool is_required;
    bool names_host; /* what it holds (a URL, or a name or address) is reported */
    bool is_closed;  /* an object takes no members beside `members` */
    int64_t min, max;
    const char *const *words;          /* NULL ends them */
    const struct xarf_member *members; /* a NULL name ends them */
};

struct xarf_type {
    const char *category, *type;
    const char *report_class;
    const struct xarf_member *members;
    const struct xarf_member *base; /* of the category; NULL: none */
};

extern const struct xarf_type xarf_types[];
extern const size_t xarf_type_count;

/* Categories of the core schema; NULL ends them. */
extern const char *const xarf_categories[];
