/* The marks of orders in the zones' data, beside those that order/order_scope.h sets.
 *
 * Only the holder of the marks lock (server/order_book.h) calls these: it is the one writer of
 * marks, and while it holds the lock no zone and no generation of data goes away.
 */
#pragma once

#include "server/order_book.h"

/* Marks the order's names in one generation, which need not be published. A name in a zone below,
 * which is in `zones` as well, is left to that. */
_must_check_ int order_marks_set_in(const struct zone_set *zones, const struct active_order *active,
                                    struct zone_data *data);

/* Clears the marks of an order that is in force no more, but for names that one of `others` (NULL:
 * there are none) lists. */
void order_marks_clear(const struct zone_set *zones, const struct active_order *active,
                       const struct overlay_set *others);
