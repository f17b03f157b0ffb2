"""Time to ready and memory: each server alone, on all cores, in turn."""

import time

import contenders
import figures
import machine
import measure as measuring
import plots
from table import Table
from stage import IDLE_S, say
from targets import (FULL_SIZE, KNOT_START_RATIO_MAX, NAME_BYTES_MAX, READY_S_MAX, SNAPSHOT_S_MAX, Target)

NAME = "starts"
SNAPSHOT = "tamisd, snapshot"


def start_once(stage, server, workload, before_stop=lambda: None):
    """One start, with what the server takes of time and memory."""
    server.prepare(workload)
    account = machine.Account(stage.all_cores)
    started = time.monotonic()
    with stage.running(server, workload):
        ready_s = time.monotonic() - started
        stage.accounts.append(account.close(measuring.cpu_ns(server.pids) / 1e9))
        measuring.wait_idle(server.pids, IDLE_S)
        figure = {"ready_s": ready_s, "memory": measuring.memory(server.pids)}
        before_stop()
    return figure


def measure(stage):
    stage.clear()
    starts, workload = {}, stage.workload
    for number in range(stage.options.starts):
        for server_class in [contenders.Tamis] + [contenders.PEERS[name] for name in stage.options.peers]:
            if not server_class.holds_zones:
                continue
            server = stage.create(server_class)
            is_ours = server_class is contenders.Tamis
            figure = start_once(stage, server, workload,
                                (lambda: server.wait_for_snapshots(workload)) if is_ours else lambda: None)
            starts.setdefault(server.started_as, []).append(figure)
            if is_ours:
                starts.setdefault(SNAPSHOT, []).append(start_once(stage, server, workload))
            say(f"start {number + 1} of {stage.options.starts}: {server.name} ready after {figure['ready_s']:.2f} s")
    return starts


def bytes_per_name(name, starts, names):
    """NSD's processes share pages, so that each page is counted once: proportional set size."""
    key = "pss" if name == "nsd" else "rss"
    return figures.median([start["memory"] for start in starts], key) / names


def tables(run):
    rows = []
    for name, starts in run["figures"].items():
        of_name = [figures.median([start["memory"] for start in starts], key) / run["names"]
                   for key in ("rss", "pss", "peak_rss")]
        rows.append([name, f"{figures.best(starts, 'ready_s'):.2f}", f"{figures.median(starts, 'ready_s'):.2f}"]
                    + [f"{size:.0f}" for size in of_name])
    yield Table(f"Start with {run['names']:,} names, and octets of memory a name",
                ["", "ready, best, s", "median, s", "resident", "shared once", "peak"], rows)


def targets(run):
    starts = run["figures"]
    ready_s = figures.median(starts["tamisd"], "ready_s")
    yield Target("memory of a name", bytes_per_name("tamisd", starts["tamisd"], run["names"]), NAME_BYTES_MAX, "octets")
    if "knot" in starts:
        yield Target("ready from zone files: of Knot's time", ready_s / figures.median(starts["knot"], "ready_s"),
                     KNOT_START_RATIO_MAX, "x")
    if run["names"] >= FULL_SIZE:
        yield Target("ready from zone files", ready_s, READY_S_MAX, "s")
    yield Target("ready from its snapshot", figures.median(starts[SNAPSHOT], "ready_s"), SNAPSHOT_S_MAX, "s")


def draw(run, folder):
    starts = run["figures"]
    plots.bars(folder / "start.svg", f"Ready with {run['names']:,} names",
               [(name, figures.median(runs, "ready_s")) for name, runs in starts.items()], "seconds")
    plots.bars(folder / "memory.svg", "Memory of one name",
               [(name, bytes_per_name(name, runs, run["names"])) for name, runs in starts.items()], "octets")
    return [("start.svg", "Time to ready"), ("memory.svg", "Memory of a name")]
