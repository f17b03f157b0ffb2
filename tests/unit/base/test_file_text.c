/* Whole files: never half of an old and half of a new one. */
#include <errno.h>
#include <fcntl.h>
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

#include "base/file_text.h"

static char folder[64];
static char path[96];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_file_text.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/text", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *text)
{
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

static void test_a_file_is_read_whole(void **state)
{
    struct file_text text;

    (void)state;
    put("one\ntwo\n");
    assert_int_equal(file_text_read(path, 100, &text, NULL), 0);
    assert_int_equal(text.size, 8);
    assert_string_equal(text.octets, "one\ntwo\n");
    file_text_clear(&text);

    put("");
    assert_int_equal(file_text_read(path, 100, &text, NULL), 0);
    assert_int_equal(text.size, 0);
    file_text_clear(&text);
}

static void test_a_pipe_is_read_to_its_end(void **state)
{
    static char chunk[50000];
    struct file_text text;
    int ends[2];
    char name[32];

    (void)state;
    memset(chunk, 'x', sizeof(chunk));
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], chunk, sizeof(chunk)), sizeof(chunk));
    close(ends[1]);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[0]);
    assert_int_equal(file_text_read(name, 1 << 20, &text, NULL), 0);
    assert_int_equal(text.size, sizeof(chunk));
    assert_memory_equal(text.octets, chunk, sizeof(chunk));
    file_text_clear(&text);
    close(ends[0]);
}

static void test_what_is_too_long_or_no_file_is_refused_by_name(void **state)
{
    struct file_text text;
    struct error error = {0};

    (void)state;
    put("12345");
    assert_int_equal(file_text_read(path, 4, &text, &error), -EFBIG);
    assert_string_equal(error.file, path);
    assert_int_equal(file_text_read(folder, 4, &text, &error), -EISDIR);
    unlink(path);
    assert_int_equal(file_text_read(path, 4, &text, &error), -ENOENT);
    put("");
}

/* The check after the read, with each change that a writer can make during it. */
static void test_a_file_that_changes_is_noticed(void **state)
{
    struct stat before;
    struct error error = {0};

    (void)state;
    put("12345");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(file_unchanged(fd, path, &before, &error), 0);

    assert_int_equal(write(fd, "123456", 6), 6); /* grows */
    assert_int_equal(file_unchanged(fd, path, &before, &error), -EAGAIN);
    assert_non_null(strstr(error.text, "changed while it was read"));

    assert_int_equal(fstat(fd, &before), 0);
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(futimens(fd, times), 0); /* is written again with the same size */
    assert_int_equal(file_unchanged(fd, path, &before, &error), -EAGAIN);

    assert_int_equal(fstat(fd, &before), 0);
    unlink(path); /* is replaced */
    put("123456");
    assert_int_equal(file_unchanged(fd, path, &before, &error), -EAGAIN);
    close(fd);
}

static void test_creating_never_overwrites(void **state)
{
    struct file_text text;
    struct error error = {0};
    struct stat status;

    (void)state;
    unlink(path);
    assert_int_equal(file_text_create(path, 0600, "secret", 6, &error), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(file_text_create(path, 0600, "other", 5, &error), -EEXIST);
    assert_int_equal(file_text_read(path, 100, &text, NULL), 0);
    assert_string_equal(text.octets, "secret");
    file_text_clear(&text);
}

static void test_replacing_keeps_the_mode_and_leaves_nothing_behind(void **state)
{
    struct file_text text;
    struct stat status;

    (void)state;
    put("old");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(file_text_replace(path, "new text", 8, NULL), 0);
    assert_int_equal(file_text_read(path, 100, &text, NULL), 0);
    assert_string_equal(text.octets, "new text");
    file_text_clear(&text);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    /* remove_folder() fails if a temporary file is left. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_read_whole),
        cmocka_unit_test(test_a_pipe_is_read_to_its_end),
        cmocka_unit_test(test_what_is_too_long_or_no_file_is_refused_by_name),
        cmocka_unit_test(test_a_file_that_changes_is_noticed),
        cmocka_unit_test(test_creating_never_overwrites),
        cmocka_unit_test(test_replacing_keeps_the_mode_and_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
