#include "base/tls_files.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>

#include "base/file_text.h"

/* Eight times the largest list of authorities that systems ship. */
#define FILE_SIZE_MAX ((size_t)2 << 20)

struct certificates {
    gnutls_x509_crt_t *list;
    unsigned count;
};

static void certificates_clear(struct certificates *certificates)
{
    for (unsigned i = 0; i < certificates->count; i++)
        gnutls_x509_crt_deinit(certificates->list[i]);
    gnutls_free(certificates->list);
}

static void private_key_clear(gnutls_x509_privkey_t *key)
{
    if (*key != NULL)
        gnutls_x509_privkey_deinit(*key);
}

/* The key's octets must not stay in freed memory. */
static void text_wipe(struct file_text *text)
{
    if (text->octets != NULL)
        gnutls_memset(text->octets, 0, text->size);
    file_text_clear(text);
}

static int out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory");
}

/* Reads a file and adds its octets to the digest of all. */
static int text_read(const char *path, gnutls_hash_hd_t digest, struct file_text *ret_text,
                     struct error *ret_error)
{
    int rc = file_text_read(path, FILE_SIZE_MAX, ret_text, ret_error);
    if (rc == 0 && gnutls_hash(digest, ret_text->octets, ret_text->size) < 0)
        rc = out_of_memory(ret_error);
    return rc;
}

static int certificates_read(const char *path, gnutls_hash_hd_t digest,
                             struct certificates *ret_certificates, struct error *ret_error)
{
    _cleanup_(file_text_clear) struct file_text text = {0};
    int rc = text_read(path, digest, &text, ret_error);
    if (rc < 0)
        return rc;

    const gnutls_datum_t pem = {(unsigned char *)text.octets, (unsigned)text.size};
    int code = gnutls_x509_crt_list_import2(&ret_certificates->list, &ret_certificates->count, &pem,
                                            GNUTLS_X509_FMT_PEM, 0);
    if (code == GNUTLS_E_MEMORY_ERROR)
        return out_of_memory(ret_error);
    if (code < 0 || ret_certificates->count == 0)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "holds no certificate that can be read (%s): it must be PEM, beginning "
                            "with -----BEGIN CERTIFICATE-----",
                            gnutls_strerror(code));
    return 0;
}

static int private_key_read(const char *path, gnutls_hash_hd_t digest,
                            gnutls_x509_privkey_t *ret_key, struct error *ret_error)
{
    _cleanup_(text_wipe) struct file_text text = {0};
    _cleanup_(private_key_clear) gnutls_x509_privkey_t key = NULL;
    int rc = text_read(path, digest, &text, ret_error);
    if (rc < 0)
        return rc;
    if (gnutls_x509_privkey_init(&key) < 0)
        return out_of_memory(ret_error);

    const gnutls_datum_t pem = {(unsigned char *)text.octets, (unsigned)text.size};
    int code = gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code == GNUTLS_E_DECRYPTION_FAILED)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "the key is encrypted, and nobody is there to type its password: "
                            "decrypt it with \"openssl pkey\" and keep it from other users");
    if (code < 0)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "holds no private key that can be read (%s): it must be PEM, beginning "
                            "with -----BEGIN PRIVATE KEY-----",
                            gnutls_strerror(code));
    *ret_key = TAKE(key);
    return 0;
}

static int pair_add(const struct tls_files *files, gnutls_hash_hd_t digest,
                    struct tls_identity *identity, struct error *ret_error)
{
    _cleanup_(certificates_clear) struct certificates chain = {0};
    _cleanup_(private_key_clear) gnutls_x509_privkey_t key = NULL;

    int rc = certificates_read(files->certificate, digest, &chain, ret_error);
    if (rc == 0)
        rc = private_key_read(files->key, digest, &key, ret_error);
    if (rc < 0)
        return rc;

    int code =
        gnutls_certificate_set_x509_key(identity->credentials, chain.list, (int)chain.count, key);
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return error_set_at(ret_error, -EINVAL, files->certificate, 0,
                            "the certificate is not for the key in %.150s: put the pair there that "
                            "belongs together, the server's own certificate first",
                            files->key);
    if (code < 0)
        return error_set_at(ret_error, -EINVAL, files->certificate, 0,
                            "cannot be used with the key in %.150s: %s", files->key,
                            gnutls_strerror(code));
    identity->expires_at = gnutls_x509_crt_get_expiration_time(chain.list[0]);
    return 0;
}

static int trust_add(const char *path, gnutls_hash_hd_t digest, struct tls_identity *identity,
                     struct error *ret_error)
{
    _cleanup_(certificates_clear) struct certificates authorities = {0};

    int rc = certificates_read(path, digest, &authorities, ret_error);
    if (rc < 0)
        return rc;
    if (gnutls_certificate_set_x509_trust(identity->credentials, authorities.list,
                                          (int)authorities.count) < 0)
        return out_of_memory(ret_error);
    return 0;
}

static int identity_fill(const struct tls_files *files, gnutls_hash_hd_t digest,
                         struct tls_identity *identity, struct error *ret_error)
{
    if (gnutls_certificate_allocate_credentials(&identity->credentials) < 0)
        return out_of_memory(ret_error);
    int rc = 0;
    if (files->certificate != NULL)
        rc = pair_add(files, digest, identity, ret_error);
    if (rc == 0 && files->ca != NULL)
        rc = trust_add(files->ca, digest, identity, ret_error);
    return rc;
}

int tls_identity_load(const struct tls_files *files, struct tls_identity *ret_identity,
                      struct error *ret_error)
{
    struct tls_identity identity = {0};
    gnutls_hash_hd_t digest;

    if (gnutls_hash_init(&digest, GNUTLS_DIG_SHA256) < 0)
        return out_of_memory(ret_error);
    int rc = identity_fill(files, digest, &identity, ret_error);
    gnutls_hash_deinit(digest, identity.digest);
    if (rc < 0) {
        tls_identity_clear(&identity);
        return rc;
    }
    *ret_identity = identity;
    return 0;
}

void tls_identity_clear(struct tls_identity *identity)
{
    if (identity->credentials != NULL)
        gnutls_certificate_free_credentials(identity->credentials);
    *identity = (struct tls_identity){0};
}
