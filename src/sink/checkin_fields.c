#include "sink/checkin_fields.h"

#include <sodium.h>
#include <time.h>

size_t checkin_split(struct sink_text message, struct sink_text separator,
                     struct sink_text *ret_fields, size_t fields_max)
{
    size_t count = 0;
    while (count + 1 < fields_max) {
        size_t at = text_find(message, separator);
        if (at == message.size)
            break;
        ret_fields[count++] = text_first(message, at);
        message = text_after(message, at + separator.size);
    }
    ret_fields[count++] = message;
    return count;
}

bool checkin_is_base64(struct sink_text text)
{
    if (text.size % 4 != 0)
        return false;
    size_t size = text.size;
    for (unsigned padding = 0; padding < 2 && size > 0 && text.octets[size - 1] == '='; padding++)
        size--;
    for (size_t i = 0; i < size; i++) {
        uint8_t octet = text.octets[i];
        if (!is_letter(octet) && !is_digit(octet) && octet != '+' && octet != '/')
            return false;
    }
    return true;
}

bool checkin_decode(struct checkin_scratch *scratch, struct sink_text coded,
                    struct sink_text *ret_text)
{
    uint8_t *to = scratch->recognition->scratch + scratch->used;
    size_t size = 0;
    if (sodium_base642bin(to, SINK_SCRATCH_SIZE - scratch->used, (const char *)coded.octets,
                          coded.size, NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    scratch->used += size;
    while (size > 0 && to[size - 1] == '\0')
        size--;
    *ret_text = text_part(to, size);
    return true;
}

bool checkin_is_text(struct sink_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.octets[i] < ' ' || text.octets[i] == 0x7f)
            return false;
    }
    return text.size > 0;
}

bool checkin_is_serial(struct sink_text text)
{
    size_t digits = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (is_hex(text.octets[i]))
            digits++;
        else if (text.octets[i] != '-' || i != 4 || text.size != 9)
            return false;
    }
    return digits >= 1 && digits <= 8;
}

bool checkin_ends_in_serial(struct sink_text id)
{
    for (size_t at = id.size; at-- > 0;) {
        if (id.octets[at] == '_' || (id.octets[at] == '-' && id.size - at != 5))
            return checkin_is_serial(text_after(id, at + 1));
    }
    return false;
}

#define DATE_GROUPS 3

struct date_group {
    unsigned number;
    size_t digits;
};

/* Three groups of one to four digits, or of question marks, with the same sign between them. */
static bool read_date(struct sink_text text, struct date_group ret_groups[static DATE_GROUPS])
{
    size_t at = 0;
    uint8_t sign = 0;
    for (size_t group = 0; group < DATE_GROUPS; group++) {
        struct date_group read = {0, 0};
        for (; at < text.size && (is_digit(text.octets[at]) || text.octets[at] == '?'); at++) {
            if (is_digit(text.octets[at]))
                read.number = read.number * 10 + (unsigned)(text.octets[at] - '0');
            if (++read.digits > 4)
                return false;
        }
        ret_groups[group] = read;
        if (read.digits == 0)
            return false;
        if (group + 1 == DATE_GROUPS)
            break;
        if (at == text.size || strchr("-/.", text.octets[at]) == NULL || text.octets[at] == '\0' ||
            (group > 0 && text.octets[at] != sign))
            return false;
        sign = text.octets[at++];
    }
    return at == text.size;
}

bool checkin_is_date(struct sink_text text)
{
    struct date_group groups[DATE_GROUPS];
    return read_date(text, groups);
}

/* Days in an order that compares; months are taken as equally long. */
static unsigned day_number(unsigned year, unsigned month, unsigned day)
{
    return (year * 12 + month) * 31 + day;
}

static bool between(unsigned year, unsigned first, unsigned last)
{
    return year >= first && year <= last;
}

/* The first year is that of 2005 in each calendar: older than any of the families. */
static bool day_plausible(struct date_group year, unsigned month, unsigned day,
                          const struct tm *now)
{
    if (month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    unsigned this_year = (unsigned)now->tm_year + 1900;
    unsigned today = day_number(this_year, (unsigned)now->tm_mon + 1, (unsigned)now->tm_mday);
    unsigned islamic = (this_year - 622) * 33 / 32 + 1, persian = this_year - 621;
    unsigned thai = this_year + 543;

    unsigned gregorian = year.number;
    if (year.digits == 2)
        gregorian += 2000;
    else if (year.digits == 3)
        gregorian += 1900; /* JScript's getYear() */
    if (gregorian >= 2005 && day_number(gregorian, month, day) <= today + 2)
        return true;
    if (year.digits == 4)
        return between(year.number, 1426, islamic) || between(year.number, 1384, persian) ||
               between(year.number, 2548, thai);
    return year.digits == 2 &&
           (between(year.number + 1400, 1426, islamic) || between(year.number + 1300, 1384, 1399) ||
            between(year.number + 1400, 1400, persian) || between(year.number + 2500, 2548, thai));
}

bool checkin_date_plausible(struct sink_text text)
{
    struct date_group groups[DATE_GROUPS];
    time_t seconds = time(NULL);
    struct tm now;
    if (!read_date(text, groups) || gmtime_r(&seconds, &now) == NULL)
        return false;
    const struct date_group *a = &groups[0], *b = &groups[1], *c = &groups[2];
    return day_plausible(*a, b->number, c->number, &now) ||
           (a->digits <= 2 && (day_plausible(*c, b->number, a->number, &now) ||
                               day_plausible(*c, a->number, b->number, &now)));
}

/* Whether it has 1 to `characters_max` characters and none of `refused`. In UTF-8 octets that
 * continue a character don't count; of other code pages the limit is wider than it need be. */
static bool name_plausible(struct sink_text name, size_t characters_max, const char *refused)
{
    size_t characters = 0;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t octet = name.octets[i];
        if (octet < ' ' || octet == 0x7f || strchr(refused, octet) != NULL)
            return false;
        characters += (octet & 0xc0) != 0x80;
    }
    return name.size > 0 && characters <= characters_max && name.size <= 4 * characters_max;
}

bool checkin_host_plausible(struct sink_text host)
{
    return name_plausible(host, 15, "\\/:*?\"<>| "); /* a NetBIOS name */
}

bool checkin_user_plausible(struct sink_text user)
{
    return name_plausible(user, 64, "\\/[]:;|=,+*?<>\"");
}

bool checkin_country_plausible(struct sink_text country)
{
    for (size_t i = 0; i < country.size; i++) {
        if (!is_letter(country.octets[i]))
            return false;
    }
    return country.size == 0 || country.size == 2 || country.size == 3;
}

bool checkin_is_system(struct sink_text system)
{
    return text_has(system, "win");
}

static const struct windows {
    const char *name;
    unsigned service_pack_max;
} windows[] = {
    {"xp", 3},   {"vista", 2}, {"7", 1},    {"8.1", 0},  {"81", 0},   {"8", 0},
    {"10", 0},   {"11", 0},    {"2000", 4}, {"2003", 2}, {"2008", 2}, {"2011", 1},
    {"2012", 0}, {"2016", 0},  {"2019", 0}, {"2022", 0}, {"2025", 0},
};

/* Whether the name stands in the text as itself, not as a part of another number. */
static bool has_windows(struct sink_text system, const char *name)
{
    size_t size = strlen(name);
    for (size_t at = 0; at + size <= system.size; at++) {
        if (!text_begins_as(text_after(system, at), name))
            continue;
        if (!is_digit((uint8_t)name[0]))
            return true;
        bool begins = at == 0 || !is_digit(system.octets[at - 1]);
        size_t end = at + size;
        bool goes_on = end < system.size && (is_digit(system.octets[end]) ||
                                             (system.octets[end] == '.' && end + 1 < system.size &&
                                              is_digit(system.octets[end + 1])));
        if (begins && !goes_on)
            return true;
    }
    return false;
}

/* The number in "SP1", 0 where there is none. */
static unsigned service_pack(struct sink_text system)
{
    for (size_t at = 0; at + 2 < system.size; at++) {
        if (text_begins_as(text_after(system, at), "sp") && is_digit(system.octets[at + 2]))
            return (unsigned)(system.octets[at + 2] - '0');
    }
    return 0;
}

bool checkin_system_plausible(struct sink_text system)
{
    if (!checkin_is_system(system) || !checkin_is_text(system))
        return false;
    for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        if (has_windows(system, windows[i].name))
            return service_pack(system) <= windows[i].service_pack_max;
    }
    return false;
}

bool checkin_is_yes_or_no(struct sink_text text)
{
    return text_is(text, "yes") || text_is(text, "no");
}

void checkin_version(struct sink_recognition *recognition, struct sink_text version)
{
    size_t size = 0;
    for (size_t i = 0; i < version.size && size + 1 < sizeof(recognition->version); i++) {
        if (version.octets[i] >= ' ' && version.octets[i] < 0x7f)
            recognition->version[size++] = (char)version.octets[i];
    }
    recognition->version[size] = '\0';
}
