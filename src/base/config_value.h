/* What the checks of a configuration's values share, once the file is loaded: places in the text,
 * paths, addresses, numbers.
 *
 * Every check names the file, the line and the remedy, and sets its output on success alone.
 */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/config_address.h"
#include "base/error.h"
#include "base/yaml_load.h"

/* The text that values stand in, and the folder that its relative paths begin at. */
struct config_value_source {
    const struct yaml_source *yaml;
    const char *directory;
};

/* The place of a value, as yaml_source_line() takes it. */
struct config_value_place {
    char path[128];
};

struct config_value_place config_value_place(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Fills `ret_error` with the source's path and the line of `place`; returns -EINVAL. Finding the
 * line costs one more pass over the text, made only when there is something to report. */
int config_value_fail(const struct config_value_source *source, struct config_value_place place,
                      struct error *ret_error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* -ENOMEM with its text. */
int config_value_out_of_memory(struct error *ret_error);

/* The absolute path of a configuration file and of its folder, both the caller's. The folder is the
 * one that the user named, not the one that a link leads to: paths that are relative to the file
 * mean what they say to a person who reads it there. */
_must_check_ int config_value_paths(const char *path, char **ret_path, char **ret_directory,
                                    struct error *ret_error);

/* Copies a text that may be NULL. */
_must_check_ int config_value_copy(const char *text, char **ret_copy, struct error *ret_error);

/* Joins a path of the file to the folder that the file lies in; NULL stays NULL. "" is an error,
 * for which `what` names the path ("the folder of events"). */
_must_check_ int config_value_path(const struct config_value_source *source,
                                   struct config_value_place place, const char *what,
                                   const char *path, char **ret_path, struct error *ret_error);

/* The same, and it must be a file that can be read. */
_must_check_ int config_value_file(const struct config_value_source *source,
                                   struct config_value_place place, const char *what,
                                   const char *path, char **ret_path, struct error *ret_error);

/* Parses a single address, not a prefix, with its port unless `port_default` stands for it. */
_must_check_ int config_value_address(const struct config_value_source *source,
                                      struct config_value_place place, const char *text,
                                      uint16_t port_default, struct config_address *ret_address,
                                      struct error *ret_error);

/* Parses the list that stands at `place`. `port_default` 0: a list of whom to trust, where prefixes
 * may stand and no port has to. The caller frees `*ret_list`; an empty list stays as it was. */
_must_check_ int config_value_addresses(const struct config_value_source *source,
                                        struct config_value_place place, char *const *texts,
                                        size_t count, uint16_t port_default,
                                        struct config_address **ret_list, size_t *ret_count,
                                        struct error *ret_error);

/* Takes a number within bounds, or the default for NULL. */
_must_check_ int config_value_number(const struct config_value_source *source,
                                     struct config_value_place place, const unsigned *raw,
                                     unsigned value_default, unsigned value_min, unsigned value_max,
                                     unsigned *ret_value, struct error *ret_error);
