/* A file system that fails: preloaded, it makes calls on chosen files fail as told by
 *
 *   FAULT_PATH   pattern of fnmatch(3) for the file's path; unset: nothing fails
 *   FAULT_CALLS  of write, pwrite, writev, pwritev, ftruncate, fsync, fdatasync, msync; by commas
 *   FAULT_ERRNO  EIO (default), ENOSPC, EDQUOT, EROFS or a number
 *   FAULT_AT     the first matching call that fails, from 1 (default)
 *   FAULT_COUNT  how many fail from there on (default 1; 0: all)
 *   FAULT_DONE   what a failing call does all the same: nothing (default), all, or half: a write
 *                then returns that it was cut short instead of failing
 *   FAULT_WHILE  a file: calls match only while it is there, so that a test can turn faults on and
 *                off in a running program
 *
 * msync() has no file of its own: any matches.
 */
/* Or the headers would rename what is defined here. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum done { DONE_NOTHING, DONE_ALL, DONE_HALF };

static const char *path_pattern, *calls, *while_path;
static int fault_errno = EIO;
static long fault_at = 1, fault_count = 1;
static enum done fault_done;
static _Atomic(long) matched;

static int errno_by_name(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].number;
    return atoi(name);
}

__attribute__((constructor)) static void fault_init(void)
{
    const char *value;
    path_pattern = getenv("FAULT_PATH");
    calls = getenv("FAULT_CALLS");
    while_path = getenv("FAULT_WHILE");
    if ((value = getenv("FAULT_ERRNO")) != NULL)
        fault_errno = errno_by_name(value);
    if ((value = getenv("FAULT_AT")) != NULL)
        fault_at = atol(value);
    if ((value = getenv("FAULT_COUNT")) != NULL)
        fault_count = atol(value);
    if ((value = getenv("FAULT_DONE")) != NULL)
        fault_done = strcmp(value, "all") == 0    ? DONE_ALL
                     : strcmp(value, "half") == 0 ? DONE_HALF
                                                  : DONE_NOTHING;
}

static bool call_matches(const char *call)
{
    const size_t size = strlen(call);
    for (const char *at = calls; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, call, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    }
    return false;
}

/* Whether this call is to fail. `file` -1: it has none. */
static bool fault(const char *call, int file)
{
    if (path_pattern == NULL || !call_matches(call) ||
        (while_path != NULL && access(while_path, F_OK) != 0))
        return false;
    if (file >= 0) {
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
        ssize_t size = readlink(link, path, sizeof(path) - 1);
        if (size < 0)
            return false;
        path[size] = '\0';
        if (fnmatch(path_pattern, path, 0) != 0)
            return false;
    }
    long number = atomic_fetch_add(&matched, 1) + 1;
    return number >= fault_at && (fault_count == 0 || number < fault_at + fault_count);
}

/* NOLINTNEXTLINE(bugprone-macro-parentheses): a name */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The C library's headers have reserved words for names of parameters. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

static int fail(void)
{
    errno = fault_errno;
    return -1;
}

/* ---- Writes ---- */

ssize_t write(int file, const void *octets, size_t size)
{
    if (!fault("write", file))
        return REAL(write)(file, octets, size);
    if (fault_done == DONE_HALF)
        return REAL(write)(file, octets, size / 2);
    if (fault_done == DONE_ALL)
        (void)!REAL(write)(file, octets, size);
    return fail();
}

ssize_t pwrite(int file, const void *octets, size_t size, off_t offset)
{
    if (!fault("pwrite", file))
        return REAL(pwrite)(file, octets, size, offset);
    if (fault_done == DONE_HALF)
        return REAL(pwrite)(file, octets, size / 2, offset);
    if (fault_done == DONE_ALL)
        (void)!REAL(pwrite)(file, octets, size, offset);
    return fail();
}

/* Half of them is their first half. */
ssize_t writev(int file, const struct iovec *parts, int count)
{
    if (!fault("writev", file))
        return REAL(writev)(file, parts, count);
    if (fault_done == DONE_HALF)
        return REAL(writev)(file, parts, count / 2);
    if (fault_done == DONE_ALL)
        (void)!REAL(writev)(file, parts, count);
    return fail();
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset)
{
    if (!fault("pwritev", file))
        return REAL(pwritev)(file, parts, count, offset);
    if (fault_done == DONE_HALF)
        return REAL(pwritev)(file, parts, count / 2, offset);
    if (fault_done == DONE_ALL)
        (void)!REAL(pwritev)(file, parts, count, offset);
    return fail();
}

int ftruncate(int file, off_t size)
{
    if (!fault("ftruncate", file))
        return REAL(ftruncate)(file, size);
    if (fault_done == DONE_ALL)
        (void)!REAL(ftruncate)(file, size);
    return fail();
}

/* What programs built for large files call: the same where long has 64 bits. */
_Static_assert(sizeof(off_t) == sizeof(off64_t), "a machine of 64 bits");
ssize_t pwrite64(int file, const void *octets, size_t size, off64_t offset)
    __attribute__((alias("pwrite")));
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset)
    __attribute__((alias("pwritev")));
int ftruncate64(int file, off64_t size) __attribute__((alias("ftruncate")));

/* ---- Syncs: half of one is none ---- */

int fsync(int file)
{
    if (!fault("fsync", file))
        return REAL(fsync)(file);
    if (fault_done == DONE_ALL)
        (void)REAL(fsync)(file);
    return fail();
}

int fdatasync(int file)
{
    if (!fault("fdatasync", file))
        return REAL(fdatasync)(file);
    if (fault_done == DONE_ALL)
        (void)REAL(fdatasync)(file);
    return fail();
}

int msync(void *at, size_t size, int flags)
{
    if (!fault("msync", -1))
        return REAL(msync)(at, size, flags);
    if (fault_done == DONE_ALL)
        (void)REAL(msync)(at, size, flags);
    return fail();
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
