/* Signing in to a desk from a terminal: what only a session may do, and the token for all else. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "cli/desk_client.h"

/* A password or a code as a person types it. */
#define SECRET_LINE_SIZE 1002

/* Asks on the terminal without showing what is typed; where standard input is no terminal, takes
 * its next line. -ENODATA: there was nothing. */
_must_check_ int secret_ask(const char *question, char ret_line[static SECRET_LINE_SIZE],
                            struct error *ret_error);

/* Opens a session with a password, and a code when the desk wants one, that are asked for. From
 * then on the client asks in that session; desk_sign_out() ends it. */
_must_check_ int desk_sign_in(struct desk_client *client, const char *email,
                              struct error *ret_error);

/* The same for the account that the client's token is of. `password` (or NULL) gets what was
 * typed, for requests that want it again; the caller wipes it. */
_must_check_ int desk_sign_in_again(struct desk_client *client, char *ret_password,
                                    struct error *ret_error);

/* Ends the session; a failure is of no consequence, since it ends by itself. */
void desk_sign_out(struct desk_client *client);
