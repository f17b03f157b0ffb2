#include "desk/account.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistr.h>

#include "desk/audit.h"

/* A first password is set within this time, or the operator adds the account's token anew. */
#define FIRST_TOKEN_LIFE_S (7 * 24 * 3600)

bool email_normalize(const char *text, char ret_email[static EMAIL_SIZE_MAX + 1])
{
    size_t size = strlen(text);
    const char *at = strrchr(text, '@');

    if (size > EMAIL_SIZE_MAX || at == NULL || at == text || at[1] == '\0' || at - text > 64 ||
        strchr(at, '.') == NULL || at[1] == '.' || u8_check((const uint8_t *)text, size) != NULL)
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == 0x7f || strchr("<>()[]\\,;:\"", c) != NULL ||
            (c == '@' && text + i != at))
            return false;
        ret_email[i] = (char)(c < 0x80 ? tolower(c) : c);
    }
    ret_email[size] = '\0';
    return true;
}

struct staff {
    const char *id, *email, *token;
    unsigned role;
    int64_t now_ms;
};

static int confirmation_add(struct store *store, const struct staff *staff, struct error *ret_error)
{
    uint8_t hash[SECRET_HASH_SIZE];
    int64_t now_s = staff->now_ms / 1000;

    secret_hash("confirmation", staff->token, hash);
    return store_change(
        store, NULL, ret_error,
        "INSERT INTO confirmations (hash, account, purpose, created_at, expires_at) "
        "VALUES ($1, $2, 'password', $3, $4)",
        store_octets(hash, sizeof(hash)), store_text(staff->id), store_integer(now_s),
        store_integer(now_s + FIRST_TOKEN_LIFE_S));
}

static int staff_add(struct store *store, void *context, struct error *ret_error)
{
    const struct staff *staff = context;
    int rc = store_change(store, NULL, ret_error,
                          "INSERT INTO accounts (id, email, role, state, language, created_at, "
                          "updated_at) VALUES ($1, $2, $3, 'active', 'en', $4, $5)",
                          store_text(staff->id), store_text(staff->email),
                          store_text(role_name(staff->role)), store_integer(staff->now_ms / 1000),
                          store_integer(staff->now_ms / 1000));
    if (rc == 0)
        rc = confirmation_add(store, staff, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = staff->now_ms,
                                               .action = "account.add_staff",
                                               .object = staff->id},
                         ret_error);
    return rc;
}

int account_add_staff(struct store *store, const struct desk_clock *clock, const char *email,
                      unsigned role, char ret_id[static ID_SIZE],
                      char ret_token[static SECRET_TEXT_SIZE], struct error *ret_error)
{
    char normal[EMAIL_SIZE_MAX + 1];
    if (!email_normalize(email, normal))
        return error_set(ret_error, -EINVAL, "\"%s\" is no mail address: write name@example.org",
                         email);
    int64_t now_ms = clock_now_ms(clock);
    id_make(ID_ACCOUNT, now_ms, ret_id);
    secret_make(ret_token);
    struct staff staff = {
        .id = ret_id, .email = normal, .token = ret_token, .role = role, .now_ms = now_ms};
    int rc = store_transact(store, staff_add, &staff, ret_error);
    if (rc == -EEXIST)
        return error_set(ret_error, rc, "%s has an account already", normal);
    return rc;
}
