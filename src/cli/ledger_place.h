/* Where a ledger is, and whose it is, as the commands of `tamis ledger` are told. */
#pragma once

#include "ledger/ledger_verify.h"

struct ledger_url;

struct ledger_place {
    struct ledger_source source;
    struct ledger_url *url; /* NULL: a folder */
};

/* A folder, or a URL of http or https; `place` lives as long as what is made. */
_must_check_ int ledger_place_open(const char *place, struct ledger_place *ret_place,
                                   struct error *ret_error);
void ledger_place_close(struct ledger_place *place);

/* Takes a verifier key, or a file with one in its first line; prints what is wrong. */
_must_check_ int ledger_key_take(const char *argument, struct note_verifier *ret_verifier);
