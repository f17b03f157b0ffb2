/* Who may do what: the role of an account, and the scopes of an API token. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of the set that a route names. */
enum role {
    ROLE_PUBLIC = 1 << 0, /* nobody in particular: no account asked for */
    ROLE_CUSTOMER = 1 << 1,
    ROLE_REPORTER = 1 << 2,
    ROLE_ANALYST = 1 << 3,
    ROLE_APPROVER = 1 << 4,
    ROLE_AUDITOR = 1 << 5, /* reads all, changes nothing */
    ROLE_PARTNER = 1 << 6,
    ROLE_OPERATOR = 1 << 7,
};

/* Whoever has an account. */
#define ROLE_ANY                                                                                  \
    (ROLE_CUSTOMER | ROLE_REPORTER | ROLE_ANALYST | ROLE_APPROVER | ROLE_AUDITOR | ROLE_PARTNER | \
     ROLE_OPERATOR)

/* What a token needs beside its account's role. A route without a scope (0) is for sessions only.
 */
enum scope {
    SCOPE_ACCOUNT_READ = 1 << 0,
    SCOPE_ACCOUNTS_WRITE = 1 << 1, /* other accounts; one's own is changed in a session */
    SCOPE_HOSTS_READ = 1 << 2,
    SCOPE_HOSTS_WRITE = 1 << 3,
    SCOPE_REPORTS_READ = 1 << 4,
    SCOPE_REPORTS_WRITE = 1 << 5,
    SCOPE_APPEALS_WRITE = 1 << 6,
    SCOPE_ORDERS_READ = 1 << 7,
    SCOPE_ORDERS_WRITE = 1 << 8,
    SCOPE_INTERESTS = 1 << 9,
    SCOPE_LEDGER_WRITE = 1 << 10,
    SCOPE_ACCOUNTS_READ = 1 << 11, /* other accounts */
};

/* "customer", ...; NULL for what is not exactly one role. */
const char *role_name(unsigned role);
/* 0 for no known name. "public" is one. */
unsigned role_find(const char *name);

/* The names of a set of scopes, "hosts:read hosts:write"; returns `ret_text`. */
#define SCOPES_TEXT_SIZE 256
const char *scopes_text(unsigned scopes, char ret_text[static SCOPES_TEXT_SIZE]);
/* Reads names apart by blanks; false when one is unknown. */
bool scopes_parse(const char *text, unsigned *ret_scopes);
/* One scope's name; NULL behind the last. */
const char *scope_name_at(size_t index);
