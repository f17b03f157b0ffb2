/* Reads the members of a JSON object that a client sent, each with its type and bounds. What is
 * wrong is an error (-EINVAL) that names the JSON pointer in `file`, and a remedy; a member that
 * nobody read is refused with the nearest one that is known. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/request.h"

#define JSON_DEPTH_MAX      32
#define JSON_IN_MEMBERS_MAX 64
#define JSON_POINTER_SIZE   200

/* One object while it is read. Texts that it hands out are the object's. */
struct json_in {
    const json_t *object;
    char pointer[JSON_POINTER_SIZE]; /* of the object; "" at the top */
    const char *known[JSON_IN_MEMBERS_MAX];
    size_t known_count;
};

/* Parses the body: UTF-8, no duplicate members, at most JSON_DEPTH_MAX deep. The value is the
 * request's.
 */
_must_check_ int request_json(struct request *request, const json_t **ret_json,
                              struct error *ret_error);
/* The same, and it must be an object. */
_must_check_ int request_json_in(struct request *request, struct json_in *ret_in,
                                 struct error *ret_error);

/* Parses a text by the same rules; the caller frees the value. */
_must_check_ int json_in_parse(const char *text, size_t size, json_t **ret_json,
                               struct error *ret_error);

/* Begins to read `object`, which stands at `pointer` of the whole. */
_must_check_ int json_in_open(const json_t *object, const char *pointer, struct json_in *ret_in,
                              struct error *ret_error);

/* Required members. Texts have `size_min` to `size_max` octets and no control characters (but line
 * feeds and tabs in json_in_lines()). */
_must_check_ int json_in_text(struct json_in *in, const char *name, size_t size_min,
                              size_t size_max, const char **ret_text, struct error *ret_error);
_must_check_ int json_in_lines(struct json_in *in, const char *name, size_t size_min,
                               size_t size_max, const char **ret_text, struct error *ret_error);
_must_check_ int json_in_integer(struct json_in *in, const char *name, int64_t value_min,
                                 int64_t value_max, int64_t *ret_value, struct error *ret_error);
_must_check_ int json_in_flag(struct json_in *in, const char *name, bool *ret_flag,
                              struct error *ret_error);
/* RFC 3339 into Unix seconds. */
_must_check_ int json_in_time(struct json_in *in, const char *name, int64_t *ret_time_s,
                              struct error *ret_error);
/* One of `words` (NULL ends them); gives its index. */
_must_check_ int json_in_word(struct json_in *in, const char *name, const char *const *words,
                              size_t *ret_index, struct error *ret_error);
_must_check_ int json_in_array(struct json_in *in, const char *name, size_t count_max,
                               const json_t **ret_array, struct error *ret_error);
_must_check_ int json_in_object(struct json_in *in, const char *name, struct json_in *ret_in,
                                struct error *ret_error);

/* Whether a member is there and not null; it counts as known: if (json_in_has(&in, "label")) ... */
bool json_in_has(struct json_in *in, const char *name);

/* Refuses members that were not read. */
_must_check_ int json_in_end(const struct json_in *in, struct error *ret_error);

/* Fills an error about a member: `return json_in_fail(in, "name", error, "is reserved: take
 * another")`.
 */
int json_in_fail(const struct json_in *in, const char *name, struct error *ret_error,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
