/* What the commands about a desk's orders share: private to desk_order*.c. */
#pragma once

#include "cli/command.h"
#include "cli/desk_client.h"

#define LIST_MAX 100 /* --contact, --exempt */

/* A command line of one of them, read. */
struct order_arguments {
    const struct command *command;
    struct desk_options desk;
    const char *reason, *reference, *state, *sealed_until, *delay_until, *report, *document;
    const char *contacts[LIST_MAX], *exempt[LIST_MAX];
    size_t contact_count, exempt_count;
    const char *word; /* what is no option; NULL: none */
};

/* Options that a command takes beside those of every desk command, as bits. */
enum {
    TAKES_REASON = 1 << 0,
    TAKES_REFERENCE = 1 << 1,
    TAKES_STATE = 1 << 2,
    TAKES_DRAFT = 1 << 3, /* --sealed-until, --report, --contact */
    TAKES_DELAY = 1 << 4,
    TAKES_CHANGE = 1 << 5, /* --document, --exempt */
    NEEDS_WORD = 1 << 6,
    NEEDS_REASON = 1 << 7 | TAKES_REASON,
};

typedef int order_work_fn(struct desk_client *client, const struct order_arguments *arguments,
                          struct error *ret_error);

/* Reads the line, opens the client and does the work. */
int order_run(const struct command *command, int argc, char **argv, unsigned takes,
              order_work_fn *work);

/* Reads the file of an order as the desk takes it: in one piece, the names of its names-file in the
 * document. The text is the caller's. */
_must_check_ int order_document_read(const char *path, char **ret_text, struct error *ret_error);
