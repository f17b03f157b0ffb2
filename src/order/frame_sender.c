#include "order/frame_sender.h"

#include <errno.h>
#include <fstrm.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define LENGTH_SIZE  4
#define ESCAPE_SIZE  8 /* the length 0 and the control frame's own length */
#define CONTROL_ROOM (ESCAPE_SIZE + FSTRM_CONTROL_FRAME_LENGTH_MAX)

struct frame_sender {
    struct sockaddr_un address;
    const char *content_type;
    struct fstrm_control *control;
    int fd; /* -1: not connected */
};

struct frame_sender *frame_sender_create(const char *path, const char *content_type)
{
    struct frame_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL)
        return NULL;
    sender->address.sun_family = AF_UNIX;
    strncpy(sender->address.sun_path, path, sizeof(sender->address.sun_path) - 1);
    sender->content_type = content_type;
    sender->control = fstrm_control_init(); /* ends the process when there is no memory */
    sender->fd = -1;
    return sender;
}

static int hang_up(struct frame_sender *sender, int rc)
{
    close(sender->fd);
    sender->fd = -1;
    return rc;
}

/* All or nothing: what was sent in part is of no use. */
static int send_all(const struct frame_sender *sender, struct iovec *parts, size_t count)
{
    while (count > 0) {
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t sent = sendmsg(sender->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        for (; count > 0 && (size_t)sent >= parts->iov_len; count--)
            sent -= (ssize_t)parts++->iov_len;
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + sent;
            parts->iov_len -= (size_t)sent;
        }
    }
    return 0;
}

static int receive_all(const struct frame_sender *sender, uint8_t *octets, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(sender->fd, octets, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? -EPIPE : errno == EAGAIN ? -ETIMEDOUT : -errno;
        octets += got;
        size -= (size_t)got;
    }
    return 0;
}

static int control_send(struct frame_sender *sender, fstrm_control_type type, bool has_content)
{
    uint8_t octets[CONTROL_ROOM];
    size_t size = sizeof(octets);

    fstrm_control_reset(sender->control);
    if (fstrm_control_set_type(sender->control, type) != fstrm_res_success ||
        (has_content && fstrm_control_add_field_content_type(
                            sender->control, (const uint8_t *)sender->content_type,
                            strlen(sender->content_type)) != fstrm_res_success) ||
        fstrm_control_encode(sender->control, octets, &size, FSTRM_CONTROL_FLAG_WITH_HEADER) !=
            fstrm_res_success)
        return -ENOMEM;
    return send_all(sender, &(struct iovec){octets, size}, 1);
}

static int control_await(struct frame_sender *sender, fstrm_control_type wanted)
{
    uint8_t octets[CONTROL_ROOM];
    fstrm_control_type type;

    int rc = receive_all(sender, octets, ESCAPE_SIZE);
    if (rc < 0)
        return rc;
    const size_t size = knot_wire_read_u32(octets + LENGTH_SIZE);
    if (knot_wire_read_u32(octets) != 0 || size > sizeof(octets) - ESCAPE_SIZE)
        return -EBADMSG;
    rc = receive_all(sender, octets + ESCAPE_SIZE, size);
    if (rc < 0)
        return rc;
    fstrm_control_reset(sender->control);
    if (fstrm_control_decode(sender->control, octets + ESCAPE_SIZE, size, 0) != fstrm_res_success ||
        fstrm_control_get_type(sender->control, &type) != fstrm_res_success || type != wanted)
        return -EBADMSG;
    return wanted != FSTRM_CONTROL_ACCEPT ||
                   fstrm_control_match_field_content_type(
                       sender->control, (const uint8_t *)sender->content_type,
                       strlen(sender->content_type)) == fstrm_res_success
               ? 0
               : -EPROTONOSUPPORT;
}

int frame_sender_connect(struct frame_sender *sender)
{
    const struct timeval wait = {.tv_sec = FRAME_SENDER_WAIT_MS / 1000};

    if (sender->fd >= 0)
        return 0;
    sender->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sender->fd < 0)
        return -errno;
    if (setsockopt(sender->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
        setsockopt(sender->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
        connect(sender->fd, (const struct sockaddr *)&sender->address, sizeof(sender->address)) < 0)
        return hang_up(sender, -errno);
    int rc = control_send(sender, FSTRM_CONTROL_READY, true);
    if (rc == 0)
        rc = control_await(sender, FSTRM_CONTROL_ACCEPT);
    if (rc == 0)
        rc = control_send(sender, FSTRM_CONTROL_START, true);
    return rc < 0 ? hang_up(sender, rc) : 0;
}

bool frame_sender_is_connected(const struct frame_sender *sender)
{
    return sender->fd >= 0;
}

int frame_sender_send(struct frame_sender *sender, const uint8_t *octets, size_t size)
{
    uint8_t length[LENGTH_SIZE];
    struct iovec parts[] = {{length, sizeof(length)}, {(uint8_t *)octets, size}};

    if (sender->fd < 0)
        return -ENOTCONN;
    knot_wire_write_u32(length, (uint32_t)size);
    int rc = send_all(sender, parts, 2);
    return rc < 0 ? hang_up(sender, rc) : 0;
}

void frame_sender_free(struct frame_sender *sender)
{
    if (sender == NULL)
        return;
    if (sender->fd >= 0) {
        if (control_send(sender, FSTRM_CONTROL_STOP, false) == 0)
            (void)control_await(sender, FSTRM_CONTROL_FINISH); /* it has read all, or never will */
        close(sender->fd);
    }
    fstrm_control_destroy(&sender->control);
    free(sender);
}
