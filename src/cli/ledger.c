/* `tamis ledger key` and `tamis ledger verify`. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/ledger_place.h"
#include "cli/quantity.h"
#include "ledger/ledger_verify.h"

#define WITNESSES_MAX 32

/* Entries between two lines of progress. */
#define PROGRESS_STEP 65536

enum {
    OPTION_KEY = 0x100,
    OPTION_WITNESS,
    OPTION_WITNESSES_MIN,
    OPTION_ENTRY,
    OPTION_STATE,
    OPTION_QUICK,
    OPTION_JSON,
    OPTION_TYPE,
    OPTION_OUTPUT,
};

/* ---- key ---- */

static int key_make(const char *name, enum note_key_type type, const char *output, bool json)
{
    struct note_signer signer;
    struct error error;
    char verifier[NOTE_VERIFIER_TEXT_SIZE];

    if (note_signer_generate(name, type, &signer) < 0) {
        fprintf(stderr,
                "tamis: '%s' cannot name a log: take its URL without the scheme, for example "
                "desk.example/ledger\n",
                name);
        return EXIT_FINDING;
    }
    int rc = note_signer_save(&signer, output, &error);
    note_verifier_format(&signer.verifier, verifier, sizeof(verifier));
    note_signer_clear(&signer);
    if (rc < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    if (json) {
        json_t *result = json_pack("{s:s, s:s}", "secret", output, "verifier", verifier);
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(result);
        return EXIT_OK;
    }
    printf("%s  secret: it signs, nobody else may read it\n"
           "%s  public: give it to all who verify\n",
           output, verifier);
    return EXIT_OK;
}

static int key_run(int argc, char **argv)
{
    static const struct option table[] = {
        {"witness", no_argument, NULL, OPTION_TYPE},
        {"output", required_argument, NULL, OPTION_OUTPUT},
        {"json", no_argument, NULL, OPTION_JSON},
        {0},
    };
    enum note_key_type type = NOTE_KEY_ED25519;
    const char *output = "ledger.key";
    bool json = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == OPTION_TYPE)
            type = NOTE_KEY_COSIGNATURE;
        else if (option == OPTION_OUTPUT)
            output = optarg;
        else if (option == OPTION_JSON)
            json = true;
        else
            return command_usage_error(&command_ledger_key,
                                       option == ':' ? "%s needs an argument" : "no option '%s'",
                                       argv[optind - 1]);
    }
    if (argc - optind != 1)
        return command_usage_error(&command_ledger_key, "give the log's name");
    return key_make(argv[optind], type, output, json);
}

const struct command command_ledger_key = {
    .path = "ledger key",
    .summary = "make the key that signs a ledger",
    .help = "Usage: tamis ledger key [OPTION]... NAME\n"
            "\n"
            "Makes an Ed25519 key for the log NAME, which is its URL without the scheme. The\n"
            "secret goes into a file that only its owner can read; the verifier key, which\n"
            "everybody may have, is printed.\n"
            "\n"
            "  --witness        the key of a witness, which cosigns the logs of others\n"
            "  --output FILE    where to write the secret (default: ledger.key)\n"
            "  --json           write the result as one JSON object\n"
            "\n"
            "Example: tamis ledger key desk.example/ledger\n",
    .run = key_run,
};

/* ---- verify ---- */

struct verification {
    const char *place; /* URL or folder */
    struct ledger_place from;
    struct note_verifier log;
    struct note_verifier witnesses[WITNESSES_MAX];
    size_t witness_count;
    unsigned witnesses_min;
    bool has_entry, is_quick, json;
    uint64_t entry;
    const char *state; /* file of the checkpoint seen last; NULL: none is kept */

    struct ledger_claim claim;
    struct checkpoint old;
    bool has_old;
    bool shows_progress;
};

static int count_entry(void *context, uint64_t index, const uint8_t *octets, size_t size)
{
    const struct verification *verification = context;
    (void)octets, (void)size;
    if (verification->shows_progress && index % PROGRESS_STEP == 0)
        fprintf(stderr, "\r%s of %s entries", quantity_count((int64_t)index).text,
                quantity_count((int64_t)verification->claim.checkpoint.size).text);
    return 0;
}

/* The checkpoint that was seen last: the log must go on from there. */
static int read_state(struct verification *verification, struct error *error)
{
    struct file_text text;
    struct note note;
    if (verification->state == NULL || access(verification->state, F_OK) < 0)
        return 0;
    int rc = file_text_read(verification->state, NOTE_SIZE_MAX, &text, error);
    if (rc < 0)
        return rc;
    rc = note_parse(text.octets, text.size, &note, error);
    if (rc == 0)
        rc = checkpoint_parse(&note, &verification->old, error);
    if (rc == 0 && note_verify(&note, &verification->log, NULL) < 0)
        rc = error_set_at(error, -EBADMSG, verification->state, 0,
                          "is no checkpoint of this log: name another file");
    file_text_clear(&text);
    verification->has_old = rc == 0;
    return rc;
}

static int write_state(const struct verification *verification, struct error *error)
{
    if (verification->state == NULL)
        return 0;
    return file_text_put(verification->state, 0644, verification->claim.note,
                         verification->claim.note_size, error);
}

static int check_log(struct verification *verification, struct error *error)
{
    const struct checkpoint *checkpoint = &verification->claim.checkpoint;
    if (verification->is_quick || verification->has_entry)
        return verification->has_old
                   ? ledger_verify_consistency(&verification->from.source, &verification->old,
                                               checkpoint, error)
                   : 0;
    const struct ledger_audit audit = {
        .source = &verification->from.source,
        .checkpoint = checkpoint,
        .old = verification->has_old ? &verification->old : NULL,
        .entry = count_entry,
        .context = verification,
    };
    int rc = ledger_verify_all(&audit, error);
    if (verification->shows_progress)
        fputs("\r\033[K", stderr);
    return rc;
}

static void print_json(const struct verification *verification, const uint8_t *entry, size_t size)
{
    const struct checkpoint *checkpoint = &verification->claim.checkpoint;
    char root[2 * MERKLE_HASH_SIZE + 1];
    sodium_bin2hex(root, sizeof(root), checkpoint->root.octets, MERKLE_HASH_SIZE);
    json_t *result = json_pack("{s:s, s:I, s:s, s:i, s:b}", "log", checkpoint->origin, "entries",
                               (json_int_t)checkpoint->size, "root", root, "witnesses",
                               (int)verification->claim.witnesses, "consistent-with-state",
                               (int)verification->has_old);
    if (verification->has_entry) {
        json_t *content = json_loadb((const char *)entry, size, 0, NULL);
        if (content == NULL)
            content = json_stringn((const char *)entry, size);
        json_object_set_new(result, "index", json_integer((json_int_t)verification->entry));
        json_object_set_new(result, "entry", content != NULL ? content : json_null());
    }
    json_dumpf(result, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(result);
}

static void print_text(const struct verification *verification, const uint8_t *entry, size_t size)
{
    const struct ledger_claim *claim = &verification->claim;
    char root[2 * MERKLE_HASH_SIZE + 1];
    sodium_bin2hex(root, sizeof(root), claim->checkpoint.root.octets, MERKLE_HASH_SIZE);
    printf("log        %s\nentries    %s\nroot       %s\n", claim->checkpoint.origin,
           quantity_count((int64_t)claim->checkpoint.size).text, root);
    if (verification->witness_count > 0)
        printf("witnesses  %u of %zu%s%s\n", claim->witnesses, verification->witness_count,
               claim->witnesses > 0 ? ", since " : "",
               claim->witnesses > 0 ? quantity_time((int64_t)claim->witnessed_at).text : "");
    if (verification->has_old)
        printf("history    goes on from the %s entries seen before\n",
               quantity_count((int64_t)verification->old.size).text);
    if (verification->has_entry) {
        printf("entry      %" PRIu64 " is in the log:\n", verification->entry);
        fwrite(entry, 1, size, stdout);
        putchar('\n');
    } else if (!verification->is_quick) {
        printf("verified   every entry is the one that the log signed for\n");
    }
}

static int verify(struct verification *verification, struct error *error)
{
    int rc =
        ledger_claim_read(&verification->from.source, &verification->log, verification->witnesses,
                          verification->witness_count, &verification->claim, error);
    if (rc == 0 && verification->claim.witnesses < verification->witnesses_min)
        rc = error_set(error, -EBADMSG, "%u of the witnesses have signed, %u are asked for",
                       verification->claim.witnesses, verification->witnesses_min);
    if (rc == 0)
        rc = read_state(verification, error);
    if (rc == 0)
        rc = check_log(verification, error);
    if (rc < 0)
        return rc;

    uint8_t *entry = NULL;
    size_t size = 0;
    if (verification->has_entry) {
        rc = ledger_verify_entry(&verification->from.source, &verification->claim.checkpoint,
                                 verification->entry, &entry, &size, error);
        if (rc < 0)
            return rc;
    }
    if (verification->json)
        print_json(verification, entry, size);
    else
        print_text(verification, entry, size);
    free(entry);
    return write_state(verification, error);
}

static bool number_option(const char *argument, uint64_t max, uint64_t *ret_value)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(argument, &end, 10);
    if (errno != 0 || end == argument || *end != '\0' || argument[0] == '-' || value > max)
        return false;
    *ret_value = value;
    return true;
}

/* Takes one option; returns 0 or an exit code. */
static int take_option(struct verification *verification, int option, bool *has_key)
{
    uint64_t value = 0;
    switch (option) {
    case OPTION_KEY:
        *has_key = true;
        return ledger_key_take(optarg, &verification->log) < 0 ? EXIT_USAGE : 0;
    case OPTION_WITNESS:
        if (verification->witness_count == WITNESSES_MAX)
            return command_usage_error(&command_ledger_verify, "more than %d witnesses",
                                       WITNESSES_MAX);
        return ledger_key_take(optarg, &verification->witnesses[verification->witness_count++]) < 0
                   ? EXIT_USAGE
                   : 0;
    case OPTION_WITNESSES_MIN:
        if (!number_option(optarg, WITNESSES_MAX, &value))
            return command_usage_error(&command_ledger_verify, "'%s' is no count", optarg);
        verification->witnesses_min = (unsigned)value;
        return 0;
    case OPTION_ENTRY:
        if (!number_option(optarg, INT64_MAX, &verification->entry))
            return command_usage_error(&command_ledger_verify, "'%s' is no index", optarg);
        verification->has_entry = true;
        return 0;
    case OPTION_STATE:
        verification->state = optarg;
        return 0;
    case OPTION_QUICK:
        verification->is_quick = true;
        return 0;
    default:
        verification->json = true;
        return 0;
    }
}

static int verify_parse(struct verification *verification, int argc, char **argv)
{
    static const struct option table[] = {
        {"key", required_argument, NULL, OPTION_KEY},
        {"witness", required_argument, NULL, OPTION_WITNESS},
        {"witnesses-min", required_argument, NULL, OPTION_WITNESSES_MIN},
        {"entry", required_argument, NULL, OPTION_ENTRY},
        {"state", required_argument, NULL, OPTION_STATE},
        {"quick", no_argument, NULL, OPTION_QUICK},
        {"json", no_argument, NULL, OPTION_JSON},
        {0},
    };
    bool has_key = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == ':' || option == '?')
            return command_usage_error(&command_ledger_verify,
                                       option == ':' ? "%s needs an argument" : "no option '%s'",
                                       argv[optind - 1]);
        int exit_code = take_option(verification, option, &has_key);
        if (exit_code != 0)
            return exit_code;
    }
    if (argc - optind != 1)
        return command_usage_error(&command_ledger_verify, "give one URL or folder");
    if (!has_key)
        return command_usage_error(&command_ledger_verify,
                                   "give the log's verifier key with --key; whoever runs the log "
                                   "publishes it elsewhere, too");
    if (verification->witnesses_min > verification->witness_count)
        return command_usage_error(&command_ledger_verify, "%u witnesses asked for, %zu given",
                                   verification->witnesses_min, verification->witness_count);
    verification->place = argv[optind];
    return 0;
}

static int verify_run(int argc, char **argv)
{
    struct verification *verification = calloc(1, sizeof(*verification));
    if (verification == NULL) {
        fputs("tamis: no memory\n", stderr);
        return EXIT_FINDING;
    }
    int exit_code = verify_parse(verification, argc, argv);
    if (exit_code == 0) {
        struct error error;
        verification->shows_progress = isatty(STDERR_FILENO) != 0;
        int rc = ledger_place_open(verification->place, &verification->from, &error);
        if (rc == 0)
            rc = verify(verification, &error);
        if (rc < 0)
            error_print(stderr, "tamis", &error);
        exit_code = rc < 0 ? EXIT_FINDING : EXIT_OK;
        ledger_place_close(&verification->from);
    }
    free(verification);
    return exit_code;
}

const struct command command_ledger_verify = {
    .path = "ledger verify",
    .summary = "check that a ledger was never rewritten",
    .help = "Usage: tamis ledger verify --key KEY [OPTION]... URL|FOLDER\n"
            "\n"
            "Reads a ledger from its URL, or offline from a copy of its folder, and checks that\n"
            "its checkpoint is signed and that every entry is the one that was signed for. With\n"
            "a state file, also that it goes on where it ended when it was last looked at.\n"
            "\n"
            "  --key KEY            the log's verifier key, or a file with it\n"
            "  --witness KEY        of a witness; may be given again\n"
            "  --witnesses-min N    so many of them must have signed, too\n"
            "  --entry N            proves and prints this entry, and reads little else\n"
            "  --state FILE         the checkpoint seen last; replaced after success\n"
            "  --quick              signatures and history, not every entry\n"
            "  --json               write the result as one JSON object\n"
            "\n"
            "Example: tamis ledger verify --key ledger.pub --state seen \\\n"
            "             https://desk.example/ledger\n",
    .run = verify_run,
};
