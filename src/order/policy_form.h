/* The form of an order as a policy zone, which tamis-order(5) defines: what its writer and its
 * reader share. Private to the order module. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zone/overlay.h"

/* The first character-string of the TXT record at the owner _tamis that holds an order's metadata.
 */
#define POLICY_FORM_KEY "tamis-order"
#define POLICY_FORM     POLICY_FORM_KEY "=1"

/* Below it, owners N._tamis hold, as TXT, the entries of lists that no trigger can express. */
#define POLICY_OWN_LABEL "\6_tamis"

/* The CNAME target that stands for an action (draft-vixie-dnsop-dns-rpz, section 3) as text; NULL
 * for local data. */
const char *policy_action_target(enum verdict_action action);
#define POLICY_PASSTHRU "rpz-passthru."

/* The rightmost label of a name, its length octet first; "" for the root. */
const uint8_t *policy_last_label(const uint8_t *wire);

/* Whether the rightmost label begins with "rpz-": "24.0.2.0.192.rpz-ip" in a list would become a
 * trigger on addresses, not on a name (draft, section 4). */
bool policy_is_other_trigger(const uint8_t *wire);

/* Whether the rightmost label is that of the metadata. `wire` is lower case. */
bool policy_is_own(const uint8_t *wire);

/* Whether a name is a hostname in the narrow sense (RFC 952, RFC 1123, 2.1): only such a name may
 * own address records where BIND loads a primary zone, and one other owner would drop the whole
 * zone. */
bool policy_is_hostname(const uint8_t *wire);
