/* Hosts as JSON. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/desk_config.h"
#include "desk/host_names.h"
#include "desk/principal.h"
#include "desk/store.h"

struct hosts;

/* Staff sees all; a customer sees what is the account's. */
bool host_is_visible(const struct principal *who, const char *account);

/* A page of an account's hosts, by name; of all for "". `ret_next` is "" on the last. */
_must_check_ int hosts_json(struct store *store, const struct desk_config_hosts *config,
                            const char *account, const char *after, int64_t now_s, unsigned limit,
                            json_t **ret_items, char ret_next[static HOST_NAME_SIZE],
                            struct error *ret_error);

/* A host in full, with its keys, TXT values, and the addresses that the name server has, which is
 * asked for them. Not in a transaction. */
_must_check_ int host_json(struct hosts *hosts, struct store *store, const char *name,
                           int64_t now_s, json_t **ret_json, struct error *ret_error);
