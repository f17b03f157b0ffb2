/* Addresses of servers as options take them. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* Reads ADDR@PORT, or ADDR for port 53; ADDR is an IPv4 or IPv6 address. False: it is neither, and
 * the outputs are untouched. */
bool address_option_parse(const char *text, struct sockaddr_storage *ret_socket,
                          socklen_t *ret_size);
