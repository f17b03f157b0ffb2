/* The options that every command about an order file shares: how it is loaded and verified. */
#pragma once

#include <getopt.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cli/command.h"
#include "order/keyring.h"
#include "order/order.h"

struct order_options {
    bool strict;
    bool json;
    const char *keyring_path; /* NULL: none */
    unsigned signatures_min;
    struct keyring *keyring;
};

/* Codes of the shared long options, beyond those of characters. */
enum { OPTION_STRICT = 0x100, OPTION_KEYRING, OPTION_SIGNATURES, OPTION_JSON, OPTION_OWN };

/* Rows of the shared options for a table of getopt_long(). A command's own codes begin with
 * OPTION_OWN. */
#define ORDER_OPTION_ROWS                                           \
    {"strict", no_argument, NULL, OPTION_STRICT},                   \
        {"keyring", required_argument, NULL, OPTION_KEYRING},       \
        {"signatures", required_argument, NULL, OPTION_SIGNATURES}, \
    {                                                               \
        "json", no_argument, NULL, OPTION_JSON                      \
    }

/* Their lines in a help text. */
#define ORDER_OPTION_HELP                                                               \
    "  --keyring FILE   public keys that signatures are checked against: a YAML list\n" \
    "                   of { name, public }, the .pub files one behind the other\n"     \
    "  --signatures N   valid signatures by different keys that the order needs\n"      \
    "                   (default 0; with subtrees always at least 2)\n"                 \
    "  --strict         any bad entry of a list refuses the whole order\n"              \
    "  --json           write the result as one JSON object\n"

/* Takes one shared option. Returns EXIT_OK, or EXIT_USAGE after saying what is wrong: also for an
 * option that nobody knows or whose argument is missing. */
int order_options_take(struct order_options *options, const struct command *command, int option,
                       char **argv);

/* Loads the keyring, if one is named, and makes the policy. */
_must_check_ int order_options_policy(struct order_options *options,
                                      struct order_policy *ret_policy, struct error *ret_error);
void order_options_clear(struct order_options *options);
