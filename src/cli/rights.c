#include "cli/rights.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where no user database says otherwise. */
#define NOBODY 65534

/* The library's wrapper would be the only use of libcap: two system calls do. */
static void capabilities_keep(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return;
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        data[i].permitted &= (uint32_t)(kept >> 32 * i);
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    (void)syscall(SYS_capset, &header, data); /* less than we have is always granted */
}

void rights_narrow(void)
{
    capabilities_keep(UINT64_C(1) << CAP_NET_RAW | UINT64_C(1) << CAP_SETUID |
                      UINT64_C(1) << CAP_SETGID);
}

bool rights_drop(void)
{
    bool done = true;

    if (geteuid() == 0) {
        const struct passwd *nobody = getpwnam("nobody");
        uid_t user = nobody != NULL ? nobody->pw_uid : NOBODY;
        gid_t group = nobody != NULL ? nobody->pw_gid : NOBODY;
        done = setgroups(0, NULL) == 0 && setresgid(group, group, group) == 0 &&
               setresuid(user, user, user) == 0;
    }
    capabilities_keep(0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return done;
}
