/* One pass of libyaml's events along the schema, which stops at the first error; and the passes
 * that find lines again after loading. */
#include "base/yaml_check.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/nearest.h"

/* Keys of one mapping, or values of one enumeration, that a schema may have. */
#define WORDS_MAX 64

struct walk {
    const struct yaml_source *source;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    struct error *error;
};

static uint32_t line_of(const yaml_mark_t *mark)
{
    return (uint32_t)(mark->line + 1);
}

static uint32_t event_line(const struct walk *walk)
{
    return line_of(&walk->event.start_mark);
}

static const char *scalar(const struct walk *walk)
{
    return (const char *)walk->event.data.scalar.value;
}

#define FAIL(walk, line, ...) \
    error_set_at((walk)->error, -EINVAL, (walk)->source->path, (line), __VA_ARGS__)

static int syntax_error(struct walk *walk)
{
    const yaml_parser_t *parser = &walk->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        return error_set_at(walk->error, -ENOMEM, walk->source->path, 0, "out of memory");
    if (parser->error == YAML_READER_ERROR)
        return FAIL(walk, 0, "is not UTF-8 text: %s at octet %zu", parser->problem,
                    parser->problem_offset);
    return FAIL(walk, line_of(&parser->problem_mark), "is not valid YAML: %s%s%s",
                parser->problem != NULL ? parser->problem : "syntax error",
                parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

/* Steps to the next event. */
static int next(struct walk *walk)
{
    yaml_event_delete(&walk->event);
    if (!yaml_parser_parse(&walk->parser, &walk->event))
        return syntax_error(walk);
    if (walk->event.type == YAML_ALIAS_EVENT)
        return FAIL(walk, event_line(walk), "aliases (*%s) are not allowed; write the value again",
                    walk->event.data.alias.anchor);
    if (walk->event.type == YAML_SCALAR_EVENT &&
        strlen(scalar(walk)) != walk->event.data.scalar.length)
        return FAIL(walk, event_line(walk), "a text contains the character NUL; remove it");
    return 0;
}

static int walk_open(struct walk *walk, const struct yaml_source *source, struct error *error)
{
    *walk = (struct walk){.source = source, .error = error};
    if (!yaml_parser_initialize(&walk->parser))
        return error_set_at(error, -ENOMEM, source->path, 0, "out of memory");
    yaml_parser_set_encoding(&walk->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&walk->parser, source->text, source->size);
    return 0;
}

static void walk_close(struct walk *walk)
{
    yaml_event_delete(&walk->event);
    yaml_parser_delete(&walk->parser);
}

/* Stops on the first event of the document's content. */
static int walk_begin(struct walk *walk)
{
    int rc;

    do {
        rc = next(walk);
    } while (rc == 0 && (walk->event.type == YAML_STREAM_START_EVENT ||
                         walk->event.type == YAML_DOCUMENT_START_EVENT));
    if (rc == 0 && walk->event.type == YAML_STREAM_END_EVENT)
        return FAIL(walk, 0, "is empty");
    return rc;
}

/* After the content nothing but the end may follow. */
static int walk_end(struct walk *walk)
{
    int rc;

    do {
        rc = next(walk);
    } while (rc == 0 && walk->event.type == YAML_DOCUMENT_END_EVENT);
    if (rc == 0 && walk->event.type != YAML_STREAM_END_EVENT)
        return FAIL(walk, event_line(walk),
                    "a second document begins here; keep one document in a file");
    return rc;
}

/* How a message calls the node under a key. */
static const char *event_noun(const struct walk *walk)
{
    switch (walk->event.type) {
    case YAML_MAPPING_START_EVENT:
        return "a map";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    default:
        return scalar(walk)[0] == '\0' ? "nothing" : "a single value";
    }
}

/* A plain scalar that YAML reads as null. */
static bool is_null(const struct walk *walk)
{
    const char *text = scalar(walk);

    return walk->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

static int check_int(struct walk *walk, const char *key, const cyaml_schema_value_t *schema)
{
    bool is_signed = schema->type == CYAML_INT;
    unsigned bits = (schema->data_size < 8 ? schema->data_size : 8) * 8;
    uint64_t greatest = UINT64_MAX >> (64 - bits + (is_signed ? 1 : 0));
    const char *text = scalar(walk);
    const char *digits = text + (is_signed && text[0] == '-' ? 1 : 0);
    char *end;

    errno = 0;
    unsigned long long value = strtoull(digits, &end, 0);
    if (digits[0] >= '0' && digits[0] <= '9' && *end == '\0' && errno == 0 && value <= greatest)
        return 0;
    if (is_signed)
        return FAIL(walk, event_line(walk), "'%s' expects a whole number, not '%.64s'", key, text);
    return FAIL(walk, event_line(walk), "'%s' expects a whole number from 0 to %llu, not '%.64s'",
                key, (unsigned long long)greatest, text);
}

static int check_float(struct walk *walk, const char *key)
{
    char *end;
    double value = strtod(scalar(walk), &end);

    if (end == scalar(walk) || *end != '\0' || !isfinite(value))
        return FAIL(walk, event_line(walk), "'%s' expects a number, not '%.64s'", key,
                    scalar(walk));
    return 0;
}

static int check_bool(struct walk *walk, const char *key)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(scalar(walk), words[i]) == 0)
            return 0;
    return FAIL(walk, event_line(walk), "'%s' expects true or false, not '%.64s'", key,
                scalar(walk));
}

/* "a, b, c" of the words that a message offers. */
static const char *join(const char *const *words, size_t count, char *ret_text, size_t size)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(ret_text + used, size - used, "%s%s", i > 0 ? ", " : "", words[i]);
    return ret_text;
}

static int check_enum(struct walk *walk, const char *key, const cyaml_schema_value_t *schema)
{
    const char *words[WORDS_MAX];
    uint32_t count = schema->enumeration.count;
    char known[256];

    assert(count <= WORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        words[i] = schema->enumeration.strings[i].str;
        if (strcmp(words[i], scalar(walk)) == 0)
            return 0;
    }
    const char *nearest = nearest_word(scalar(walk), words, count);
    if (nearest != NULL)
        return FAIL(walk, event_line(walk), "'%s' cannot be '%.64s'; did you mean '%s'?", key,
                    scalar(walk), nearest);
    return FAIL(walk, event_line(walk), "'%s' cannot be '%.64s'; choose one of: %s", key,
                scalar(walk), join(words, count, known, sizeof(known)));
}

static int check_scalar(struct walk *walk, const char *key, const cyaml_schema_value_t *schema)
{
    if (is_null(walk))
        return FAIL(walk, event_line(walk), "'%s' has no value", key);
    switch (schema->type) {
    case CYAML_INT:
    case CYAML_UINT:
        return check_int(walk, key, schema);
    case CYAML_BOOL:
        return check_bool(walk, key);
    case CYAML_FLOAT:
        return check_float(walk, key);
    case CYAML_ENUM:
        return check_enum(walk, key, schema);
    default:
        return 0;
    }
}

static int check_node(struct walk *walk, const char *key, const cyaml_schema_value_t *schema,
                      unsigned depth);

static int unknown_key(struct walk *walk, const cyaml_schema_field_t *fields)
{
    const char *words[WORDS_MAX];
    size_t count = 0;
    char known[256];

    for (; fields[count].key != NULL; count++) {
        assert(count < WORDS_MAX);
        words[count] = fields[count].key;
    }
    const char *nearest = nearest_word(scalar(walk), words, count);
    if (nearest != NULL)
        return FAIL(walk, event_line(walk), "unknown key '%.64s'; did you mean '%s'?", scalar(walk),
                    nearest);
    return FAIL(walk, event_line(walk), "unknown key '%.64s'; known here: %s", scalar(walk),
                join(words, count, known, sizeof(known)));
}

static int missing_key(struct walk *walk, const cyaml_schema_field_t *fields, uint64_t seen,
                       uint32_t line)
{
    for (size_t i = 0; fields[i].key != NULL; i++)
        if ((fields[i].value.flags & CYAML_FLAG_OPTIONAL) == 0 && (seen >> i & 1) == 0)
            return FAIL(walk, line, "'%s' is missing; add it", fields[i].key);
    return 0;
}

static int check_mapping(struct walk *walk, const cyaml_schema_field_t *fields, unsigned depth)
{
    uint32_t begin = event_line(walk);
    uint64_t seen = 0;

    for (;;) {
        int rc = next(walk);
        if (rc < 0)
            return rc;
        if (walk->event.type == YAML_MAPPING_END_EVENT)
            return missing_key(walk, fields, seen, begin);
        if (walk->event.type != YAML_SCALAR_EVENT)
            return FAIL(walk, event_line(walk), "a key must be a word, not %s", event_noun(walk));

        size_t index = 0;
        while (fields[index].key != NULL && strcmp(fields[index].key, scalar(walk)) != 0)
            index++;
        if (fields[index].key == NULL)
            return unknown_key(walk, fields);
        assert(index < WORDS_MAX);
        if ((seen >> index & 1) != 0)
            return FAIL(walk, event_line(walk), "'%s' stands here twice; keep one",
                        fields[index].key);
        seen |= UINT64_C(1) << index;

        rc = next(walk);
        if (rc == 0)
            rc = check_node(walk, fields[index].key, &fields[index].value, depth + 1);
        if (rc < 0)
            return rc;
    }
}

static int check_sequence(struct walk *walk, const char *key, const cyaml_schema_value_t *entry,
                          unsigned depth)
{
    for (;;) {
        int rc = next(walk);
        if (rc < 0 || walk->event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        rc = check_node(walk, key, entry, depth + 1);
        if (rc < 0)
            return rc;
    }
}

/* Checks the node whose first event is the current one; leaves its last event current. */
static int check_node(struct walk *walk, const char *key, const cyaml_schema_value_t *schema,
                      unsigned depth)
{
    yaml_event_type_t expected = YAML_SCALAR_EVENT;
    const char *noun = "a single value";

    if (depth > YAML_DEPTH_MAX)
        return FAIL(walk, event_line(walk), "is nested too deep");
    if (schema->type == CYAML_MAPPING) {
        expected = YAML_MAPPING_START_EVENT;
        noun = "a map of keys";
    } else if (schema->type == CYAML_SEQUENCE) {
        expected = YAML_SEQUENCE_START_EVENT;
        noun = "a list";
    }
    if (walk->event.type != expected)
        return FAIL(walk, event_line(walk), "'%s' expects %s, not %s", key, noun, event_noun(walk));

    switch (expected) {
    case YAML_MAPPING_START_EVENT:
        return check_mapping(walk, schema->mapping.fields, depth);
    case YAML_SEQUENCE_START_EVENT:
        return check_sequence(walk, key, schema->sequence.entry, depth);
    default:
        return check_scalar(walk, key, schema);
    }
}

int yaml_check(const struct yaml_source *source, const cyaml_schema_value_t *schema,
               struct error *ret_error)
{
    struct walk walk;

    int rc = walk_open(&walk, source, ret_error);
    if (rc < 0)
        return rc;
    rc = walk_begin(&walk);
    if (rc == 0)
        rc = check_node(&walk, "the document", schema, 0);
    if (rc == 0)
        rc = walk_end(&walk);
    walk_close(&walk);
    return rc;
}

/* Skips the rest of the node whose first event is the current one. */
static int skip_node(struct walk *walk)
{
    size_t open = 0;

    for (;;) {
        switch (walk->event.type) {
        case YAML_MAPPING_START_EVENT:
        case YAML_SEQUENCE_START_EVENT:
            open++;
            break;
        case YAML_MAPPING_END_EVENT:
        case YAML_SEQUENCE_END_EVENT:
            open--;
            break;
        default:
            break;
        }
        if (open == 0)
            return 0;
        int rc = next(walk);
        if (rc < 0)
            return rc;
    }
}

/* From the start of a mapping to the value under the key: 1 when found, 0 when not. */
static int enter_key(struct walk *walk, const char *key, size_t key_size)
{
    for (;;) {
        int rc = next(walk);
        if (rc < 0 || walk->event.type != YAML_SCALAR_EVENT)
            return rc;
        bool found =
            walk->event.data.scalar.length == key_size && memcmp(scalar(walk), key, key_size) == 0;
        rc = next(walk);
        if (rc < 0 || found)
            return rc < 0 ? rc : 1;
        rc = skip_node(walk);
        if (rc < 0)
            return rc;
    }
}

/* From the start of a sequence to its element `index`: 1 when found, 0 when not. */
static int enter_index(struct walk *walk, unsigned long index)
{
    for (unsigned long i = 0;; i++) {
        int rc = next(walk);
        if (rc < 0 || walk->event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        if (i == index)
            return 1;
        rc = skip_node(walk);
        if (rc < 0)
            return rc;
    }
}

uint32_t yaml_source_line(const struct yaml_source *source, const char *place)
{
    struct walk walk;
    uint32_t line = 0;

    if (walk_open(&walk, source, NULL) < 0)
        return 0;
    int rc = walk_begin(&walk) < 0 ? 0 : 1;
    while (rc == 1) {
        line = event_line(&walk);
        size_t size = strcspn(place, ".");
        if (size == 0)
            break;
        if (walk.event.type == YAML_MAPPING_START_EVENT)
            rc = enter_key(&walk, place, size);
        else if (walk.event.type == YAML_SEQUENCE_START_EVENT)
            rc = enter_index(&walk, strtoul(place, NULL, 10));
        else
            break;
        place += size + (place[size] == '.' ? 1 : 0);
    }
    walk_close(&walk);
    return line;
}

static int collect_lines(struct walk *walk, uint32_t **lines, size_t *count)
{
    size_t capacity = 0;

    for (;;) {
        int rc = next(walk);
        if (rc < 0 || walk->event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        if (*count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            uint32_t *larger = reallocarray(*lines, capacity, sizeof(**lines));
            if (larger == NULL)
                return -ENOMEM;
            *lines = larger;
        }
        (*lines)[(*count)++] = event_line(walk);
        rc = skip_node(walk);
        if (rc < 0)
            return rc;
    }
}

int yaml_source_lines(const struct yaml_source *source, const char *key, uint32_t **ret_lines,
                      size_t *ret_count)
{
    struct walk walk;
    uint32_t *lines = NULL;
    size_t count = 0;

    int rc = walk_open(&walk, source, NULL);
    if (rc < 0)
        return rc;
    rc = walk_begin(&walk);
    if (rc == 0 && walk.event.type == YAML_MAPPING_START_EVENT)
        rc = enter_key(&walk, key, strlen(key));
    if (rc == 1 && walk.event.type == YAML_SEQUENCE_START_EVENT)
        rc = collect_lines(&walk, &lines, &count);
    walk_close(&walk);
    if (rc < 0) {
        free(lines);
        return rc;
    }
    *ret_lines = lines;
    *ret_count = count;
    return 0;
}
