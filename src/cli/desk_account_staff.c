/* `tamis account`: what operators do with the accounts of others. */
#include <errno.h>
#include <stdio.h>

#include "cli/desk_account_internal.h"

static const struct desk_column list_columns[] = {
    {"ID", "id", false},       {"ADDRESS", "email", false}, {"ROLE", "role", false},
    {"STATE", "state", false}, {"PLAN", "plan", false},     {"SINCE", "created_at", false},
};

/* ---- list ---- */

static int list(struct desk_client *client, const struct account_arguments *arguments,
                struct error *ret_error)
{
    struct desk_path path;
    json_t *items = NULL;

    int rc = desk_path(&path, ret_error, "/v1/accounts?role={}&state={}",
                       arguments->role != NULL ? arguments->role : "",
                       arguments->state != NULL ? arguments->state : "");
    if (rc == 0 && arguments->email != NULL)
        rc = desk_path(&path, ret_error, "/v1/accounts?role={}&state={}&email={}",
                       arguments->role != NULL ? arguments->role : "",
                       arguments->state != NULL ? arguments->state : "", arguments->email);
    if (rc == 0)
        rc = desk_client_list(client, path.text, &items, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(items);
    else if (rc == 0)
        rc = desk_table_print(items, list_columns, sizeof(list_columns) / sizeof(list_columns[0]));
    json_decref(items);
    return rc;
}

static int list_run(int argc, char **argv)
{
    return account_run(&command_account_list, argc, argv, TAKES_FILTER, 0, 0, list);
}

/* ---- suspend, reinstate, role, plan ---- */

/* Takes the body, also on failure. */
int account_patch(struct desk_client *client, const struct account_arguments *arguments,
                  json_t *body, struct error *ret_error)
{
    struct desk_path path;
    json_t *account = NULL;

    int rc = body != NULL ? account_path(arguments, &path, ret_error)
                          : error_set(ret_error, -ENOMEM, "no memory for a request");
    if (rc == 0)
        rc = desk_client_ask(client, "PATCH", path.text, body, &account, ret_error);
    if (rc == 0)
        rc = account_print(arguments, account);
    json_decref(account);
    json_decref(body);
    return rc;
}

static int suspend(struct desk_client *client, const struct account_arguments *arguments,
                   struct error *ret_error)
{
    return account_patch(
        client, arguments,
        json_pack("{s:s, s:s*}", "state", "suspended", "reason", arguments->reason), ret_error);
}

static int suspend_run(int argc, char **argv)
{
    return account_run(&command_account_suspend, argc, argv, TAKES_REASON, 1, 1, suspend);
}

static int reinstate(struct desk_client *client, const struct account_arguments *arguments,
                     struct error *ret_error)
{
    return account_patch(client, arguments, json_pack("{s:s}", "state", "active"), ret_error);
}

static int reinstate_run(int argc, char **argv)
{
    return account_run(&command_account_reinstate, argc, argv, 0, 1, 1, reinstate);
}

static int role(struct desk_client *client, const struct account_arguments *arguments,
                struct error *ret_error)
{
    return account_patch(client, arguments, json_pack("{s:s}", "role", arguments->words[1]),
                         ret_error);
}

static int role_run(int argc, char **argv)
{
    return account_run(&command_account_role, argc, argv, 0, 2, 2, role);
}

static int plan(struct desk_client *client, const struct account_arguments *arguments,
                struct error *ret_error)
{
    return account_patch(client, arguments, json_pack("{s:s}", "plan", arguments->words[1]),
                         ret_error);
}

static int plan_run(int argc, char **argv)
{
    return account_run(&command_account_plan, argc, argv, 0, 2, 2, plan);
}

/* ---- The commands ---- */

const struct command command_account_list = {
    .path = "account list",
    .summary = "list accounts, for staff",
    .help = "Usage: tamis account list [OPTION]...\n"
            "\n"
            "  --role ROLE        only those with this role\n"
            "  --state STATE      active, suspended or closed\n"
            "  --email EMAIL      the one with this address\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account list --state suspended\n",
    .run = list_run,
};

const struct command command_account_suspend = {
    .path = "account suspend",
    .summary = "take an account and its hosts off the net",
    .help = "Usage: tamis account suspend --reason TEXT [OPTION]... ID\n"
            "\n"
            "Its owner can sign in, take the data along and appeal, and is told the reason.\n"
            "\n"
            "  --reason TEXT      why\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account suspend --reason \"phishing kits\" acc_06h0n3se1gp7v5gawzxk\n",
    .run = suspend_run,
};

const struct command command_account_reinstate = {
    .path = "account reinstate",
    .summary = "take a suspension back",
    .help = "Usage: tamis account reinstate [OPTION]... ID\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account reinstate acc_06h0n3se1gp7v5gawzxk\n",
    .run = reinstate_run,
};

const struct command command_account_role = {
    .path = "account role",
    .summary = "give an account another role",
    .help = "Usage: tamis account role [OPTION]... ID ROLE\n"
            "\n"
            "A ROLE is customer, reporter, analyst, approver, auditor, partner or operator. All\n"
            "sessions and tokens of the account end. Nobody changes his own.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account role acc_06h0n3se1gp7v5gawzxk analyst\n",
    .run = role_run,
};

const struct command command_account_plan = {
    .path = "account plan",
    .summary = "give an account another plan",
    .help = "Usage: tamis account plan [OPTION]... ID PLAN\n"
            "\n"
            "A PLAN is one of the desk's configuration.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account plan acc_06h0n3se1gp7v5gawzxk large\n",
    .run = plan_run,
};
