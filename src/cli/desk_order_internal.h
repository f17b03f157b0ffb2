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

/* Reads the file of an order as the desk takes it: in one piece, the names of its names-file in the
 * document. The text is the caller's. */
_must_check_ int order_document_read(const char *path, char **ret_text, struct error *ret_error);
