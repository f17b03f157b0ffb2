/* The control server's socket file: made, taken over from a dead server, removed. Only for
 * control.c. */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"

struct control_listener {
    int fd;       /* -1: none */
    dev_t device; /* of the socket file, so that only our own is removed */
    ino_t inode;  /* 0: none was made */
};

/* On failure, too, the listener is to be closed. */
_must_check_ int control_listener_open(struct control_listener *listener, const char *path,
                                       struct error *ret_error);

/* Closes the socket and removes its file, unless another has taken the place. */
void control_listener_close(struct control_listener *listener, const char *path);
