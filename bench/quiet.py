"""Whether a run was left alone by the rest of the machine."""

import os
import time

import machine

# Above one of these a run says more about the machine's other work than about the servers.
OTHERS_MAX = 0.03  # of the cores' time that neither server nor generator used, before the run or in it
STEAL_MAX = 0.01  # of the cores' time that the hypervisor gave to other machines
DISTURBED_MAX = 0.05  # of the measurements; best and median survive a few

DISTURBED_BY = 0.10  # others' share of the cores' time in one measurement
# The kernel counts the time of cores in hundredths of a second: shorter measurements say nothing of
# their own about others.
JUDGED_S_MIN = 1.0
LOOK_S = 3


def look_before(cores):
    """What the machine does of itself: to be called while nothing of ours runs."""
    account = machine.Account(cores)
    time.sleep(LOOK_S)
    return {"load_before": os.getloadavg()[0], "others_before": account.close(servers_s=0.0)["foreign"]}


def summary(before, accounts):
    """Of all accounts (machine.Account) that a piece kept, each by its length."""
    total_s = sum(account["total_s"] for account in accounts) or 1.0
    judged = [account["foreign"] for account in accounts if account["total_s"] >= JUDGED_S_MIN]
    return {
        **before,
        "steal": sum(account["steal"] * account["total_s"] for account in accounts) / total_s,
        "others": sum(account["foreign"] * account["total_s"] for account in accounts) / total_s,
        "disturbed": sum(foreign > DISTURBED_BY for foreign in judged) / max(len(judged), 1),
    }


def complaints(noise):
    """Why a run should not be trusted, as text; empty when it may be."""
    checks = (
        ("others_before", OTHERS_MAX, "cores used by others before the run"),
        ("others", OTHERS_MAX, "cores used by others"),
        ("steal", STEAL_MAX, "time stolen by other virtual machines"),
        ("disturbed", DISTURBED_MAX, f"measurements with over {DISTURBED_BY:.0%} used by others"),
    )
    return [f"{what}: {noise[key]:.1%}, over {bound:.0%}" for key, bound, what in checks if noise[key] > bound]


def line(noise):
    return (f"load {noise['load_before']:.1f} and {noise['others_before']:.1%} of the cores used by others before the "
            f"run, {noise['others']:.1%} in it, {noise['disturbed']:.0%} of the measurements disturbed, "
            f"{noise['steal']:.1%} of the time stolen")
