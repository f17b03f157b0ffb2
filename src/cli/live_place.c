#include "cli/live_place.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/address_option.h"

int live_place_parse(const char *text, struct live_place *ret_place, struct error *ret_error)
{
    struct sockaddr_un *local = (struct sockaddr_un *)&ret_place->socket;

    if (strchr(text, '@') != NULL &&
        address_option_parse(text, &ret_place->socket, &ret_place->size))
        return 0;
    if (text[0] == '\0' || strlen(text) >= sizeof(local->sun_path))
        return error_set(ret_error, -EINVAL,
                         "'%.60s' is no socket: give ADDR@PORT, or a path of at most %zu octets",
                         text, sizeof(local->sun_path) - 1);
    local->sun_family = AF_UNIX;
    memcpy(local->sun_path, text, strlen(text) + 1);
    ret_place->size = sizeof(*local);
    return 0;
}

struct address live_address(const struct sockaddr_storage *socket)
{
    if (socket->ss_family == AF_INET6)
        return address_of(((const struct sockaddr_in6 *)socket)->sin6_addr.s6_addr, 16);
    return address_of((const uint8_t *)&((const struct sockaddr_in *)socket)->sin_addr, 4);
}

size_t live_address_towards(const struct sockaddr_storage *to, socklen_t size,
                            struct address *ret_own)
{
    struct sockaddr_storage from = {0};
    socklen_t from_size = sizeof(from);

    int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    bool known = connect(fd, (const struct sockaddr *)to, size) == 0 &&
                 getsockname(fd, (struct sockaddr *)&from, &from_size) == 0;
    close(fd);
    if (known)
        *ret_own = live_address(&from);
    return known;
}
