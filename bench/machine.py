"""The machine that was measured on, and whether it had other things to do."""

import os
import platform
import re
import resource
import time
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def _siblings(core):
    """The hardware threads that share a core with this one."""
    try:
        text = (CPUS / f"cpu{core}/topology/thread_siblings_list").read_text(encoding="ascii").strip()
    except OSError:
        return {core}
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def pick_cores():
    """One for the generator, one for the server; not two threads of one core when there is a choice."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench: two cores are needed, one for the server and one for the generator")
    apart = [core for core in cores if core not in _siblings(cores[0])]
    return cores[0], (apart or cores)[-1]


def describe(cores):
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"model name\s*:\s*(.*)", info)
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / (1 << 20), 1),
        "virtual": " hypervisor" in info,
        "kernel": platform.release(),
        "generator_core": cores[0],
        "server_core": cores[1],
    }


def _cores_s(cores):
    """Seconds that these cores were in use, whoever used them, and of those the stolen ones."""
    busy = stolen = 0
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        match = re.match(r"cpu(\d+) (.*)", line)
        if match and int(match[1]) in cores:
            user, nice, system, _, _, irq, softirq, steal = map(int, match[2].split()[:8])
            busy += user + nice + system + irq + softirq + steal
            stolen += steal
    return busy / TICKS_PER_S, stolen / TICKS_PER_S


def _children_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Account:
    """Who used the cores, from its making to its close."""

    def __init__(self, cores):
        self.cores = set(cores)
        self.started = time.monotonic()
        self.cores_s = _cores_s(self.cores)
        self.children_s, self.own_s = _children_s(), time.process_time()

    def close(self, servers_s):
        """`servers_s`: CPU time of the servers meanwhile. Programs that ran and ended meanwhile count
        as ours: the generator. Returns shares of the cores' time."""
        total_s = (time.monotonic() - self.started) * len(self.cores)
        busy_s, stolen_s = (now - then for now, then in zip(_cores_s(self.cores), self.cores_s))
        generator_s = _children_s() - self.children_s
        others_s = busy_s - servers_s - generator_s - (time.process_time() - self.own_s)
        return {
            "generator_s": generator_s,
            "total_s": total_s,
            "busy": min(busy_s / total_s, 1.0),
            "steal": stolen_s / total_s,
            "foreign": max(others_s, 0.0) / total_s,
        }
