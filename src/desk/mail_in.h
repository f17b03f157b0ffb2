/* Mail that arrives: a report about a mail of ours that bounced, or a report of abuse, be it a
 * feedback report (ARF, RFC 5965), XARF in a mail, or a letter. The MTA hands it over by LMTP or
 * through a pipe; what is taken is durable. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/report.h"

/* Makes GMime ready; before anything reads a mail, and any number of times. Any thread. */
void mail_in_start(void);

/* Takes in one. `sender` is the envelope's (""or NULL: the null sender), to whom the
 * acknowledgement goes only when the mail itself names nobody. The receipt's id is "" for what is
 * no report. -EMSGSIZE: too large. -EINVAL: no mail at all. Other errors: try again later. */
_must_check_ int mail_in_take(const struct desk *desk, struct store *store, const char *sender,
                              const void *octets, size_t size, struct report_receipt *ret_receipt,
                              struct error *ret_error);

/* Whether a mail has more parts than anybody's: then it is better not taken apart, since those who
 * do go down by recursion. */
bool mail_is_too_deep(const char *octets, size_t size);

/* Reads a mail into `intake`, whatever its form. Any octets at all are some mail. */
void report_mail_read(const struct desk_config *config, const char *sender, const void *octets,
                      size_t size, struct report_intake *intake);
