#include "desk/xarf.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/json_in.h"
#include "desk/xarf_schema.h"

/* Longest text of a member whose schema has no bound. */
#define TEXT_SIZE_MAX 16384
#define LIST_MAX      1000
#define TAGS_MAX      20

/* A piece of 5 MiB, XARF's bound, in Base64 with line ends. */
#define PAYLOAD_SIZE_MAX (8 * 1024 * 1024)

/* ---- Forms of texts ---- */

static bool is_uri(const char *text)
{
    size_t scheme = strcspn(text, ":");
    if (text[scheme] == '\0' || scheme == 0 || !isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 0; text[i] != '\0'; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == 0x7f || strchr("<>\"", c) != NULL ||
            (i < scheme && !isalnum(c) && strchr("+-.", c) == NULL))
            return false;
    }
    return true;
}

static bool is_hostname(const char *text)
{
    size_t label = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '.' ? label == 0 : !isalnum((unsigned char)*at) && *at != '-')
            return false;
        label = *at == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && strlen(text) < REPORT_NAME_SIZE;
}

static bool is_uuid(const char *text)
{
    if (strlen(text) != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

/* 4.x.y */
static bool is_version(const char *text)
{
    if (strncmp(text, "4.", 2) != 0)
        return false;
    size_t minor = strspn(text + 2, "0123456789");
    const char *patch = text + 2 + minor;
    return minor > 0 && patch[0] == '.' && patch[1] != '\0' &&
           strspn(patch + 1, "0123456789") == strlen(patch + 1);
}

static bool is_email(const char *text)
{
    char email[EMAIL_SIZE_MAX + 1];
    return email_normalize(text, email);
}

/* namespace:predicate */
static bool is_tag(const char *text)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char more[] = "abcdefghijklmnopqrstuvwxyz0123456789_+-";
    size_t size = strspn(text, more);
    if (strchr(first, text[0]) == NULL || text[size] != ':')
        return false;
    text += size + 1;
    /* The schema's "+-." is a range, which has the comma in it. */
    return text[0] != '\0' && strchr(first, text[0]) != NULL &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_+-.,") == strlen(text);
}

/* ---- Members by their schema ---- */

static int members_read(struct json_in *in, const struct xarf_member *members,
                        struct report_intake *intake, struct error *ret_error);

static void host_take(const struct xarf_member *member, const char *text,
                      struct report_intake *intake)
{
    if (member->names_host)
        (void)report_names_add_url(&intake->names, text); /* an address is no name */
}

static int text_check(struct json_in *in, const struct xarf_member *member, const char *text,
                      struct error *ret_error)
{
    const char *name = member->name;
    switch (member->form) {
    case XARF_URI:
    case XARF_URIS:
        return is_uri(text) ? 0
                            : json_in_fail(in, name, ret_error,
                                           "is no URI (RFC 3986): write https://host/path");
    case XARF_HOSTNAME:
        return is_hostname(text)
                   ? 0
                   : json_in_fail(in, name, ret_error, "is no host name: write it in A-labels");
    case XARF_EMAIL:
        return is_email(text) ? 0 : json_in_fail(in, name, ret_error, "is no mail address");
    case XARF_COUNTRY:
        return strlen(text) == 2 && isupper((unsigned char)text[0]) &&
                       isupper((unsigned char)text[1])
                   ? 0
                   : json_in_fail(in, name, ret_error, "is no code of ISO 3166: write two letters");
    default:
        return 0;
    }
}

static int text_read(struct json_in *in, const struct xarf_member *member,
                     struct report_intake *intake, struct error *ret_error)
{
    /* A schema counts characters, of which one has up to four octets. */
    size_t max = member->max > 0 ? 4 * (size_t)member->max : TEXT_SIZE_MAX;
    const char *text;
    int rc = json_in_lines(in, member->name, 0, max, &text, ret_error);
    if (rc == 0)
        rc = text_check(in, member, text, ret_error);
    if (rc == 0)
        host_take(member, text, intake);
    return rc;
}

static bool is_word(const char *const *words, const char *text)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, text) == 0)
            return true;
    return false;
}

static int texts_read(struct json_in *in, const struct xarf_member *member,
                      struct report_intake *intake, struct error *ret_error)
{
    const json_t *array, *value;
    size_t i;
    int rc = json_in_array(in, member->name, LIST_MAX, &array, ret_error);
    if (rc == 0 && (int64_t)json_array_size(array) < member->min)
        return json_in_fail(in, member->name, ret_error, "is empty: name at least one");
    json_array_foreach((json_t *)(rc == 0 ? array : NULL), i, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL)
            return json_in_fail(in, member->name, ret_error,
                                "has an entry that is no text: put it in quotes");
        if (member->form == XARF_WORDS && !is_word(member->words, text))
            return json_in_fail(in, member->name, ret_error,
                                "has an entry that its schema does not know");
        rc = text_check(in, member, text, ret_error);
        if (rc < 0)
            return rc;
        host_take(member, text, intake);
    }
    return rc;
}

static int number_read(struct json_in *in, const struct xarf_member *member,
                       struct error *ret_error)
{
    const json_t *value = json_object_get(in->object, member->name);
    double number = json_number_value(value);
    if (!json_is_number(value) || number < (double)member->min || number > (double)member->max)
        return json_in_fail(in, member->name, ret_error, "is out of bounds: give %lld to %lld",
                            (long long)member->min, (long long)member->max);
    return 0;
}

static int object_read(struct json_in *in, const struct xarf_member *member,
                       struct report_intake *intake, struct error *ret_error)
{
    int rc = members_read(in, member->members, intake, ret_error);
    return rc == 0 && member->is_closed ? json_in_end(in, ret_error) : rc;
}

static int objects_read(struct json_in *in, const struct xarf_member *member,
                        struct report_intake *intake, struct error *ret_error)
{
    const json_t *array, *value;
    size_t i, max = member->max > 0 ? (size_t)member->max : LIST_MAX;
    char pointer[JSON_POINTER_SIZE];
    int rc = json_in_array(in, member->name, max, &array, ret_error);

    json_array_foreach((json_t *)(rc == 0 ? array : NULL), i, value)
    {
        struct json_in inner;
        snprintf(pointer, sizeof(pointer), "%.120s/%s/%zu", in->pointer, member->name, i);
        rc = json_in_open(value, pointer, &inner, ret_error);
        if (rc == 0)
            rc = object_read(&inner, member, intake, ret_error);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int member_read(struct json_in *in, const struct xarf_member *member,
                       struct report_intake *intake, struct error *ret_error)
{
    struct json_in inner;
    int64_t number;
    size_t index;
    bool flag;
    int rc;

    switch (member->form) {
    case XARF_TEXT:
    case XARF_URI:
    case XARF_HOSTNAME:
    case XARF_EMAIL:
    case XARF_COUNTRY:
        return text_read(in, member, intake, ret_error);
    case XARF_TIME:
        return json_in_time(in, member->name, &number, ret_error);
    case XARF_WORD:
        return json_in_word(in, member->name, member->words, &index, ret_error);
    case XARF_INTEGER:
        return json_in_integer(in, member->name, member->min, member->max, &number, ret_error);
    case XARF_NUMBER:
        return number_read(in, member, ret_error);
    case XARF_FLAG:
        return json_in_flag(in, member->name, &flag, ret_error);
    case XARF_TEXTS:
    case XARF_URIS:
    case XARF_WORDS:
        return texts_read(in, member, intake, ret_error);
    case XARF_OBJECT:
        rc = json_in_object(in, member->name, &inner, ret_error);
        return rc == 0 ? object_read(&inner, member, intake, ret_error) : rc;
    case XARF_OBJECTS:
        return objects_read(in, member, intake, ret_error);
    }
    return 0;
}

static int members_read(struct json_in *in, const struct xarf_member *members,
                        struct report_intake *intake, struct error *ret_error)
{
    int rc = 0;
    for (; members->name != NULL && rc == 0; members++)
        if (members->is_required || json_in_has(in, members->name))
            rc = json_in_has(in, members->name)
                     ? member_read(in, members, intake, ret_error)
                     : json_in_fail(in, members->name, ret_error,
                                    "is missing: its type of XARF has it always");
    return rc;
}

/* ---- Core ---- */

static int contact_read(struct json_in *in, const char *name, struct report_intake *intake,
                        struct error *ret_error)
{
    const char *text = "";
    struct json_in contact;
    int rc = json_in_object(in, name, &contact, ret_error);
    if (rc == 0)
        rc = json_in_text(&contact, "org", 0, 4 * 200, &text, ret_error);
    if (rc == 0)
        rc = json_in_text(&contact, "domain", 1, REPORT_NAME_SIZE, &text, ret_error);
    if (rc == 0 && !is_hostname(text))
        rc = json_in_fail(&contact, "domain", ret_error, "is no host name: write it in A-labels");
    if (rc == 0)
        rc = json_in_text(&contact, "contact", 1, EMAIL_SIZE_MAX, &text, ret_error);
    if (rc == 0 && !email_normalize(text, intake->contact))
        rc = json_in_fail(&contact, "contact", ret_error, "is no mail address");
    return rc < 0 ? rc : json_in_end(&contact, ret_error);
}

/* A hash that is given must be the payload's; of those XARF names the two that are still worth a
 * check. */
static int hash_check(struct json_in *in, const char *text, const uint8_t *octets, size_t size,
                      struct error *ret_error)
{
    static const char *const names[] = {"md5:", "sha1:", "sha256:", "sha512:"};
    uint8_t hash[crypto_hash_sha512_BYTES];
    char hex[2 * sizeof(hash) + 1];
    size_t which = 0;

    while (which < 4 && strncmp(text, names[which], strlen(names[which])) != 0)
        which++;
    const char *digits = which < 4 ? text + strlen(names[which]) : "";
    if (digits[0] == '\0' || strspn(digits, "0123456789abcdefABCDEF") != strlen(digits))
        return json_in_fail(in, "hash", ret_error, "is no hash: write sha256: and it in hex");
    if (which < 2)
        return 0;
    size_t length = which == 2 ? crypto_hash_sha256_BYTES : crypto_hash_sha512_BYTES;
    if (which == 2)
        crypto_hash_sha256(hash, octets, size);
    else
        crypto_hash_sha512(hash, octets, size);
    sodium_bin2hex(hex, sizeof(hex), hash, length);
    if (strcasecmp(hex, digits) != 0)
        return json_in_fail(in, "hash", ret_error, "is not the payload's: send what was hashed");
    return 0;
}

static int payload_decode(struct json_in *in, uint8_t **ret_octets, size_t *ret_size,
                          struct error *ret_error)
{
    const char *text;
    int rc = json_in_lines(in, "payload", 0, PAYLOAD_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    size_t size = strlen(text);
    uint8_t *octets = malloc(size / 4 * 3 + 4);
    if (octets == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for evidence");
    if (sodium_base642bin(octets, size / 4 * 3 + 4, text, size, "\r\n\t ", ret_size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) < 0) {
        free(octets);
        return json_in_fail(in, "payload", ret_error, "is no Base64 (RFC 4648, 4): encode it");
    }
    *ret_octets = octets;
    return 0;
}

static int piece_read(struct json_in *in, struct report_intake *intake, struct error *ret_error)
{
    const char *type, *label = "", *hash = NULL;
    uint8_t *octets = NULL;
    int64_t number;
    size_t size = 0;

    int rc = json_in_text(in, "content_type", 1, TEXT_SIZE_MAX, &type, ret_error);
    if (rc == 0 && json_in_has(in, "description"))
        rc = json_in_lines(in, "description", 0, 4 * 500, &label, ret_error);
    if (rc == 0 && json_in_has(in, "hash"))
        rc = json_in_text(in, "hash", 1, 200, &hash, ret_error);
    if (rc == 0 && json_in_has(in, "size"))
        rc = json_in_integer(in, "size", 0, 5242880, &number, ret_error);
    if (rc == 0)
        rc = payload_decode(in, &octets, &size, ret_error);
    if (rc == 0 && hash != NULL)
        rc = hash_check(in, hash, octets, size, ret_error);
    if (rc == 0)
        rc = json_in_end(in, ret_error);
    if (rc < 0) {
        free(octets);
        return rc;
    }
    report_intake_add(intake, octets, size, type, label);
    return 0;
}

static int evidence_read(struct json_in *in, struct report_intake *intake, struct error *ret_error)
{
    const json_t *array, *value;
    char pointer[JSON_POINTER_SIZE];
    size_t i;

    if (!json_in_has(in, "evidence"))
        return 0;
    int rc = json_in_array(in, "evidence", REPORT_PIECES_MAX, &array, ret_error);
    json_array_foreach((json_t *)(rc == 0 ? array : NULL), i, value)
    {
        struct json_in piece;
        snprintf(pointer, sizeof(pointer), "/evidence/%zu", i);
        rc = json_in_open(value, pointer, &piece, ret_error);
        if (rc == 0)
            rc = piece_read(&piece, intake, ret_error);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* "botnet:command-and-control" and the like say what no type says. */
static int tags_read(struct json_in *in, bool *ret_is_controller, struct error *ret_error)
{
    const json_t *array, *value;
    size_t i;

    *ret_is_controller = false;
    if (!json_in_has(in, "tags"))
        return 0;
    int rc = json_in_array(in, "tags", TAGS_MAX, &array, ret_error);
    json_array_foreach((json_t *)(rc == 0 ? array : NULL), i, value)
    {
        const char *text = json_string_value(value);
        if (text == NULL || !is_tag(text))
            return json_in_fail(in, "tags", ret_error,
                                "has an entry that is no tag: write namespace:predicate");
        *ret_is_controller = *ret_is_controller || strcmp(text, "botnet:command-and-control") == 0;
    }
    return rc;
}

static int identity_read(struct json_in *in, struct report_intake *intake, struct error *ret_error)
{
    const char *text;
    int rc = json_in_text(in, "xarf_version", 1, 32, &text, ret_error);
    if (rc == 0 && !is_version(text))
        rc =
            json_in_fail(in, "xarf_version", ret_error, "is no version that is known: write 4.0.0");
    if (rc == 0)
        rc = json_in_text(in, "report_id", 1, 64, &text, ret_error);
    if (rc == 0 && !is_uuid(text))
        rc = json_in_fail(in, "report_id", ret_error, "is no UUID (RFC 9562)");
    if (rc == 0)
        rc = json_in_time(in, "timestamp", &intake->observed_s, ret_error);
    if (rc == 0)
        rc = contact_read(in, "reporter", intake, ret_error);
    if (rc == 0) /* the one who sent it is answered: read last, it stays */
        rc = contact_read(in, "sender", intake, ret_error);
    return rc;
}

static int options_read(struct json_in *in, struct report_intake *intake, struct error *ret_error)
{
    static const char *const legacy[] = {"3", NULL};
    static const struct xarf_member options[] = {
        {"source_identifier", XARF_TEXT, .is_required = true, .names_host = true},
        {"source_port", XARF_INTEGER, .min = 1, .max = 65535},
        {"evidence_source", XARF_TEXT},
        {"confidence", XARF_NUMBER, .max = 1},
        {"legacy_version", XARF_WORD, .words = legacy},
        {0},
    };
    const char *text;
    int rc = members_read(in, options, intake, ret_error);
    if (rc == 0 && json_in_has(in, "description")) {
        rc = json_in_lines(in, "description", 0, 4 * 1000, &text, ret_error);
        if (rc == 0)
            report_intake_describe(intake, text, strlen(text));
    }
    return rc;
}

static int type_find(struct json_in *in, const struct xarf_type **ret_type, struct error *ret_error)
{
    const char *type;
    size_t category;
    int rc = json_in_word(in, "category", xarf_categories, &category, ret_error);
    if (rc == 0)
        rc = json_in_text(in, "type", 1, 64, &type, ret_error);
    for (size_t i = 0; i < xarf_type_count && rc == 0; i++)
        if (strcmp(xarf_types[i].category, xarf_categories[category]) == 0 &&
            strcmp(xarf_types[i].type, type) == 0) {
            *ret_type = &xarf_types[i];
            return 0;
        }
    return rc < 0 ? rc
                  : json_in_fail(in, "type", ret_error,
                                 "is not of those that concern host names: report addresses to "
                                 "who runs their network");
}

static bool member_is(const struct json_in *in, const char *name, const char *wanted)
{
    const char *text = json_string_value(json_object_get(in->object, name));
    return text != NULL && strcmp(text, wanted) == 0;
}

/* A name that malware asks for orders, in whichever of its ways the format can say that. */
static bool is_controller(const struct json_in *in, const struct xarf_type *type)
{
    return (strcmp(type->type, "botnet") == 0 &&
            json_object_get(in->object, "c2_server") != NULL) ||
           (strcmp(type->type, "remote_compromise") == 0 &&
            member_is(in, "compromise_type", "c2_server")) ||
           (strcmp(type->category, "reputation") == 0 &&
            member_is(in, "threat_type", "malware_c2"));
}

/* Protocol "smtp" brings two members that are required. */
static int smtp_check(struct json_in *in, const struct xarf_type *type, struct error *ret_error)
{
    if (strcmp(type->category, "messaging") != 0 || !member_is(in, "protocol", "smtp"))
        return 0;
    if (!json_in_has(in, "smtp_from"))
        return json_in_fail(in, "smtp_from", ret_error, "is missing: protocol smtp needs it");
    if (!json_in_has(in, "source_port"))
        return json_in_fail(in, "source_port", ret_error, "is missing: protocol smtp needs it");
    return 0;
}

static int v4_read(const json_t *json, struct report_intake *intake, struct error *ret_error)
{
    const struct xarf_type *type = NULL;
    struct json_in in;
    bool is_tagged = false;

    int rc = json_in_open(json, "", &in, ret_error);
    if (rc == 0)
        rc = identity_read(&in, intake, ret_error);
    if (rc == 0)
        rc = type_find(&in, &type, ret_error);
    if (rc == 0)
        rc = options_read(&in, intake, ret_error);
    if (rc == 0)
        rc = tags_read(&in, &is_tagged, ret_error);
    if (rc == 0 && type->base != NULL)
        rc = members_read(&in, type->base, intake, ret_error);
    if (rc == 0)
        rc = members_read(&in, type->members, intake, ret_error);
    if (rc == 0)
        rc = smtp_check(&in, type, ret_error);
    if (rc == 0)
        rc = evidence_read(&in, intake, ret_error);
    if (rc < 0)
        return rc;
    intake->report_class = report_class_find(
        is_tagged || is_controller(&in, type) ? "malware-controller" : type->report_class);
    snprintf(intake->xarf_type, sizeof(intake->xarf_type), "%s/%s", type->category, type->type);
    return 0;
}

int xarf_read(const json_t *json, struct report_intake *intake, struct error *ret_error)
{
    if (!xarf_is_v3(json))
        return v4_read(json, intake, ret_error);
    json_t *converted;
    int rc = xarf_convert_v3(json, &converted, ret_error);
    if (rc < 0)
        return rc;
    rc = v4_read(converted, intake, ret_error);
    json_decref(converted);
    return rc;
}
