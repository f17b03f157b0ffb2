/* A list of hostnames in the making: parsed line by line, refused entries named, sorted at the end.
 *
 * A second thread helps to read and to sort a long one. Costs 18 octets a name beside the name
 * itself until name_list_finish(), which leaves 8.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "order/order.h"

struct name_list;

/* Findings go to `order`; the list does not outlive it. */
_must_check_ int name_list_create(struct order *order, struct name_list **ret_list);
void name_list_free(struct name_list *list);
DEFINE_FREEP(struct name_list, name_list_free)

/* Adds one hostname; a malformed one becomes a finding and is no failure. `line` may carry
 * ORDER_LINE_INLINE. Returns 0, -ENOMEM or -E2BIG. */
_must_check_ int name_list_add(struct name_list *list, const char *text, size_t size,
                               uint32_t line);

/* Adds a whole names-file: one hostname a line; blank lines, '#' comments, blanks around and a
 * carriage return at the end are skipped. */
_must_check_ int name_list_add_lines(struct name_list *list, const char *text, size_t size);

/* Sorts canonically (RFC 4034, 6.1), turns duplicates into findings and hands the names over. The
 * list is empty afterwards. */
_must_check_ int name_list_finish(struct name_list *list, struct order_names *ret_names);
void order_names_clear(struct order_names *names);
