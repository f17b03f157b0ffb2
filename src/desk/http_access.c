/* Who asks, and whether they may: everything that the table of routes does not allow is refused. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "desk/desk.h"
#include "desk/http_internal.h"

static const char *bearer_of(const struct request *request)
{
    const char *text = request_header(request, "Authorization");
    if (text == NULL || strncasecmp(text, "Bearer ", 7) != 0)
        return NULL;
    return text + 7 + strspn(text + 7, " ");
}

static const char *cookie_of(const struct request *request)
{
    bool is_insecure = request->http->desk->config->http.insecure_cookies;
    return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND,
                                       is_insecure ? SESSION_COOKIE_INSECURE : SESSION_COOKIE);
}

static bool is_change(const struct request *request)
{
    return strcmp(request_method(request), "GET") != 0;
}

static int nobody(struct request *request, const char *detail)
{
    if (reply_header_add(&request->reply, "WWW-Authenticate", "Bearer") < 0)
        return -ENOMEM;
    int rc = reply_problem(&request->reply, 401, "sign-in",
                           "sign in, or send Authorization: Bearer TOKEN", NULL, "%s", detail);
    return rc < 0 ? rc : 1;
}

static int forbidden(struct request *request, const char *kind, const char *remedy,
                     const char *detail)
{
    int rc = reply_problem(&request->reply, 403, kind, remedy, NULL, "%s", detail);
    return rc < 0 ? rc : 1;
}

static int suspended(struct request *request)
{
    return forbidden(request, "suspended", "read why in your account, and appeal",
                     "your account is suspended");
}

static int may(struct request *request)
{
    const struct route *route = request->match.route;
    const struct principal *who = &request->principal;

    /* A public route changes nothing in the name of a session unless the page that asks is ours. */
    if (who->kind == PRINCIPAL_SESSION && is_change(request) &&
        !principal_csrf_matches(who, request_header(request, "X-CSRF-Token")))
        return forbidden(request, "csrf", "send X-CSRF-Token as the sign-in gave it",
                         "the request lacks the session's CSRF token");
    /* There a token would act in its account's name beyond what it is for. */
    if ((route->roles & ROLE_PUBLIC) != 0)
        return who->kind != PRINCIPAL_TOKEN || (who->scopes & route->scopes) == route->scopes
                   ? 0
                   : forbidden(request, "scope", "make a token that may, or ask without one",
                               "the token may not do this");
    if (who->kind == PRINCIPAL_PUBLIC)
        return nobody(request, "this is for those who have signed in");
    if ((route->roles & who->role) == 0)
        return who->is_suspended ? suspended(request)
                                 : forbidden(request, "role", NULL, "your role may not do this");
    if (who->kind == PRINCIPAL_TOKEN &&
        (route->scopes == 0 || (who->scopes & route->scopes) != route->scopes))
        return forbidden(request, "scope",
                         route->scopes == 0 ? "sign in for it" : "make a token that may",
                         "the token may not do this");
    if (who->is_suspended && is_change(request) && !route->for_suspended)
        return suspended(request);
    return 0;
}

int http_access_early(struct request *request)
{
    const struct route *route = request->match.route;

    if ((route->roles & ROLE_PUBLIC) != 0 || route->tells_own || bearer_of(request) != NULL ||
        cookie_of(request) != NULL)
        return 0;
    return nobody(request, "this is for those who have signed in");
}

int http_access(struct request *request, struct error *ret_error)
{
    if (request->match.route->tells_own)
        return 0;
    int rc = principal_find(request->store, cookie_of(request), bearer_of(request),
                            request_now_s(request), &request->principal, ret_error);
    if (rc == -EACCES)
        return nobody(request, "the token is not valid");
    return rc < 0 ? rc : may(request);
}
