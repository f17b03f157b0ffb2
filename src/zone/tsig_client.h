/* Transaction signatures on the client's side (RFC 8945): one request, one or many answers.
 *
 * The digest of an answer runs over the answers since the last signed one, so it is fed as they
 * arrive and nothing is kept. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/record_reader.h"
#include "zone/transfer_in.h"

struct tsig_client;

/* -EINVAL for a key that is no key: unknown algorithm, bad name, bad base64. */
_must_check_ int tsig_client_create(const struct transfer_key *key, struct tsig_client **ret_client,
                                    struct error *ret_error);
void tsig_client_free(struct tsig_client *client);
DEFINE_FREEP(struct tsig_client, tsig_client_free)

/* Signs the request of `*size` octets at `message` (room for `max`); begins a new exchange. */
_must_check_ int tsig_client_sign(struct tsig_client *client, uint8_t *message, size_t *size,
                                  size_t max, struct error *ret_error);

/* Takes in the next answer: `tsig` is its last record when that is a TSIG, NULL when it is not.
 * Returns 0 also for an unsigned answer between signed ones; the caller asks
 * tsig_client_is_complete() at the end. -EKEYREJECTED: not from the key's holder. */
_must_check_ int tsig_client_verify(struct tsig_client *client, const uint8_t *message, size_t size,
                                    const struct record *tsig, struct error *ret_error);

/* Whether the last answer was signed, as the last of an exchange must be. */
bool tsig_client_is_complete(const struct tsig_client *client);

/* What a TSIG's error field says and what to do about it, as text; "" for no error. */
void tsig_error_explain(const struct record *tsig, const struct transfer_key *key, char *ret_text,
                        size_t size);
