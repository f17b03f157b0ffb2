/* "Did you mean": the known word nearest to a mistyped one. */
#pragma once

#include <stddef.h>

/* Returns the candidate with the smallest edit distance to `word`, or NULL when none is near enough
 * to be what a person meant: at most a third of its letters, and at least one, may differ. Words
 * longer than 64 octets match nothing. Ties go to the earlier candidate. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);
