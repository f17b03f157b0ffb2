"""CPU time of a query, of every kind of load, beside the floor and the peers: A B A B."""

import figures
import plots
from table import Table
from stage import WARM_UP_S, say
from targets import FLOOR_RATIO_MAX, PEER_RATIO_MAX, Target
from workload import FLOOD, HITS, LISTED, MIXED, MIXES, NODATA

NAME = "queries"
PLOT_TOP = 6  # x floor: a back end that reads a database would press all others to the ground


def measure(stage):
    mixes = {mix: {} for mix in MIXES}
    for mix in MIXES:
        for entry in stage.field:
            stage.saturate_entry(mix, entry, 0, WARM_UP_S)
    for number in range(1, stage.options.rounds + 1):
        for mix in MIXES:
            for entry in stage.field:
                figure = stage.saturate_entry(mix, entry, number)
                mixes[mix].setdefault(entry, []).append(figure)
                say(f"round {number} of {stage.options.rounds}, {mix}: {entry} {figure['cpu_us']:.2f} us, "
                    f"{figure['qps']:,.0f} a second")
    return mixes


def _with_order(entries):
    return next(name for name in entries if name.startswith("tamisd,"))


def _best_peer(entries, peers):
    return min((name for name in peers if name in entries), key=lambda name: figures.best(entries[name]), default=None)


def tables(run):
    for mix, entries in run["figures"].items():
        floor = figures.best(entries["floor"])
        peer = _best_peer(entries, run["versions"])
        best_peer = figures.best(entries[peer]) if peer else None
        rows = []
        for name, runs in entries.items():
            fastest = max(runs, key=lambda figure: figure["qps"])
            best = figures.best(runs)
            rows.append([
                name, f"{best / floor:.2f}", f"{best / best_peer:.2f}" if best_peer else "", f"{best:.2f}",
                f"{figures.median(runs):.2f}", f"{figures.spread(runs) * 100:.0f} %",
                f"{figures.best(runs, 'user_us'):.2f}", f"{fastest['qps']:,.0f}",
                f"{fastest['server_busy'] * 100:.0f} %", f"{figures.median(runs, 'response_size'):.0f}",
                f"{sum(figure['lost'] for figure in runs):,}"])
        yield Table(f"CPU per query, {mix}: {MIXES[mix]}",
                    ["", "x floor", "x best peer", "best, us", "median, us", "spread", "in the program, us",
                     "queries a second", "core in use", "octets of an answer", "lost"], rows)


def _compare(run, mix, entry, what):
    entries = run["figures"][mix]
    ours = figures.best(entries[entry])
    yield Target(f"CPU per query, {what}: of the floor", ours / figures.best(entries["floor"]), FLOOR_RATIO_MAX, "x")
    peer = _best_peer(entries, run["versions"])
    if peer is not None:
        yield Target(f"CPU per query, {what}: of the best peer ({peer})", ours / figures.best(entries[peer]),
                     PEER_RATIO_MAX, "x")


def targets(run):
    with_order = _with_order(run["figures"][HITS])
    listed = with_order.partition(", ")[2]
    for mix, what in ((HITS, "hits"), (FLOOD, "NXDOMAIN flood"), (NODATA, "NODATA")):
        yield from _compare(run, mix, "tamisd", what)
    for mix, what in ((HITS, "hits"), (FLOOD, "NXDOMAIN flood"), (LISTED, "listed names"), (MIXED, "mixed")):
        yield from _compare(run, mix, with_order, f"{what}, {listed}")


def draw(run, folder):
    mixes = run["figures"]
    floors = {mix: figures.best(entries["floor"]) for mix, entries in mixes.items()}
    groups = {mix: {name: figures.best(runs) / floors[mix] for name, runs in entries.items()}
              for mix, entries in mixes.items()}
    title = f"CPU time of one UDP query, best of the rounds (cut at {PLOT_TOP} x the floor)"
    plots.clusters(folder / "cpu.svg", title, groups, "x floor", FLOOR_RATIO_MAX, top=PLOT_TOP)
    return [("cpu.svg", "CPU time of a query")]
