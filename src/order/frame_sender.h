/* The sending end of Frame Streams over a UNIX socket: to whoever takes dnstap events there.
 *
 * One thread at a time. No call waits longer than FRAME_SENDER_WAIT_MS for a receiver that hangs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define FRAME_SENDER_WAIT_MS 1000

struct frame_sender;

/* `path` is copied, `content_type` a constant. NULL: no memory. */
struct frame_sender *frame_sender_create(const char *path, const char *content_type);
/* Ends the stream, and waits for the receiver to have it all. */
void frame_sender_free(struct frame_sender *sender);
DEFINE_FREEP(struct frame_sender, frame_sender_free)

/* Connects, unless it is. 0, or a negative errno: nobody listens, or takes no such frames. */
_must_check_ int frame_sender_connect(struct frame_sender *sender);
bool frame_sender_is_connected(const struct frame_sender *sender);

/* Sends one data frame, of at least one octet. A negative errno: the connection is gone, and with
 * it perhaps frames that the receiver has not read yet. */
_must_check_ int frame_sender_send(struct frame_sender *sender, const uint8_t *octets, size_t size);
