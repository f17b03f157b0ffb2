/* What the refresher brings in, made part of what is served and kept. */
#pragma once

#include "server/refresh.h"

/* The refresher's handlers `publish` and `change`; the context is the server. */
_must_check_ int server_take_zone(void *context, struct zone *zone, struct zone_data *data);
_must_check_ int server_take_changes(void *context, struct zone *zone,
                                     const struct refresh_changes *changes,
                                     struct error *ret_error);
