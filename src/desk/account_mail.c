/* What accounts' owners are told. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "desk/account_holding.h"
#include "desk/accounts_internal.h"
#include "desk/mail.h"

/* `%s` is the mail's value; a text names no person and nothing that a stranger wrote, unless it is
 * the value. */
static const struct {
    const char *subject, *text;
} mails[] = {
    [ACCOUNT_MAIL_CONFIRM] = {"Confirm your address",
                              "Somebody, probably you, asked for an account with this address.\n\n"
                              "To confirm it and choose a password:\n\n"
                              "    tamis account confirm\n\n"
                              "and enter this code, which is good for a day:\n\n"
                              "    %s\n\n"
                              "If it was not you, do nothing: there will be no account.\n"},
    [ACCOUNT_MAIL_EXISTS] =
        {"You have an account already",
         "Somebody, probably you, asked for an account with this address, which "
         "has one.\n\n"
         "Sign in with it. If you have forgotten its password, ask for a new "
         "one:\n\n"
         "    tamis account reset\n\n"
         "If it was not you, do nothing.\n"},
    [ACCOUNT_MAIL_RESET] = {"A new password",
                            "Somebody, probably you, asked for a new password for your account.\n\n"
                            "To choose one:\n\n"
                            "    tamis account confirm\n\n"
                            "and enter this code, which is good for an hour:\n\n"
                            "    %s\n\n"
                            "If it was not you, do nothing: the old password stays.\n"},
    [ACCOUNT_MAIL_PASSWORD] = {"Your password was changed",
                               "The password of your account was changed, and all of its sessions "
                               "have ended. API tokens go on working.\n\n"
                               "If it was not you: ask for a new password at once by tamis account "
                               "reset, and delete the tokens that you do not know.\n"},
    [ACCOUNT_MAIL_CONFIRM_CHANGE] = {"Confirm your new address",
                                     "An account is to have this address from now on.\n\n"
                                     "To confirm it:\n\n"
                                     "    tamis account confirm\n\n"
                                     "and enter this code, which is good for a day:\n\n"
                                     "    %s\n\n"
                                     "If it was not you, do nothing: nothing will change.\n"},
    [ACCOUNT_MAIL_EMAIL] = {"Your account has a new address",
                            "From now on mails about your account go to %s.\n\n"
                            "If it was not you: answer this mail at once.\n"},
    [ACCOUNT_MAIL_TOTP_ON] = {"Your account has a second factor",
                              "From now on signing in needs a code of your authenticator. Keep the "
                              "recovery codes where you find them without it.\n\n"
                              "If it was not you: answer this mail at once.\n"},
    [ACCOUNT_MAIL_TOTP_OFF] = {"Your account has no second factor any more",
                               "From now on signing in needs the password alone.\n\n"
                               "If it was not you: change your password at once.\n"},
    [ACCOUNT_MAIL_RECOVERY_USED] = {"A recovery code was used",
                                    "Somebody, probably you, used one of your recovery codes in "
                                    "place of the authenticator. It is used up.\n\n"
                                    "If it was not you: change your password at once.\n"},
    [ACCOUNT_MAIL_SUSPENDED] = {"Your account is suspended",
                                "Your account is suspended. Its hosts are off the net, and nothing "
                                "can be changed with it.\n\n"
                                "The reason: %s\n\n"
                                "You can still sign in, take your data with you, and appeal. "
                                "Somebody else than who decided will look at the appeal.\n"},
    [ACCOUNT_MAIL_REINSTATED] = {"Your account is active again",
                                 "The suspension of your account was lifted. Its hosts are on the "
                                 "net again with their next update.\n"},
    [ACCOUNT_MAIL_CLOSED] = {"Your account is deleted",
                             "Your account is deleted, its hosts are released, and this address is "
                             "forgotten with this mail.\n\n"
                             "What stays is the record of decisions about names, without yours.\n"},
};

int account_mail_put(struct store *store, int64_t now_ms, enum account_mail mail, const char *email,
                     const char *value, struct error *ret_error)
{
    const char *format = mails[mail].text;
    struct error why;
    char *text = NULL;

    assert(store_in_transaction(store));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int size = value != NULL ? asprintf(&text, format, value) : asprintf(&text, "%s", format);
#pragma GCC diagnostic pop
    if (size < 0)
        return error_set(ret_error, -ENOMEM, "out of memory for a mail");
    int rc = mail_put(store, now_ms,
                      &(struct mail){.to = email,
                                     .subject = mails[mail].subject,
                                     .text = text,
                                     .forget = mail == ACCOUNT_MAIL_CLOSED},
                      &why);
    sodium_memzero(text, (size_t)size);
    free(text);
    if (rc == -EINVAL) {
        /* Nobody can write there, so nobody confirmed it; what it is about happens without. */
        log_event(LOG_WARNING, "a mail to an account's address cannot be: %s", why.text);
        return 0;
    }
    return rc == 0 ? 0 : error_set(ret_error, rc, "%s", why.text);
}
