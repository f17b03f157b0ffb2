/* GET /metrics (Prometheus text format) and GET /healthz, by libmicrohttpd.
 *
 * One thread serves all requests and calls the source; it is no RCU reader. Connections and their
 * idle time are bounded. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"

struct metrics_source {
    void (*write)(void *context,
                  FILE *stream); /* Prometheus text, `# HELP` and `# TYPE` included */
    /* Healthy: all configured zones that ever had data still serve. `stream` gets one line a
     * finding, or nothing. */
    bool (*healthy)(void *context, FILE *stream);
    void *context;
};

struct metrics_server;

_must_check_ int metrics_server_start(const struct sockaddr *address, socklen_t size,
                                      const struct metrics_source *source,
                                      struct metrics_server **ret_server, struct error *ret_error);
void metrics_server_stop(struct metrics_server *server);
