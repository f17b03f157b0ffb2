/* What the filter of system calls leaves: each case runs in a process of its own, which is confined
 * first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sink/confine.h"

/* What a child ends with where the build has sanitizers, and so no filter. */
#define UNFILTERED 99

/* Runs `act` in a confined child; returns its wait status. */
static int confined(int (*act)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error error;
        bool is_on;
        if (confine_user(NULL, &error) < 0 || confine_calls(&is_on, &error) < 0)
            _exit(98);
        _exit(is_on ? act() : UNFILTERED);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static bool is_unfiltered(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == UNFILTERED;
}

/* ---- What is left of it ---- */

/* The filter forbids to ask: the child's status is what it found before it. */
static void test_memory_gets_into_no_core_file(void **state)
{
    struct rlimit limit;
    struct error error;
    bool is_on;
    int status;

    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (confine_user(NULL, &error) < 0)
            _exit(98);
        const int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
        if (getrlimit(RLIMIT_CORE, &limit) < 0 || confine_calls(&is_on, &error) < 0)
            _exit(98);
        _exit(is_on ? dumpable + 2 * (limit.rlim_max != 0) : UNFILTERED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!is_unfiltered(status))
        assert_int_equal(status, 0);
}

/* ---- What ends the process ---- */

static int run_a_program(void)
{
    char *const arguments[] = {"true", NULL};
    execv("/bin/true", arguments);
    return 0;
}

static int trace_another(void)
{
    return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void test_what_only_an_attacker_does_ends_the_process(void **state)
{
    int (*const acts[])(void) = {run_a_program, trace_another};

    (void)state;
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        int status = confined(acts[i]);
        if (is_unfiltered(status))
            return;
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

/* ---- What fails ---- */

static int make_a_process(void)
{
    return fork() < 0 && errno == EPERM ? 0 : 1;
}

static int open_a_netlink_socket(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int open_a_raw_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int leave_the_namespace(void)
{
    return unshare(CLONE_NEWNET) < 0 && errno == EPERM ? 0 : 1;
}

static int run_what_was_written(void)
{
    const int prot = PROT_READ | PROT_WRITE;
    if (mmap(NULL, 4096, prot | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 1;
    void *page = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM
               ? 0
               : 1;
}

static int become_another(void)
{
    return setresuid(12345, 12345, 12345) < 0 ? 0 : 1;
}

static void test_what_the_program_never_does_fails(void **state)
{
    int (*const acts[])(void) = {make_a_process,      open_a_netlink_socket, open_a_raw_socket,
                                 leave_the_namespace, run_what_was_written,  become_another};

    (void)state;
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        int status = confined(acts[i]);
        if (is_unfiltered(status))
            return;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("case %zu: status %#x", i, (unsigned)status);
    }
}

/* ---- What goes on ---- */

static void *thread_main(void *argument)
{
    return unshare(CLONE_FILES) == 0 ? argument : NULL;
}

static int make_a_thread_with_its_own_descriptors(void)
{
    static int sign;
    pthread_t thread;
    void *result;

    if (pthread_create(&thread, NULL, thread_main, &sign) != 0 ||
        pthread_join(thread, &result) != 0)
        return 1;
    return result == &sign ? 0 : 1;
}

static int open_sockets(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 && socket(AF_INET6, SOCK_DGRAM, 0) >= 0 &&
                   socket(AF_UNIX, SOCK_STREAM, 0) >= 0
               ? 0
               : 1;
}

static void test_what_the_program_lives_by_works(void **state)
{
    int (*const acts[])(void) = {make_a_thread_with_its_own_descriptors, open_sockets};

    (void)state;
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        int status = confined(acts[i]);
        if (is_unfiltered(status))
            return;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("case %zu: status %#x", i, (unsigned)status);
    }
}

static void test_a_user_that_does_not_exist_is_an_error(void **state)
{
    struct error error = {0};

    (void)state;
    if (geteuid() != 0)
        return; /* another user becomes none */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(confine_user("nobody-of-this-name", &error) == -ENOENT ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_gets_into_no_core_file),
        cmocka_unit_test(test_what_only_an_attacker_does_ends_the_process),
        cmocka_unit_test(test_what_the_program_never_does_fails),
        cmocka_unit_test(test_what_the_program_lives_by_works),
        cmocka_unit_test(test_a_user_that_does_not_exist_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
