#include "order/name_text.h"

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <string.h>

#include "dns/name.h"

#define LABEL_SIZE_MAX 63

/* Texts of more than one place. */
static const char reason_octet[] = "has a character that no hostname has; write it as \\DDD";
static const char reason_too_long[] = "is longer than 255 octets";

/* Octets that need no escape. '/', ':' and '@' would be legal in a DNS label, but in a list of
 * hostnames they say that the line is a URL, an address or a mailbox. */
static bool is_plain(unsigned char octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9') || octet == '-' ||
           octet == '_' || octet == '*' || (octet >= 'A' && octet <= 'Z');
}

static unsigned char fold(unsigned char octet)
{
    return octet >= 'A' && octet <= 'Z' ? (unsigned char)(octet | 0x20) : octet;
}

static bool is_digit(unsigned char octet)
{
    return octet >= '0' && octet <= '9';
}

/* Reads the escape whose backslash stands before `text`; returns its length without the backslash,
 * 0 when it is none. */
static size_t read_escape(const unsigned char *text, size_t size, unsigned char *ret_octet)
{
    if (size >= 3 && is_digit(text[0]) && is_digit(text[1]) && is_digit(text[2])) {
        unsigned value = (text[0] - '0') * 100u + (text[1] - '0') * 10u + (text[2] - '0');
        if (value > 255)
            return 0;
        *ret_octet = (unsigned char)value;
        return 3;
    }
    if (size == 0 || is_digit(text[0]) || text[0] <= ' ' || text[0] >= 0x7f)
        return 0;
    *ret_octet = text[0];
    return 1;
}

/* A wire-form name in the making: the current label's length octet stands at `label`, its next
 * octet goes to `used`. */
struct assembly {
    uint8_t *wire;
    size_t label, used;
};

static const char *add_octet(struct assembly *name, unsigned char octet)
{
    if (name->used - name->label > LABEL_SIZE_MAX)
        return "has a label longer than 63 octets";
    if (name->used >= NAME_SIZE_MAX - 1)
        return reason_too_long; /* the root label needs the last octet */
    name->wire[name->used++] = fold(octet);
    return NULL;
}

static const char *end_label(struct assembly *name)
{
    size_t size = name->used - name->label - 1;

    if (size == 0)
        return "has an empty label";
    name->wire[name->label] = (uint8_t)size;
    name->label = name->used++;
    return NULL;
}

/* Adds the octet or the escape at `text`, sets how much of the text it took. */
static const char *add_text(struct assembly *name, const unsigned char *text, size_t size,
                            size_t *ret_taken)
{
    unsigned char octet = text[0];
    size_t escape = 0;

    if (octet == '.')
        return end_label(name);
    if (octet == '\\') {
        escape = read_escape(text + 1, size - 1, &octet);
        if (escape == 0)
            return "has a bad escape; write \\DDD with a value up to 255";
    } else if (!is_plain(octet)) {
        return octet == ' ' || octet == '\t' ? "has a blank inside; write one hostname a line"
                                             : reason_octet;
    }
    *ret_taken = 1 + escape;
    return add_octet(name, octet);
}

static const char *end_name(struct assembly *name, size_t *ret_size)
{
    bool final_dot = name->used - name->label == 1;
    const char *reason = final_dot ? NULL : end_label(name);

    if (reason != NULL)
        return reason;
    if (name->label == 0)
        return "is the root; list names below it";
    if (name->wire[0] == 1 && name->wire[1] == '*')
        return "is a wildcard; list the names, or the one above them in 'subtrees'";
    name->wire[name->label] = 0;
    *ret_size = name->label + 1;
    return NULL;
}

/* Parses text without U-labels into a new name; returns the reason why it is none, or NULL. */
static const char *parse_ascii(const unsigned char *text, size_t size, struct assembly *name,
                               size_t *ret_size)
{
    if (size == 0)
        return "is empty";
    if (size == 1 && text[0] == '.')
        return end_name(name, ret_size);
    for (size_t at = 0; at < size;) {
        size_t taken = 1;
        const char *reason = add_text(name, text + at, size - at, &taken);
        if (reason != NULL)
            return reason;
        at += taken;
    }
    return end_name(name, ret_size);
}

/* Converts UTF-8 to A-labels and parses these. */
static int parse_unicode(const char *text, size_t size, struct assembly *name, size_t *ret_size,
                         struct name_fault *ret_fault)
{
    char terminated[NAME_TEXT_MAX];
    char *ascii = NULL;

    if (size >= sizeof(terminated)) {
        *ret_fault = (struct name_fault){.reason = reason_too_long};
        return -EINVAL;
    }
    if (memchr(text, '\0', size) != NULL) {
        *ret_fault = (struct name_fault){.reason = reason_octet};
        return -EINVAL;
    }
    memcpy(terminated, text, size);
    terminated[size] = '\0';

    int rc = idn2_to_ascii_8z(terminated, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc == IDN2_MALLOC)
        return -ENOMEM;
    if (rc != IDN2_OK) {
        *ret_fault = (struct name_fault){
            .reason = "is no internationalized hostname",
            .detail = idn2_strerror(rc),
        };
        return -EINVAL;
    }
    const char *reason = parse_ascii((const unsigned char *)ascii, strlen(ascii), name, ret_size);
    idn2_free(ascii);
    *ret_fault = (struct name_fault){.reason = reason};
    return reason != NULL ? -EINVAL : 0;
}

static bool is_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

int name_text_parse(const char *text, size_t size, uint8_t *ret_wire, size_t *ret_size,
                    struct name_fault *ret_fault)
{
    struct assembly name = {.used = 1};

    name.wire = ret_wire;
    if (!is_ascii(text, size))
        return parse_unicode(text, size, &name, ret_size, ret_fault);

    const char *reason = parse_ascii((const unsigned char *)text, size, &name, ret_size);
    *ret_fault = (struct name_fault){.reason = reason};
    return reason != NULL ? -EINVAL : 0;
}

static size_t write_octet(unsigned char octet, char *ret_text)
{
    if (is_plain(octet)) {
        ret_text[0] = (char)octet;
        return 1;
    }
    ret_text[0] = '\\';
    ret_text[1] = (char)('0' + octet / 100);
    ret_text[2] = (char)('0' + octet / 10 % 10);
    ret_text[3] = (char)('0' + octet % 10);
    return 4;
}

size_t name_text_write(const uint8_t *wire, char *ret_text)
{
    size_t used = 0;

    while (*wire != 0) {
        size_t size = *wire++;
        if (used > 0)
            ret_text[used++] = '.';
        for (; size > 0; size--)
            used += write_octet(*wire++, ret_text + used);
    }
    ret_text[used] = '\0';
    return used;
}
