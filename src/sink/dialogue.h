/* What a connection gets to see: nothing, or, where it speaks HTTP, a page that says what this is.
 *
 * A dialogue is fed with the octets that came and says what to send. It makes the TLS handshake
 * where the client begins one, with a certificate that proves nothing. It never sends an octet that
 * a controller would: outside of TLS's own handshake and the page it sends none at all. A dialogue
 * owns no socket; it is created when the first octets come, so that an idle connection has none.
 *
 * A request is HTTP/1 with a whole head, and its body as far as Content-Length and the limit go; a
 * client that waits for "100 Continue", or sends chunks, has its answer at the head's end. A head
 * longer than the limit has it, too, and ends as SINK_FULL. HTTP/0.9 and HTTP/2 get nothing. What
 * begins like TLS and is no hello counts as plain text. http_page.h has the answer.
 *
 * A dialogue costs 0.4 KiB, one in TLS 13 KiB, in the midst of its handshake 20 KiB, and a
 * handshake one signature. Beyond that it keeps what came, at most as much as is read or a hello
 * takes.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/client_hello.h"
#include "sink/flight.h"
#include "sink/handshake_share.h"

/* Shared by all dialogues: the certificate and the page. */
struct dialogue_setting;

struct dialogue_options {
    const char *certificate, *key; /* PEM files; NULL: made now, self-signed, for this run */
    const char *operator_name;     /* who runs the sinkhole, for people */
    const char *contact;           /* URI whom to ask */
    size_t octets_max;             /* of plain text kept */
};

/* What the page says of the order that a request came by; every text may be NULL. */
struct dialogue_order {
    const char *id, *authority, *notice;
};

/* Which order a host name (HTTP Host; lower case, without port; may be "") or an address belongs
 * to. Fills `ret_order`, whose texts live as long as the setting. Any thread. */
typedef void dialogue_order_fn(void *context, const char *host, const struct sink_endpoint *local,
                               struct dialogue_order *ret_order);

_must_check_ int dialogue_setting_create(const struct dialogue_options *options,
                                         dialogue_order_fn *order, void *context,
                                         struct dialogue_setting **ret_setting,
                                         struct error *ret_error);
void dialogue_setting_free(struct dialogue_setting *setting);

struct dialogue;

/* NULL: no memory. `local` is copied. */
struct dialogue *dialogue_create(const struct dialogue_setting *setting,
                                 const struct sink_endpoint *local);
void dialogue_free(struct dialogue *dialogue);

/* Before the first octets: handshakes only as `share` allows the client. Where it does not, its
 * hello is described, nothing is sent, and the dialogue ends as SINK_SHED. The share outlives it.
 */
void dialogue_limit(struct dialogue *dialogue, struct handshake_share *share,
                    const struct in6_addr *client);

enum dialogue_state {
    DIALOGUE_READS,  /* wants more octets */
    DIALOGUE_WRITES, /* has octets to send; then go on as dialogue_sent() says */
    DIALOGUE_ENDS,   /* close: the page is sent, the limit is reached, or TLS failed */
};

/* Takes octets as they came on the wire. */
enum dialogue_state dialogue_take(struct dialogue *dialogue, const uint8_t *octets, size_t size);

/* What is to be sent, valid until the next call; `ret_size` is 0 when nothing is. */
const uint8_t *dialogue_output(const struct dialogue *dialogue, size_t *ret_size);
enum dialogue_state dialogue_sent(struct dialogue *dialogue, size_t size);

/* What has been learned: the octets (plain), the hello, in_tls, and the ending where the dialogue
 * ended (SINK_ANSWERED, SINK_FULL, SINK_SHED); fills those fields of a flight and leaves the others
 * alone. */
void dialogue_describe(const struct dialogue *dialogue, struct sink_flight *flight);

/* Octets of memory that it holds now. */
size_t dialogue_memory(const struct dialogue *dialogue);
