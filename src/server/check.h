/* tamisd --check: everything is loaded as for serving, and nothing is served. */
#pragma once

#include <stdbool.h>

/* Prints what is wrong by file and line. Returns 0, or 1 when something would not be served. */
int server_check(const char *config_path, bool json);
