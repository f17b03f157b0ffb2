/* The octets of a mail (RFC 5322): headers that nothing given can add to or break out of, and a
 * text that flows (RFC 3676). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* What goes into one. Addresses are as mail_address() writes them; all is borrowed. */
struct mail_message {
    const char *id;               /* before the '@' of the Message-ID */
    const char *from, *from_name; /* the name may be NULL */
    const char *to;
    const char *subject, *text; /* UTF-8 */
    const char *object;         /* id that makes the thread, or NULL */
    const char *reply_to;       /* Message-ID with its angle brackets, or NULL */
    const char *unsubscribe;    /* URL for one click (RFC 8058), or NULL */
    int64_t date_s;
};

/* Writes it with CRLF line ends. The caller frees `*ret_octets`. -ENOMEM. */
_must_check_ int mail_compose(const struct mail_message *message, char **ret_octets,
                              size_t *ret_size);

/* The part of an address behind the '@'. */
const char *mail_domain(const char *address);
