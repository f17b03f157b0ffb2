/* The section `mail`: whom mail is from, and the MTA that takes it. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/account.h"
#include "desk/desk_config_internal.h"

#define TIMEOUT_DEFAULT_S 60
#define TIMEOUT_MAX_S     600

const cyaml_schema_field_t desk_mail_fields[] = {
    TEXT("from", struct raw_mail, from),
    OPTIONAL_TEXT("name", struct raw_mail, name),
    OPTIONAL_TEXT("bounces", struct raw_mail, bounces),
    TEXT("smtp", struct raw_mail, smtp),
    OPTIONAL_FLAG("tls", struct raw_mail, tls),
    OPTIONAL_TEXT("ca-file", struct raw_mail, ca_file),
    OPTIONAL_TEXT("user", struct raw_mail, user),
    OPTIONAL_TEXT("password-file", struct raw_mail, password_file),
    OPTIONAL_TEXT("password-env", struct raw_mail, password_env),
    OPTIONAL_NUMBER("timeout", struct raw_mail, timeout),
    CYAML_FIELD_END,
};

static int address_check(const struct desk_config_source *source, const char *key, const char *text,
                         char **ret_address, struct error *ret_error)
{
    char normal[EMAIL_SIZE_MAX + 1];
    bool is_right = email_normalize(text, normal);

    for (const char *c = normal; is_right && *c != '\0'; c++)
        is_right = (unsigned char)*c < 0x80;
    if (!is_right)
        return config_value_fail(&source->values, config_value_place("mail.%s", key), ret_error,
                                 "\"%s\" is no mail address: write abuse@desk.example", text);
    return config_value_copy(normal, ret_address, ret_error);
}

/* "smtp://HOST[:PORT]" or smtps: without a path, user or anything else that libcurl would read. */
static bool is_server(const char *url)
{
    const char *host = strncmp(url, "smtp://", 7) == 0    ? url + 7
                       : strncmp(url, "smtps://", 8) == 0 ? url + 8
                                                          : NULL;
    return host != NULL && host[0] != '\0' && strpbrk(host, "/@?# \t") == NULL;
}

static bool is_on_this_machine(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 ||
           strncmp(host, "localhost", 9) == 0;
}

/* A password never goes over the network in the clear. */
static int login_check(const struct desk_config_source *source, struct desk_config *config,
                       const struct raw_mail *raw, struct error *ret_error)
{
    struct desk_config_mail *mail = &config->mail;
    int rc = config_value_copy(raw->user, &mail->user, ret_error);
    if (rc == 0)
        rc = desk_config_secret(source, config_value_place("mail"), raw->password_file,
                                raw->password_env, &mail->password, ret_error);
    if (rc < 0)
        return rc;
    if ((mail->user != NULL) != (mail->password != NULL))
        return config_value_fail(&source->values, config_value_place("mail"), ret_error,
                                 "user and password-file go together: add the other one");
    if (mail->user != NULL && !mail->tls && strncmp(mail->smtp, "smtps:", 6) != 0 &&
        !is_on_this_machine(mail->smtp))
        return config_value_fail(&source->values, config_value_place("mail.tls"), ret_error,
                                 "the password would go in the clear: write tls: yes");
    return 0;
}

static int server_check(const struct desk_config_source *source, struct desk_config *config,
                        const struct raw_mail *raw, struct error *ret_error)
{
    struct desk_config_mail *mail = &config->mail;
    if (!is_server(raw->smtp))
        return config_value_fail(&source->values, config_value_place("mail.smtp"), ret_error,
                                 "\"%s\" is no mail server: write smtp://127.0.0.1:25", raw->smtp);
    mail->tls = raw->tls != NULL ? *raw->tls : !is_on_this_machine(raw->smtp);
    int rc = config_value_copy(raw->smtp, &mail->smtp, ret_error);
    if (rc == 0 && raw->ca_file != NULL)
        rc = config_value_file(&source->values, config_value_place("mail.ca-file"), "the CA's file",
                               raw->ca_file, &mail->ca_file, ret_error);
    return rc == 0 ? login_check(source, config, raw, ret_error) : rc;
}

int desk_config_check_mail(const struct desk_config_source *source, struct desk_config *config,
                           struct error *ret_error)
{
    const struct raw_mail *raw = source->raw->mail;
    struct desk_config_mail *mail = &config->mail;

    if (raw == NULL)
        return 0;
    int rc = address_check(source, "from", raw->from, &mail->from, ret_error);
    if (rc == 0)
        rc = address_check(source, "bounces", raw->bounces != NULL ? raw->bounces : raw->from,
                           &mail->bounces, ret_error);
    if (rc == 0)
        rc = config_value_copy(raw->name, &mail->name, ret_error);
    if (rc == 0)
        rc = server_check(source, config, raw, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("mail.timeout"), raw->timeout,
                                 TIMEOUT_DEFAULT_S, 1, TIMEOUT_MAX_S, &mail->timeout_s, ret_error);
    return rc;
}

void desk_config_clear_mail(struct desk_config *config)
{
    struct desk_config_mail *mail = &config->mail;
    free(mail->from);
    free(mail->name);
    free(mail->bounces);
    free(mail->smtp);
    free(mail->ca_file);
    free(mail->user);
    desk_config_secret_free(mail->password);
}
