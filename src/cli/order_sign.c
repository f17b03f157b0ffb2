#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file_text.h"
#include "base/yaml_load.h"
#include "cli/command.h"
#include "order/order.h"
#include "order/signature.h"
#include "order/signature_edit.h"

enum { OPTION_KEY = 0x100, OPTION_STRICT, OPTION_JSON };

struct request {
    const char *key_path, *order_path;
    bool strict, json;
};

static void report(const struct request *request, const struct order *order,
                   const struct signing_key *key)
{
    if (request->json) {
        json_t *result =
            json_pack("{s:s, s:s, s:s, s:I, s:I}", "file", request->order_path, "id", order->id,
                      "key", key->name, "names", (json_int_t)order->names.count, "findings",
                      (json_int_t)order->finding_total);
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
        return;
    }
    printf("%s: signed by %s: order %s with %zu names, %zu subtrees, %zu exempt\n",
           request->order_path, key->name, order->id, order->names.count, order->subtrees.count,
           order->exempt.count);
    if (order->finding_total > 0)
        printf("%llu bad entries are not part of what was signed; see 'tamis order check %s'\n",
               (unsigned long long)order->finding_total, request->order_path);
}

/* The text that is signed is the text that is edited: it is read once. */
static int sign(const struct request *request, const struct signing_key *key, struct error *error)
{
    const struct order_policy policy = {.strict = request->strict, .unverified = true};
    _cleanup_(order_freep) struct order *order = NULL;
    uint8_t value[SIGNATURE_SIZE];
    struct file_text text;
    char *edited = NULL;
    size_t size;

    int rc = file_text_read(request->order_path, YAML_SIZE_MAX, &text, error);
    if (rc < 0)
        return rc;
    rc = order_load_text(request->order_path, text.octets, text.size, &policy, &order, error);
    if (rc == 0)
        rc = signature_make(order, key, value, error);
    if (rc == 0)
        rc = signature_edit(request->order_path, text.octets, text.size, key, value, &edited, &size,
                            error);
    file_text_clear(&text);
    if (rc == 0)
        rc = file_text_replace(request->order_path, edited, size, error);
    free(edited);
    if (rc == 0)
        report(request, order, key);
    return rc;
}

static int load_key_and_sign(const struct request *request)
{
    struct signing_key key;
    struct error error;

    int rc = signing_key_load(request->key_path, &key, &error);
    if (rc == 0) {
        rc = sign(request, &key, &error);
        signing_key_clear(&key);
    }
    if (rc < 0)
        error_print(stderr, "tamis", &error);
    return rc < 0 ? EXIT_FINDING : EXIT_OK;
}

static int run(int argc, char **argv)
{
    static const struct option table[] = {
        {"key", required_argument, NULL, OPTION_KEY},
        {"strict", no_argument, NULL, OPTION_STRICT},
        {"json", no_argument, NULL, OPTION_JSON},
        {0},
    };
    struct request request = {0};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == OPTION_KEY)
            request.key_path = optarg;
        else if (option == OPTION_STRICT)
            request.strict = true;
        else if (option == OPTION_JSON)
            request.json = true;
        else
            return command_usage_error(&command_order_sign,
                                       option == ':' ? "%s needs an argument" : "no option '%s'",
                                       argv[optind - 1]);
    }
    if (request.key_path == NULL)
        return command_usage_error(&command_order_sign, "name the secret key with --key FILE");
    if (argc - optind != 1)
        return command_usage_error(&command_order_sign, "give one order file");
    request.order_path = argv[optind];
    return load_key_and_sign(&request);
}

const struct command command_order_sign = {
    .path = "order sign",
    .summary = "add a signature to an order",
    .help = "Usage: tamis order sign --key FILE [OPTION]... ORDER.yaml\n"
            "\n"
            "Signs the canonical form of the order (tamis-order(5); 'tamis order check\n"
            "--canonical' shows it) and writes the signature into its 'signatures' list, in\n"
            "place of an earlier one by the same key. Nothing else in the file changes.\n"
            "\n"
            "  --key FILE       the signer's secret, NAME.key of 'tamis key generate'\n"
            "  --strict         refuse to sign an order that has a bad entry\n"
            "  --json           write the result as one JSON object\n"
            "\n"
            "Example: tamis order sign --key alice.key nv-2014-00987.yaml\n",
    .run = run,
};
