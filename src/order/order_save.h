/* An order written back to files, as order_load() reads it: what a server keeps over its own end.
 *
 * In two steps, so that the long one, the writing, can go before a lock is taken: what is prepared
 * stands beside the kept files and counts for nothing until it takes their place.
 */
#pragma once

#include "order/order.h"

/* An order being saved: between order_save_prepare() and _finish() or _cancel(). */
struct order_saving {
    char id[64];
    char names_file[128]; /* the list's file in the folder, of a name that was not there before */
};

/* Writes DIRECTORY/ID.yaml.new and DIRECTORY/ID.names.new durably; an order_unsave() of what is
 * kept leaves them alone. One at a time for an id. On failure nothing is left. */
_must_check_ int order_save_prepare(const struct order *order, const char *directory,
                                    struct order_saving *ret_saving, struct error *ret_error);

/* Puts the list under its new name and then the document in the place of DIRECTORY/ID.yaml,
 * durably: a document always stands with its own list, also after a failure or a kill half-way. */
_must_check_ int order_save_finish(const struct order_saving *saving, const char *directory,
                                   struct error *ret_error);

/* Forgets what was prepared. */
void order_save_cancel(const struct order_saving *saving, const char *directory);

/* Removes the kept files durably, the document first; files that are not there are fine. */
_must_check_ int order_unsave(const char *id, const char *directory, struct error *ret_error);
