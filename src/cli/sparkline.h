/* A row of blocks that shows how a value went. */
#pragma once

#include <stddef.h>

/* Values that are shown; of more, the last. */
#define SPARKLINE_MAX 24

/* Draws values from 0 to their largest as eighths of blocks; UTF-8. A NAN is a gap. */
#define SPARKLINE_SIZE (SPARKLINE_MAX * 3 + 1)
const char *sparkline(const double *values, size_t count, char ret_text[SPARKLINE_SIZE]);
