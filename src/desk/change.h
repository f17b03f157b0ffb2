/* Who changes something, when, and from where: what every change is attributed to. */
#pragma once

#include <stdint.h>

#include "desk/principal.h"
#include "desk/request.h"

struct change {
    int64_t now_ms;
    const struct principal *who; /* NULL: the desk itself, as a job */
    const char *client;          /* address as text, or NULL */
};

/* A change that a request makes. */
static inline struct change change_of_request(const struct request *request)
{
    return (struct change){.now_ms = request_now_ms(request),
                           .who = request_principal(request),
                           .client = request_client_text(request)};
}
