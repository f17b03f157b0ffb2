#include "order/signing_key.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_text.h"
#include "base/yaml_load.h"

/* NAME.key as YAML. The seed is the secret; the key pair follows from it. */
struct key_document {
    char *name;
    char *seed;
};

static const cyaml_schema_field_t key_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct key_document, name, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("seed", CYAML_FLAG_POINTER, struct key_document, seed, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t key_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct key_document, key_fields),
};

bool signer_name_valid(const char *name)
{
    size_t size = strlen(name);

    if (size == 0 || size > SIGNER_NAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)name[i]) && strchr("-_.@", name[i]) == NULL)
            return false;
    return true;
}

bool base64_decode_exactly(const char *text, uint8_t *ret_octets, size_t size)
{
    const char *end;
    size_t decoded;

    return sodium_base642bin(ret_octets, size, text, strlen(text), NULL, &decoded, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           decoded == size && *end == '\0';
}

static int write_secret(const char *path, const char *name, const uint8_t *seed,
                        struct error *ret_error)
{
    char encoded[BASE64_SIZE(crypto_sign_SEEDBYTES)], text[512];

    sodium_bin2base64(encoded, sizeof(encoded), seed, crypto_sign_SEEDBYTES,
                      sodium_base64_VARIANT_ORIGINAL);
    int size =
        snprintf(text, sizeof(text),
                 "# Secret key of a signer of orders (Ed25519). Whoever has it signs in this "
                 "name.\nname: \"%s\"\nseed: \"%s\"\n",
                 name, encoded);
    int rc = file_text_create(path, 0600, text, (size_t)size, ret_error);
    sodium_memzero(encoded, sizeof(encoded));
    sodium_memzero(text, sizeof(text));
    return rc;
}

static int write_public(const char *path, const char *name, const uint8_t *public_key,
                        struct error *ret_error)
{
    char encoded[BASE64_SIZE(SIGNING_PUBLIC_SIZE)], text[256];

    sodium_bin2base64(encoded, sizeof(encoded), public_key, SIGNING_PUBLIC_SIZE,
                      sodium_base64_VARIANT_ORIGINAL);
    int size = snprintf(text, sizeof(text), "- { name: \"%s\", public: \"%s\" }\n", name, encoded);
    return file_text_create(path, 0644, text, (size_t)size, ret_error);
}

int signing_key_generate(const char *folder, const char *name, struct error *ret_error)
{
    uint8_t seed[crypto_sign_SEEDBYTES], public_key[SIGNING_PUBLIC_SIZE];
    uint8_t secret[SIGNING_SECRET_SIZE];
    char secret_path[PATH_MAX], public_path[PATH_MAX];

    if (!signer_name_valid(name))
        return error_set(ret_error, -EINVAL,
                         "'%s' cannot name a signer: use 1 to %d letters, digits, '-', '_', '.' "
                         "and '@', beginning with none of '-' and '.'",
                         name, SIGNER_NAME_MAX);
    if (snprintf(secret_path, sizeof(secret_path), "%s/%s.key", folder, name) >= PATH_MAX ||
        snprintf(public_path, sizeof(public_path), "%s/%s.pub", folder, name) >= PATH_MAX)
        return error_set(ret_error, -ENAMETOOLONG, "%s: too long a path", folder);
    if (sodium_init() < 0)
        return error_set(ret_error, -EIO, "no source of random numbers");

    randombytes_buf(seed, sizeof(seed));
    crypto_sign_seed_keypair(public_key, secret, seed);
    sodium_memzero(secret, sizeof(secret));
    int rc = write_secret(secret_path, name, seed, ret_error);
    sodium_memzero(seed, sizeof(seed));
    if (rc < 0)
        return rc;
    rc = write_public(public_path, name, public_key, ret_error);
    if (rc < 0)
        unlink(secret_path); /* its public half would never be known */
    return rc;
}

static int key_from_document(const char *path, const struct key_document *document,
                             struct signing_key *ret_key, struct error *ret_error)
{
    uint8_t seed[crypto_sign_SEEDBYTES], public_key[SIGNING_PUBLIC_SIZE];

    if (!signer_name_valid(document->name))
        return error_set_at(ret_error, -EINVAL, path, 0, "'name' cannot name a signer");
    if (!base64_decode_exactly(document->seed, seed, sizeof(seed)))
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "'seed' is not the base64 of %zu octets; give the .key file that "
                            "'tamis key generate' wrote",
                            sizeof(seed));
    memcpy(ret_key->name, document->name, strlen(document->name) + 1);
    crypto_sign_seed_keypair(public_key, ret_key->secret, seed);
    sodium_memzero(seed, sizeof(seed));
    return 0;
}

int signing_key_load(const char *path, struct signing_key *ret_key, struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *source = NULL;
    struct key_document *document = NULL;
    struct stat status;

    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) != 0)
        return error_set_at(ret_error, -EACCES, path, 0,
                            "is a secret that others may read; run: chmod 600 '%s'", path);
    int rc = yaml_source_read(path, &source, ret_error);
    if (rc < 0)
        return rc;
    rc = yaml_source_load(source, &key_schema, (void **)&document, NULL, ret_error);
    if (rc == 0) {
        rc = key_from_document(path, document, ret_key, ret_error);
        sodium_memzero(document->seed, strlen(document->seed));
    }
    sodium_memzero(source->text, source->size);
    yaml_value_free(&key_schema, document, 0);
    return rc;
}

void signing_key_clear(struct signing_key *key)
{
    sodium_memzero(key, sizeof(*key));
}
