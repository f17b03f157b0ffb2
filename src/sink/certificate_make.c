#include "sink/certificate_make.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <time.h>

#define DAY_S ((time_t)24 * 3600)

static int fill(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
    static const char subject[] = "sinkhole";
    uint8_t serial[16];
    /* Valid from the day before, whose clock may be slow, and longer than any run. By whole days,
     * so that it doesn't tell when the program was started. */
    time_t from = time(NULL) / DAY_S * DAY_S - DAY_S;

    int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive and of constant length, RFC 5280, 4.1.2.2 */
    if (rc == 0)
        rc = gnutls_x509_crt_set_version(certificate, 3);
    if (rc == 0)
        rc = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
    if (rc == 0)
        rc = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, subject,
                                           sizeof(subject) - 1);
    if (rc == 0)
        rc = gnutls_x509_crt_set_activation_time(certificate, from);
    if (rc == 0)
        rc = gnutls_x509_crt_set_expiration_time(certificate, from + 3650 * DAY_S);
    if (rc == 0)
        rc = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (rc == 0)
        rc = gnutls_x509_crt_set_key(certificate, key);
    if (rc == 0)
        rc = gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
    return rc;
}

int certificate_make(gnutls_certificate_credentials_t credentials, struct error *ret_error)
{
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t certificate = NULL;

    int rc = gnutls_x509_privkey_init(&key);
    if (rc == 0)
        rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                          GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (rc == 0)
        rc = gnutls_x509_crt_init(&certificate);
    if (rc == 0)
        rc = fill(certificate, key);
    if (rc == 0)
        rc = gnutls_certificate_set_x509_key(credentials, &certificate, 1, key);
    if (certificate != NULL)
        gnutls_x509_crt_deinit(certificate);
    if (key != NULL)
        gnutls_x509_privkey_deinit(key);
    if (rc < 0)
        return error_set(ret_error, rc == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO,
                         "cannot make a certificate (%s): give one with \"tls\"",
                         gnutls_strerror(rc));
    return 0;
}
