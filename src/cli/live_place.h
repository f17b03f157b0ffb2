/* Addresses of live traffic: where dnstap is listened for, and who we are to the servers we ask. */
#pragma once

#include <sys/socket.h>

#include "base/error.h"
#include "order/address_table.h"

struct live_place {
    struct sockaddr_storage socket;
    socklen_t size;
};

/* ADDR@PORT, or the path of a Unix socket. */
_must_check_ int live_place_parse(const char *text, struct live_place *ret_place,
                                  struct error *ret_error);

/* The IP address of a socket's. */
struct address live_address(const struct sockaddr_storage *socket);

/* The address that we have on the way to another. Returns how many there are, 0 or 1. */
size_t live_address_towards(const struct sockaddr_storage *to, socklen_t size,
                            struct address *ret_own);
