/* An order written back to files, as order_load() reads it: what a server keeps over its own end.
 */
#pragma once

#include "order/order.h"

/* Writes DIRECTORY/ID.yaml and DIRECTORY/ID.names durably; each replaces an older one as a whole.
 * The names go first: the document never stands without its list. */
_must_check_ int order_save(const struct order *order, const char *directory,
                            struct error *ret_error);

/* Removes both files durably; files that are not there are fine. */
_must_check_ int order_unsave(const char *id, const char *directory, struct error *ret_error);
