/* What forwarding and its cache say about themselves, and the way to have the cache forget. */
#pragma once

#include <stdio.h>

#include "service/control.h"

/* {"command": "cache"}: counters and origins. With "purge": NAME the answers about that name go,
 * with "subtree": true those of all below as well. */
control_fn forwarding_command_cache;

struct server;

/* Nothing when no zone was ever forwarded. */
void forwarding_write_metrics(struct server *server, FILE *stream);
