/* `tamis order draft` to `tamis order exempt`: the life of an order at a desk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/desk_order_internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct desk_column list_columns[] = {
    {"ORDER", "order", false},   {"STATE", "state", false}, {"KIND", "kind", false},
    {"ACTION", "action", false}, {"NAMES", "names", true},  {"SEALED", "sealed", false},
    {"STARTS", "starts", false}, {"ENDS", "ends", false},
};

static const struct desk_column order_columns[] = {
    {"order", "order", false},
    {"id", "id", false},
    {"state", "state", false},
    {"kind", "kind", false},
    {"authority", "authority", false},
    {"action", "action", false},
    {"starts", "starts", false},
    {"ends", "ends", false},
    {"names", "names", true},
    {"subtrees", "subtrees", true},
    {"live names", "rehearsal/listed/live", true},
    {"sharing an address", "rehearsal/shared/names", true},
    {"over its own budget", "exceeds_own_budget", false},
    {"over the desk's budget", "exceeds_desk_budget", false},
    {"sealed until", "sealed_until", false},
    {"rehearsed", "rehearsed_at", false},
    {"notified", "notified_at", false},
    {"approvals needed", "approvals/needed", true},
    {"approvals given", "approvals/given", true},
    {"activated", "activated_at", false},
    {"ended", "ended_at", false},
    {"reason", "end_reason", false},
};

static const struct desk_column event_columns[] = {
    {"WHEN", "at", false},
    {"WHAT", "action", false},
    {"WHO", "account", false},
    {"ROLE", "role", false},
};

static const struct desk_column server_columns[] = {
    {"SERVER", "server", false},       {"ADDRESS", "address", false},
    {"STATE", "state", false},         {"SERIAL", "serial", true},
    {"ASKED", "asked_at", false},      {"SAMPLE", "sample/name", false},
    {"ANSWER", "sample/rcode", false}, {"BLOCKED", "sample/blocked", false},
};

/* ---- Asking and printing ---- */

static int no_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "no memory for a request");
}

static int order_print(const struct order_arguments *arguments, const json_t *order)
{
    if (!arguments->desk.json)
        return desk_object_print(order, order_columns, COUNT(order_columns));
    desk_json_print(order);
    return 0;
}

static json_t *texts_json(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

/* Sends `body`, which it takes (NULL: none), to /v1/orders/ID/STEP and prints the order. */
static int step_send(struct desk_client *client, const struct order_arguments *arguments,
                     const char *step, json_t *body, struct error *ret_error)
{
    struct desk_path path;
    json_t *order = NULL;

    int rc = desk_path(&path, ret_error, "/v1/orders/{}/{}", arguments->word, step);
    if (rc == 0)
        rc = desk_client_ask(client, "POST", path.text, body, &order, ret_error);
    json_decref(body);
    if (rc == 0)
        rc = order_print(arguments, order);
    json_decref(order);
    return rc;
}

/* ---- draft, rehearsal ---- */

static json_t *draft_json(const struct order_arguments *arguments, const char *document)
{
    json_t *body = json_pack("{s:s, s:s*, s:s*}", "document", document, "sealed_until",
                             arguments->sealed_until, "report", arguments->report);
    if (body != NULL && arguments->contact_count > 0)
        json_object_set_new(body, "contacts",
                            texts_json(arguments->contacts, arguments->contact_count));
    return body;
}

static int rehearsal(struct desk_client *client, const struct order_arguments *arguments,
                     struct error *ret_error)
{
    return step_send(client, arguments, "rehearsals", NULL, ret_error);
}

/* What an order would hit is shown at once: nobody has to remember to ask. */
static int draft(struct desk_client *client, const struct order_arguments *arguments,
                 struct error *ret_error)
{
    struct order_arguments drafted = *arguments;
    json_t *order = NULL;
    char *document = NULL;

    int rc = order_document_read(arguments->word, &document, ret_error);
    json_t *body = rc == 0 ? draft_json(arguments, document) : NULL;
    free(document);
    if (rc == 0)
        rc = body != NULL ? desk_client_ask(client, "POST", "/v1/orders", body, &order, ret_error)
                          : no_memory(ret_error);
    json_decref(body);
    drafted.word = json_string_value(json_object_get(order, "id"));
    if (rc == 0) {
        rc = rehearsal(client, &drafted, ret_error);
        if (rc < 0)
            fprintf(stderr, "tamis: the order is drafted; try 'tamis order rehearsal %s' later\n",
                    json_string_value(json_object_get(order, "order")));
    }
    json_decref(order);
    return rc;
}

/* ---- list, show, servers ---- */

static int items_print(const struct order_arguments *arguments, const json_t *items,
                       const struct desk_column *columns, size_t count)
{
    if (!arguments->desk.json)
        return desk_table_print(items, columns, count);
    desk_json_print(items);
    return 0;
}

static int list(struct desk_client *client, const struct order_arguments *arguments,
                struct error *ret_error)
{
    struct desk_path path;
    json_t *items = NULL;

    int rc = desk_path(&path, ret_error, "/v1/orders?state={}",
                       arguments->state != NULL ? arguments->state : "");
    if (rc == 0)
        rc = desk_client_list(client, path.text, &items, ret_error);
    if (rc == 0)
        rc = items_print(arguments, items, list_columns, COUNT(list_columns));
    json_decref(items);
    return rc;
}

static int show(struct desk_client *client, const struct order_arguments *arguments,
                struct error *ret_error)
{
    struct desk_path path;
    json_t *order = NULL;

    int rc = desk_path(&path, ret_error, "/v1/orders/{}", arguments->word);
    if (rc == 0)
        rc = desk_client_ask(client, "GET", path.text, NULL, &order, ret_error);
    if (rc == 0)
        rc = order_print(arguments, order);
    if (rc == 0 && !arguments->desk.json) {
        putchar('\n');
        rc =
            desk_table_print(json_object_get(order, "events"), event_columns, COUNT(event_columns));
    }
    json_decref(order);
    return rc;
}

static int servers(struct desk_client *client, const struct order_arguments *arguments,
                   struct error *ret_error)
{
    struct desk_path path;
    json_t *items = NULL;

    int rc = desk_path(&path, ret_error, "/v1/orders/{}/servers", arguments->word);
    if (rc == 0)
        rc = desk_client_list(client, path.text, &items, ret_error);
    if (rc == 0)
        rc = items_print(arguments, items, server_columns, COUNT(server_columns));
    json_decref(items);
    return rc;
}

/* ---- The other steps ---- */

static int notify(struct desk_client *client, const struct order_arguments *arguments,
                  struct error *ret_error)
{
    json_t *body = json_pack("{s:s*}", "delay_until", arguments->delay_until);
    return body != NULL ? step_send(client, arguments, "notifications", body, ret_error)
                        : no_memory(ret_error);
}

static int approve(struct desk_client *client, const struct order_arguments *arguments,
                   struct error *ret_error)
{
    return step_send(client, arguments, "approvals", NULL, ret_error);
}

static int activate(struct desk_client *client, const struct order_arguments *arguments,
                    struct error *ret_error)
{
    return step_send(client, arguments, "activations", NULL, ret_error);
}

static int amend(struct desk_client *client, const struct order_arguments *arguments,
                 struct error *ret_error)
{
    char *document = NULL;
    int rc = 0;

    if (arguments->document != NULL)
        rc = order_document_read(arguments->document, &document, ret_error);
    if (rc < 0)
        return rc;
    json_t *body = json_pack("{s:s, s:s*, s:s*}", "reason", arguments->reason, "reference",
                             arguments->reference, "document", document);
    free(document);
    if (body != NULL && arguments->exempt_count > 0)
        json_object_set_new(body, "exempt", texts_json(arguments->exempt, arguments->exempt_count));
    return body != NULL ? step_send(client, arguments, "amendments", body, ret_error)
                        : no_memory(ret_error);
}

static int lift(struct desk_client *client, const struct order_arguments *arguments,
                struct error *ret_error)
{
    json_t *body = json_pack("{s:s}", "reason", arguments->reason);
    return body != NULL ? step_send(client, arguments, "lifts", body, ret_error)
                        : no_memory(ret_error);
}

static int exempt(struct desk_client *client, const struct order_arguments *arguments,
                  struct error *ret_error)
{
    struct desk_path path;
    json_t *answer = NULL;

    json_t *body =
        json_pack("{s:s, s:s*}", "reason", arguments->reason, "reference", arguments->reference);
    int rc = body != NULL ? desk_path(&path, ret_error, "/v1/names/{}/exemptions", arguments->word)
                          : no_memory(ret_error);
    if (rc == 0)
        rc = desk_client_ask(client, "POST", path.text, body, &answer, ret_error);
    json_decref(body);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(answer);
    else if (rc == 0)
        printf("exempt in %" JSON_INTEGER_FORMAT " orders\n",
               json_integer_value(json_object_get(answer, "orders")));
    json_decref(answer);
    return rc;
}

/* ---- Commands ---- */

static int draft_run(int argc, char **argv)
{
    return order_run(&command_order_draft, argc, argv, TAKES_DRAFT | NEEDS_WORD, draft);
}

const struct command command_order_draft = {
    .path = "order draft",
    .summary = "give an order to the desk, and rehearse it there",
    .help = "Usage: tamis order draft [OPTION]... ORDER.yaml\n"
            "\n"
            "Uploads an order, the names of its names-file included, and has the desk rehearse it\n"
            "against the zones as they are now. Nothing is in force yet.\n"
            "\n"
            "  --sealed-until TIME  what it says stays secret until then\n"
            "  --contact EMAIL      who gets the notice; any number of times\n"
            "  --report ID          the report that led to it\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order draft --contact abuse@provider.example nv-2014-00987.yaml\n",
    .run = draft_run,
};

static int rehearsal_run(int argc, char **argv)
{
    return order_run(&command_order_rehearsal, argc, argv, NEEDS_WORD, rehearsal);
}

const struct command command_order_rehearsal = {
    .path = "order rehearsal",
    .summary = "have the desk rehearse an order again",
    .help = "Usage: tamis order rehearsal [OPTION]... ID\n"
            "\n"
            "Has the desk lay an order over the zones as they are now, and keeps the figures.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order rehearsal nv-2014-00987\n",
    .run = rehearsal_run,
};

static int list_run(int argc, char **argv)
{
    return order_run(&command_order_list, argc, argv, TAKES_STATE, list);
}

const struct command command_order_list = {
    .path = "order list",
    .summary = "list the orders of the desk",
    .help = "Usage: tamis order list [OPTION]...\n"
            "\n"
            "Lists the orders of the desk, the newest first.\n"
            "\n"
            "  --state STATE      draft, rehearsed, notified, approved, active, expired, lifted\n"
            "                     or withdrawn\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order list --state active\n",
    .run = list_run,
};

static int show_run(int argc, char **argv)
{
    return order_run(&command_order_show, argc, argv, NEEDS_WORD, show);
}

const struct command command_order_show = {
    .path = "order show",
    .summary = "show an order of the desk, and who did what to it",
    .help = "Usage: tamis order show [OPTION]... ID\n"
            "\n"
            "Shows an order with its figures and approvals, and all that happened to it.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order show nv-2014-00987\n",
    .run = show_run,
};

static int servers_run(int argc, char **argv)
{
    return order_run(&command_order_servers, argc, argv, NEEDS_WORD, servers);
}

const struct command command_order_servers = {
    .path = "order servers",
    .summary = "ask every name server what it has of an order",
    .help = "Usage: tamis order servers [OPTION]... ID\n"
            "\n"
            "Asks each name server now for the serial of the order's policy zone, and for one of\n"
            "its names.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order servers nv-2014-00987\n",
    .run = servers_run,
};

static int notify_run(int argc, char **argv)
{
    return order_run(&command_order_notify, argc, argv, TAKES_DELAY | NEEDS_WORD, notify);
}

const struct command command_order_notify = {
    .path = "order notify",
    .summary = "give notice of an order to its contacts",
    .help = "Usage: tamis order notify [OPTION]... ID\n"
            "\n"
            "Sends the notice of a rehearsed order to its contacts.\n"
            "\n"
            "  --delay-until TIME  of a sealed order: not before then\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order notify nv-2014-00987\n",
    .run = notify_run,
};

static int approve_run(int argc, char **argv)
{
    return order_run(&command_order_approve, argc, argv, NEEDS_WORD, approve);
}

const struct command command_order_approve = {
    .path = "order approve",
    .summary = "approve an order",
    .help = "Usage: tamis order approve [OPTION]... ID\n"
            "\n"
            "Approves an order of which notice was given. Subtrees, collateral above the budget\n"
            "and names that others watch need two different people.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order approve nv-2014-00987\n",
    .run = approve_run,
};

static int activate_run(int argc, char **argv)
{
    return order_run(&command_order_activate, argc, argv, NEEDS_WORD, activate);
}

const struct command command_order_activate = {
    .path = "order activate",
    .summary = "put an approved order in force on every name server",
    .help = "Usage: tamis order activate [OPTION]... ID\n"
            "\n"
            "Puts an approved order in force: the name servers are told at once.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order activate nv-2014-00987\n",
    .run = activate_run,
};

static int amend_run(int argc, char **argv)
{
    return order_run(&command_order_amend, argc, argv,
                     NEEDS_REASON | TAKES_REFERENCE | TAKES_CHANGE | NEEDS_WORD, amend);
}

const struct command command_order_amend = {
    .path = "order amend",
    .summary = "take a part of an order in force back",
    .help = "Usage: tamis order amend --reason TEXT [OPTION]... ID\n"
            "\n"
            "Exempts names from an order in force, or gives it a document that blocks less. What\n"
            "blocks more is a new order.\n"
            "\n"
            "  --reason TEXT      why; it is published\n"
            "  --exempt NAME      a name to carve out; any number of times\n"
            "  --document FILE    the narrower order\n"
            "  --reference ID     the appeal that led to it\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order amend --reason 'Listed by mistake.' \\\n"
            "             --exempt shop.a.example nv-2014-00987\n",
    .run = amend_run,
};

static int lift_run(int argc, char **argv)
{
    return order_run(&command_order_lift, argc, argv, NEEDS_REASON | NEEDS_WORD, lift);
}

const struct command command_order_lift = {
    .path = "order lift",
    .summary = "lift an order on every name server",
    .help = "Usage: tamis order lift --reason TEXT [OPTION]... ID\n"
            "\n"
            "Lifts an order in force, or withdraws one that never was. One person, one call.\n"
            "\n"
            "  --reason TEXT      why; it is published\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order lift --reason 'The court vacated it.' nv-2014-00987\n",
    .run = lift_run,
};

static int exempt_run(int argc, char **argv)
{
    return order_run(&command_order_exempt, argc, argv, NEEDS_REASON | TAKES_REFERENCE | NEEDS_WORD,
                     exempt);
}

const struct command command_order_exempt = {
    .path = "order exempt",
    .summary = "carve a name out of every order in force",
    .help = "Usage: tamis order exempt --reason TEXT [OPTION]... NAME\n"
            "\n"
            "Amends every order in force that lists the name or a subtree above it.\n"
            "\n"
            "  --reason TEXT      why; it is published\n"
            "  --reference ID     the appeal that led to it\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis order exempt --reason 'The appeal was granted.' shop.a.example\n",
    .run = exempt_run,
};
