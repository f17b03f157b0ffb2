/* Giving up what the sinkhole's program no longer needs, before it hears the first client: its user
 * and group, every capability, new programs, and all system calls but those it lives by.
 *
 * Both steps hold for the calling thread and those it starts later: call them while there is one.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Makes the folder where it is missing, for `user` (NULL: whoever runs this) alone. Called with the
 * rights that confine_user() gives up, since the folder above may be root's. */
_must_check_ int confine_folder(const char *path, const char *user, struct error *ret_error);

/* Becomes `user` with that user's groups, where root runs this; NULL, or another user already: none
 * is changed. Then drops all capabilities, for good, and forbids to gain any by exec (no_new_privs,
 * see prctl(2)), and core dumps, but where the build has sanitizers. */
_must_check_ int confine_user(const char *user, struct error *ret_error);

/* Installs the filter of system calls (seccomp(2)). A call that is not on the list fails with
 * EPERM; one that only an attacker makes, execve() before all, ends the process. Returns false in
 * `ret_is_on` where the build has sanitizers, which make calls of their own (ptrace() to find
 * leaks). */
_must_check_ int confine_calls(bool *ret_is_on, struct error *ret_error);
