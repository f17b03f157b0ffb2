/* A certificate for handshakes with whoever comes: self-signed, made for one run, proof of nothing.
 * Its subject is "sinkhole"; nothing in it tells of the machine. */
#pragma once

#include <gnutls/gnutls.h>

#include "base/cleanup.h"
#include "base/error.h"

/* ECDSA with P-256, which costs a tenth of RSA per handshake and which clients know since Windows
 * Vista. Adds it to `credentials`. */
_must_check_ int certificate_make(gnutls_certificate_credentials_t credentials,
                                  struct error *ret_error);
