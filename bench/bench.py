"""Tamis beside Knot, NSD, BIND, PowerDNS and dnsdist, in one run on one machine.

    /usr/bin/python3 bench/bench.py [--names N] [--rounds N] [--peers knot,nsd] ...
    /usr/bin/python3 bench/bench.py publish bench/results/RUN.json

The first measures, prints the table and writes RUN.json with plots beside it. The second makes a run
the reference of doc/benchmarks.md. The method is told there.
"""

import argparse
import contextlib
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests"), str(ROOT / "bench")]

# pylint: disable=wrong-import-position
import contenders  # noqa: E402
import instructions  # noqa: E402
import machine  # noqa: E402
import measure  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import workload as workloads  # noqa: E402
from workload import HITS, MIXES  # noqa: E402

WARM_UP_S = 1
SETTLE_S = 0.5  # from the first right answer to a look at the memory
LATENCY_ROUNDS = 3
LATENCY_RATE_MAX = 100_000  # queries a second that the generator of a steady load keeps up with
SWAP_ROUNDS = 3
SWAP_RATE = 20_000  # queries a second while orders come and go
SWAP_LEAD_S = 1.5
SWAP_S_PER_NAME = 4e-6  # that the load goes on: an activation's work, and the clearing up behind it
SWAP_LATE_MS = 10  # a query sent so long before the change may still meet it
QUIET_LOAD = 0.5


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="tamis-bench-"))
        self.cores = machine.pick_cores()
        self.results = {
            "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "names": options.names,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "machine": machine.describe(self.cores),
            "tamis": contenders.tamis_version(),
            "versions": contenders.versions(options.peers),
            "load_average_before": os.getloadavg()[0],
        }
        self.workload = None
        self.running = {}

    # ---- the phases ----

    def run(self):
        load = self.results["load_average_before"]
        if load > QUIET_LOAD:
            say(f"the machine is busy (load {load:.1f}): figures will wobble; a quiet one is worth waiting for")
        say(f"making {self.options.names:,} names in 23 zones")
        self.workload = workloads.make(self.options.names, self.options.orders,
                                       Path(self.options.work) / str(self.options.names))
        try:
            self.measure_answers()
            self.measure_starts()
            self.start_field()
            self.measure_rounds()
            self.measure_latency()
            self.measure_swaps()
            self.measure_workers()
        finally:
            self.end_all()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.results["load_average_after"] = os.getloadavg()[0]
        return self.results

    def measure_answers(self):
        """An answer by itself, without a network: bench/micro."""
        program = ROOT / "build" / "bench" / "micro"
        say("answers without a network")
        answers = self.results["answers"] = instructions.count_with_misses(program)
        output = subprocess.run(["taskset", "-c", str(self.cores[1]), str(program)],
                                capture_output=True, text=True, check=True).stdout
        for kind, nanoseconds in re.findall(r"^(\w+) +([\d.]+) ns", output, re.MULTILINE):
            answers[kind]["ns"] = float(nanoseconds)

    def measure_starts(self):
        """Time to ready and memory: each server alone, on all cores, in turn."""
        starts = self.results["starts"] = {}
        for number in range(self.options.starts):
            for server_class in [contenders.Tamis] + [contenders.PEERS[name] for name in self.options.peers]:
                if not server_class.holds_zones:
                    continue
                server = self.create(server_class)
                starts.setdefault(server.started_as, []).append(self.measure_start(server))
                if server_class is contenders.Tamis and server.state_size > self.options.names:
                    starts.setdefault("tamisd, snapshot", []).append(self.measure_start(server))
                say(f"start {number + 1} of {self.options.starts}: {server.name} ready after "
                    f"{starts[server.started_as][-1]['ready_s']:.2f} s")

    def measure_start(self, server):
        server.prepare(self.workload)
        with self.ended_if_it_fails(server):
            started = time.monotonic()
            server.start(self.workload)
            ready_s = time.monotonic() - started
            time.sleep(SETTLE_S)
            figure = {"ready_s": ready_s, "memory": measure.memory(server.pids)}
            server.stop()
        return figure

    def start_field(self):
        """All that are compared, together in memory; only one at a time is asked."""
        field = [("floor", contenders.Floor), ("tamisd", contenders.Tamis)]
        field += [(report.order_entry(size), contenders.Tamis) for size in self.options.orders]
        field += [(name, contenders.PEERS[name]) for name in self.options.peers]
        for entry, server_class in field:
            server = self.running[entry] = self.create(server_class)
            server.prepare(self.workload)
            server.start(self.workload)
            say(f"started {entry}")
        orders = self.results["orders"] = {}
        for size in self.options.orders:
            server = self.running[report.order_entry(size)]
            before = measure.memory(server.pids)["pss"]
            answer = server.activate(str(self.workload.orders[size].path))
            time.sleep(SETTLE_S)
            grown = measure.memory(server.pids)["pss"] - before
            orders[str(size)] = {"names": answer["names"], "bytes_per_name": grown / size}
        self.results["socket_buffers"] = {}
        for entry, server in self.running.items():
            self.results["socket_buffers"][entry] = server.even_buffers()
            measure.pin(server.pids, {self.cores[1]})

    def measure_rounds(self):
        """A B A B: every server once in each round, all with the same queries."""
        entries = [(mix, entry) for mix in MIXES for entry in self.running
                   if mix == HITS or entry not in map(report.order_entry, self.options.orders)]
        for mix, entry in entries:
            self.saturate(mix, entry, 0, WARM_UP_S)
        rounds = self.results["mixes"] = {mix: {} for mix in MIXES}
        for number in range(1, self.options.rounds + 1):
            for mix, entry in entries:
                figure = self.saturate(mix, entry, number, self.options.seconds)
                rounds[mix].setdefault(entry, []).append(figure)
                say(f"round {number} of {self.options.rounds}, {mix}: {entry} {figure['cpu_us']:.2f} us, "
                    f"{figure['qps']:,.0f} a second")

    def saturate(self, mix, entry, number, seconds):
        return measure.saturate(self.running[entry], self.workload.mix_path(mix, number), seconds, self.cores,
                                workloads.NXDOMAIN_SHARES[mix])

    def measure_workers(self):
        """Whether a second worker costs the first anything. Both share the cores with the generator,
        so only the CPU time of a query tells."""
        pairs = self.results["workers"] = []
        crew = [self.create(contenders.Tamis), self.create(contenders.TwoWorkers)]
        try:
            for server in crew:
                server.start(self.workload)
            for number in range(1, self.options.rounds + 1):
                pairs.append([measure.saturate(
                    server, self.workload.mix_path(HITS, number), self.options.seconds, self.cores,
                    workloads.NXDOMAIN_SHARES[HITS])["cpu_us"] for server in crew])
                say(f"workers {number} of {self.options.rounds}: one {pairs[-1][0]:.2f} us, two {pairs[-1][1]:.2f} us")
        finally:
            for server in crew:
                server.kill()

    def measure_latency(self):
        latency = self.results["latency"] = {}
        for number in range(LATENCY_ROUNDS):
            for entry, figures in self.results["mixes"][HITS].items():
                rate = min(int(max(figure["qps"] for figure in figures) / 2), LATENCY_RATE_MAX)
                result = measure.PacedLoad(self.running[entry], self.workload.paced_path(), rate,
                                           self.options.seconds, self.cores[0], self.folder).finish()
                values = result.latencies_us()
                latency.setdefault(entry, []).append({
                    "rate": result.rate, "lost": result.lost,
                    "p50_us": measure.quantile(values, 0.5), "p99_us": measure.quantile(values, 0.99),
                    "p999_us": measure.quantile(values, 0.999)})
                say(f"latency {number + 1} of {LATENCY_ROUNDS}: {entry} {latency[entry][-1]['p99_us']:.0f} us "
                    f"at the 99th percentile of {result.rate:,.0f} a second")

    def measure_swaps(self):
        """Orders come and go under load. The server has all cores now, as it would have at work."""
        server = self.running["tamisd"]
        measure.pin(server.pids, os.sched_getaffinity(0))
        for size in self.options.orders:
            swaps = self.results["orders"][str(size)]["swaps"] = []
            for number in range(SWAP_ROUNDS):
                swaps.append(self.measure_swap(server, size))
                say(f"swap {number + 1} of {SWAP_ROUNDS}: {size:,} names active in "
                    f"{swaps[-1]['active_s'] * 1e3:.0f} ms, latest answer {swaps[-1]['latest_ms']:.2f} ms")

    def measure_swap(self, server, size):
        seconds = 2 * SWAP_LEAD_S + size * SWAP_S_PER_NAME
        load = measure.PacedLoad(server, self.workload.paced_path(), SWAP_RATE, seconds, self.cores[0], self.folder)
        time.sleep(SWAP_LEAD_S)
        changed_ns = time.monotonic_ns()
        server.activate(str(self.workload.orders[size].path))
        active_s = (time.monotonic_ns() - changed_ns) / 1e9
        result = load.finish()
        server.lift(workloads.order_id(size))
        since_ns = changed_ns - SWAP_LATE_MS * 1_000_000
        after = result.latencies_us(since_ns)
        return {
            "active_s": active_s, "lost": result.lost,
            "latest_ms": after[-1] / 1e3, "p999_ms": measure.quantile(after, 0.999) / 1e3,
            "latest_before_ms": result.latencies_us(until_ns=since_ns)[-1] / 1e3,
            "slices": result.latest_by_slice(changed_ns),
        }

    # ---- servers ----

    def create(self, server_class):
        return server_class(tempfile.mkdtemp(dir=self.folder))

    @contextlib.contextmanager
    def ended_if_it_fails(self, server):
        try:
            yield
        except BaseException:
            server.kill()
            raise

    def end_all(self):
        for server in self.running.values():
            server.kill()


def say(text):
    """Progress goes to standard error: standard output is the table's."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def numbers(text):
    return tuple(int(part.replace("_", "")) for part in text.split(","))


def peers(text):
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in contenders.PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer {unknown[0]}; known: {', '.join(contenders.PEERS)}")
    return names


def parse_options(arguments):
    parser = argparse.ArgumentParser(description="Tamis beside other name servers.")
    parser.add_argument("--names", type=int, default=1_000_000, help="hostnames in the 23 zones (default 1000000)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="of one measurement (default 3)")
    parser.add_argument("--starts", type=int, default=3, help="starts of each server (default 3)")
    parser.add_argument("--peers", type=peers, default=list(contenders.PEERS), help="default: all of them")
    parser.add_argument("--orders", type=numbers, default=(18_472, 1_000_000),
                        help="sizes of orders (default 18472,1000000)")
    parser.add_argument("--work", default=str(ROOT / "build" / "bench-work"), help="where the workload is kept")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return parser.parse_args(arguments)


def main(arguments):
    if arguments[:1] == ["publish"]:
        report.publish(Path(arguments[1]), ROOT)
        return 0
    options = parse_options(arguments)
    try:
        results = Bench(options).run()
    except measure.BadAnswers as error:
        print(f"bench: {error}; look at its settings in bench/contenders.py", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130

    folder = ROOT / "bench" / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{results['when'].replace(':', '').replace('+0000', 'Z')}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    plots.draw(results, path.with_suffix(""))
    report.print_table(results)
    print(f"\n{path.relative_to(ROOT)} has the figures of every round; its plots are in the folder beside it")
    return 1 if options.strict and not report.all_met(results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
