#include "base/nearest.h"

#include <stdint.h>
#include <string.h>

/* Longer words than any key or command: bounds the rows of the distance matrix. */
#define WORD_MAX 64

static uint8_t min3(uint8_t one, uint8_t two, uint8_t three)
{
    uint8_t least = one < two ? one : two;
    return least < three ? least : three;
}

/* Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours,
 * which are the commonest slip of the fingers, cost one each. Keeps three rows of the matrix. */
static size_t distance(const char *one, size_t one_size, const char *two, size_t two_size)
{
    uint8_t rows[3][WORD_MAX + 1];
    uint8_t *before = rows[0], *previous = rows[1], *current = rows[2];

    for (size_t j = 0; j <= two_size; j++)
        previous[j] = (uint8_t)j;
    for (size_t i = 1; i <= one_size; i++) {
        current[0] = (uint8_t)i;
        for (size_t j = 1; j <= two_size; j++) {
            uint8_t substituted = (uint8_t)(previous[j - 1] + (one[i - 1] != two[j - 1]));
            current[j] =
                min3((uint8_t)(previous[j] + 1), (uint8_t)(current[j - 1] + 1), substituted);
            if (i > 1 && j > 1 && one[i - 1] == two[j - 2] && one[i - 2] == two[j - 1] &&
                before[j - 2] + 1 < current[j])
                current[j] = (uint8_t)(before[j - 2] + 1);
        }
        uint8_t *oldest = before;
        before = previous;
        previous = current;
        current = oldest;
    }
    return previous[two_size];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t count)
{
    size_t word_size = strlen(word);
    if (word_size > WORD_MAX)
        return NULL;

    const char *nearest = NULL;
    size_t nearest_distance = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(candidates[i]);
        if (size > WORD_MAX)
            continue;
        size_t longer = size > word_size ? size : word_size;
        size_t allowed = longer < 6 ? (longer < 3 ? 1 : 2) : longer / 3;
        size_t found = distance(word, word_size, candidates[i], size);
        if (found <= allowed && found < longer && found < nearest_distance) {
            nearest = candidates[i];
            nearest_distance = found;
        }
    }
    return nearest;
}
