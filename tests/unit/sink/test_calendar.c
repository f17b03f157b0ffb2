/* A clock that leaps ahead is believed after an hour, and what is old ends in time otherwise. The
 * clocks are simulated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/calendar.h"
#include "sink/segment.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)
#define DAY_US    (24 * HOUR_US)
#define START_US  (INT64_C(20700) * DAY_US)
#define BOOT_US   (5 * SECOND_US) /* CLOCK_MONOTONIC at the first look */

static char folder[64];
static uint64_t segments;

static int make_folder(void **state)
{
    (void)state;
    segments = 0;
    strcpy(folder, "/tmp/tamis-calendar-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[400];
    (void)state;
    DIR *files = opendir(folder);
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, file->d_name);
        (void)unlink(path);
    }
    closedir(files);
    return rmdir(folder);
}

static void write_segment(int64_t begun_us)
{
    const struct segment_header header = {.number = ++segments, .begun_us = begun_us};
    char name[SEGMENT_NAME_SIZE], path[200];
    segment_name_write(&header, name);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
}

static struct calendar *create(void)
{
    struct calendar *calendar = NULL;
    struct error error = {0};
    if (calendar_create(folder, &calendar, &error) < 0)
        fail_msg("%s", error.text);
    return calendar;
}

/* Both clocks, so long after START_US; the calendar's is wrong by `leap_us`. */
static bool sure(struct calendar *calendar, int64_t after_us, int64_t leap_us)
{
    return calendar_is_sure_at(calendar, START_US + after_us + leap_us, BOOT_US + after_us);
}

static void test_a_machine_that_is_started_daily_is_sure_at_once(void **state)
{
    (void)state;
    for (int64_t day = -100; day < 0; day++)
        write_segment(START_US + day * DAY_US);
    struct calendar *calendar = create();
    assert_true(sure(calendar, 0, 0));
    for (int64_t day = 1; day < 50; day++) /* seldom asked, yet no leap */
        assert_true(sure(calendar, day * DAY_US, 0));
    calendar_free(calendar);
}

static void test_a_leap_while_it_runs_is_believed_after_an_hour(void **state)
{
    (void)state;
    write_segment(START_US - HOUR_US);
    struct calendar *calendar = create();
    assert_true(sure(calendar, 0, 0));
    assert_true(sure(calendar, SECOND_US, DAY_US - HOUR_US)); /* a zone, taken for UTC */
    assert_true(sure(calendar, 2 * SECOND_US, 0));
    assert_false(sure(calendar, 3 * SECOND_US, 4000 * DAY_US));
    assert_false(sure(calendar, HOUR_US, 4000 * DAY_US));
    assert_true(sure(calendar, HOUR_US + 3 * SECOND_US, 4000 * DAY_US));
    assert_true(sure(calendar, HOUR_US + 4 * SECOND_US, 0)); /* back is never doubted */
    calendar_free(calendar);
}

static void test_a_clock_that_is_set_right_within_the_hour_counts_from_anew(void **state)
{
    (void)state;
    write_segment(START_US - HOUR_US);
    struct calendar *calendar = create();
    assert_false(sure(calendar, 0, 100 * DAY_US));
    assert_true(sure(calendar, HOUR_US / 2, 0));
    assert_false(sure(calendar, HOUR_US, 100 * DAY_US));
    assert_false(sure(calendar, HOUR_US + HOUR_US / 2, 100 * DAY_US));
    /* It leaps on, and less far. */
    assert_false(sure(calendar, HOUR_US + HOUR_US * 3 / 4, 200 * DAY_US));
    assert_false(sure(calendar, 2 * HOUR_US, 200 * DAY_US));
    assert_false(sure(calendar, 2 * HOUR_US + SECOND_US, 50 * DAY_US));
    assert_false(sure(calendar, 2 * HOUR_US + 2 * SECOND_US, 200 * DAY_US));
    assert_false(sure(calendar, 3 * HOUR_US, 200 * DAY_US));
    assert_true(sure(calendar, 3 * HOUR_US + 2 * SECOND_US, 200 * DAY_US));
    calendar_free(calendar);
}

static void test_after_days_without_a_segment_it_waits(void **state)
{
    (void)state;
    write_segment(START_US - 3 * DAY_US);
    struct calendar *calendar = create();
    assert_false(sure(calendar, 0, 0));
    assert_true(sure(calendar, HOUR_US, 0));
    calendar_free(calendar);
}

static void test_what_was_written_after_a_leap_does_not_prove_it(void **state)
{
    (void)state;
    for (int64_t day = -100; day < 0; day++)
        write_segment(START_US + day * DAY_US);
    /* Restarts, again and again, with a clock of another year. */
    for (int64_t second = 0; second < 20; second++)
        write_segment(START_US + 4000 * DAY_US + second * SECOND_US);
    struct calendar *calendar = create();
    assert_false(sure(calendar, 0, 4000 * DAY_US));
    assert_true(sure(calendar, 30 * SECOND_US, 0));
    calendar_free(calendar);
    /* That has lasted for an hour. */
    write_segment(START_US + 4000 * DAY_US + HOUR_US);
    calendar = create();
    assert_true(sure(calendar, HOUR_US, 4000 * DAY_US));
    calendar_free(calendar);
}

static void test_without_anything_written_it_waits(void **state)
{
    (void)state;
    struct calendar *calendar = create();
    assert_false(sure(calendar, 0, 0));
    assert_true(sure(calendar, HOUR_US, 0));
    calendar_free(calendar);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_a_machine_that_is_started_daily_is_sure_at_once),
        TEST(test_a_leap_while_it_runs_is_believed_after_an_hour),
        TEST(test_a_clock_that_is_set_right_within_the_hour_counts_from_anew),
        TEST(test_after_days_without_a_segment_it_waits),
        TEST(test_what_was_written_after_a_leap_does_not_prove_it),
        TEST(test_without_anything_written_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
