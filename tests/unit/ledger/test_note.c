/* Signed notes, checkpoints and cosignatures. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/note.h"

static const uint8_t seed[NOTE_SEED_SIZE] = "a seed of thirty-two octets, so";

/* Beyond doubt made by another program: the example of the format's first implementation. */
static void test_a_note_of_others_is_read_and_verified(void **state)
{
    (void)state;
    static const char text[] =
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\xe2\x80\x94 PeterNeumann "
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnA"
        "M=\n";
    struct note_verifier verifier;
    struct note note;
    struct error error;
    char again[NOTE_VERIFIER_TEXT_SIZE];
    static const char key[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_int_equal(note_verifier_parse(key, &verifier, &error), 0);
    note_verifier_format(&verifier, again, sizeof(again));
    assert_string_equal(again, key);
    assert_int_equal(note_parse(text, sizeof(text) - 1, &note, &error), 0);
    assert_int_equal(note_verify(&note, &verifier, NULL), 0);

    char *changed = strdup(text);
    changed[3] ^= 1;
    assert_int_equal(note_parse(changed, sizeof(text) - 1, &note, &error), 0);
    assert_int_equal(note_verify(&note, &verifier, NULL), -EBADMSG);
    free(changed);
}

static size_t signed_checkpoint(char *to, const struct note_signer *log,
                                const struct note_signer *witness)
{
    struct checkpoint checkpoint = {.origin = "desk.example/ledger", .size = 20852163};
    memset(checkpoint.root.octets, 7, sizeof(checkpoint.root));
    const size_t text = checkpoint_format(&checkpoint, to);
    size_t size = text;
    to[size++] = '\n';
    size += note_sign(log, to, text, 0, to + size);
    if (witness != NULL)
        size += note_sign(witness, to, text, 1679315147, to + size);
    to[size] = '\0';
    return size;
}

static void test_a_checkpoint_is_read_as_it_was_signed(void **state)
{
    (void)state;
    struct note_signer log, witness, stranger;
    assert_int_equal(note_signer_from_seed("desk.example/ledger", NOTE_KEY_ED25519, seed, &log), 0);
    assert_int_equal(note_signer_generate("witness.example", NOTE_KEY_COSIGNATURE, &witness), 0);
    assert_int_equal(note_signer_generate("witness.example", NOTE_KEY_COSIGNATURE, &stranger), 0);
    char text[2048];
    const size_t size = signed_checkpoint(text, &log, &witness);

    struct note note;
    struct checkpoint checkpoint;
    uint64_t time_s = 1;
    assert_int_equal(note_parse(text, size, &note, NULL), 0);
    assert_int_equal(checkpoint_parse(&note, &checkpoint, NULL), 0);
    assert_string_equal(checkpoint.origin, "desk.example/ledger");
    assert_int_equal(checkpoint.size, 20852163);
    assert_int_equal(checkpoint.root.octets[31], 7);
    assert_int_equal(note_verify(&note, &log.verifier, &time_s), 0);
    assert_int_equal(time_s, 0);
    assert_int_equal(note_verify(&note, &witness.verifier, &time_s), 0);
    assert_int_equal(time_s, 1679315147);
    /* The same name with another key is somebody else. */
    assert_int_equal(note_verify(&note, &stranger.verifier, NULL), -ENOENT);
}

static void test_no_octet_of_a_checkpoint_can_change(void **state)
{
    (void)state;
    struct note_signer log, witness;
    assert_int_equal(note_signer_from_seed("desk.example/ledger", NOTE_KEY_ED25519, seed, &log), 0);
    assert_int_equal(note_signer_generate("witness.example", NOTE_KEY_COSIGNATURE, &witness), 0);
    char text[2048];
    const size_t size = signed_checkpoint(text, &log, &witness);
    const size_t text_size = (size_t)(strstr(text, "\n\n") + 1 - text);

    for (size_t at = 0; at < text_size; at++) {
        struct note note;
        text[at] ^= 1;
        if (note_parse(text, size, &note, NULL) == 0) {
            assert_int_not_equal(note_verify(&note, &log.verifier, NULL), 0);
            assert_int_not_equal(note_verify(&note, &witness.verifier, NULL), 0);
        }
        text[at] ^= 1;
    }
}

static void test_what_is_no_note_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "text\n",
        "text\n\n",
        "text\n\n\xe2\x80\x94 name AAAA",
        "text\n\nname AAAA\n",
        "text\n\n\xe2\x80\x94 name\n",
        "text\n\n\xe2\x80\x94  AAAA\n",
        "\xe2\x80\x94 name AAAA\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct note note;
        struct error error = {0};
        assert_int_equal(note_parse(texts[i], strlen(texts[i]), &note, &error), -EINVAL);
        assert_non_null(strstr(error.text, "no signed note"));
    }
}

static void test_what_is_no_checkpoint_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n05\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n-5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n99999999999999999999\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log\n5\nAAAA\n",
        "log\n5\n",
        "log\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct note note = {.text = texts[i], .text_size = strlen(texts[i])};
        struct checkpoint checkpoint;
        assert_int_equal(checkpoint_parse(&note, &checkpoint, NULL), -EINVAL);
    }
}

static void test_keys_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "name",
        "name+c74f20a3",
        "name+c74f20a3+",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhRc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct note_verifier verifier;
        struct error error;
        assert_int_equal(note_verifier_parse(texts[i], &verifier, &error), -EINVAL);
    }
}

static void test_a_signer_is_kept_in_a_file_of_its_own(void **state)
{
    (void)state;
    char folder[] = "/tmp/test-note.XXXXXX", path[64];
    struct note_signer signer, read;
    struct error error;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/ledger.key", folder);
    assert_int_equal(note_signer_generate("desk.example/ledger", NOTE_KEY_ED25519, &signer), 0);
    assert_int_equal(note_signer_save(&signer, path, &error), 0);
    assert_int_equal(note_signer_save(&signer, path, &error), -EEXIST);
    assert_int_equal(note_signer_load(path, &read, &error), 0);
    assert_memory_equal(&read, &signer, sizeof(signer));

    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(note_signer_load(path, &read, &error), -EPERM);
    assert_non_null(strstr(error.text, "chmod 600"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(note_signer_load(path, &read, &error), -ENOENT);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_note_of_others_is_read_and_verified),
        cmocka_unit_test(test_a_checkpoint_is_read_as_it_was_signed),
        cmocka_unit_test(test_no_octet_of_a_checkpoint_can_change),
        cmocka_unit_test(test_what_is_no_note_is_refused),
        cmocka_unit_test(test_what_is_no_checkpoint_is_refused),
        cmocka_unit_test(test_keys_that_are_none_are_refused),
        cmocka_unit_test(test_a_signer_is_kept_in_a_file_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
