#include "desk/roles.h"

#include <string.h>

struct word {
    unsigned bit;
    const char *name;
};

static const struct word roles[] = {
    {ROLE_PUBLIC, "public"},   {ROLE_CUSTOMER, "customer"}, {ROLE_REPORTER, "reporter"},
    {ROLE_ANALYST, "analyst"}, {ROLE_APPROVER, "approver"}, {ROLE_AUDITOR, "auditor"},
    {ROLE_PARTNER, "partner"}, {ROLE_OPERATOR, "operator"},
};

static const struct word scopes[] = {
    {SCOPE_ACCOUNT_READ, "account:read"},   {SCOPE_ACCOUNTS_WRITE, "accounts:write"},
    {SCOPE_HOSTS_READ, "hosts:read"},       {SCOPE_HOSTS_WRITE, "hosts:write"},
    {SCOPE_REPORTS_READ, "reports:read"},   {SCOPE_REPORTS_WRITE, "reports:write"},
    {SCOPE_APPEALS_WRITE, "appeals:write"}, {SCOPE_ORDERS_READ, "orders:read"},
    {SCOPE_ORDERS_WRITE, "orders:write"},   {SCOPE_INTERESTS, "interests"},
    {SCOPE_LEDGER_WRITE, "ledger:write"},   {SCOPE_ACCOUNTS_READ, "accounts:read"},
};

#define ROLE_COUNT  (sizeof(roles) / sizeof(roles[0]))
#define SCOPE_COUNT (sizeof(scopes) / sizeof(scopes[0]))

const char *role_name(unsigned role)
{
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (roles[i].bit == role)
            return roles[i].name;
    return NULL;
}

unsigned role_find(const char *name)
{
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (strcmp(roles[i].name, name) == 0)
            return roles[i].bit;
    return 0;
}

const char *scopes_text(unsigned set, char ret_text[static SCOPES_TEXT_SIZE])
{
    char *at = ret_text;
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        if ((set & scopes[i].bit) == 0)
            continue;
        if (at != ret_text)
            *at++ = ' ';
        at = stpcpy(at, scopes[i].name);
    }
    *at = '\0';
    return ret_text;
}

bool scopes_parse(const char *text, unsigned *ret_scopes)
{
    unsigned set = 0;
    for (;;) {
        text += strspn(text, " ");
        size_t size = strcspn(text, " "), i = 0;
        if (size == 0)
            break;
        while (i < SCOPE_COUNT &&
               (strlen(scopes[i].name) != size || memcmp(scopes[i].name, text, size) != 0))
            i++;
        if (i == SCOPE_COUNT)
            return false;
        set |= scopes[i].bit;
        text += size;
    }
    *ret_scopes = set;
    return true;
}

const char *scope_name_at(size_t index)
{
    return index < SCOPE_COUNT ? scopes[index].name : NULL;
}
