/* The log of events: what is put is read, in order, whatever happens to the files meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "event_sample.h"
#include "sink/event_log.h"
#include "sink/segment.h"

static char folder[64];
static unsigned seed;

static const struct event_log_options usual = {
    .folder = folder,
    .threads = 1,
    .flush_ms = 20,
    .segment_octets_max = 64 << 20,
    .segment_seconds = 3600,
    .waiting_octets_max = 16 << 20,
};

/* ---- Fixture ---- */

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tamis-events-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[400];
    (void)state;
    DIR *files = opendir(folder);
    if (files == NULL)
        return -1;
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, file->d_name);
        (void)unlink(path);
    }
    closedir(files);
    return rmdir(folder);
}

static struct event_log *open_log(const struct event_log_options *options)
{
    struct event_log *log = NULL;
    struct error error = {0};
    if (event_log_open(options, &log, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
    return log;
}

static struct event_reader *open_reader(const struct event_place *place)
{
    struct event_reader *reader = NULL;
    struct error error = {0};
    if (event_reader_open(folder, 0, 0, place, &reader, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
    return reader;
}

static bool next(struct event_reader *reader, struct sink_event *ret_event)
{
    struct error error = {0};
    int rc = event_reader_next(reader, ret_event, &error);
    if (rc < 0)
        fail_msg("%s: %s", error.file, error.text);
    return rc == 1;
}

static void rest(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
}

static void put(struct event_log *log, unsigned thread, uint64_t number)
{
    struct sink_event event = sample_checkin((int64_t)number + 1);
    event.received = number;
    while (!event_log_put(log, thread, &event))
        rest();
}

static void put_range(uint64_t from, uint64_t to, const struct event_log_options *options)
{
    struct event_log *log = open_log(options);
    for (uint64_t number = from; number < to; number++)
        put(log, 0, number);
    event_log_close(log);
}

static size_t list(struct segment_name **ret_names)
{
    size_t count;
    assert_int_equal(segment_list(folder, ret_names, &count), 0);
    return count;
}

static size_t count_segments(void)
{
    struct segment_name *names;
    size_t count = list(&names);
    free(names);
    return count;
}

/* The path of a segment by its place in the list. */
static void path_of(size_t index, char *ret_path, size_t size)
{
    struct segment_name *names;
    assert_true(index < list(&names));
    snprintf(ret_path, size, "%s/%s", folder, names[index].name);
    free(names);
}

static void wait_written(const struct event_log *log, uint64_t count)
{
    struct event_log_figures figures;
    for (;;) {
        event_log_figures(log, &figures);
        if (figures.written >= count)
            return;
        rest();
    }
}

/* ---- Writing and reading ---- */

static void test_what_is_put_is_read_in_its_order_over_many_segments(void **state)
{
    struct event_log_options options = usual;
    struct sink_event event, expected;
    (void)state;
    options.segment_octets_max = 300000;
    options.flush_ms = 2;
    put_range(0, 30000, &options);
    put_range(30000, 40000, &options);
    assert_true(count_segments() > 5);

    struct event_reader *reader = open_reader(NULL);
    for (uint64_t number = 0; number < 40000; number++) {
        assert_true(next(reader, &event));
        expected = sample_checkin((int64_t)number + 1);
        expected.received = number;
        assert_memory_equal(&event, &expected, sizeof(event));
    }
    assert_false(next(reader, &event));
    assert_int_equal(event_reader_damaged(reader), 0);
    event_reader_close(reader);
}

static void test_an_event_gets_to_the_disk_by_itself(void **state)
{
    struct event_log *log = open_log(&usual);
    struct event_reader *reader = open_reader(NULL);
    struct sink_event event;
    (void)state;
    for (uint64_t number = 0; number < 3; number++) {
        assert_false(next(reader, &event));
        put(log, 0, number);
        while (!next(reader, &event))
            rest();
        assert_int_equal(event.received, number);
    }
    event_reader_close(reader);
    event_log_close(log);
}

#define THREADS           3
#define EVENTS_PER_THREAD 40000

struct putter {
    struct event_log *log;
    unsigned thread;
};

static void *put_many(void *context)
{
    const struct putter *putter = context;
    for (uint64_t i = 0; i < EVENTS_PER_THREAD; i++)
        put(putter->log, putter->thread, i * THREADS + putter->thread);
    return NULL;
}

/* The reader follows through the segments while they are written. */
static void test_threads_put_at_once_and_a_reader_follows(void **state)
{
    struct event_log_options options = usual;
    struct putter putters[THREADS];
    pthread_t threads[THREADS];
    uint64_t counts[THREADS] = {0};
    struct sink_event event;
    (void)state;
    options.threads = THREADS;
    options.segment_octets_max = 1 << 20;
    struct event_log *log = open_log(&options);
    for (unsigned i = 0; i < THREADS; i++) {
        putters[i] = (struct putter){.log = log, .thread = i};
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &putters[i]), 0);
    }
    struct event_reader *reader = open_reader(NULL);
    for (uint64_t left = (uint64_t)THREADS * EVENTS_PER_THREAD; left > 0;) {
        if (!next(reader, &event)) {
            rest();
            continue;
        }
        const unsigned thread = (unsigned)(event.received % THREADS);
        assert_int_equal(event.received / THREADS, counts[thread]); /* each in its order */
        counts[thread]++;
        left--;
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct event_log_figures figures;
    wait_written(log, (uint64_t)THREADS * EVENTS_PER_THREAD);
    event_log_figures(log, &figures);
    assert_int_equal(figures.waiting, 0);
    assert_true(figures.octets < figures.octets_raw);
    event_log_close(log);
    assert_int_equal(event_reader_damaged(reader), 0);
    event_reader_close(reader);
}

static void test_a_reader_goes_on_where_another_one_stood(void **state)
{
    struct event_log_options options = usual;
    const uint8_t *octets;
    size_t size;
    struct event_place place = {0};
    struct error error;
    uint64_t node = 0, blocks = 0, raw_count = 0;
    (void)state;
    options.segment_octets_max = 100000;
    options.flush_ms = 2;
    put_range(0, 20000, &options);
    for (;; blocks++) {
        struct event_reader *reader = open_reader(&place);
        struct event_place before = place;
        int rc = event_reader_block(reader, &octets, &size, &place, &error);
        if (rc == 0) {
            event_reader_close(reader);
            break;
        }
        assert_int_equal(rc, 1);
        struct block_header header;
        assert_int_equal(block_header_read(octets, &header), 0);
        assert_int_equal(size, BLOCK_HEADER_SIZE + header.size);
        assert_true(block_is_intact(&header, octets + BLOCK_HEADER_SIZE));
        assert_true(place.segment > before.segment ||
                    (place.segment == before.segment && place.octet > before.octet));
        assert_true(node == 0 || node == event_reader_node(reader));
        node = event_reader_node(reader);
        assert_int_not_equal(node, 0);
        raw_count += header.count;
        event_reader_close(reader);
    }
    assert_int_equal(raw_count, 20000);
    assert_true(blocks > 1);
    assert_true(count_segments() > 3);
}

static void test_only_events_of_the_asked_time_are_read(void **state)
{
    struct event_reader *reader;
    struct sink_event event;
    struct error error;
    uint64_t number = 4999;
    (void)state;
    put_range(0, 10000, &usual); /* at = number + 1 */
    assert_int_equal(event_reader_open(folder, 5000, 6000, NULL, &reader, &error), 0);
    for (; next(reader, &event); number++)
        assert_int_equal(event.received, number);
    assert_int_equal(number, 5999);
    event_reader_close(reader);
}

static void test_a_folder_has_one_writer(void **state)
{
    struct event_log *log = open_log(&usual), *other;
    struct error error;
    (void)state;
    assert_int_equal(event_log_open(&usual, &other, &error), -EBUSY);
    assert_non_null(strstr(error.text, "another process"));
    event_log_close(log);
    event_log_close(open_log(&usual));
    assert_int_equal(count_segments(), 1); /* those without a block are cleared away */
}

static void test_a_folder_that_is_deleted_is_made_again(void **state)
{
    struct event_log *log = open_log(&usual), *other;
    struct error error = {0};
    (void)state;
    put(log, 0, 0);
    wait_written(log, 1);
    assert_int_equal(remove_folder(NULL), 0);
    put(log, 0, 1);
    wait_written(log, 2);
    assert_int_equal(event_log_open(&usual, &other, &error), -EBUSY);
    event_log_close(log);

    struct event_reader *reader = open_reader(NULL);
    struct sink_event event;
    assert_true(next(reader, &event));
    assert_int_equal(event.received, 1);
    assert_false(next(reader, &event));
    event_reader_close(reader);
}

/* ---- Rotation and retention ---- */

static void test_a_segment_ends_when_its_time_is_up(void **state)
{
    struct event_log_options options = usual;
    (void)state;
    options.segment_seconds = 1;
    struct event_log *log = open_log(&options);
    put(log, 0, 0);
    while (count_segments() < 2) /* without another event */
        rest();
    put(log, 0, 1);
    event_log_close(log);
    assert_int_equal(count_segments(), 2);
}

/* Makes a segment of another time from one that was written. */
static void rename_segment(size_t index, uint64_t number, int64_t days_ago)
{
    const struct segment_header header = {
        .number = number,
        .begun_us = ((int64_t)time(NULL) - days_ago * 86400) * 1000000,
    };
    char from[200], to[200], name[SEGMENT_NAME_SIZE];
    path_of(index, from, sizeof(from));
    segment_name_write(&header, name);
    snprintf(to, sizeof(to), "%s/%s", folder, name);
    assert_int_equal(rename(from, to), 0);
}

static void test_segments_that_are_too_old_are_deleted(void **state)
{
    struct event_log_options options = usual;
    struct event_log_figures figures;
    struct sink_event event;
    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        put_range(i, i + 1, &usual);
    rename_segment(0, 1, 40); /* its events may be as young as the next one's beginning */
    rename_segment(1, 2, 31);
    rename_segment(2, 3, 29);
    rename_segment(3, 4, 28);
    options.keep_days = 30;
    /* Not before a clock that is so far ahead of the newest one has said so for an hour. */
    struct calendar *calendar = NULL;
    struct error error = {0};
    assert_int_equal(calendar_create(folder, &calendar, &error), 0);
    options.calendar = calendar;
    struct event_log *log = open_log(&options);
    event_log_figures(log, &figures);
    assert_int_equal(figures.segments_deleted, 0);
    event_log_close(log);
    calendar_free(calendar);
    options.calendar = NULL;
    log = open_log(&options);
    event_log_figures(log, &figures);
    assert_int_equal(figures.segments_deleted, 1);
    event_log_close(log);
    struct event_reader *reader = open_reader(NULL);
    assert_true(next(reader, &event));
    assert_int_equal(event.received, 1);
    event_reader_close(reader);
    assert_int_equal(count_segments(), 4);
}

static void test_the_segment_being_written_is_never_deleted(void **state)
{
    struct event_log_options options = usual;
    (void)state;
    put_range(0, 10, &usual);
    rename_segment(0, 1, 4000);
    options.keep_days = 1;
    struct event_log *log = open_log(&options);
    assert_int_equal(count_segments(), 2); /* the one before ended just now */
    put(log, 0, 10);
    event_log_close(log);
    assert_int_equal(count_segments(), 2);
}

static void grow_segment(size_t index, off_t octets)
{
    char path[200];
    path_of(index, path, sizeof(path));
    assert_int_equal(truncate(path, octets), 0);
}

static void test_the_oldest_segments_give_way_to_the_bound_of_the_folder(void **state)
{
    struct event_log_options options = usual;
    struct event_log_figures figures;
    struct segment_name *names;
    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        put_range(i, i + 1, &usual);
    for (size_t i = 0; i < 3; i++) /* the last one is looked through at the start */
        grow_segment(i, 1 << 20);
    /* Room for one of them, and for the one that is written when it has grown. */
    options.segment_octets_max = 1 << 20;
    options.octets_max = (2 << 20) + (512 << 10);
    struct event_log *log = open_log(&options);
    event_log_figures(log, &figures);
    assert_int_equal(figures.segments_deleted, 2);
    put(log, 0, 4);
    event_log_close(log);
    assert_int_equal(list(&names), 3);
    assert_int_equal(names[0].number, 3);
    free(names);
}

static void test_a_folder_whose_bound_is_small_keeps_what_is_written(void **state)
{
    struct event_log_options options = usual;
    struct event_log_figures figures;
    struct segment_name *names;
    (void)state;
    options.segment_octets_max = options.octets_max = 1; /* each block begins a segment */
    struct event_log *log = open_log(&options);
    for (uint64_t i = 0; i < 3; i++) {
        put(log, 0, i);
        do {
            rest();
            event_log_figures(log, &figures);
        } while (figures.written <= i);
    }
    event_log_close(log);
    assert_int_equal(list(&names), 1);
    assert_int_equal(names[0].number, 3);
    free(names);
}

/* ---- Damage ---- */

static uint8_t *read_file(const char *path, size_t *ret_size)
{
    struct stat status;
    int file = open(path, O_RDONLY);
    assert_int_equal(fstat(file, &status), 0);
    uint8_t *octets = malloc((size_t)status.st_size);
    assert_int_equal(read(file, octets, (size_t)status.st_size), status.st_size);
    close(file);
    *ret_size = (size_t)status.st_size;
    return octets;
}

static void write_file(const char *path, const uint8_t *octets, size_t size)
{
    int file = open(path, O_WRONLY | O_TRUNC);
    assert_true(file >= 0);
    assert_int_equal(write(file, octets, size), size);
    close(file);
}

/* Some blocks in one segment; returns how many. */
static unsigned put_blocks(unsigned events_each, unsigned blocks)
{
    struct event_log *log = open_log(&usual);
    struct event_log_figures figures;
    for (unsigned i = 0; i < blocks; i++) {
        for (unsigned j = 0; j < events_each; j++)
            put(log, 0, i * events_each + j);
        wait_written(log, (i + 1) * events_each);
    }
    event_log_figures(log, &figures);
    event_log_close(log);
    return (unsigned)figures.blocks;
}

/* Reads all; returns how many. Numbers ascend. */
static uint64_t read_all(uint64_t *ret_damaged)
{
    struct event_reader *reader = open_reader(NULL);
    struct sink_event event;
    uint64_t count = 0, least = 0;
    for (; next(reader, &event); count++) {
        assert_true(event.received >= least);
        least = event.received + 1;
    }
    *ret_damaged = event_reader_damaged(reader);
    event_reader_close(reader);
    return count;
}

/* Whatever bit flips: what is lost is the events of one block. */
static void test_a_flipped_bit_costs_its_block_alone(void **state)
{
    char path[200];
    size_t size;
    uint64_t damaged;
    unsigned random = seed;
    (void)state;
    const unsigned blocks = put_blocks(20, 10);
    assert_true(blocks >= 10);
    path_of(0, path, sizeof(path));
    uint8_t *octets = read_file(path, &size);
    /* A later segment, so that the first has ended. */
    put_range(200, 201, &usual);
    for (unsigned i = 0; i < 2000; i++) {
        const size_t place = (size_t)rand_r(&random) % size;
        octets[place] ^= (uint8_t)(1 << i % 8);
        write_file(path, octets, size);
        const uint64_t count = read_all(&damaged);
        if (count < 201 - 20 || count > 201 || damaged != 1)
            fail_msg("seed %u: a bit of octet %zu: %lu events, %lu damaged", seed, place,
                     (unsigned long)count, (unsigned long)damaged);
        if (place >= SEGMENT_HEADER_SIZE)
            assert_true(count < 201);
        octets[place] ^= (uint8_t)(1 << i % 8);
    }
    free(octets);
}

static void test_a_torn_end_is_cut_off_at_the_next_start(void **state)
{
    char path[200];
    size_t size;
    uint64_t damaged;
    (void)state;
    (void)put_blocks(20, 3);
    path_of(0, path, sizeof(path));
    uint8_t *octets = read_file(path, &size);
    for (size_t torn = size - 1; torn > size - 700; torn -= 97) {
        write_file(path, octets, torn);
        assert_true(read_all(&damaged) <= 40); /* also a reader bears it */
        put_range(100, 110, &usual);
        const uint64_t count = read_all(&damaged);
        assert_int_equal(damaged, 0); /* nothing is left of it */
        assert_true(count == 50 || count == 30);
        char later[200];
        path_of(1, later, sizeof(later));
        assert_int_equal(unlink(later), 0);
    }
    free(octets);
}

/* A power cut may leave a file that is as long as it was to be, without its octets. */
static void test_an_end_of_zeros_is_cut_off(void **state)
{
    char path[200];
    struct stat before, after;
    uint64_t damaged;
    (void)state;
    (void)put_blocks(20, 3);
    path_of(0, path, sizeof(path));
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(truncate(path, before.st_size + 100000), 0);
    put_range(60, 70, &usual);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(read_all(&damaged), 70);
    assert_int_equal(damaged, 0);
}

static void test_a_later_version_is_told_and_not_read(void **state)
{
    char path[200];
    size_t size;
    struct sink_event event;
    struct error error = {0};
    (void)state;
    put_range(0, 10, &usual);
    path_of(0, path, sizeof(path));
    uint8_t *octets = read_file(path, &size);
    octets[8] = 2;
    const XXH64_hash_t sum = XXH3_64bits(octets, SEGMENT_HEADER_SIZE - 8);
    memcpy(octets + SEGMENT_HEADER_SIZE - 8, &sum, sizeof(sum));
    write_file(path, octets, size);
    struct event_reader *reader = open_reader(NULL);
    assert_int_equal(event_reader_next(reader, &event, &error), -EPROTONOSUPPORT);
    assert_non_null(strstr(error.text, "later version"));
    event_reader_close(reader);
    free(octets);
}

/* ---- Another process that is killed, or whose disk is full ---- */

struct told {
    unsigned long put, dropped, written, failures;
};

static pid_t start_writer(const char *const *settings, const char *flush_ms, const char *waiting,
                          const char *pause_us, FILE **ret_output)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        for (; settings != NULL && settings[0] != NULL; settings += 2)
            (void)setenv(settings[0], settings[1], 1);
        (void)execl(WRITER_PATH, WRITER_PATH, folder, flush_ms, "400000", waiting, pause_us,
                    (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *ret_output = fdopen(ends[0], "r");
    assert_non_null(*ret_output);
    return child;
}

static bool read_told(FILE *output, struct told *ret_told)
{
    char line[100];
    return fgets(line, sizeof(line), output) != NULL && strchr(line, '\n') != NULL &&
           sscanf(line, "%lu %lu %lu %lu", &ret_told->put, &ret_told->dropped, &ret_told->written,
                  &ret_told->failures) == 4;
}

/* What a killed writer had said to be durable is there; nothing is there twice, or has a gap. */
static void test_kills_lose_nothing_that_was_durable(void **state)
{
    uint64_t total = 0, lost = 0;
    unsigned random = seed;
    (void)state;
    for (unsigned round = 0; round < (getenv("LONG") != NULL ? 1000 : 60); round++) {
        struct told told = {0}, next_told;
        FILE *output;
        pid_t child = start_writer(NULL, "4", "4000000", "300", &output);
        assert_true(read_told(output, &told)); /* it writes */
        const struct timespec moment = {.tv_nsec = rand_r(&random) % 40000000};
        nanosleep(&moment, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read_told(output, &next_told))
            told = next_told;
        fclose(output);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));

        event_log_close(open_log(&usual)); /* as the next start would: cuts what is torn */
        struct event_reader *reader = open_reader(NULL);
        struct sink_event event;
        uint64_t count = 0;
        for (; next(reader, &event); count++)
            if (event.received != count)
                fail_msg("seed %u: event %lu stands where %lu should", seed,
                         (unsigned long)event.received, (unsigned long)count);
        if (count < told.written || event_reader_damaged(reader) != 0)
            fail_msg("seed %u: %lu events were durable, %lu are there", seed, told.written,
                     (unsigned long)count);
        event_reader_close(reader);
        total += count;
        lost += told.put > count ? told.put - count : 0;
        assert_int_equal(remove_folder(NULL), 0);
        assert_int_equal(make_folder(NULL), 0);
    }
    print_message("%lu events, %lu younger than the flush lost\n", (unsigned long)total,
                  (unsigned long)lost);
}

/* Runs the writer through a fault: until events were dropped, and then until it writes again. The
 * fault is there from the start, or comes when something was written. */
static void write_through_fault(const char *calls, const char *error, const char *done,
                                bool from_the_start)
{
    char pattern[100], fault[100];
    struct told told = {0};
    FILE *output;
    snprintf(pattern, sizeof(pattern), "%s/*.events", folder);
    snprintf(fault, sizeof(fault), "%s-fault", folder);
    const char *const settings[] = {
        "LD_PRELOAD",  FAULT_IO_PATH, "ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0",
        "FAULT_PATH",  pattern,       "FAULT_CALLS",  calls,
        "FAULT_ERRNO", error,         "FAULT_DONE",   done,
        "FAULT_COUNT", "0",           "FAULT_WHILE",  fault,
        NULL};
    if (from_the_start)
        close(open(fault, O_CREAT | O_WRONLY, 0600));
    pid_t child = start_writer(settings, "10", "600000", "100", &output);
    while (!from_the_start && told.written == 0)
        assert_true(read_told(output, &told));
    close(open(fault, O_CREAT | O_WRONLY, 0600));
    while (told.failures < 2 || told.dropped == 0)
        assert_true(read_told(output, &told));
    const unsigned long written = told.written;
    assert_int_equal(unlink(fault), 0);
    while (told.written < written + 20000) /* more than waited: it writes what came since, too */
        assert_true(read_told(output, &told));
    assert_int_equal(kill(child, SIGTERM), 0);
    while (read_told(output, &told))
        continue;
    fclose(output);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    uint64_t damaged;
    assert_int_equal(read_all(&damaged), told.put - told.dropped);
    assert_int_equal(damaged, 0);
}

static void test_a_full_disk_is_waited_for_and_what_has_no_room_is_counted(void **state)
{
    (void)state;
    write_through_fault("pwrite", "ENOSPC", "nothing", false);
}

static void test_a_disk_that_is_full_at_the_start_is_waited_for(void **state)
{
    (void)state;
    write_through_fault("pwrite", "ENOSPC", "nothing", true);
}

static void test_a_write_that_is_cut_short_leaves_nothing_half_done(void **state)
{
    (void)state;
    write_through_fault("pwrite", "ENOSPC", "half", false);
}

/* After a sync that failed, the kernel may have forgotten what it had to write. */
static void test_blocks_whose_sync_failed_are_written_anew(void **state)
{
    (void)state;
    write_through_fault("fdatasync", "EIO", "nothing", false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_put_is_read_in_its_order_over_many_segments),
        TEST(test_an_event_gets_to_the_disk_by_itself),
        TEST(test_threads_put_at_once_and_a_reader_follows),
        TEST(test_a_reader_goes_on_where_another_one_stood),
        TEST(test_only_events_of_the_asked_time_are_read),
        TEST(test_a_folder_has_one_writer),
        TEST(test_a_folder_that_is_deleted_is_made_again),
        TEST(test_a_segment_ends_when_its_time_is_up),
        TEST(test_segments_that_are_too_old_are_deleted),
        TEST(test_the_segment_being_written_is_never_deleted),
        TEST(test_the_oldest_segments_give_way_to_the_bound_of_the_folder),
        TEST(test_a_folder_whose_bound_is_small_keeps_what_is_written),
        TEST(test_a_flipped_bit_costs_its_block_alone),
        TEST(test_a_torn_end_is_cut_off_at_the_next_start),
        TEST(test_an_end_of_zeros_is_cut_off),
        TEST(test_a_later_version_is_told_and_not_read),
        TEST(test_kills_lose_nothing_that_was_durable),
        TEST(test_a_full_disk_is_waited_for_and_what_has_no_room_is_counted),
        TEST(test_a_disk_that_is_full_at_the_start_is_waited_for),
        TEST(test_a_write_that_is_cut_short_leaves_nothing_half_done),
        TEST(test_blocks_whose_sync_failed_are_written_anew),
    };
    seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
