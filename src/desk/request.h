/* A request as a handler sees it. It belongs to the handler's thread until the handler has
 * answered; all that is handed out lives as long as it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/principal.h"
#include "desk/reply.h"
#include "desk/store.h"

struct desk;
struct request;
struct route;

struct desk *request_desk(const struct request *request);
const struct route *request_route(const struct request *request);

/* The worker's own store; NULL in a fast route, which must not wait. */
struct store *request_store(const struct request *request);

/* Who asks. Fast routes are public: they look at no session and no token. */
const struct principal *request_principal(const struct request *request);

/* When it came: one time for all that a request does. */
int64_t request_now_s(const struct request *request);
int64_t request_now_ms(const struct request *request);

/* "GET", also for a HEAD. */
const char *request_method(const struct request *request);
const char *request_path(const struct request *request); /* as sent, without the query */

/* What stands for {name} in the route's path, percent-decoded: never empty, UTF-8 without controls,
 * without '/', never "." or "..". */
const char *request_param(const struct request *request, const char *name);
/* The first value of a query's argument, decoded; NULL: there is none, "": without a value. */
const char *request_query(const struct request *request, const char *name);
/* NULL: there is none. */
const char *request_header(const struct request *request, const char *name);

/* User and password of HTTP's Basic scheme (RFC 7617); false when there is none or it does not fit.
 */
bool request_basic(const struct request *request, char *ret_user, size_t user_size,
                   char *ret_password, size_t password_size);

/* The body, at most the route's body_max octets, with a NUL behind that `ret_size` does not count.
 */
const char *request_body(const struct request *request, size_t *ret_size);

/* The client: the connection's address, or what a trusted proxy says of it. IPv4 in IPv6 is
 * unmapped. */
const struct sockaddr *request_client(const struct request *request);
const char *request_client_text(const struct request *request);

/* `limit` (1 to 200, default 50) and `cursor` ("" at first) of a list. -EINVAL. */
_must_check_ int request_page(const struct request *request, unsigned *ret_limit,
                              const char **ret_cursor, struct error *ret_error);

/* store_transact() for what a request changes. With an Idempotency-Key the transaction also claims
 * the key, so that what was done once is not done again: the kept reply is what a repetition gets.
 * Call it at most once a request. */
_must_check_ int request_transact(struct request *request, store_work_fn *work, void *context,
                                  struct error *ret_error);

/* ---- Answers that come later ---- */

/* A request that another thread answers. */
struct pending;

/* Takes the request out of the hands of its handler, which then returns HANDLER_PENDING. The
 * request stays valid until pending_finish(). NULL: out of memory, or too many wait. */
struct pending *request_suspend(struct request *request);

/* Sends the reply, whose content is taken, from any thread and exactly once. */
void pending_finish(struct pending *pending, struct reply *reply);
/* The same with the problem that fits an error. */
void pending_fail(struct pending *pending, int code, const struct error *error);
