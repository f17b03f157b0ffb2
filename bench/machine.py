"""The machine that was measured on."""

import os
import platform
import re
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")


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
