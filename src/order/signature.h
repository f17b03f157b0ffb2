/* Ed25519 signatures of orders. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "order/order.h"
#include "order/signing_key.h"

#define SIGNATURE_SIZE 64 /* crypto_sign_BYTES */

/* Signs the canonical form. */
_must_check_ int signature_make(const struct order *order, const struct signing_key *key,
                                uint8_t ret_value[SIGNATURE_SIZE], struct error *ret_error);

/* Verifies as the policy demands: a signature that does not match although its key is known, or too
 * few signatures, refuse the order (-EKEYREJECTED). A signature by an unknown key is a finding. */
_must_check_ int signature_check(struct order *order, const struct order_policy *policy,
                                 struct error *ret_error);
