/* What the hosts part's files share: private to host*.c, nic_update.c, update_shapes.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "desk/desk.h"
#include "desk/dns_updater.h"
#include "desk/host_cache.h"
#include "desk/host_credentials.h"
#include "desk/host_workers.h"
#include "desk/hosts.h"
#include "desk/reply.h"
#include "desk/request.h"

/* Names that are brought in line with the tables at the same time: more share a lock. */
#define SYNC_LOCKS 64

struct hosts {
    struct desk *desk;
    struct host_cache *cache;
    struct host_credentials *credentials;
    struct host_workers *loaders;   /* read the tables */
    struct host_workers *passwords; /* spend tens of milliseconds on one */
    pthread_mutex_t sync_locks[SYNC_LOCKS];
    atomic_uint_fast64_t updates[16]; /* by enum update_code */
    atomic_int_fast64_t complained_s; /* when the last line of hosts_complain() was logged */
};

/* Logs what goes wrong with an update, but one line a second: when the database or the name server
 * is away, all of them do. */
void hosts_complain(struct hosts *hosts, const char *name, const char *why);

/* ---- host_load.c ---- */

/* Reads what an update must know of a name. Outside or inside of a transaction. */
_must_check_ int host_facts_read(struct store *store, const struct desk_config_hosts *config,
                                 const char *name, int64_t now_s, struct host_facts *ret_facts,
                                 struct error *ret_error);

/* Loads an entry of the cache, as host_cache_look_or_wait() asked for. Any thread. */
void host_load_start(struct hosts *hosts, const char *name, uint64_t serial);

/* ---- host_sync.c ---- */

/* Brings the zone in line with the tables and waits until the name server has it. 0, -EIO, ... as
 * dns_updater_change(). */
_must_check_ int host_sync_now(struct hosts *hosts, struct store *store, const char *name,
                               struct error *ret_error);

/* ---- host_suffix.c ---- */

/* "::1:2:3:4" or "::1:2:3:4/64": what stands behind a delegated prefix of so many bits. */
#define HOST_SUFFIX_TEXT_SIZE 52
bool host_suffix_parse(const char *text, uint8_t ret_suffix[static 16], uint8_t *ret_bits);
/* Its one form. */
void host_suffix_text(const uint8_t suffix[static 16], uint8_t bits,
                      char ret_text[static HOST_SUFFIX_TEXT_SIZE]);
/* The prefix of `address` with the suffix, in place. */
void host_suffix_apply(const uint8_t suffix[static 16], uint8_t bits, uint8_t address[static 16]);

/* ---- plans ---- */

/* The plan of a name; the first for NULL and for one that is not configured any more. */
const struct desk_config_plan *host_plan_find(const struct desk_config_hosts *config,
                                              const char *name);

/* ---- The handlers, for the table of routes ---- */

int nic_update(struct request *request, struct reply *reply, struct error *ret_error);
int duck_update(struct request *request, struct reply *reply, struct error *ret_error);
int desec_update(struct request *request, struct reply *reply, struct error *ret_error);
int host_list(struct request *request, struct reply *reply, struct error *ret_error);
int host_create(struct request *request, struct reply *reply, struct error *ret_error);
int host_get(struct request *request, struct reply *reply, struct error *ret_error);
int host_patch(struct request *request, struct reply *reply, struct error *ret_error);
int host_delete(struct request *request, struct reply *reply, struct error *ret_error);
int host_key_create(struct request *request, struct reply *reply, struct error *ret_error);
int host_key_delete(struct request *request, struct reply *reply, struct error *ret_error);
int host_txt_put(struct request *request, struct reply *reply, struct error *ret_error);
int host_txt_delete(struct request *request, struct reply *reply, struct error *ret_error);
int host_import(struct request *request, struct reply *reply, struct error *ret_error);
