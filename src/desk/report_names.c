#include "desk/report_names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longest text of one name before it is converted: U-labels take more octets than A-labels. */
#define TEXT_SIZE 1024

/* ---- One name ---- */

static bool is_label_octet(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_';
}

/* Underscores are no host names' (RFC 1123, 2.1), but what is reported is what is in use. */
static bool is_name(const char *name)
{
    size_t label = 0, size = strlen(name), labels = 1;
    bool has_letter = false;

    if (size == 0 || size >= REPORT_NAME_SIZE)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (name[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
            labels++;
            has_letter = false;
            continue;
        }
        if (!is_label_octet((unsigned char)name[i]) || ++label > 63)
            return false;
        has_letter = has_letter || !isdigit((unsigned char)name[i]);
    }
    return label > 0 && labels > 1 && has_letter; /* a last label of digits is an address */
}

static bool normalize(const char *text, char ret_name[static REPORT_NAME_SIZE])
{
    char *ascii = NULL;
    bool is_ok = false;

    if (idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
        ascii = strdup(text); /* what IDNA refuses may still be in use: is_name() judges */
    if (ascii != NULL) {
        size_t size = strlen(ascii);
        if (size > 0 && ascii[size - 1] == '.')
            ascii[--size] = '\0';
        is_ok = size < REPORT_NAME_SIZE && is_name(ascii);
        for (size_t i = 0; is_ok && i <= size; i++)
            ret_name[i] = (char)tolower((unsigned char)ascii[i]);
    }
    free(ascii);
    return is_ok;
}

static void add(struct report_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i], name) == 0)
            return;
    if (names->count < REPORT_NAMES_MAX)
        snprintf(names->list[names->count++], REPORT_NAME_SIZE, "%s", name);
    else
        names->left_out++;
}

/* Copies a name as written, with "[.]", "(.)" and "[dot]" as the dots that they mean. */
static bool refang(const char *text, size_t size, char ret_text[static TEXT_SIZE])
{
    static const char *const dots[] = {"[.]", "(.)", "{.}", "[dot]", "(dot)"};
    size_t used = 0;

    for (size_t i = 0; i < size;) {
        size_t step = 0;
        for (size_t d = 0; d < sizeof(dots) / sizeof(dots[0]) && step == 0; d++)
            if (size - i >= strlen(dots[d]) && strncasecmp(text + i, dots[d], strlen(dots[d])) == 0)
                step = strlen(dots[d]);
        if (used + 1 >= TEXT_SIZE)
            return false;
        ret_text[used++] = step > 0 ? '.' : text[i];
        i += step > 0 ? step : 1;
    }
    ret_text[used] = '\0';
    return used > 0;
}

static bool add_part(struct report_names *names, const char *text, size_t size)
{
    char part[TEXT_SIZE], name[REPORT_NAME_SIZE];
    if (!refang(text, size, part) || !normalize(part, name))
        return false;
    add(names, name);
    return true;
}

bool report_names_add(struct report_names *names, const char *text)
{
    return add_part(names, text, strlen(text));
}

bool report_names_add_url(struct report_names *names, const char *text)
{
    text += strspn(text, " \t\r\n<\"'");
    const char *scheme = strstr(text, "://");
    size_t to_path = strcspn(text, "/?#");

    if (scheme != NULL && (size_t)(scheme - text) < to_path)
        text = scheme + 3;
    size_t size = strcspn(text, "/?#\\ \t\r\n>\"'");
    for (size_t i = size; i > 0; i--) /* user information ends at the last '@' */
        if (text[i - 1] == '@') {
            text += i;
            size -= i;
            break;
        }
    if (size > 0 && text[0] == '[' && memchr(text, ':', size) != NULL)
        return false; /* an IPv6 address */
    const char *port = memchr(text, ':', size);
    return add_part(names, text, port != NULL ? (size_t)(port - text) : size);
}

/* ---- Whose ---- */

bool report_name_owner(const struct desk_config_hosts *hosts, const char *name,
                       char ret_owner[static REPORT_NAME_SIZE])
{
    size_t size = strlen(name), zone_size = 0;

    for (size_t i = 0; i < hosts->zone_count; i++) {
        const char *zone = hosts->zones[i].name;
        size_t length = strlen(zone);
        if (size > length + 1 && length > zone_size && name[size - length - 1] == '.' &&
            strcmp(name + size - length, zone) == 0)
            zone_size = length;
    }
    if (zone_size == 0)
        return false;
    const char *label = name + size - zone_size - 1; /* the dot before the zone */
    while (label > name && label[-1] != '.')
        label--;
    snprintf(ret_owner, REPORT_NAME_SIZE, "%s", label);
    return true;
}

/* ---- Free text ---- */

/* Octets of which a name in a text consists, and those around its disguised dots. */
static bool is_text_octet(unsigned char c)
{
    return is_label_octet(c) || c == '.' || c >= 0x80 || strchr("[](){}", c) != NULL;
}

void report_names_scan(struct report_names *names, const struct desk_config_hosts *hosts,
                       const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t end = i;
        while (end < size && text[end] != '\0' && is_text_octet((unsigned char)text[end]))
            end++;
        size_t from = i, to = end;
        i = end + 1;
        while (from < to && strchr(".-[](){}", text[from]) != NULL)
            from++;
        while (to > from && strchr(".-[](){}", text[to - 1]) != NULL)
            to--;
        if (to - from < 3 || to - from >= TEXT_SIZE)
            continue;

        char part[TEXT_SIZE], name[REPORT_NAME_SIZE], owner[REPORT_NAME_SIZE];
        if (refang(text + from, to - from, part) && strchr(part, '.') != NULL &&
            normalize(part, name) && report_name_owner(hosts, name, owner))
            add(names, name);
    }
}
