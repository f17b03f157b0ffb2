#include "desk/ids.h"

#include <sodium.h>
#include <string.h>

#define PREFIX_SIZE 3
#define DIGITS      20
#define TIME_BITS   48 /* milliseconds until the year 10889 */

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford's, lower case */

void id_make(const char *prefix, int64_t now_ms, char ret_id[static ID_SIZE])
{
    uint64_t time = (uint64_t)now_ms & ((UINT64_C(1) << TIME_BITS) - 1);
    uint64_t chance;
    randombytes_buf(&chance, sizeof(chance));

    memcpy(ret_id, prefix, PREFIX_SIZE);
    ret_id[PREFIX_SIZE] = '_';
    /* 100 bits, the time first: 48 of it and 2 of chance make the first ten digits. */
    uint64_t halves[2] = {time << 2 | chance >> 62, chance & ((UINT64_C(1) << 50) - 1)};
    char *at = ret_id + PREFIX_SIZE + 1;
    for (size_t half = 0; half < 2; half++)
        for (unsigned digit = 0; digit < DIGITS / 2; digit++)
            *at++ = alphabet[halves[half] >> (45 - 5 * digit) & 31];
    *at = '\0';
}

bool id_is_valid(const char *prefix, const char *text)
{
    return strlen(text) == ID_SIZE - 1 && memcmp(text, prefix, PREFIX_SIZE) == 0 &&
           text[PREFIX_SIZE] == '_' && strspn(text + PREFIX_SIZE + 1, alphabet) == DIGITS;
}
