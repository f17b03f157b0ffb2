#include "desk/interest_token.h"

#include <sodium.h>
#include <string.h>

#define NAME_SIZE_MAX  253 /* RFC 1035, 3.1, as text */
#define LABEL_SIZE_MAX 63

const char *interest_relation_text(enum interest_relation relation)
{
    static const char *const texts[] = {"name", "tree", "below"};
    return texts[relation];
}

void interest_token_make(enum interest_relation relation,
                         const uint8_t output[static BLINDING_OUTPUT_SIZE],
                         uint8_t ret_token[static INTEREST_TOKEN_SIZE])
{
    static const char domain[] = "tamis-interest-v1";
    const char *text = interest_relation_text(relation);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)domain, sizeof(domain));
    crypto_hash_sha256_update(&state, (const uint8_t *)text, strlen(text) + 1);
    crypto_hash_sha256_update(&state, output, BLINDING_OUTPUT_SIZE);
    crypto_hash_sha256_final(&state, ret_token);
}

const char *interest_parent(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot != NULL && strchr(dot + 1, '.') != NULL ? dot + 1 : NULL;
}

bool interest_name_valid(const char *name, const char **ret_reason)
{
    const char *reason = NULL;
    if (strlen(name) > NAME_SIZE_MAX)
        reason = "it is longer than a name can be";
    else if (strchr(name, '.') == NULL)
        reason = "a top-level domain is too broad";
    for (const char *label = name; reason == NULL; label = strchr(label, '.') + 1) {
        const size_t size = strcspn(label, ".");
        if (size == 0 || size > LABEL_SIZE_MAX)
            reason = "it has an empty label, or one longer than 63 octets";
        else if (strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") < size)
            reason = "write it in lower case, other alphabets as xn--";
        if (label[size] == '\0')
            break;
    }
    if (reason != NULL)
        *ret_reason = reason;
    return reason == NULL;
}
