"""Dynamic updates: how many a second are durable, and what they do to the queries beside them.

An update gives a host another address, as its customer's client would: the old record set is deleted
and the new one added, in one message. The server has one core for everything, the generator the other.
"""

import random
import statistics
import time

import contenders
import figures
import measure as measuring
import plots
from stage import IDLE_S, WARM_UP_S, say
from table import Table
from targets import (FULL_SIZE, UPDATE_COST_MAX, UPDATE_LATER_MS_MAX, UPDATES_BIND_RATIO_MIN, UPDATES_PER_S_MIN,
                     Target)
from testbed import wire
from workload import HITS

NAME = "updates"
SMALL = 200_000  # names: what peers that slow down with the size of a zone are good at
WINDOWS = (1, 10, 100)  # updates under way
JUDGED_WINDOW = 100
BESIDE_RATE = 10_000  # updates a second beside the queries; of a peer, half of what it can do at most
QUERY_RATE = 20_000  # queries a second whose latency is taken
QUANTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
ROUNDS = 3
FIRST_PER_S = 2_000  # with one under way: more than any server takes at once
BESIDE_ROOM_S = 3  # the updates go on until the queries have been measured
CHECKED = 1_000  # acknowledged updates that are asked for afterwards
WORKER, KEEPER = "dns 0", "snapshots"  # what tamisd calls the threads that answer, and that write snapshots
SNAPSHOT_S = 40  # a zone that changes is written half a minute after its first change
STEP_S = 0.5
SNAPSHOT_QUERY_RATE = 2_000
WRITING_SHARE = 0.2  # of a core that the keeper uses: a snapshot is being written


def measure(stage):
    stage.clear()
    result = {}
    for names in sorted({min(SMALL, stage.options.names), stage.options.names}):
        workload = stage.workload_of(names)
        for name, server_class in contenders.UPDATED.items():
            if name == contenders.Tamis.name or name in stage.options.peers:
                server = stage.create(server_class)
                server.prepare(workload)
                with stage.running(server, workload):
                    figure = measure_server(stage, server, workload)
                result.setdefault(str(names), {})[name] = figure
    return result


def measure_server(stage, server, workload):
    measuring.wait_idle(server.pids, IDLE_S)
    measuring.pin(server.pids, {stage.cores[1]})
    server.even_buffers()
    updates = Updates(stage, server, workload)
    figure = {"windows": {str(window): measure_window(stage, updates, window) for window in WINDOWS}}
    updates.check("while it runs")
    if workload is stage.workload:
        most = figures.median(figure["windows"][str(JUDGED_WINDOW)], "per_s")
        figure["beside"] = measure_beside(stage, updates, min(BESIDE_RATE, int(most / 2)))
        if server.name == contenders.Tamis.name:
            figure["snapshots"] = measure_snapshots(stage, updates)
    figure["found"] = updates.check("while it runs")
    server.kill_and_start(workload)
    figure["found_after_kill"] = updates.check("after kill -9")
    say(f"updates: {server.name} has all of {figure['found_after_kill']:,} acknowledged ones after kill -9")
    return figure


class Updates:
    """Sends them to one server and remembers what was acknowledged."""

    def __init__(self, stage, server, workload):
        self.stage, self.server, self.workload = stage, server, workload
        self.next = 0  # each run of the generator goes on where the one before ended
        self.per_s = 0  # the most so far
        self.runs = []

    def start(self, seconds, window, rate=0, told_every_s=None):
        """In the background; at most `rate` a second (0: as fast as they are acknowledged)."""
        per_s = rate or min(max(2 * self.per_s, FIRST_PER_S) * window, measuring.UPDATES_PER_S_MAX)
        path = self.stage.folder / "updates"
        self.workload.write_updates(path, self.next, int(seconds * per_s))
        load = measuring.UpdateLoad(self.server, path, seconds, window, rate, self.stage.cores, told_every_s)
        self.runs.append((self.next, load))
        self.next += int(seconds * per_s)
        return load

    def finish(self, load):
        figure = load.finish()
        self.per_s = max(self.per_s, figure["per_s"] / load.window)
        return figure

    def check(self, when):
        """Asks for some of the updates that were acknowledged; returns how many."""
        last = {}  # of each host; dnsperf sends in the order of its file
        for first, load in self.runs:
            last.update((self.workload.updated_host(number), number) for number in range(first, first + load.sent))
        hosts = random.Random(len(last)).sample(sorted(last), min(CHECKED, len(last)))
        missing = sum(not self._is_there(last[host]) for host in hosts)
        if missing > sum(load.lost for _, load in self.runs):
            raise measuring.BadAnswers(f"{self.server.name} has not, {when}, {missing} of {len(hosts)} updates that "
                                       "it acknowledged")
        return len(hosts)

    def _is_there(self, number):
        name, address = self.workload.update(number)
        records = wire.ask(self.server.place, name, "A", timeout_s=10).answer
        return [wire.rdata_text(1, rdata) for *_, rdata in records] == [address]


def measure_window(stage, updates, window):
    runs = []
    for _ in range(min(ROUNDS, stage.options.rounds)):
        load = updates.start(stage.options.seconds, window)
        figure = updates.finish(load)
        stage.accounts.append(figure.pop("shares"))
        runs.append(figure)
        say(f"updates of {updates.workload.names:,} names, {window} under way: {updates.server.name} "
            f"{figure['per_s']:,.0f} a second, {figure['cpu_us']:.1f} us each")
    return runs


# ---- beside queries ----


def answering_ns(server):
    """CPU time of what answers queries. The peers do both in the same threads."""
    used = measuring.cpu_ns_by_name(server.pids)
    return used.get(WORKER, sum(used.values()))


def measure_beside(stage, updates, rate):
    """CPU time and latency of queries: without updates, with, without, ... without."""
    stage.saturate(updates.server, HITS, 0, WARM_UP_S)
    without, with_updates = [measure_queries(stage, updates.server)], []
    for number in range(stage.options.rounds):
        seconds = 2 * stage.options.seconds + BESIDE_ROOM_S
        load = updates.start(seconds, JUDGED_WINDOW, rate)
        with_updates.append(measure_queries(stage, updates.server))
        with_updates[-1]["updates_per_s"] = updates.finish(load)["per_s"]
        measuring.wait_idle(updates.server.pids, IDLE_S)
        without.append(measure_queries(stage, updates.server))
        say(f"updates beside queries, {number + 1} of {stage.options.rounds}: {updates.server.name} "
            f"{with_updates[-1]['cpu_us']:.2f} us a query against {without[-1]['cpu_us']:.2f}, 99 % after "
            f"{with_updates[-1]['p99_ms']:.2f} ms against {without[-1]['p99_ms']:.2f}")
    return {"rate": rate, "without": without, "with": with_updates}


def measure_queries(stage, server):
    """Not for the account of who else used the cores: the updates' generator is at work, too."""
    before_ns = answering_ns(server)
    generator = measuring.Generator(cores=stage.cores[:1])
    figure = measuring.saturate(server, stage.workload.mix_path(HITS, 1), stage.options.seconds, generator, stage.cores,
                                stage.workload.nxdomain_share(HITS, server.blocks))
    cpu_us = (answering_ns(server) - before_ns) / 1e3 / figure["answered"]
    result = stage.paced(server, QUERY_RATE, stage.options.seconds).finish()
    values = result.latencies_us()
    return {"cpu_us": cpu_us, "qps": figure["qps"], "lost": figure["lost"] + result.lost,
            **{key: figures.quantile(values, share) / 1e3 for key, share in QUANTILES.items()}}


# ---- while snapshots are written ----


def measure_snapshots(stage, updates):
    """As many updates as are taken and some queries, until each changed zone has been written."""
    server = updates.server
    load = updates.start(SNAPSHOT_S, JUDGED_WINDOW, told_every_s=STEP_S)
    queries = stage.paced(server, SNAPSHOT_QUERY_RATE, SNAPSHOT_S)
    steps = []  # (its end by time.time(), its end by time.monotonic_ns(), whether a snapshot was being written)
    keeper_ns, at_ns = measuring.cpu_ns_by_name(server.pids).get(KEEPER, 0), time.monotonic_ns()
    while load.process.poll() is None:
        time.sleep(STEP_S)
        before = keeper_ns, at_ns
        keeper_ns, at_ns = measuring.cpu_ns_by_name(server.pids).get(KEEPER, 0), time.monotonic_ns()
        steps.append((time.time(), at_ns, keeper_ns - before[0] > WRITING_SHARE * (at_ns - before[1])))
    result, figure = queries.finish(), updates.finish(load)
    return {"per_s": figure["per_s"],
            "writing": during(steps, result, figure["steps"], True),
            "not_writing": during(steps, result, figure["steps"], False)}


def during(steps, result, rates, is_writing):
    """What happened in those of the steps that had a snapshot written, or had not."""
    before_ns, late_us, per_s = 0, [], []
    for at_s, at_ns, was_writing in steps:
        if was_writing == is_writing:
            late_us += result.latencies_us(before_ns, at_ns)
            per_s += [rate for told_s, rate in rates if at_s - STEP_S < told_s - STEP_S / 2 <= at_s]
        before_ns = at_ns
    return {"per_s": statistics.mean(per_s) if per_s else None, "steps": len(per_s),
            "p99_ms": figures.quantile(sorted(late_us), 0.99) / 1e3 if late_us else None}


# ---- what it says ----


def tables(run):
    for names, servers in run["figures"].items():
        rows = [[f"{server}, {window} under way", f"{figures.median(runs, 'per_s'):,.0f}",
                 f"{max(figure['per_s'] for figure in runs):,.0f}", f"{figures.median(runs, 'latency_ms'):.2f}",
                 f"{figures.best(runs):.1f}", f"{sum(figure['lost'] for figure in runs):,}",
                 f"{figure['found_after_kill']:,} of {figure['found_after_kill']:,}"]
                for server, figure in servers.items() for window, runs in figure["windows"].items()]
        yield Table(f"Durable updates a second, {int(names):,} names",
                    ["", "median", "best", "mean time to the acknowledgement, ms", "CPU of an update, us", "lost",
                     "there after kill -9"], rows)
    servers = run["figures"][str(run["names"])]
    rows = []
    for server, figure in servers.items():
        beside = figure["beside"]
        for what, runs in (("without updates", beside["without"]), (f"{beside['rate']:,} a second", beside["with"])):
            rows.append([f"{server}, {what}", f"{figures.median(runs):.2f}",
                         f"{statistics.median(map(message_us, runs)):.2f}", f"{figures.median(runs, 'qps'):,.0f}"]
                        + [f"{figures.median(runs, key):.2f}" for key in QUANTILES]
                        + [f"{sum(each['lost'] for each in runs):,}"])
    yield Table(f"Queries beside updates, on one core (medians; latency at {QUERY_RATE:,} queries a second)",
                ["", "CPU of a query, us", "of a message, us", "queries a second at most", "50 %, ms", "99 %, ms",
                 "99.9 %, ms", "lost"], rows)
    snapshots = servers[contenders.Tamis.name]["snapshots"]
    rows = [[what, f"{part['per_s']:,.0f}", f"{part['p99_ms']:.2f}", f"{part['steps'] * STEP_S:.1f}"]
            for what, part in (("no snapshot being written", snapshots["not_writing"]),
                               ("a snapshot being written", snapshots["writing"])) if part["steps"]]
    yield Table(f"tamisd with as many updates as it takes and {SNAPSHOT_QUERY_RATE:,} queries a second",
                ["", "updates a second", "99 % of the queries, ms", "seconds measured"], rows)


def message_us(figure):
    """CPU time of the thread that answers, for each message: it receives the updates as well."""
    return figure["cpu_us"] * figure["qps"] / (figure["qps"] + figure.get("updates_per_s", 0))


def _costs(beside):
    return figures.against_neighbours([figure["cpu_us"] for figure in beside["without"]],
                                      [figure["cpu_us"] for figure in beside["with"]])


def targets(run):
    servers = run["figures"][str(run["names"])]
    per_s = {name: figures.median(figure["windows"][str(JUDGED_WINDOW)], "per_s") for name, figure in servers.items()}
    ours = per_s[contenders.Tamis.name]
    if run["names"] >= FULL_SIZE:
        yield Target("durable updates a second", ours, UPDATES_PER_S_MIN, "", at_least=True)
    if contenders.Bind.name in per_s:
        yield Target("durable updates a second: of BIND", ours / per_s[contenders.Bind.name], UPDATES_BIND_RATIO_MIN,
                     "x", at_least=True)
    beside = servers[contenders.Tamis.name]["beside"]
    costs = _costs(beside)
    what = f"beside {beside['rate']:,} updates a second"
    yield Target(f"CPU per query {what}", statistics.median(costs) * 100, UPDATE_COST_MAX * 100, "%",
                 interval=tuple(edge * 100 for edge in figures.median_interval(costs)))
    later_ms = figures.median(beside["with"], "p99_ms") - figures.median(beside["without"], "p99_ms")
    yield Target(f"99 % of the queries {what}: later by", later_ms, UPDATE_LATER_MS_MAX, "ms")


def draw(run, folder):
    largest = run["figures"][str(run["names"])]
    groups = {f"{window} under way": {name: figures.median(figure["windows"][str(window)], "per_s")
                                      for name, figure in largest.items()} for window in WINDOWS}
    plots.clusters(folder / "updates.svg", f"Durable updates a second, {run['names']:,} names", groups,
                   "updates a second", logarithmic=True)
    groups = {label: {f"{name}, {what}": figures.median(figure["beside"][key], quantile)
                      for name, figure in largest.items()
                      for key, what in (("without", "quiet"), ("with", f"{figure['beside']['rate']:,} updates/s"))}
              for quantile, label in zip(QUANTILES, ("50 %", "99 %", "99.9 %"))}
    plots.clusters(folder / "updates-latency.svg", "Latency of queries beside updates", groups, "milliseconds",
                   logarithmic=True)
    return [("updates.svg", "Durable updates a second"), ("updates-latency.svg", "Latency of queries beside updates")]
