/* A dialogue without TLS for those who test or measure the sensor: it keeps octets, and whoever
 * sends an HTTP request gets a page. */
#pragma once

#include "sink/dialogue.h"

struct dialogue_setting {
    size_t octets_max;
    const char *page;
    size_t page_size;
    size_t memory; /* that each says it holds, beside its octets */
};
