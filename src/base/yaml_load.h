/* YAML into C structs by a libcyaml schema, with errors that a person can act on.
 *
 * libcyaml fills the struct. Before it does, the text is checked here against the same schema,
 * since libcyaml 1.3.1 names no line for an unknown or duplicate key, takes "yse" for true and
 * "1e3z" for a number, cuts a text at a NUL, and calls an empty file a success. What fails names
 * its file, line and the nearest known key or value. Aliases are refused: no document here needs
 * them, and they can multiply.
 *
 * Schemas may use INT, UINT, BOOL, ENUM, FLOAT, STRING, MAPPING and SEQUENCE, nothing else.
 */
#pragma once

#include <cyaml/cyaml.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Deeper nesting than any schema has; bounds the recursion. */
#define YAML_DEPTH_MAX 16

/* Longest document; longer lists belong in a file of their own. */
#define YAML_SIZE_MAX ((size_t)64 << 20)

/* A document's text and where it came from. */
struct yaml_source {
    char *path;    /* as the user wrote it */
    uint8_t *text; /* UTF-8 */
    size_t size;
};

/* Reads a file; refuses one that changes meanwhile. */
_must_check_ int yaml_source_read(const char *path, struct yaml_source **ret_source,
                                  struct error *ret_error);

/* Copies a text that is already in memory, without its byte-order mark; `path` is what errors call
 * it. */
_must_check_ int yaml_source_create(const char *path, const void *text, size_t size,
                                    struct yaml_source **ret_source, struct error *ret_error);
void yaml_source_free(struct yaml_source *source);
DEFINE_FREEP(struct yaml_source, yaml_source_free)

/* Checks and loads. `schema` is a pointer to a mapping, or to a sequence when `ret_count` is not
 * NULL. The value is freed by yaml_value_free(). */
_must_check_ int yaml_source_load(const struct yaml_source *source,
                                  const cyaml_schema_value_t *schema, void **ret_value,
                                  unsigned *ret_count, struct error *ret_error);

/* Reads, checks and loads a file whose top level is a mapping. */
_must_check_ int yaml_load_file(const char *path, const cyaml_schema_value_t *schema,
                                void **ret_value, struct error *ret_error);

/* Frees what a load made; `count` is 0 for a mapping. NULL is ignored. */
void yaml_value_free(const cyaml_schema_value_t *schema, void *value, unsigned count);

/* The line of a node in a document that loaded, for errors found after loading: `place` is a path
 * of keys and 0-based indices, for example "zones.3.name". Where the node isn't, the line of the
 * nearest one above it; 0 for an empty document. Costs one pass over the text. */
uint32_t yaml_source_line(const struct yaml_source *source, const char *place);

/* The lines of all elements of the sequence at the top-level key `key`, in their order; no elements
 * when there is no such sequence. The caller frees `*ret_lines`. One pass over the text. */
_must_check_ int yaml_source_lines(const struct yaml_source *source, const char *key,
                                   uint32_t **ret_lines, size_t *ret_count);
