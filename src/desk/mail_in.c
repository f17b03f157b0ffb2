#include "desk/mail_in.h"

#include <errno.h>
#include <gmime/gmime.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "desk/desk.h"
#include "desk/mail.h"
#include "desk/outbox.h"

static pthread_once_t gmime_once = PTHREAD_ONCE_INIT;

void mail_in_start(void)
{
    pthread_once(&gmime_once, g_mime_init);
}

static int report_in_take(const struct desk *desk, struct store *store, const char *sender,
                          const void *octets, size_t size, struct report_receipt *ret_receipt,
                          struct error *ret_error)
{
    _cleanup_(report_intake_freep) struct report_intake *intake = report_intake_create("mail");
    if (intake == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a mail");
    report_mail_read(desk->config, sender, octets, size, intake);
    crypto_generichash(intake->hash, sizeof(intake->hash), octets, size, NULL, 0);
    intake->has_hash = true;

    struct report_taking taking = {
        .desk = desk, .change = {.now_ms = clock_now_ms(desk->clock)}, .intake = intake};
    int rc = report_evidence_keep(desk->config, store, intake, ret_error);
    if (rc == 0)
        rc = store_transact(store, report_take, &taking, ret_error);
    if (rc == 0)
        *ret_receipt = taking.receipt;
    return rc;
}

int mail_in_take(const struct desk *desk, struct store *store, const char *sender,
                 const void *octets, size_t size, struct report_receipt *ret_receipt,
                 struct error *ret_error)
{
    if (size > (size_t)desk->config->reports.mail_kib_max << 10)
        return error_set(ret_error, -EMSGSIZE, "the mail is too large: at most %u KiB",
                         desk->config->reports.mail_kib_max);
    if (size == 0)
        return error_set(ret_error, -EINVAL, "the mail is empty");
    mail_in_start();
    int rc = mail_is_too_deep(octets, size)
                 ? 0
                 : mail_bounce_take(store, clock_now_ms(desk->clock), octets, size, ret_error);
    if (rc < 0)
        return rc;
    if (rc > 0) {
        *ret_receipt = (struct report_receipt){.state = "bounce"};
        return 0;
    }
    return report_in_take(desk, store, sender, octets, size, ret_receipt, ret_error);
}
