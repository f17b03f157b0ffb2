/* `tamis prove --continuous`: samples of the names, again and again, until it is told to end. */
#pragma once

#include "cli/prove_options.h"

/* Asks samples until `*stopped`, or for options->continuous_s seconds. Sets whether all was equal.
 * The listing stays the caller's. */
_must_check_ int prove_continuously(const struct prove_options *options, struct listing *listing,
                                    bool (*stopped)(void), bool *ret_proved,
                                    struct error *ret_error);
