/* What the commands about accounts share: private to desk_account*.c. */
#pragma once

#include "cli/command.h"
#include "cli/desk_client.h"

/* A command line of one of them, read. */
struct account_arguments {
    const struct command *command;
    struct desk_options desk;
    const char *language, *reason, *role, *state, *email, *output, *label, *scopes;
    unsigned days; /* 0: not given */
    char **words;  /* what is no option */
    int word_count;
};

/* Options that a command takes beside those of every desk command, as bits. */
enum {
    TAKES_LANGUAGE = 1 << 0,
    TAKES_REASON = 1 << 1,
    TAKES_FILTER = 1 << 2, /* --role, --state, --email */
    TAKES_OUTPUT = 1 << 3,
    TAKES_TOKEN = 1 << 4, /* --label, --scopes, --days */
};

/* Reads the line, with `words_min` to `words_max` words, opens the client and does the work. */
int account_run(const struct command *command, int argc, char **argv, unsigned takes, int words_min,
                int words_max,
                int (*work)(struct desk_client *client, const struct account_arguments *arguments,
                            struct error *ret_error));

/* Makes an API token in the session of the client. `*ret_answer` has "id" and "token". */
_must_check_ int account_token_make(struct desk_client *client,
                                    const struct account_arguments *arguments,
                                    const char *label_default, unsigned days_default,
                                    json_t **ret_answer, struct error *ret_error);

/* The path of the account that the first word names. */
_must_check_ int account_path(const struct account_arguments *arguments, struct desk_path *ret_path,
                              struct error *ret_error);

/* Changes that account and prints it; takes the body, also on failure. */
_must_check_ int account_patch(struct desk_client *client,
                               const struct account_arguments *arguments, json_t *body,
                               struct error *ret_error);

/* Prints an account as the options want it. -ENOMEM. */
_must_check_ int account_print(const struct account_arguments *arguments, const json_t *account);

/* For the help of those with TAKES_TOKEN. */
#define TOKEN_OPTIONS_HELP                                                                    \
    "  --label TEXT       what it is for\n"                                                   \
    "  --scopes LIST      what it may do, apart by commas (default: all that the role may)\n" \
    "  --days N           ends after so many days\n"
