"""How each figure is taken: from /proc for the server's side, from the generator for the clients'."""

import array
import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import machine
from testbed.load import LOST, RECORD, RIGHT, WRONG, load_program
from testbed.process import LOOPBACK

LOST_AFTER_S = 1
ONCE_S_MAX = 300  # for every query of a file

UPDATES_PER_S_MAX = 120_000  # dnsperf sends no more
UPDATE_LOST_AFTER_S = 10  # longer than a slow server keeps any waiting

UNDER_WAY_NS = 5_000_000  # of CPU time of the server: queries arrive
UNDER_WAY_STEP_S = 0.01
LOOK_SHARE = 0.8  # of a measurement

IDLE_SHARE = 0.02  # of a core: below, a server has nothing left to do
IDLE_STEP_S = 0.1


@dataclass(frozen=True)
class Generator:
    """How dnsperf asks."""

    cores: tuple
    # Saturates one worker and loses nothing: a larger window overflows socket buffers, and then the
    # waits for what was lost hide the truth.
    window: int = 400
    clients: int = 4
    threads: int = 1
    rate: int = 0  # queries a second at most; 0: as fast as they are answered

    def command(self, port, queries, seconds):
        limit = ["-Q", str(self.rate)] if self.rate else []
        return ["taskset", "-c", ",".join(map(str, self.cores)), "dnsperf", "-s", LOOPBACK, "-p", str(port),
                "-d", str(queries), "-l", str(seconds), "-q", str(self.window), "-c", str(self.clients),
                "-T", str(self.threads), "-t", str(LOST_AFTER_S), *limit]


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


def cpu_ns_by_thread(pids):
    """CPU time by the scheduler's account. Only differences count: a thread that ended takes its time
    along."""
    used = {}
    for task in tasks(pids):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended just now
            used[task.name] = int((task / "schedstat").read_text().split()[0])
    return used


def cpu_ns_by_name(pids):
    """The same by the names of the threads."""
    used = {}
    for task in tasks(pids):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name = (task / "comm").read_text().rstrip("\n")
            used[name] = used.get(name, 0) + int((task / "schedstat").read_text().split()[0])
    return used


def cpu_ns(pids):
    return sum(cpu_ns_by_thread(pids).values())


def user_and_system_s(pids):
    """The same by the kernel's coarser clocks, split."""
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / machine.TICKS_PER_S, system / machine.TICKS_PER_S


def wait_idle(pids, idle_s, timeout_s=60.0):
    """Waits until the processes have done nothing worth counting for so long: what a command leaves
    behind is cleared up then."""
    deadline = time.monotonic() + timeout_s
    since, before_ns = time.monotonic(), cpu_ns(pids)
    while (now := time.monotonic()) - since < idle_s and now < deadline:
        time.sleep(IDLE_STEP_S)
        spent_ns = cpu_ns(pids)
        if spent_ns - before_ns > IDLE_SHARE * IDLE_STEP_S * 1e9:
            since = time.monotonic()
        before_ns = spent_ns


def memory(pids):
    """Octets: resident, and resident with shared pages divided among those that share them."""
    rss = pss = peak = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        rss += int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024
        peak += int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024
        pss += int(re.search(r"\nPss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[1]) * 1024
    return {"rss": rss, "pss": pss, "peak_rss": peak}


def forget_peak(pids):
    """The peak of what is resident counts from now on."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # proc(5)


# ---- the generators ----


def saturate(server, queries, seconds, generator, cores, nxdomain_share):
    """dnsperf as fast as the server answers, or at the generator's rate. `cores`: all that either
    may use. `nxdomain_share`: what right answers have of it, at least and at most."""
    pids = server.pids
    account, split_before = machine.Account(cores), user_and_system_s(pids)
    cpu_before, helpers_before = cpu_ns(pids), cpu_ns(server.helper_pids)
    command = generator.command(server.port, queries, seconds)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as dnsperf:
        in_use = _look_into(dnsperf, pids, cores, seconds)
        output = dnsperf.communicate()[0]
    if dnsperf.returncode != 0:
        raise subprocess.CalledProcessError(dnsperf.returncode, command)
    cpu_s, helpers_s = ((cpu_ns(which) - before) / 1e9 for which, before in
                        ((pids, cpu_before), (server.helper_pids, helpers_before)))
    split_after, shares = user_and_system_s(pids), account.close(cpu_s + helpers_s)

    figure = _read_dnsperf(output)
    if nxdomain_share is not None:
        check_answers(server.name, output, nxdomain_share)
    ratio = 1e6 / max(figure["answered"], 1)
    figure.update(
        cpu_us=cpu_s * ratio,
        user_us=(split_after[0] - split_before[0]) * ratio,
        system_us=(split_after[1] - split_before[1]) * ratio,
        generator_us=shares["generator_s"] * ratio,
        helpers_us=helpers_s * ratio,
        **in_use,
        **{key: shares[key] for key in ("total_s", "steal", "foreign")},
    )
    return figure


def ask_once(server, queries, generator):
    """Every query of the file, for what the server learns from it."""
    command = generator.command(server.port, queries, ONCE_S_MAX) + ["-n", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _look_into(dnsperf, pids, cores, seconds):
    """What is in use in the middle of a measurement: before it, dnsperf reads its file alone."""
    idle_ns = cpu_ns(pids)
    while cpu_ns(pids) - idle_ns < UNDER_WAY_NS and dnsperf.poll() is None:
        time.sleep(UNDER_WAY_STEP_S)
    account, before, started = machine.Account(cores), cpu_ns_by_thread(pids), time.monotonic()
    time.sleep(seconds * LOOK_SHARE)
    took_ns = (time.monotonic() - started) * 1e9
    busy, after = account.close(servers_s=0.0)["busy"], cpu_ns_by_thread(pids)
    threads = sorted((after[task] - before.get(task, 0)) / took_ns for task in after)
    return {"busy": busy, "server_busy": sum(threads), "threads_busy": [share for share in threads if share > 0.01]}


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


class UpdateLoad:
    """dnsperf -u while it runs: `window` updates under way, at most `rate` a second (0: no limit).
    `sent` and `lost` are known when it has finished."""

    def __init__(self, server, path, seconds, window, rate, cores, told_every_s=None):
        """`cores`: the first is the generator's. `told_every_s`: how often the rate is told on the way."""
        self.name, self.pids, self.seconds, self.window = server.name, server.pids, seconds, window
        self.account, self.cpu_before_ns = machine.Account(cores), cpu_ns_by_name(self.pids)
        self.sent = self.lost = 0
        self.process = subprocess.Popen(
            ["taskset", "-c", str(cores[0]), "dnsperf", "-u", "-s", LOOPBACK, "-p", str(server.port), "-d", str(path),
             "-l", str(seconds), "-n", "1", "-q", str(window), "-c", str(min(window, 4)), "-T", "1",
             "-t", str(UPDATE_LOST_AFTER_S), *(["-Q", str(rate)] if rate else []),
             *(["-S", str(told_every_s)] if told_every_s else [])],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def finish(self):
        output = self.process.communicate(timeout=self.seconds + 10 * UPDATE_LOST_AFTER_S)[0]
        used = {name: (ns - self.cpu_before_ns.get(name, 0)) / 1e9
                for name, ns in cpu_ns_by_name(self.pids).items()}
        shares = self.account.close(sum(used.values()))

        def number(pattern):
            return float(re.search(pattern, output)[1])

        self.sent, self.lost = int(number(r"Updates sent:\s+(\d+)")), int(number(r"Updates lost:\s+(\d+)"))
        codes = re.search(r"Response codes:\s+(.*)", output)
        if codes is None or set(re.findall(r"[A-Z]+", codes[1])) != {"NOERROR"}:
            raise BadAnswers(f"{self.name} answered updates with {codes[1] if codes else 'nothing'}")
        done = int(number(r"Updates completed:\s+(\d+)"))
        return {
            "per_s": number(r"Updates per second:\s+([\d.]+)"), "done": done, "lost": self.lost,
            "latency_ms": number(r"Average \w* ?Latency \(s\):\s+([\d.]+)") * 1e3,
            "latest_ms": number(r"max ([\d.]+)") * 1e3,
            "cpu_us": sum(used.values()) * 1e6 / max(done, 1),
            "threads_us": {name: cpu_s * 1e6 / max(done, 1) for name, cpu_s in used.items() if cpu_s > 0.001},
            "steps": [(float(at_s), float(per_s)) for at_s, per_s in
                      re.findall(r"^([\d.]+): ([\d.]+)$", output, re.MULTILINE)],
            "shares": shares,
        }


class PacedLoad:
    """tests/load/paced_load: a steady rate, and the latency of every answer by the kernel's stamps."""

    def __init__(self, server, queries, rate, seconds, cores, folder):
        """`cores`: the first is the generator's."""
        self.records_path = Path(folder, "records")
        self.pids = server.pids + server.helper_pids
        self.account, self.cpu_before_ns = machine.Account(cores), cpu_ns(self.pids)
        self.process = subprocess.Popen(
            ["taskset", "-c", str(cores[0]), load_program("paced_load"), LOOPBACK, str(server.port),
             str(rate), str(seconds), "192.0.2.66", str(queries), str(self.records_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "running\n":
            raise RuntimeError("paced_load: " + self.process.communicate()[1])

    def finish(self):
        """Returns what became of each query."""
        _, complaint = self.process.communicate(timeout=120)
        if self.process.returncode != 0:
            raise RuntimeError("paced_load: " + complaint)
        shares = self.account.close((cpu_ns(self.pids) - self.cpu_before_ns) / 1e9)
        records = list(RECORD.iter_unpack(self.records_path.read_bytes()))
        self.records_path.unlink()
        return PacedResult(records, shares)


class PacedResult:
    def __init__(self, records, shares):
        self.records, self.shares = records, shares
        self.lost = sum(record[3] == LOST for record in records)
        self.wrong = sum(record[3] == WRONG for record in records)
        self.rate = len(records) / max((records[-1][0] - records[0][0]) / 1e9, 1e-9)

    def latencies_us(self, from_ns=0, until_ns=1 << 63):
        """Sorted, of queries that were sent between two moments."""
        return array.array("d", sorted((received - sent) / 1e3 for sent, received, _, outcome
                                       in self.records if outcome != LOST and from_ns <= sent < until_ns))

    def share_in_time(self, limit_ms):
        """Of all that were sent, those that had the right answer so soon."""
        limit_ns = limit_ms * 1_000_000
        in_time = sum(outcome == RIGHT and received - sent <= limit_ns for sent, received, _, outcome in self.records)
        return in_time / len(self.records)

    def latest_by_slice(self, around_ns, slice_ms):
        """Pairs (ms from a moment, latest answer in us of the queries sent in that slice)."""
        latest = {}
        for sent, received, _, outcome in self.records:
            if outcome != LOST:
                slice_number = (sent - around_ns) // (slice_ms * 1_000_000)
                latest[slice_number] = max(latest.get(slice_number, 0), received - sent)
        return [(number * slice_ms, latest[number] / 1e3) for number in sorted(latest)]
