/* What `tamis sink live` shows: a snapshot, as the control command "live" of tamis-sink gives it
 * (tamis-sink-live(1) has its members), as text. */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"

/* The line of the frame that has the headline, from 0. */
#define LIVE_HEADLINE 2

/* Prints the frame. What the snapshot lacks is shown as none: a program of another version may have
 * written it. -ENOMEM. */
_must_check_ int live_frame_print(FILE *stream, const json_t *snapshot, struct error *ret_error);

/* Writes text so that it fits a terminal of so many columns and lines, each line cleared to its
 * end and what is below cleared, too; `highlight` makes the headline stand out. */
void live_frame_fit(FILE *stream, const char *text, unsigned columns, unsigned lines,
                    int highlight);
