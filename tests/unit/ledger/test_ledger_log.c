/* The log in its folder: growing, kills, damage, and what a stranger can check of it. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/ledger_log.h"
#include "ledger/ledger_verify.h"

struct fixture {
    char folder[64];
    struct note_signer signer;
    unsigned seed;
};

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    strcpy(fixture->folder, "/tmp/test-ledger.XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(
        note_signer_generate("desk.example/ledger", NOTE_KEY_ED25519, &fixture->signer), 0);
    fixture->seed = (unsigned)time(NULL) ^ (unsigned)getpid();
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    (void)nftw(fixture->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

/* The entry with that index has always these octets; some are empty, some long. */
static size_t make_entry(uint64_t index, char *to)
{
    if (index % 17 == 3)
        return 0;
    size_t size = (size_t)sprintf(to, "{\"id\": %llu}", (unsigned long long)index);
    if (index % 100 == 50) {
        memset(to + size, 'x', 3000);
        size += 3000;
    }
    return size;
}

static int append(struct ledger_log *log, size_t count, struct error *error)
{
    struct ledger_entry *entries = calloc(count, sizeof(*entries));
    char *octets = malloc(count * 3100);
    size_t at = 0;
    uint64_t index;
    for (size_t i = 0; i < count; i++) {
        entries[i].octets = (const uint8_t *)octets + at;
        entries[i].size = make_entry(ledger_log_size(log) + i, octets + at);
        at += entries[i].size;
    }
    int rc = ledger_log_append(log, entries, count, &index, error);
    free(octets);
    free(entries);
    return rc;
}

static int compare_entry(void *context, uint64_t index, const uint8_t *octets, size_t size)
{
    char expected[3100];
    uint64_t *seen = context;
    assert_int_equal(index, *seen);
    assert_int_equal(make_entry(index, expected), size);
    if (size > 0)
        assert_memory_equal(octets, expected, size);
    (*seen)++;
    return 0;
}

/* What a stranger says of it; sets the size when all is well. */
static int verify(const struct fixture *fixture, const struct checkpoint *old, uint64_t *ret_size,
                  struct error *error)
{
    const struct ledger_source source = {.read = ledger_folder_read,
                                         .context = (void *)fixture->folder};
    struct ledger_claim *claim = malloc(sizeof(*claim));
    uint64_t seen = 0;
    int rc = ledger_claim_read(&source, &fixture->signer.verifier, NULL, 0, claim, error);
    if (rc == 0) {
        const struct ledger_audit audit = {.source = &source,
                                           .checkpoint = &claim->checkpoint,
                                           .old = old,
                                           .entry = compare_entry,
                                           .context = &seen};
        rc = ledger_verify_all(&audit, error);
        if (rc == 0 && old != NULL)
            rc = ledger_verify_consistency(&source, old, &claim->checkpoint, error);
    }
    if (rc == 0) {
        assert_int_equal(seen, claim->checkpoint.size);
        *ret_size = seen;
    }
    free(claim);
    return rc;
}

static struct checkpoint checkpoint_of(const struct fixture *fixture)
{
    const struct ledger_source source = {.read = ledger_folder_read,
                                         .context = (void *)fixture->folder};
    struct ledger_claim *claim = malloc(sizeof(*claim));
    struct error error;
    assert_int_equal(ledger_claim_read(&source, &fixture->signer.verifier, NULL, 0, claim, &error),
                     0);
    const struct checkpoint checkpoint = claim->checkpoint;
    free(claim);
    return checkpoint;
}

static void test_a_log_grows_by_any_steps_and_stays_provable(void **state)
{
    struct fixture *fixture = *state;
    print_message("seed %u\n", fixture->seed);
    struct error error = {0};
    struct ledger_log *log;
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    struct checkpoint old = checkpoint_of(fixture);
    assert_int_equal(old.size, 0);
    for (unsigned step = 0; step < 40; step++) {
        const size_t count = (size_t)rand_r(&fixture->seed) % (step % 5 == 4 ? 700 : 60);
        assert_int_equal(append(log, count, &error), 0);
        if (step % 3 == 0) {
            ledger_log_close(log);
            assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
        }
        uint64_t size;
        if (verify(fixture, &old, &size, &error) < 0)
            fail_msg("%s", error.text);
        assert_int_equal(size, ledger_log_size(log));
        old = checkpoint_of(fixture);
    }
    ledger_log_close(log);
}

static void test_one_entry_is_proved_without_reading_the_others(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct ledger_log *log;
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    assert_int_equal(append(log, 1000, &error), 0);
    ledger_log_close(log);
    const struct checkpoint checkpoint = checkpoint_of(fixture);
    const struct ledger_source source = {.read = ledger_folder_read, .context = fixture->folder};
    for (uint64_t index = 0; index < 1000; index += 37) {
        uint8_t *entry;
        size_t size;
        char expected[3100];
        assert_int_equal(ledger_verify_entry(&source, &checkpoint, index, &entry, &size, &error),
                         0);
        assert_int_equal(size, make_entry(index, expected));
        assert_memory_equal(entry, expected, size);
        free(entry);
    }
    uint8_t *entry;
    size_t size;
    assert_int_equal(ledger_verify_entry(&source, &checkpoint, 1000, &entry, &size, &error),
                     -EINVAL);
}

/* Killed after any number of octets written, the log is that of the last checkpoint or the next. */
static void test_killed_at_any_moment_it_is_whole(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct ledger_log *log;
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    assert_int_equal(append(log, 200, &error), 0);
    uint64_t size = ledger_log_size(log);
    ledger_log_close(log);

    for (unsigned round = 0; round < 30; round++) {
        pid_t child = fork();
        if (child == 0) {
            /* The file size limit ends the process in the middle of a write. */
            const struct rlimit limit = {.rlim_cur = 300 * round + 40, .rlim_max = RLIM_INFINITY};
            struct error ignored;
            if (ledger_log_open(fixture->folder, &fixture->signer, &log, &ignored) < 0)
                _exit(1);
            (void)setrlimit(RLIMIT_FSIZE, &limit);
            (void)!append(log, 90, &ignored);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        uint64_t now;
        const struct checkpoint old = checkpoint_of(fixture);
        if (verify(fixture, &old, &now, &error) < 0)
            fail_msg("%s", error.text);
        assert_true(now == size || now == size + 90);
        size = now;
    }
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    assert_int_equal(ledger_log_size(log), size);
    assert_int_equal(append(log, 300, &error), 0);
    ledger_log_close(log);
    assert_int_equal(verify(fixture, NULL, &size, &error), 0);
}

static char *paths[64];
static unsigned path_count;

static int collect(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)place;
    if (kind == FTW_F && path_count < 64)
        paths[path_count++] = strdup(path);
    return 0;
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    const int octet = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(octet ^ 1, file), EOF);
    assert_int_equal(fclose(file), 0);
}

/* One flipped bit anywhere: who verifies says so, and nobody crashes. */
static void test_a_changed_octet_in_any_file_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct ledger_log *log;
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    assert_int_equal(append(log, 700, &error), 0);
    ledger_log_close(log);
    path_count = 0;
    assert_int_equal(nftw(fixture->folder, collect, 16, FTW_PHYS), 0);
    assert_true(path_count >= 7);
    for (unsigned i = 0; i < path_count; i++) {
        struct stat status;
        assert_int_equal(stat(paths[i], &status), 0);
        /* Hashes of hashes serve proofs; entries and their hashes are all that there is to read. */
        const bool is_upper = strstr(paths[i], "/tile/1/") != NULL;
        const long at = (long)((unsigned)rand_r(&fixture->seed) % (unsigned)status.st_size);
        uint64_t size;
        if (strstr(paths[i], "checkpoint") != NULL && at >= status.st_size - 3)
            continue; /* padding bits of base64 */
        flip(paths[i], at);
        int rc = verify(fixture, NULL, &size, &error);
        if (is_upper)
            rc = ledger_log_open(fixture->folder, &fixture->signer, &log, &error);
        if (rc == 0)
            fail_msg("not found: %s at %ld", paths[i], at);
        flip(paths[i], at);
        free(paths[i]);
    }
}

static void test_a_rewritten_log_is_found_by_who_kept_a_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct ledger_log *log;
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    assert_int_equal(append(log, 300, &error), 0);
    ledger_log_close(log);
    struct checkpoint old = checkpoint_of(fixture);

    (void)nftw(fixture->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    const struct ledger_entry lie = {.octets = (const uint8_t *)"a lie", .size = 5};
    uint64_t index;
    assert_int_equal(ledger_log_append(log, &lie, 1, &index, &error), 0);
    assert_int_equal(append(log, 400, &error), 0);
    ledger_log_close(log);

    const struct ledger_source source = {.read = ledger_folder_read, .context = fixture->folder};
    struct checkpoint present = checkpoint_of(fixture);
    assert_int_equal(ledger_verify_consistency(&source, &old, &present, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "rewritten"));
    const struct ledger_audit audit = {.source = &source, .checkpoint = &present, .old = &old};
    assert_int_equal(ledger_verify_all(&audit, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "rewritten"));
    assert_int_equal(ledger_verify_consistency(&source, &present, &old, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "shrunk"));
}

static void test_only_one_may_append_and_only_with_the_key(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct ledger_log *log, *other;
    struct note_signer stranger;
    assert_int_equal(note_signer_generate("desk.example/ledger", NOTE_KEY_ED25519, &stranger), 0);
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &other, &error), -EBUSY);
    ledger_log_close(log);
    assert_int_equal(ledger_log_open(fixture->folder, &stranger, &other, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "key"));
}

static void test_cosignatures_of_known_witnesses_are_added_once(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct ledger_log *log;
    struct note_signer witness, stranger;
    assert_int_equal(note_signer_generate("witness.example", NOTE_KEY_COSIGNATURE, &witness), 0);
    assert_int_equal(note_signer_generate("stranger.example", NOTE_KEY_COSIGNATURE, &stranger), 0);
    assert_int_equal(ledger_log_open(fixture->folder, &fixture->signer, &log, &error), 0);
    assert_int_equal(append(log, 5, &error), 0);

    struct checkpoint checkpoint = checkpoint_of(fixture);
    char text[CHECKPOINT_TEXT_SIZE], lines[2 * NOTE_LINE_SIZE];
    const size_t text_size = checkpoint_format(&checkpoint, text);
    size_t size = note_sign(&witness, text, text_size, 1700000000, lines);
    const size_t first = size;
    size += note_sign(&stranger, text, text_size, 1700000000, lines + size);
    unsigned added = 9;
    assert_int_equal(ledger_log_cosign(log, lines, size, &witness.verifier, 1, &added, &error), 0);
    assert_int_equal(added, 1);
    assert_int_equal(ledger_log_cosign(log, lines, size, &witness.verifier, 1, &added, &error), 0);
    assert_int_equal(added, 0);

    const struct ledger_source source = {.read = ledger_folder_read, .context = fixture->folder};
    struct ledger_claim *claim = malloc(sizeof(*claim));
    assert_int_equal(
        ledger_claim_read(&source, &fixture->signer.verifier, &witness.verifier, 1, claim, &error),
        0);
    assert_int_equal(claim->witnesses, 1);
    assert_int_equal(claim->witnessed_at, 1700000000);
    free(claim);

    /* The next checkpoint is another text: the old line is over nothing any more. */
    assert_int_equal(append(log, 1, &error), 0);
    assert_int_equal(ledger_log_cosign(log, lines, first, &witness.verifier, 1, &added, &error),
                     -EBADMSG);
    ledger_log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_log_grows_by_any_steps_and_stays_provable, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_one_entry_is_proved_without_reading_the_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_killed_at_any_moment_it_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_changed_octet_in_any_file_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_rewritten_log_is_found_by_who_kept_a_checkpoint,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_one_may_append_and_only_with_the_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_cosignatures_of_known_witnesses_are_added_once, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
