/* The network and the country of an address, by any MMDB files. */
#pragma once

#include <netinet/in.h>

#include "base/cleanup.h"
#include "base/error.h"

struct networks;

/* Either path may be NULL; both may be the same file. */
_must_check_ int networks_open(const char *asn_path, const char *country_path,
                               struct networks **ret_networks, struct error *ret_error);
void networks_close(struct networks *networks);
DEFINE_FREEP(struct networks, networks_close)

struct network {
    uint32_t asn;    /* 0: not known */
    char country[3]; /* "": not known */
};

/* Any thread. */
void networks_find(const struct networks *networks, const struct in6_addr *address,
                   struct network *ret_network);

/* The name of a network's holder, or "": valid until the close. For reports, not for every event.
 */
void networks_holder(const struct networks *networks, const struct in6_addr *address,
                     char *ret_name, size_t size);
