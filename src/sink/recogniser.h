/* The rules folder, compiled, and the way from a flight to its recognition.
 *
 * A rules folder holds *.yar files, in which a rule's `meta` says `family`, `kind` ("check-in",
 * "beacon" or a generic one) and `source`, and known-fakes.txt. It is the user's to extend; the one
 * that comes with Tamis is installed as share/tamis/rules.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/recognition.h"

struct recogniser;

/* Reads and compiles. `folder` NULL: the built-in parsers alone. Errors name file and line. */
_must_check_ int recogniser_load(const char *folder, unsigned threads,
                                 struct recogniser **ret_recogniser, struct error *ret_error);
void recogniser_free(struct recogniser *recogniser);
DEFINE_FREEP(struct recogniser, recogniser_free)

/* Fills `ret_recognition`. `thread` below the `threads` of loading; each number is one thread at a
 * time. Never fails: what can't be known is SINK_UNKNOWN. */
void recogniser_look(struct recogniser *recogniser, unsigned thread,
                     const struct sink_flight *flight, struct sink_recognition *ret_recognition);
