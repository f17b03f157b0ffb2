/* Where a request's body ends must be the same to the desk as to any proxy before it, or what the
 * proxy takes for a body is a request of its own here (RFC 9112, 6.3 and 11.2). The library reads
 * some of what can be read in two ways; nobody who means well sends it. */
#include <string.h>
#include <strings.h>

#include "desk/http_internal.h"

struct framing {
    unsigned lengths, codings;
    bool is_chunked, is_odd;
};

/* RFC 9112, 5.1: nothing stands between a name and its colon. */
static enum MHD_Result field_look(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct framing *framing = context;

    (void)kind;
    framing->is_odd |= strpbrk(name, " \t") != NULL;
    framing->lengths += strcasecmp(name, "Content-Length") == 0;
    if (strcasecmp(name, "Transfer-Encoding") == 0) {
        framing->codings++;
        framing->is_chunked = value != NULL && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

bool http_framing_is_clear(struct request *request)
{
    struct framing framing = {0};

    (void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, field_look, &framing);
    return !framing.is_odd && framing.lengths + framing.codings <= 1 &&
           framing.is_chunked == (framing.codings == 1);
}
