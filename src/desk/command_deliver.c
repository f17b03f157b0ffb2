/* tamis-desk deliver: takes in one mail on standard input, as an MTA's pipe hands it over. What it
 * ends with is what sysexits.h says to MTAs: 0 the mail is durable, 75 keep it and try again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "desk/commands.h"
#include "desk/desk.h"
#include "desk/mail_in.h"
#include "desk/migrations.h"

/* One octet more than a mail may have shows that it has too many. */
static int input_read(size_t size_max, char **ret_octets, size_t *ret_size, struct error *ret_error)
{
    char *octets = malloc(size_max + 1);
    size_t size = 0;
    ssize_t got = 1;

    if (octets == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a mail");
    while (size <= size_max && got > 0) {
        got = read(STDIN_FILENO, octets + size, size_max + 1 - size);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            size += (size_t)got;
    }
    if (got < 0) {
        free(octets);
        return error_set(ret_error, -EIO, "the mail cannot be read: %s", strerror(errno));
    }
    *ret_octets = octets;
    *ret_size = size;
    return 0;
}

static int take(const struct desk *desk, const char *sender, struct error *ret_error)
{
    _cleanup_(store_closep) struct store *store = NULL;
    struct report_receipt receipt;
    char *octets = NULL;
    size_t size = 0;

    int rc = store_open(&desk->config->database.place, &store, ret_error);
    if (rc == 0)
        rc = migrations_check(store, ret_error);
    if (rc == 0)
        rc = evidence_folder_make(desk->config->state, ret_error);
    if (rc == 0)
        rc =
            input_read((size_t)desk->config->reports.mail_kib_max << 10, &octets, &size, ret_error);
    if (rc == 0)
        rc = mail_in_take(desk, store, sender, octets, size, &receipt, ret_error);
    free(octets);
    return rc;
}

int command_deliver(const struct desk_config *config, int count, char **words)
{
    const struct desk desk = {.config = config, .clock = &clock_real};
    const char *sender = getenv("SENDER"); /* as Exim, Postfix and others set it */
    struct error error = {0};

    if (count == 2 && strcmp(words[0], "--sender") == 0)
        sender = words[1];
    else if (count != 0)
        return wrong_use("deliver takes --sender ADDRESS alone");
    int rc = take(&desk, sender, &error);
    if (rc == 0)
        return EX_OK;
    error_print(stderr, "tamis-desk", &error);
    return rc == -EMSGSIZE || rc == -EINVAL ? EX_DATAERR : EX_TEMPFAIL;
}
