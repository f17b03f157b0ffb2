/* Tells of answers that orders decided, as dnstap events (AUTH_RESPONSE) over a UNIX socket: what a
 * sinkhole joins with who connects to it. Nothing is told of any other answer.
 *
 * Each answering thread puts its answers into a ring of its own, without a lock or a system call;
 * one thread sends what the rings hold a few times a second. Where nobody takes the events, or not
 * fast enough, answers are dropped and counted, and no client ever waits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"

struct listed_answers;

/* `threads` that answer; `path` of the socket is copied. */
_must_check_ int listed_answers_start(const char *path, unsigned threads,
                                      struct listed_answers **ret_answers, struct error *ret_error);
/* Sends what is left to who still takes it. After the answering threads have ended. */
void listed_answers_stop(struct listed_answers *answers);

/* By thread number `thread`: a whole response and whom it goes to. */
void listed_answers_put(struct listed_answers *answers, unsigned thread,
                        const struct sockaddr *client, bool is_stream, const uint8_t *response,
                        size_t size);

/* Prometheus text; NULL: none. */
void listed_answers_write_metrics(const struct listed_answers *answers, FILE *stream);
