#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"
#include "order/signing_key.h"

enum { OPTION_FOLDER = 0x100, OPTION_JSON };

static int generate(const char *folder, const char *name, bool json)
{
    struct error error;

    if (signing_key_generate(folder, name, &error) < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    if (json) {
        json_t *result = json_pack("{s:s, s:o, s:o}", "name", name, "secret",
                                   json_sprintf("%s/%s.key", folder, name), "public",
                                   json_sprintf("%s/%s.pub", folder, name));
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
        return EXIT_OK;
    }
    printf("%s/%s.key  secret: keep it, sign with 'tamis order sign --key %s/%s.key ORDER.yaml'\n"
           "%s/%s.pub  public: put its line into the configuration under orders: keyring:\n",
           folder, name, folder, name, folder, name);
    return EXIT_OK;
}

static int run(int argc, char **argv)
{
    static const struct option table[] = {
        {"folder", required_argument, NULL, OPTION_FOLDER},
        {"json", no_argument, NULL, OPTION_JSON},
        {0},
    };
    const char *folder = ".";
    bool json = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == OPTION_FOLDER)
            folder = optarg;
        else if (option == OPTION_JSON)
            json = true;
        else
            return command_usage_error(&command_key_generate,
                                       option == ':' ? "%s needs an argument" : "no option '%s'",
                                       argv[optind - 1]);
    }
    if (argc - optind != 1)
        return command_usage_error(&command_key_generate, "give one name");
    return generate(folder, argv[optind], json);
}

const struct command command_key_generate = {
    .path = "key generate",
    .summary = "make a key pair for signing orders",
    .help = "Usage: tamis key generate [OPTION]... NAME\n"
            "\n"
            "Makes an Ed25519 key pair for the signer NAME: NAME.key holds the secret and is\n"
            "readable by its owner alone; NAME.pub is one entry of a keyring. Files that exist\n"
            "are never overwritten.\n"
            "\n"
            "  --folder DIR     where to write the files (default: here)\n"
            "  --json           write the result as one JSON object\n"
            "\n"
            "Example: tamis key generate alice\n",
    .run = run,
};
