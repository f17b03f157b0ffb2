#include "desk/percent.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Octets of the sequence that begins here (RFC 3629, 4); 0: it is none. */
static size_t utf8_size(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first_min, first_max, second_min, second_max;
        size_t size;
    } forms[] = {
        {0x20, 0x7e, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (at[0] < forms[i].first_min || at[0] > forms[i].first_max)
            continue;
        size_t size = forms[i].size;
        if (size > left ||
            (size > 1 && (at[1] < forms[i].second_min || at[1] > forms[i].second_max)))
            return 0;
        for (size_t j = 2; j < size; j++)
            if ((at[j] & 0xc0) != 0x80)
                return 0;
        return size;
    }
    return 0;
}

/* Without control characters, which UTF-8 would allow. */
static bool is_clean(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t step = utf8_size((const uint8_t *)text + at, size - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

int percent_decode(const char *text, size_t size, char *ret_text, size_t room)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = size - i > 2 ? digit_of(text[i + 1]) : -1;
            int low = size - i > 2 ? digit_of(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (used + 1 >= room)
            return -EINVAL;
        ret_text[used++] = c;
    }
    ret_text[used] = '\0';
    return is_clean(ret_text, used) ? 0 : -EINVAL;
}
