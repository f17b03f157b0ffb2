/* An update on its way, whatever the shape of its request: who it comes from, the hosts that it
 * names, what they are to be, and what became of each.
 *
 * The handler fills it and hands it to host_update_run(), which answers at once when memory knows
 * all, and otherwise has the request wait for the database and the name server. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "desk/host_cache.h"
#include "desk/host_credentials.h"
#include "desk/host_workers.h"
#include "desk/reply.h"
#include "desk/request.h"

#define UPDATE_HOSTS_MAX 20 /* of a request, as Dyn has it */

enum update_code {
    UPDATE_OPEN,
    UPDATE_GOOD,
    UPDATE_NOCHG,
    UPDATE_NOHOST,
    UPDATE_NOTFQDN,
    UPDATE_ABUSE,   /* blocked */
    UPDATE_LIMITED, /* too many changes */
    UPDATE_DNSERR,  /* the name server did not do it */
    UPDATE_FAILED,  /* the desk did not */
    /* Of the whole request. */
    UPDATE_BADAUTH,
    UPDATE_BADAGENT,
    UPDATE_NUMHOST,
    UPDATE_CODES,
};

enum family_wish { FAMILY_KEEP, FAMILY_SET, FAMILY_REMOVE };

/* What the hosts are to be. */
struct update_wish {
    enum family_wish a, aaaa;
    uint8_t a_octets[4], aaaa_octets[16];
    bool offline;
    bool txt_clear;
    const char *txt; /* NULL: TXT stays as it is; else it alone changes */
};

struct update;

struct update_host {
    struct host_waiter waiter; /* first: it is what the cache sees */
    struct update *update;
    struct host_work work;
    enum update_code code;
    unsigned attempts;
    uint64_t serial;
    struct host_addresses set; /* what it has after this, of the families that the wish names */
    struct host_addresses now; /* all that it has after this, as far as is known */
    char reason[BLOCK_REASON_SIZE];
    char name[HOST_NAME_SIZE];
};

struct update_shape {
    /* Writes the answer; 0 or -ENOMEM. */
    int (*reply)(const struct update *update, struct reply *reply);
};

struct update {
    struct hosts *hosts;
    struct pending *pending; /* NULL: answered at once */
    const struct update_shape *shape;
    struct host_work work;
    struct credential *credential;
    char account[ID_SIZE]; /* of a token or password, once it is known */
    struct sockaddr_storage client;
    char client_text[64];
    int64_t now_ms;
    struct update_wish wish;
    bool is_verbose;        /* for its shape */
    enum update_code whole; /* not UPDATE_OPEN: what became of all */
    atomic_uint left;       /* hosts whose code is open */
    size_t count;
    struct update_host list[];
};

/* NULL: out of memory. */
struct update *host_update_create(struct request *request, const struct update_shape *shape,
                                  size_t count);
/* NULL is ignored. */
void host_update_free(struct update *update);

/* Sets a host's name, or that it is none. */
void host_update_name_set(struct update *update, size_t index, const char *text);

/* Sets who it comes from; false: nobody, and `whole` says so. */
bool host_update_credential_set(struct update *update, const char *user, const char *secret);

/* Takes the update; what a handler returns. */
_must_check_ int host_update_run(struct update *update, struct request *request,
                                 struct reply *reply, struct error *ret_error);

/* Reads an address to update to: no address of nobody or of many. */
bool host_update_address_parse(const char *text, size_t size, struct update_wish *wish);
/* Takes the client's for its family. */
void host_update_address_of_client(const struct request *request, struct update_wish *wish);

/* The word of dyndns2 for a code. */
const char *host_update_word(enum update_code code);
