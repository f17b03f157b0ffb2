/* Commands of the control socket about the data of one zone: dump, diff, import, history, restore.
 * All of them may take long and run beside any other; none holds up answers. diff, import and
 * restore hold up updates of the zone while they compare. */
#pragma once

#include <jansson.h>

#include "base/error.h"

/* As control_fn; `context` is the server. What they want of the request:
 *   zone-dump     zone
 *   zone-diff     zone, file: what an import would change
 *   zone-import   zone, file
 *   zone-history  name (of a zone or in one), since (a serial, optional)
 *   zone-restore  name (of a zone or in one), serial */
int zone_command_dump(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error);
int zone_command_diff(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error);
int zone_command_import(void *context, const json_t *request, json_t **ret_result,
                        struct error *ret_error);
int zone_command_history(void *context, const json_t *request, json_t **ret_result,
                         struct error *ret_error);
int zone_command_restore(void *context, const json_t *request, json_t **ret_result,
                         struct error *ret_error);
