#include "sink/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <pwd.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool has_sanitizers = true;
#else
static const bool has_sanitizers = false;
#endif

#define FOLDER_MODE 0750

/* ---- The user ---- */

static int user_find(const char *user, struct passwd **ret_entry, struct error *ret_error)
{
    struct passwd *entry = getpwnam(user);
    if (entry == NULL)
        return error_set(ret_error, -ENOENT,
                         "there is no user \"%s\" on this system: make one with useradd --system",
                         user);
    *ret_entry = entry;
    return 0;
}

int confine_folder(const char *path, const char *user, struct error *ret_error)
{
    struct passwd *entry = NULL;

    if (mkdir(path, FOLDER_MODE) < 0)
        return errno == EEXIST ? 0
                               : error_set_at(ret_error, -errno, path, 0,
                                              "the folder cannot be made: %s; make it, or name "
                                              "another one",
                                              strerror(errno));
    if (user == NULL || geteuid() != 0)
        return 0;
    int rc = user_find(user, &entry, ret_error);
    if (rc < 0)
        return rc;
    /* By a descriptor: a link that the user put in its place meanwhile is not followed. */
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 || fchown(folder, entry->pw_uid, entry->pw_gid) < 0)
        rc = error_set_at(ret_error, -errno, path, 0, "the folder cannot be given to %s: %s", user,
                          strerror(errno));
    if (folder >= 0)
        close(folder);
    return rc;
}

static int become(const char *user, struct error *ret_error)
{
    struct passwd *entry = NULL;
    int rc = user_find(user, &entry, ret_error);
    if (rc < 0)
        return rc;
    if (initgroups(user, entry->pw_gid) < 0 ||
        setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0)
        return error_set(ret_error, -errno, "cannot become the user \"%s\": %s", user,
                         strerror(errno));
    return 0;
}

/* Cut before the user is changed, which takes the right to. What can't be cut stays harmless:
 * no_new_privs keeps exec from giving any of it. */
static void bounding_set_cut(void)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
         capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

/* Those that a service manager gave to another user than root, and root's own. */
static int capabilities_drop(struct error *ret_error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capset, &header, none) < 0)
        return error_set(ret_error, -errno, "capabilities cannot be dropped: %s", strerror(errno));
    return 0;
}

/* Memory holds addresses, content and keys in the clear: none of it may get into a core file, nor
 * to another process of the user. Behind the change of the user, which sets it anew; leak detection
 * needs it. */
static int dumps_forbid(struct error *ret_error)
{
    static const struct rlimit none = {0};

    if (has_sanitizers)
        return 0;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return error_set(ret_error, -errno, "core dumps cannot be forbidden: %s", strerror(errno));
    return 0;
}

int confine_user(const char *user, struct error *ret_error)
{
    int rc = 0;

    bounding_set_cut();
    if (user != NULL && geteuid() == 0)
        rc = become(user, ret_error);
    if (rc == 0)
        rc = capabilities_drop(ret_error);
    if (rc == 0)
        rc = dumps_forbid(ret_error);
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        rc = error_set(ret_error, -errno, "no_new_privs cannot be set: %s", strerror(errno));
    return rc;
}

/* ---- System calls ---- */

/* What the program lives by: the sensor and the service's sockets; the C library's memory, threads,
 * clocks and resolver; GnuTLS; cnats; files of events, evidence, keys and databases. */
static const int allowed[] = {
    /* sockets */
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(bind),
    SCMP_SYS(connect),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(listen),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendfile),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(socketpair),
    /* waiting */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(eventfd2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pselect6),
    SCMP_SYS(select),
    SCMP_SYS(signalfd4),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    /* files */
    SCMP_SYS(access),
    SCMP_SYS(chmod),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(copy_file_range),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fallocate),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(fcntl),
    SCMP_SYS(fdatasync),
    SCMP_SYS(flock),
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents64),
    SCMP_SYS(ioctl),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(lseek),
    SCMP_SYS(lstat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(pipe2),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(read),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(readv),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(rmdir),
    SCMP_SYS(stat),
    SCMP_SYS(statfs),
    SCMP_SYS(statx),
    SCMP_SYS(sync_file_range),
    SCMP_SYS(umask),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(utimensat),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(membarrier),
    SCMP_SYS(mincore),
    SCMP_SYS(mlock),
    SCMP_SYS(mremap),
    SCMP_SYS(msync),
    SCMP_SYS(munlock),
    SCMP_SYS(munmap),
    /* threads and signals */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill),
    /* clocks and the system */
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(uname),
};

/* Calls that no part of the program makes, and that whoever took it over would. */
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(mount),
    SCMP_SYS(pivot_root),
    SCMP_SYS(setns),
    SCMP_SYS(keyctl),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
};

static const int families[] = {AF_UNIX, AF_INET, AF_INET6};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Calls whose arguments decide. */
static int conditions_add(scmp_filter_ctx filter)
{
    int rc = 0;

    for (size_t i = 0; i < COUNT(families) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
    /* Threads, but no processes. What clone3() asks for stands in memory, where a filter can't
     * look: the C library takes clone() when there is no such call. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* A thread of the sensor takes a table of descriptors of its own; namespaces stay forbidden. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(unshare), 1,
                              SCMP_A0(SCMP_CMP_EQ, CLONE_FILES));
    /* Memory is never both written and run, nor run after it was written. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* A library that the C library or GnuTLS loads late. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC));
    /* Naming threads, and how the C library finds its limits. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                              SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                              SCMP_A2(SCMP_CMP_EQ, 0));
    return rc;
}

/* Calls that the machine's architecture doesn't have are left out by libseccomp itself. */
static int rules_add(scmp_filter_ctx filter)
{
    int rc = 0;

    for (size_t i = 0; i < COUNT(allowed) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < COUNT(deadly) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
    return rc == 0 ? conditions_add(filter) : rc;
}

int confine_calls(bool *ret_is_on, struct error *ret_error)
{
    if (has_sanitizers) {
        *ret_is_on = false;
        return 0;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while making the filter of calls");

    int rc = rules_add(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc < 0)
        return error_set(ret_error, rc,
                         "the filter of system calls cannot be installed: %s; does the kernel have "
                         "CONFIG_SECCOMP_FILTER?",
                         strerror(-rc));
    *ret_is_on = true;
    return 0;
}
