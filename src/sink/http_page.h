/* The one page that the sinkhole shows: that it is one, by which order, whom to ask.
 *
 * The status is 403. Nothing that was asked for is given, so no success would be true; 410 says
 * "for good", which an order that can be lifted is not, and 451 (RFC 7725) is for legal demands
 * alone, while orders may also be a provider's. No client keeps a 403 or takes it for the file that
 * it wanted, and with no-store no cache shows it after the order is lifted.
 *
 *     HTTP/1.1 403 Forbidden
 *     Sinkhole: contact="mailto:sinkhole@isp.example", order="nv-2014-00987", notice="https://..."
 *
 * The header is a dictionary of RFC 8941: `contact` is always there, `order` and `notice` where the
 * order is known. Its values are printable ASCII without quotes; what else there would be is
 * percent-encoded. `notice` is also a link rel="blocked-by" (RFC 7725, 4).
 *
 * No octet of the answer is '|', and its body begins with markup: the answers that H-Worm and its
 * kin take commands from are fields split by "<|>" with the command first.
 */
#pragma once

#include <stdbool.h>

#include "sink/dialogue.h"
#include "sink/octet_buffer.h"

/* Appends the whole response. Every text is escaped. Returns 0 or -ENOMEM. */
_must_check_ int http_page_write(const char *operator_name, const char *contact,
                                 const struct dialogue_order *order, bool with_body,
                                 struct octet_buffer *response);
