/* The words that tamis-desk takes beside serving: each is a program of its own that ends. */
#pragma once

#include "desk/desk_config.h"

enum { EXIT_OK = 0, EXIT_PROBLEM = 1, EXIT_WRONG_USE = 2 };

struct desk_command {
    const char *name;
    /* `words` are those behind the name. `config` is NULL unless it needs one. Returns an exit
     * code. */
    int (*run)(const struct desk_config *config, int count, char **words);
    bool needs_config;
};

extern const struct desk_command desk_commands[];
extern const size_t desk_command_count;

/* In command_deliver.c. */
int command_deliver(const struct desk_config *config, int count, char **words);

/* Prints to standard error; returns EXIT_WRONG_USE. */
int wrong_use(const char *text);
