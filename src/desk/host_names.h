/* Names of hosts: their one form, where they live, and which of them nobody may take.
 *
 * A host is one label below a zone of the provider. Names with other scripts are taken as A-labels
 * or U-labels (IDNA2008) and kept as A-labels. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/desk_config.h"

#define HOST_NAME_SIZE 254 /* 253 characters of text (RFC 1035, 2.3.4), and NUL */

/* Writes the one form of a name: lower case, A-labels, without a last dot. -EINVAL: no host name
 * (RFC 1123, 2.1), in whole or in a label. */
_must_check_ int host_name_normalize(const char *text, char ret_name[static HOST_NAME_SIZE],
                                     struct error *ret_error);

/* The zone that a name is one label below of; NULL: none. `name` has its one form. */
const struct desk_config_zone *host_zone_find(const struct desk_config_hosts *config,
                                              const char *name);

/* Whether `name`, in its one form, may be given to somebody. -EINVAL: it is in no zone, mixes
 * scripts; is reserved, or looks like what is. */
_must_check_ int host_name_check(const struct desk_config_hosts *config, const char *name,
                                 const struct desk_config_zone **ret_zone, struct error *ret_error);

/* What people see in a label, so that labels which look the same have the same skeleton: accents
 * go, look-alikes of other scripts and digits become Latin letters. `label` is an A-label or an
 * LDH-label. False: it cannot be decoded. */
#define HOST_SKELETON_SIZE 256
bool host_label_skeleton(const char *label, char ret_skeleton[static HOST_SKELETON_SIZE]);
