#include "cli/sparkline.h"

#include <math.h>
#include <string.h>

const char *sparkline(const double *values, size_t count, char ret_text[SPARKLINE_SIZE])
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double largest = 0;
    char *at = ret_text;

    if (count > SPARKLINE_MAX) {
        values += count - SPARKLINE_MAX;
        count = SPARKLINE_MAX;
    }
    for (size_t i = 0; i < count; i++)
        if (values[i] > largest)
            largest = values[i];
    for (size_t i = 0; i < count; i++) {
        double share = largest > 0 && values[i] > 0 ? values[i] / largest : 0;
        at = stpcpy(at, isnan(values[i]) ? " " : blocks[(size_t)(share * 7 + 0.5)]);
    }
    *at = '\0';
    return ret_text;
}
