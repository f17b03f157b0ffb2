/* The table of check-ins that are known to be nobody's: replayed by scanners that look for
 * controllers, sent by published tools, or made in a sandbox that everybody knows.
 *
 * A line is `name family bot machine user "source"`; the five words hold no space (a space within a
 * value is written "+"), "*" stands for anything and also within a word at its end or its start:
 *
 *   jnapier njrat HacKed_D4990627 WIN-JNAPIER0859 JNapier "Where it is described"
 *
 * Letter case doesn't count; "#" begins a comment.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/recognition.h"

struct known_fakes;

/* Errors name file and line. */
_must_check_ int known_fakes_load(const char *path, struct known_fakes **ret_fakes,
                                  struct error *ret_error);
void known_fakes_free(struct known_fakes *fakes);
DEFINE_FREEP(struct known_fakes, known_fakes_free)

size_t known_fakes_count(const struct known_fakes *fakes);

/* The name of the first row that the check-in matches, or NULL; lives as long as `fakes`. Looks at
 * family, bot, machine and user. Any thread. */
const char *known_fakes_find(const struct known_fakes *fakes,
                             const struct sink_recognition *recognition);
