#include "desk/json_in.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "desk/clock.h"

/* ---- Parsing ---- */

/* jansson's own bound on depth is far beyond what any request needs, so the text is looked at
 * first. What this takes for a string or a bracket in a text that is no JSON does not matter: the
 * parser refuses it.
 */
static size_t depth_of(const char *text, size_t size)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest)
                deepest = depth;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

int json_in_parse(const char *text, size_t size, json_t **ret_json, struct error *ret_error)
{
    json_error_t problem;

    if (depth_of(text, size) > JSON_DEPTH_MAX)
        return error_set_at(ret_error, -EINVAL, "#", 0,
                            "the JSON is nested too deep: at most %d levels", JSON_DEPTH_MAX);
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    if (json == NULL)
        return error_set_at(ret_error, -EINVAL, "#", 0,
                            "the body is no JSON: %s at line %d, column %d", problem.text,
                            problem.line, problem.column);
    *ret_json = json;
    return 0;
}

int json_in_open(const json_t *object, const char *pointer, struct json_in *ret_in,
                 struct error *ret_error)
{
    if (!json_is_object(object))
        return error_set_at(ret_error, -EINVAL, pointer[0] != '\0' ? pointer : "#", 0,
                            "an object must stand here: write {...}");
    *ret_in = (struct json_in){.object = object};
    snprintf(ret_in->pointer, sizeof(ret_in->pointer), "%s", pointer);
    return 0;
}

/* ---- Members ---- */

int json_in_fail(const struct json_in *in, const char *name, struct error *ret_error,
                 const char *format, ...)
{
    char text[sizeof(ret_error->text)], place[sizeof(ret_error->file)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    snprintf(place, sizeof(place), "%s/%s", in->pointer, name);
    return error_set_at(ret_error, -EINVAL, place, 0, "\"%s\" %s", name, text);
}

/* The member, which counts as known from now on; NULL when it is not there or null. */
static const json_t *member(struct json_in *in, const char *name)
{
    bool is_known = false;
    for (size_t i = 0; i < in->known_count && !is_known; i++)
        is_known = strcmp(in->known[i], name) == 0;
    if (!is_known) {
        assert(in->known_count < JSON_IN_MEMBERS_MAX);
        in->known[in->known_count++] = name;
    }
    const json_t *value = json_object_get(in->object, name);
    return json_is_null(value) ? NULL : value;
}

static int required(struct json_in *in, const char *name, const json_t **ret_value,
                    struct error *ret_error)
{
    *ret_value = member(in, name);
    if (*ret_value == NULL)
        return json_in_fail(in, name, ret_error, "is missing: add it");
    return 0;
}

bool json_in_has(struct json_in *in, const char *name)
{
    return member(in, name) != NULL;
}

static bool has_controls(const char *text, const char *allowed)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < ' ' && strchr(allowed, *text) == NULL) || *text == 0x7f)
            return true;
    return false;
}

static int text_take(struct json_in *in, const char *name, size_t size_min, size_t size_max,
                     const char *controls, const char **ret_text, struct error *ret_error)
{
    const json_t *value;
    int rc = required(in, name, &value, ret_error);
    if (rc < 0)
        return rc;
    if (!json_is_string(value))
        return json_in_fail(in, name, ret_error, "is no text: put it in quotes");
    const char *text = json_string_value(value);
    size_t size = json_string_length(value); /* jansson refuses \u0000, so there is no NUL within */
    if (size < size_min || size > size_max)
        return json_in_fail(in, name, ret_error, "has %zu octets: give %zu to %zu", size, size_min,
                            size_max);
    if (has_controls(text, controls))
        return json_in_fail(in, name, ret_error, "has control characters: leave them out");
    *ret_text = text;
    return 0;
}

int json_in_text(struct json_in *in, const char *name, size_t size_min, size_t size_max,
                 const char **ret_text, struct error *ret_error)
{
    return text_take(in, name, size_min, size_max, "", ret_text, ret_error);
}

int json_in_lines(struct json_in *in, const char *name, size_t size_min, size_t size_max,
                  const char **ret_text, struct error *ret_error)
{
    return text_take(in, name, size_min, size_max, "\t\n\r", ret_text, ret_error);
}

int json_in_integer(struct json_in *in, const char *name, int64_t value_min, int64_t value_max,
                    int64_t *ret_value, struct error *ret_error)
{
    const json_t *value;
    int rc = required(in, name, &value, ret_error);
    if (rc < 0)
        return rc;
    int64_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < value_min || number > value_max)
        return json_in_fail(in, name, ret_error,
                            "is out of bounds: give a whole number, %lld to %lld",
                            (long long)value_min, (long long)value_max);
    *ret_value = number;
    return 0;
}

int json_in_flag(struct json_in *in, const char *name, bool *ret_flag, struct error *ret_error)
{
    const json_t *value;
    int rc = required(in, name, &value, ret_error);
    if (rc < 0)
        return rc;
    if (!json_is_boolean(value))
        return json_in_fail(in, name, ret_error, "is neither: write true or false");
    *ret_flag = json_is_true(value);
    return 0;
}

int json_in_time(struct json_in *in, const char *name, int64_t *ret_time_s, struct error *ret_error)
{
    const char *text;
    int rc = json_in_text(in, name, 1, 40, &text, ret_error);
    if (rc < 0)
        return rc;
    if (!clock_parse(text, ret_time_s))
        return json_in_fail(in, name, ret_error,
                            "is no time: write it as 2026-11-23T12:00:00Z (RFC 3339)");
    return 0;
}

int json_in_word(struct json_in *in, const char *name, const char *const *words, size_t *ret_index,
                 struct error *ret_error)
{
    const char *text;
    int rc = json_in_text(in, name, 1, 64, &text, ret_error);
    if (rc < 0)
        return rc;
    size_t count = 0;
    for (; words[count] != NULL; count++)
        if (strcmp(words[count], text) == 0) {
            *ret_index = count;
            return 0;
        }
    const char *near = nearest_word(text, words, count);
    return json_in_fail(in, name, ret_error, "is not a known word: %s\"%s\"",
                        near != NULL ? "did you mean " : "one is ", near != NULL ? near : words[0]);
}

int json_in_array(struct json_in *in, const char *name, size_t count_max, const json_t **ret_array,
                  struct error *ret_error)
{
    const json_t *value;
    int rc = required(in, name, &value, ret_error);
    if (rc < 0)
        return rc;
    if (!json_is_array(value))
        return json_in_fail(in, name, ret_error, "is no list: write [...]");
    if (json_array_size(value) > count_max)
        return json_in_fail(in, name, ret_error, "has %zu entries: at most %zu",
                            json_array_size(value), count_max);
    *ret_array = value;
    return 0;
}

int json_in_object(struct json_in *in, const char *name, struct json_in *ret_in,
                   struct error *ret_error)
{
    const json_t *value;
    char place[sizeof(ret_error->file)];
    int rc = required(in, name, &value, ret_error);
    if (rc < 0)
        return rc;
    snprintf(place, sizeof(place), "%s/%s", in->pointer, name);
    return json_in_open(value, place, ret_in, ret_error);
}

int json_in_end(const struct json_in *in, struct error *ret_error)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)in->object, name, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < in->known_count && !is_known; i++)
            is_known = strcmp(in->known[i], name) == 0;
        if (is_known)
            continue;
        const char *near = nearest_word(name, in->known, in->known_count);
        if (near != NULL)
            return json_in_fail(in, name, ret_error, "is not known: did you mean \"%s\"", near);
        return json_in_fail(in, name, ret_error, "is not known: leave it out");
    }
    return 0;
}
