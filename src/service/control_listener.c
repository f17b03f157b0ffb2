#include "service/control_listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 16

/* Whether a server answers on the socket file: 1 yes, 0 none, or a negative errno. */
static int socket_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int failed = rc < 0 ? errno : 0;
    close(fd);
    if (rc == 0 || failed == EAGAIN) /* EAGAIN: its backlog is full, so it lives */
        return 1;
    return failed == ECONNREFUSED || failed == ENOENT ? 0 : -failed;
}

/* Removes the socket file that a killed server left; refuses anything else that stands there. */
static int stale_remove(const struct sockaddr_un *address, struct error *ret_error)
{
    const char *path = address->sun_path;
    struct stat status;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0
                               : error_set_at(ret_error, -errno, path, 0,
                                              "the control socket's place cannot be examined: %s",
                                              strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return error_set_at(ret_error, -EEXIST, path, 0,
                            "the control socket's place is taken by another file: remove it or "
                            "configure another \"control\" path");
    int alive = socket_alive(address);
    if (alive > 0)
        return error_set_at(ret_error, -EADDRINUSE, path, 0,
                            "another tamisd listens on this control socket: stop it or configure "
                            "another \"control\" path");
    if (alive < 0)
        return error_set_at(ret_error, alive, path, 0, "the control socket cannot be examined: %s",
                            strerror(-alive));
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_at(ret_error, -errno, path, 0,
                            "the control socket of an earlier run cannot be removed: %s",
                            strerror(errno));
    return 0;
}

int control_listener_open(struct control_listener *listener, const char *path,
                          struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;

    *listener = (struct control_listener){.fd = -1};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set_at(ret_error, -ENAMETOOLONG, path, 0,
                            "the control socket's path is longer than %zu octets: choose a shorter "
                            "one, for example below /run",
                            sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int rc = stale_remove(&address, ret_error);
    if (rc < 0)
        return rc;

    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The mode is set before the name exists, so that it is never wider, and again behind it, since
     * bind() takes the umask off. */
    if (listener->fd < 0 || fchmod(listener->fd, 0660) < 0 ||
        bind(listener->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set_at(ret_error, -errno, path, 0,
                            "the control socket cannot be made: %s; its folder must exist and be "
                            "writable",
                            strerror(errno));
    if (chmod(path, 0660) < 0 || lstat(path, &status) < 0 ||
        listen(listener->fd, LISTEN_BACKLOG) < 0) {
        rc = -errno;
        unlink(path);
        return error_set_at(ret_error, rc, path, 0, "the control socket cannot be used: %s",
                            strerror(-rc));
    }
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    return 0;
}

void control_listener_close(struct control_listener *listener, const char *path)
{
    struct stat status;

    if (listener->inode != 0 && lstat(path, &status) == 0 && status.st_dev == listener->device &&
        status.st_ino == listener->inode)
        unlink(path);
    if (listener->fd >= 0)
        close(listener->fd);
}
