/* What zones answer, as the control socket and the metrics tell it. */
#pragma once

#include "server/server.h"

/* {"queries", "listed", "servfail", "nxdomain"}, or null for a zone that is not counted. */
json_t *zone_status_answers(const struct server *server, const struct zone *zone);

/* With the control lock held. */
void zone_status_write_metrics(const struct server *server, FILE *stream);
