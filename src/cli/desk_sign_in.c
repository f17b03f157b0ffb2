#include "cli/desk_sign_in.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int line_take(FILE *stream, const char *question, char ret_line[static SECRET_LINE_SIZE],
                     struct error *ret_error)
{
    char line[SECRET_LINE_SIZE];
    if (fgets(line, sizeof(line), stream) == NULL)
        return error_set(ret_error, -ENODATA,
                         "%s is needed: type it, or give it as a line on standard input", question);
    const size_t size = strcspn(line, "\r\n");
    const bool is_whole = line[size] != '\0' || feof(stream);
    line[size] = '\0';
    memcpy(ret_line, line, sizeof(line));
    sodium_memzero(line, sizeof(line));
    if (size == 0)
        return error_set(ret_error, -ENODATA, "%s is empty: type it", question);
    return is_whole ? 0 : error_set(ret_error, -EINVAL, "%s is too long", question);
}

int secret_ask(const char *question, char ret_line[static SECRET_LINE_SIZE],
               struct error *ret_error)
{
    struct termios shown, hidden;

    if (tcgetattr(STDIN_FILENO, &shown) < 0)
        return line_take(stdin, question, ret_line, ret_error);
    fprintf(stderr, "%s: ", question);
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    int rc = line_take(stdin, question, ret_line, ret_error);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    fputc('\n', stderr);
    return rc;
}

/* One try; `*ret_needs_code` when the desk knows the password and wants a code with it. */
static int session_open(struct desk_client *client, const char *email, const char *password,
                        const char *code, bool *ret_needs_code, struct error *ret_error)
{
    json_t *body =
        json_pack("{s:s, s:s, s:s*}", "email", email, "password", password, "code", code);
    json_t *answer = NULL;

    int rc = body != NULL
                 ? desk_client_ask(client, "POST", "/v1/sessions", body, &answer, ret_error)
                 : error_set(ret_error, -EINVAL, "the password is no UTF-8: type it anew");
    json_decref(body);
    *ret_needs_code = rc == -EACCES && code == NULL && strcmp(ret_error->file, "/code") == 0;
    if (rc < 0)
        return rc;
    const char *csrf = json_string_value(json_object_get(answer, "csrf_token"));
    desk_client_session(client, csrf);
    json_decref(answer);
    return 0;
}

static int sign_in(struct desk_client *client, const char *email, char *password,
                   struct error *ret_error)
{
    char code[SECRET_LINE_SIZE];
    bool needs_code = false;

    int rc = secret_ask("password", password, ret_error);
    if (rc < 0)
        return rc;
    desk_client_session(client, NULL); /* as nobody */
    rc = session_open(client, email, password, NULL, &needs_code, ret_error);
    if (!needs_code)
        return rc;
    rc = secret_ask("code of the authenticator", code, ret_error);
    return rc < 0 ? rc : session_open(client, email, password, code, &needs_code, ret_error);
}

int desk_sign_in(struct desk_client *client, const char *email, struct error *ret_error)
{
    char password[SECRET_LINE_SIZE];
    int rc = sign_in(client, email, password, ret_error);
    sodium_memzero(password, sizeof(password));
    return rc;
}

int desk_sign_in_again(struct desk_client *client, char *ret_password, struct error *ret_error)
{
    char password[SECRET_LINE_SIZE] = "";
    json_t *account = NULL;

    int rc = desk_client_ask(client, "GET", "/v1/account", NULL, &account, ret_error);
    if (rc == 0)
        rc = sign_in(client, json_string_value(json_object_get(account, "email")), password,
                     ret_error);
    json_decref(account);
    if (rc == 0 && ret_password != NULL)
        memcpy(ret_password, password, sizeof(password));
    sodium_memzero(password, sizeof(password));
    return rc;
}

void desk_sign_out(struct desk_client *client)
{
    struct error ignored;
    (void)!desk_client_ask(client, "DELETE", "/v1/sessions/current", NULL, NULL, &ignored);
}
