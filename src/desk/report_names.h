/* Host names in reports: found in addresses, fields and free text, and whose they are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "desk/desk_config.h"

#define REPORT_NAME_SIZE 254 /* 253 characters of text (RFC 1035, 2.3.4), and NUL */

/* Names of a report. What is beyond is counted as left out: a report of more is a list, for which
 * there is the bulk upload. */
#define REPORT_NAMES_MAX 100

struct report_names {
    char list[REPORT_NAMES_MAX][REPORT_NAME_SIZE];
    size_t count;
    size_t left_out;
};

/* Adds a name, in lower case and A-labels without a last dot, unless it is there. False: it is no
 * host name (an address is none). */
bool report_names_add(struct report_names *names, const char *text);

/* Adds the host of an address of the web ("https://user@host:8443/path", also with hxxp and [.] as
 * people write it who do not want it clicked), or of a bare name with a port or a path. */
bool report_names_add_url(struct report_names *names, const char *text);

/* Adds whatever in a free text lies in one of our zones. Other names in it are signatures, victims
 * and proofs. */
void report_names_scan(struct report_names *names, const struct desk_config_hosts *hosts,
                       const char *text, size_t size);

/* Whether the name is of our zones, and the name of the host that it belongs to: one label below
 * the zone. */
bool report_name_owner(const struct desk_config_hosts *hosts, const char *name,
                       char ret_owner[static REPORT_NAME_SIZE]);
