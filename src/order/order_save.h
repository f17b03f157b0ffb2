/* An order written back to files, as order_load() reads it: what a server keeps over its own end.
 *
 * In two steps, so that the long one, the writing, can go before a lock is taken: what is prepared
 * stands beside the kept files and counts for nothing until it takes their place.
 */
#pragma once

#include "order/order.h"

/* Writes DIRECTORY/ID.yaml.new and DIRECTORY/ID.names.new durably. On failure nothing is left. */
_must_check_ int order_save_prepare(const struct order *order, const char *directory,
                                    struct error *ret_error);

/* Puts what was prepared in the place of DIRECTORY/ID.yaml and DIRECTORY/ID.names, durably. The
 * names go first: the document never stands without its list. */
_must_check_ int order_save_finish(const char *id, const char *directory, struct error *ret_error);

/* Forgets what was prepared. */
void order_save_cancel(const char *id, const char *directory);

/* Removes both kept files durably; files that are not there are fine. */
_must_check_ int order_unsave(const char *id, const char *directory, struct error *ret_error);
