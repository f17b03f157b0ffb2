/* The control socket: one JSON object a line in, one JSON object a line out.
 *
 * A request is {"command": "status", ...arguments}; an answer is {"ok": true, "result": ...} or
 * {"ok": false, "error": {"text": ..., "file": ..., "line": ...}}. A request has at most 32 KiB, an
 * answer any length. Who may command is the socket file's mode and folder.
 *
 * Several clients may be connected. Quick commands of all of them run one at a time in one thread;
 * a slow one runs in a thread of its own and holds up its own client alone, so that a quick one
 * waits for none. None of the threads is an RCU reader.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Runs one command; on success sets `ret_result` (a new reference; left NULL it reads as null). The
 * request is an object whose values are whatever a client sent. */
typedef int control_fn(void *context, const json_t *request, json_t **ret_result,
                       struct error *ret_error);

struct control_command {
    const char *name;
    control_fn *run;
    bool slow; /* may take long; may run beside any other command, itself included */
};

struct control_server;

/* Listens on the UNIX socket `path` (mode 0660; a dead socket file is replaced, a live one is an
 * error). `commands` must live as long as the server. */
_must_check_ int control_server_start(const char *path, const struct control_command *commands,
                                      size_t command_count, void *context,
                                      struct control_server **ret_server, struct error *ret_error);
/* Waits for slow commands to end, closes, removes the socket file. */
void control_server_stop(struct control_server *server);
