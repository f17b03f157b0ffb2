"""How each figure is taken: from /proc for the server's side, from the generator for the clients'."""

import array
import os
import re
import resource
import subprocess
import time
from pathlib import Path

from testbed.load import LOST, RECORD, load_program
from testbed.process import LOOPBACK

# Saturates one worker and loses nothing: a larger window overflows socket buffers, and then the
# waits for what was lost hide the truth.
WINDOW = 400
CLIENTS = 4
LOST_AFTER_S = 1

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BadAnswers(Exception):
    """A server did not answer what was asked for: its figures would mean nothing."""


# ---- /proc ----


def descendants(pid):
    """The process and all below it."""
    pids = [pid]
    for parent in pids:  # grows while it is read
        for task in Path(f"/proc/{parent}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split()]
    return pids


def tasks(pids):
    for pid in pids:
        yield from Path(f"/proc/{pid}/task").iterdir()


def pin(pids, cores):
    """Puts all threads on these cores; threads that they make later inherit it."""
    for task in tasks(pids):
        os.sched_setaffinity(int(task.name), cores)


def cpu_ns(pids):
    """CPU time of all threads. Only differences count: a thread that ended takes its time along."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks(pids))


def user_and_system_s(pids):
    """The same by the kernel's coarser clocks, split."""
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / TICKS_PER_S, system / TICKS_PER_S


def machine_busy_s(cores):
    """Time that these cores were not idle, whoever used them."""
    busy = 0
    for line in Path("/proc/stat").read_text().splitlines():
        match = re.match(r"cpu(\d+) (.*)", line)
        if match and int(match[1]) in cores:
            user, nice, system, _, _, irq, softirq, steal = map(int, match[2].split()[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy / TICKS_PER_S


def memory(pids):
    """Octets: resident, and resident with shared pages divided among those that share them."""
    rss = pss = peak = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        rss += int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024
        peak += int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024
        pss += int(re.search(r"\nPss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[1]) * 1024
    return {"rss": rss, "pss": pss, "peak_rss": peak}


# ---- the generators ----


def saturate(server, queries, seconds, cores, nxdomain_share):
    """dnsperf as fast as the server answers. `cores`: of the generator and of the server."""
    generator_core, server_core = cores
    pids = server.pids
    command = ["taskset", "-c", str(generator_core), "dnsperf", "-s", LOOPBACK, "-p", str(server.port),
               "-d", str(queries), "-l", str(seconds), "-q", str(WINDOW), "-c", str(CLIENTS), "-T", "1",
               "-t", str(LOST_AFTER_S)]
    generator_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy_before, split_before = machine_busy_s(set(cores)), user_and_system_s(pids)
    started, cpu_before = time.monotonic(), cpu_ns(pids)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu_s, took_s = (cpu_ns(pids) - cpu_before) / 1e9, time.monotonic() - started
    split_after, busy_after = user_and_system_s(pids), machine_busy_s(set(cores))
    generator_after = resource.getrusage(resource.RUSAGE_CHILDREN)
    generator_s = (generator_after.ru_utime + generator_after.ru_stime
                   - generator_before.ru_utime - generator_before.ru_stime)

    figure = _read_dnsperf(output)
    if server.holds_zones or server.name == "dnsdist":
        check_answers(server.name, output, nxdomain_share)
    ratio = 1e6 / max(figure["answered"], 1)
    figure.update(
        cpu_us=cpu_s * ratio,
        user_us=(split_after[0] - split_before[0]) * ratio,
        system_us=(split_after[1] - split_before[1]) * ratio,
        server_busy=cpu_s / took_s,
        # What neither the server nor the generator used of both cores: other people's work.
        foreign=max(busy_after - busy_before - cpu_s - generator_s, 0) / (took_s * len(set(cores))),
    )
    return figure


def _read_dnsperf(output):
    def number(pattern):
        return float(re.search(pattern, output)[1])

    return {
        "qps": number(r"Queries per second:\s+([\d.]+)"),
        "answered": int(number(r"Queries completed:\s+(\d+)")),
        "lost": int(number(r"Queries lost:\s+(\d+)")),
        "response_size": number(r"Average packet size:\s+request \d+, response (\d+)"),
    }


def check_answers(name, output, nxdomain_share):
    """Every answer is one of the two that the workload's names can have, in the right proportion."""
    line = re.search(r"Response codes:\s+(.*)", output)
    counts = {code: int(count) for code, count in re.findall(r"(\w+) (\d+)", line[1])} if line else {}
    total = sum(counts.values())
    share = counts.get("NXDOMAIN", 0) / max(total, 1)
    if set(counts) - {"NOERROR", "NXDOMAIN"} or not nxdomain_share[0] <= share <= nxdomain_share[1]:
        raise BadAnswers(f"{name} answered {line[1] if line else 'nothing'}")


class PacedLoad:
    """tests/load/paced_load: a steady rate, and the latency of every answer by the kernel's stamps."""

    def __init__(self, server, queries, rate, seconds, core, folder):
        self.records_path = folder / "records"
        self.rate = rate
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), load_program("paced_load"), LOOPBACK, str(server.port),
             str(rate), str(seconds), "192.0.2.66", str(queries), str(self.records_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "running\n":
            raise RuntimeError("paced_load: " + self.process.communicate()[1])

    def finish(self):
        """Returns what became of each query."""
        _, complaint = self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise RuntimeError("paced_load: " + complaint)
        return PacedResult(list(RECORD.iter_unpack(self.records_path.read_bytes())))


class PacedResult:
    def __init__(self, records):
        self.records = records
        self.lost = sum(record[3] == LOST for record in records)
        self.rate = len(records) / max((records[-1][0] - records[0][0]) / 1e9, 1e-9)

    def latencies_us(self, from_ns=0, until_ns=1 << 63):
        """Sorted, of queries that were sent between two moments."""
        return array.array("d", sorted((received - sent) / 1e3 for sent, received, _, outcome
                                       in self.records if outcome != LOST and from_ns <= sent < until_ns))

    def latest_by_slice(self, around_ns, slice_ms=10):
        """Pairs (ms from a moment, latest answer in us of the queries sent in that slice)."""
        latest = {}
        for sent, received, _, outcome in self.records:
            if outcome != LOST:
                slice_number = (sent - around_ns) // (slice_ms * 1_000_000)
                latest[slice_number] = max(latest.get(slice_number, 0), received - sent)
        return [(number * slice_ms, latest[number] / 1e3) for number in sorted(latest)]


def quantile(values, share):
    """Of sorted values."""
    return values[min(int(len(values) * share), len(values) - 1)]
