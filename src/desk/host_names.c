#include "desk/host_names.h"

#include <errno.h>
#include <idn2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#define LABEL_SIZE_MAX 63 /* RFC 1035, 2.3.4 */

/* Code points of a label that are looked at: an A-label of 63 octets has fewer, and a code point
 * decomposes into at most four that are of interest. */
#define POINTS_MAX 256

/* ---- One form ---- */

static bool is_ldh(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* RFC 1123, 2.1; two hyphens in the third and fourth place are IDNA's (RFC 5891, 4.2.3.1). */
static bool label_is_valid(const char *label, size_t size)
{
    if (size == 0 || size > LABEL_SIZE_MAX || label[0] == '-' || label[size - 1] == '-')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_ldh(label[i]))
            return false;
    return size < 4 || label[2] != '-' || label[3] != '-' || memcmp(label, "xn", 2) == 0;
}

static bool name_is_valid(const char *name)
{
    for (;;) {
        size_t size = strcspn(name, ".");
        if (!label_is_valid(name, size))
            return false;
        if (name[size] == '\0')
            return true;
        name += size + 1;
    }
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

static bool ascii_fold(const char *text, char ret_name[static HOST_NAME_SIZE])
{
    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '.')
        size--;
    if (size == 0 || size >= HOST_NAME_SIZE)
        return false;
    for (size_t i = 0; i < size; i++)
        ret_name[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    ret_name[size] = '\0';
    return true;
}

/* An A-label that stands for nothing, or for what has another form, is none (RFC 5891, 5.3). */
static bool is_idna(const char *name)
{
    char *decoded = NULL, *encoded = NULL;
    bool is_same =
        idn2_to_unicode_8z8z(name, &decoded, 0) == IDN2_OK && !is_ascii(decoded) &&
        idn2_to_ascii_8z(decoded, &encoded, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK &&
        strcmp(encoded, name) == 0;
    idn2_free(decoded);
    idn2_free(encoded);
    return is_same;
}

static int not_a_name(const char *text, struct error *ret_error)
{
    return error_set(ret_error, -EINVAL,
                     "\"%.100s\" is no host name: give letters, digits and hyphens, with dots "
                     "between",
                     text);
}

int host_name_normalize(const char *text, char ret_name[static HOST_NAME_SIZE],
                        struct error *ret_error)
{
    char name[HOST_NAME_SIZE];
    char *encoded = NULL;
    bool fits;

    if (is_ascii(text)) {
        fits = ascii_fold(text, name);
    } else {
        fits = idn2_to_ascii_8z(text, &encoded, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK &&
               ascii_fold(encoded, name);
        idn2_free(encoded);
    }
    if (!fits || !name_is_valid(name))
        return not_a_name(text, ret_error);
    if (strstr(name, "xn--") != NULL && !is_idna(name))
        return not_a_name(text, ret_error);
    memcpy(ret_name, name, strlen(name) + 1);
    return 0;
}

const struct desk_config_zone *host_zone_find(const struct desk_config_hosts *config,
                                              const char *name)
{
    const char *dot = strchr(name, '.');
    if (dot == NULL)
        return NULL;
    for (size_t i = 0; i < config->zone_count; i++)
        if (strcmp(config->zones[i].name, dot + 1) == 0)
            return &config->zones[i];
    return NULL;
}

/* ---- What people see ---- */

/* Code points that are drawn as a Latin letter or two, after accents are off and letters are
 * small: of Unicode's confusables (UTS #39) those of scripts that IDNA2008 allows in labels. */
static const struct {
    uint16_t point;
    char latin[3];
} confusables[] = {
    {0x00df, "b"}, {0x00e6, "ae"}, {0x00f0, "d"}, {0x00f8, "o"}, {0x00fe, "p"}, {0x0111, "d"},
    {0x0127, "h"}, {0x0131, "i"},  {0x0138, "k"}, {0x0142, "l"}, {0x014b, "n"}, {0x0153, "oe"},
    {0x0167, "t"}, {0x0180, "b"},  {0x0183, "b"}, {0x0188, "c"}, {0x018c, "d"}, {0x0192, "f"},
    {0x0199, "k"}, {0x019a, "l"},  {0x019e, "n"}, {0x01a5, "p"}, {0x01ad, "t"}, {0x01b4, "y"},
    {0x01b6, "z"}, {0x01bf, "p"},  {0x01dd, "e"}, {0x0251, "a"}, {0x0253, "b"}, {0x0256, "d"},
    {0x0257, "d"}, {0x0260, "g"},  {0x0261, "g"}, {0x0266, "h"}, {0x0268, "i"}, {0x0269, "i"},
    {0x026a, "i"}, {0x026b, "l"},  {0x026d, "l"}, {0x026f, "w"}, {0x0271, "m"}, {0x0272, "n"},
    {0x0273, "n"}, {0x0275, "o"},  {0x027c, "r"}, {0x027d, "r"}, {0x0280, "r"}, {0x0282, "s"},
    {0x0288, "t"}, {0x0289, "u"},  {0x028b, "u"}, {0x028f, "y"}, {0x0290, "z"}, {0x0291, "z"},
    {0x03b1, "a"}, {0x03b3, "y"},  {0x03b5, "e"}, {0x03b7, "n"}, {0x03b9, "i"}, {0x03ba, "k"},
    {0x03bd, "v"}, {0x03bf, "o"},  {0x03c1, "p"}, {0x03c3, "o"}, {0x03c4, "t"}, {0x03c5, "u"},
    {0x03c7, "x"}, {0x03c9, "w"},  {0x03f2, "c"}, {0x03f3, "j"}, {0x0430, "a"}, {0x0432, "b"},
    {0x0433, "r"}, {0x0435, "e"},  {0x043a, "k"}, {0x043c, "m"}, {0x043d, "h"}, {0x043e, "o"},
    {0x043f, "n"}, {0x0440, "p"},  {0x0441, "c"}, {0x0442, "t"}, {0x0443, "y"}, {0x0445, "x"},
    {0x044c, "b"}, {0x0455, "s"},  {0x0456, "i"}, {0x0458, "j"}, {0x0461, "w"}, {0x0475, "v"},
    {0x04ab, "c"}, {0x04af, "y"},  {0x04bb, "h"}, {0x04bd, "e"}, {0x04cf, "l"}, {0x0501, "d"},
    {0x051b, "q"}, {0x051d, "w"},  {0x0561, "w"}, {0x0566, "q"}, {0x0570, "h"}, {0x0575, "j"},
    {0x0578, "n"}, {0x057c, "n"},  {0x057d, "u"}, {0x0581, "g"}, {0x0584, "f"}, {0x0585, "o"},
    {0x05d5, "l"}, {0x05df, "l"},  {0x05e1, "o"}, {0x0665, "o"}, {0x06f5, "o"}, {0x0966, "o"},
    {0x09e6, "o"}, {0x0a66, "o"},  {0x0ae6, "o"}, {0x0b66, "o"}, {0x0be6, "o"}, {0x0c66, "o"},
    {0x0ce6, "o"}, {0x0d66, "o"},  {0x0e50, "o"}, {0x0ed0, "o"}, {0x101d, "o"}, {0x1d0f, "o"},
    {0x1d1c, "u"}, {0x1d20, "v"},  {0x1d21, "w"}, {0x1d22, "z"}, {0x3007, "o"}, {0x30fc, "-"},
};

static const char *confusable_find(ucs4_t point)
{
    size_t low = 0, high = sizeof(confusables) / sizeof(confusables[0]);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (confusables[middle].point == point)
            return confusables[middle].latin;
        if (confusables[middle].point < point)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A label's code points, decomposed; false when it cannot be decoded or is too long. */
static bool points_get(const char *label, uint32_t ret_points[static POINTS_MAX], size_t *ret_count)
{
    char *text = NULL;
    size_t size = 0, count = POINTS_MAX;
    bool is_right = false;

    if (idn2_to_unicode_8z8z(label, &text, 0) != IDN2_OK)
        return false;
    uint32_t *points = u8_to_u32((const uint8_t *)text, strlen(text), NULL, &size);
    if (points != NULL)
        is_right = u32_normalize(UNINORM_NFD, points, size, ret_points, &count) == ret_points;
    free(points);
    idn2_free(text);
    *ret_count = count;
    return is_right;
}

/* Pairs that are drawn as one letter, and digits as letters. */
static void latin_fold(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (from[0] == 'r' && from[1] == 'n') {
            *to++ = 'm';
            from++;
        } else if (from[0] == 'v' && from[1] == 'v') {
            *to++ = 'w';
            from++;
        } else {
            *to++ = *from == '0' ? 'o' : *from == '1' ? 'l' : *from;
        }
    }
    *to = '\0';
}

bool host_label_skeleton(const char *label, char ret_skeleton[static HOST_SKELETON_SIZE])
{
    uint32_t points[POINTS_MAX];
    uint8_t octets[6];
    size_t count, used = 0;

    if (!points_get(label, points, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (uc_is_general_category(points[i], UC_MARK))
            continue;
        const char *latin = confusable_find(points[i]);
        int size =
            latin != NULL ? (int)strlen(latin) : u8_uctomb(octets, points[i], sizeof(octets));
        if (size < 0 || used + (size_t)size >= HOST_SKELETON_SIZE)
            return false;
        memcpy(ret_skeleton + used, latin != NULL ? (const void *)latin : octets, (size_t)size);
        used += (size_t)size;
    }
    ret_skeleton[used] = '\0';
    latin_fold(ret_skeleton);
    return true;
}

/* ---- Scripts ---- */

enum script_bit {
    SCRIPT_LATIN = 1 << 0,
    SCRIPT_HAN = 1 << 1,
    SCRIPT_HIRAGANA = 1 << 2,
    SCRIPT_KATAKANA = 1 << 3,
    SCRIPT_BOPOMOFO = 1 << 4,
    SCRIPT_HANGUL = 1 << 5,
};

static unsigned script_bit(const uc_script_t *script)
{
    static const char *const names[] = {"Latin",    "Han",      "Hiragana",
                                        "Katakana", "Bopomofo", "Hangul"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(script->name, names[i]) == 0)
            return 1u << i;
    return 0;
}

/* Whether a label is of one script, or of those that people write together ("highly restrictive",
 * UTS #39, 5.2). */
static bool scripts_belong_together(const char *label)
{
    static const unsigned together[] = {
        SCRIPT_LATIN | SCRIPT_HAN | SCRIPT_HIRAGANA | SCRIPT_KATAKANA,
        SCRIPT_LATIN | SCRIPT_HAN | SCRIPT_BOPOMOFO,
        SCRIPT_LATIN | SCRIPT_HAN | SCRIPT_HANGUL,
    };
    const uc_script_t *alone = NULL;
    uint32_t points[POINTS_MAX];
    unsigned bits = 0;
    size_t count;

    if (!points_get(label, points, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const uc_script_t *script = uc_script(points[i]);
        if (script == NULL || strcmp(script->name, "Common") == 0 ||
            strcmp(script->name, "Inherited") == 0)
            continue;
        unsigned bit = script_bit(script);
        if (bit == 0 && ((alone != NULL && alone != script) || bits != 0))
            return false;
        if (bit == 0)
            alone = script;
        bits |= bit;
    }
    if (alone != NULL)
        return bits == 0;
    for (size_t i = 0; i < sizeof(together) / sizeof(together[0]); i++)
        if ((bits & ~together[i]) == 0)
            return true;
    return false;
}

/* ---- What nobody may take ---- */

/* What programs look for in a zone by itself (RFC 2142, and what browsers, mail programs and
 * certificate authorities ask), and what people take for the provider's own. */
static const char *const reserved_words[] = {
    "abuse",         "account",       "accounts",   "admin",
    "administrator", "api",           "autoconfig", "autodiscover",
    "billing",       "broadcasthost", "ca",         "dns",
    "desk",          "ftp",           "help",       "hostmaster",
    "imap",          "info",          "ipv4",       "ipv6",
    "isatap",        "localdomain",   "localhost",  "login",
    "mail",          "mta-sts",       "news",       "no-reply",
    "noc",           "noreply",       "ns",         "ns0",
    "ns1",           "ns2",           "ns3",        "ns4",
    "official",      "openpgpkey",    "pop",        "pop3",
    "postmaster",    "root",          "secure",     "security",
    "smtp",          "ssl",           "ssladmin",   "ssladministrator",
    "sslwebmaster",  "status",        "support",    "sysadmin",
    "update",        "usenet",        "uucp",       "webmail",
    "webmaster",     "wpad",          "www",
};

static bool skeletons_match(const char *skeleton, const char *word)
{
    char other[HOST_SKELETON_SIZE];
    char name[HOST_NAME_SIZE];
    /* A word of the configuration may be written in U-labels. */
    return host_name_normalize(word, name, NULL) == 0 && host_label_skeleton(name, other) &&
           strcmp(skeleton, other) == 0;
}

static bool is_reserved(const struct desk_config_hosts *config, const char *skeleton)
{
    for (size_t i = 0; i < sizeof(reserved_words) / sizeof(reserved_words[0]); i++)
        if (skeletons_match(skeleton, reserved_words[i]))
            return true;
    for (size_t i = 0; i < config->reserved_count; i++)
        if (skeletons_match(skeleton, config->reserved[i]))
            return true;
    return false;
}

static void hyphens_drop(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++)
        if (*from != '-')
            *to++ = *from;
    *to = '\0';
}

/* Whether a label is the name of somebody else, or has it between hyphens, as paypal-login. */
static bool is_look_alike(const struct desk_config_hosts *config, const char *skeleton)
{
    for (size_t i = 0; i < config->look_alike_count; i++) {
        char rest[HOST_SKELETON_SIZE], *at = rest, *part;
        memcpy(rest, skeleton, strlen(skeleton) + 1);
        while ((part = strsep(&at, "-")) != NULL)
            if (skeletons_match(part, config->look_alikes[i]))
                return true;
        memcpy(rest, skeleton, strlen(skeleton) + 1);
        hyphens_drop(rest);
        if (skeletons_match(rest, config->look_alikes[i]))
            return true;
    }
    return false;
}

int host_name_check(const struct desk_config_hosts *config, const char *name,
                    const struct desk_config_zone **ret_zone, struct error *ret_error)
{
    char label[LABEL_SIZE_MAX + 1], skeleton[HOST_SKELETON_SIZE];
    const struct desk_config_zone *zone = host_zone_find(config, name);

    if (zone == NULL)
        return error_set(ret_error, -EINVAL,
                         "%s is not one label below a zone of ours: choose a name under one", name);
    size_t size = strcspn(name, ".");
    memcpy(label, name, size);
    label[size] = '\0';
    if (!scripts_belong_together(label))
        return error_set(ret_error, -EINVAL,
                         "%s mixes scripts that are not written together: use one", name);
    if (!host_label_skeleton(label, skeleton))
        return error_set(ret_error, -EINVAL, "%s cannot be looked at: choose another", name);
    if (is_reserved(config, skeleton))
        return error_set(ret_error, -EINVAL,
                         "%s is reserved, or looks like a name that is: choose another", name);
    if (is_look_alike(config, skeleton))
        return error_set(ret_error, -EINVAL,
                         "%s looks like the name of somebody else: choose another", name);
    *ret_zone = zone;
    return 0;
}
