#include "order/signature.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "order/canonical.h"

/* Rule: a whole subtree is never blocked unless two people signed the order. */
#define SUBTREE_SIGNATURES_MIN 2

int signature_make(const struct order *order, const struct signing_key *key,
                   uint8_t ret_value[SIGNATURE_SIZE], struct error *ret_error)
{
    char *text;
    size_t size;

    int rc = canonical_write(order, &text, &size);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    crypto_sign_detached(ret_value, NULL, (const unsigned char *)text, size, key->secret);
    free(text);
    return 0;
}

static const struct order_keyring_entry *find_key(const struct order_policy *policy,
                                                  const char *name)
{
    for (size_t i = 0; i < policy->keyring_count; i++)
        if (strcmp(policy->keyring[i].name, name) == 0)
            return &policy->keyring[i];
    return NULL;
}

static bool matches(const struct order_signature *signature, const struct order_keyring_entry *key,
                    const char *text, size_t size)
{
    return crypto_sign_verify_detached(signature->value, (const unsigned char *)text, size,
                                       key->public_key) == 0;
}

/* Whether an earlier valid signature was made with the same public key: one person under two names
 * is one person. */
static bool counted_before(const struct order *order, const struct order_policy *policy,
                           size_t index, const struct order_keyring_entry *key, const char *text,
                           size_t size)
{
    for (size_t i = 0; i < index; i++) {
        const struct order_keyring_entry *earlier = find_key(policy, order->signatures[i].key);
        if (earlier != NULL &&
            memcmp(earlier->public_key, key->public_key, SIGNING_PUBLIC_SIZE) == 0 &&
            matches(&order->signatures[i], earlier, text, size))
            return true;
    }
    return false;
}

static size_t count_valid(const struct order *order, const struct order_policy *policy,
                          const char *text, size_t size)
{
    size_t valid = 0;

    for (size_t i = 0; i < order->signature_count; i++) {
        const struct order_keyring_entry *key = find_key(policy, order->signatures[i].key);
        if (key != NULL && matches(&order->signatures[i], key, text, size) &&
            !counted_before(order, policy, i, key, text, size))
            valid++;
    }
    return valid;
}

size_t order_signatures_valid(const struct order *order, const struct order_policy *policy)
{
    char *text;
    size_t size;

    if (order->signature_count == 0 || policy->keyring_count == 0)
        return 0;
    if (canonical_write(order, &text, &size) < 0)
        return 0; /* what cannot be verified is not valid */
    size_t valid = count_valid(order, policy, text, size);
    free(text);
    return valid;
}

/* Refuses a signature that contradicts the order; notes one that nobody here can judge. */
static int check_each(struct order *order, const struct order_policy *policy, const char *text,
                      size_t size, struct error *ret_error)
{
    for (size_t i = 0; i < order->signature_count; i++) {
        const struct order_signature *signature = &order->signatures[i];
        const struct order_keyring_entry *key = find_key(policy, signature->key);
        if (key == NULL)
            order_add_finding(order, order->path, signature->line, signature->key,
                              strlen(signature->key), "signed, and is not in the keyring", NULL);
        else if (!matches(signature, key, text, size))
            return error_set_at(ret_error, -EKEYREJECTED, order->path, signature->line,
                                "the signature by '%s' does not match: the order was changed after "
                                "signing, or signed with another key; have it signed again",
                                signature->key);
    }
    return 0;
}

static int refuse_unsigned(const struct order *order, const struct order_policy *policy,
                           size_t valid, size_t needed, struct error *ret_error)
{
    const char *what = order->subtrees.count > 0 && needed == SUBTREE_SIGNATURES_MIN
                           ? "an order with 'subtrees'"
                           : "the order";

    if (policy->keyring_count == 0)
        return error_set_at(ret_error, -EKEYREJECTED, order->path, 0,
                            "%s needs %zu valid signatures by different keys, and they cannot be "
                            "verified without a keyring; name one",
                            what, needed);
    return error_set_at(ret_error, -EKEYREJECTED, order->path, 0,
                        "%s needs %zu valid signatures by different keys and has %zu; sign it with "
                        "'tamis order sign'",
                        what, needed, valid);
}

int signature_check(struct order *order, const struct order_policy *policy, struct error *ret_error)
{
    size_t needed = policy->signatures_min, valid = 0;

    if (policy->unverified)
        return 0;
    if (order->subtrees.count > 0 && needed < SUBTREE_SIGNATURES_MIN)
        needed = SUBTREE_SIGNATURES_MIN;
    if (order->signature_count > 0 && policy->keyring_count > 0) {
        char *text;
        size_t size;
        int rc = canonical_write(order, &text, &size);
        if (rc < 0)
            return error_set_at(ret_error, rc, order->path, 0, "out of memory");
        rc = check_each(order, policy, text, size, ret_error);
        valid = count_valid(order, policy, text, size);
        free(text);
        if (rc < 0)
            return rc;
    }
    return valid < needed ? refuse_unsigned(order, policy, valid, needed, ret_error) : 0;
}
