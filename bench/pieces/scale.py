"""Growth: tamisd alone with more and more names, from text and from its snapshot."""

import contenders
import figures
import plots
from pieces.starts import start_once
from table import Table
from stage import say
from targets import GROWTH_MAX, GROWTH_TIME_MAX, Target
from workload import HITS

NAME = "scale"
SOURCES = {"text": "from zone files", "snapshot": "from its snapshot"}


def measure(stage):
    stage.clear()
    sizes = {}
    for size in sorted(stage.options.sizes):
        workload = stage.workload_of(size)
        runs = sizes[str(size)] = {source: [] for source in SOURCES}
        for number in range(stage.options.starts):
            server = stage.create(contenders.Tamis)
            runs["text"].append(start_once(stage, server, workload, lambda: server.wait_for_snapshots(workload)))
            # A server of this size also answers, and rightly: else this stops the run.
            runs["snapshot"].append(start_once(
                stage, server, workload, lambda: stage.saturate(server, HITS, 0, 1, workload)))
            say(f"scale {number + 1} of {stage.options.starts}, {size:,} names: ready after "
                f"{runs['text'][-1]['ready_s']:.2f} s, from its snapshot {runs['snapshot'][-1]['ready_s']:.2f} s")
    return sizes


def _memory(runs, source="text"):
    return figures.median([start["memory"] for start in runs[source]], "rss")


def _by_size(run):
    return sorted(((int(size), runs) for size, runs in run["figures"].items()), key=lambda pair: pair[0])


def tables(run):
    rows = [[f"{size:,}", f"{_memory(runs) / size:.1f}", f"{_memory(runs, 'snapshot') / size:.1f}",
             f"{_memory(runs) / 2 ** 20:,.0f}"]
            + [f"{figures.median(runs[source], 'ready_s'):.2f}" for source in SOURCES]
            + [f"{figures.median(runs[source], 'ready_s') / size * 1e6:.2f}" for source in SOURCES]
            for size, runs in _by_size(run)]
    yield Table("Growth of tamisd",
                ["names", "octets a name", "from snapshot", "in all, MiB", "ready from text, s", "from snapshot, s",
                 "from text, us a name", "from snapshot, us a name"], rows)


def targets(run):
    sizes = _by_size(run)
    (small, small_runs), (large, large_runs) = sizes[0], sizes[-1]
    if small == large:
        return
    what = f"with {large / 1e6:g} M names, over that with {small / 1e6:g} M"
    yield Target(f"memory of a name {what}", figures.growth((small, _memory(small_runs)), (large, _memory(large_runs))),
                 GROWTH_MAX, "x")
    yield Target(f"loading a name {what}",
                 figures.growth(*((size, figures.median(runs["text"], "ready_s")) for size, runs in
                                  ((small, small_runs), (large, large_runs)))), GROWTH_TIME_MAX, "x")


def draw(run, folder):
    sizes = _by_size(run)
    memory = [(size / 1e6, _memory(runs) / 2 ** 20) for size, runs in sizes]
    plots.lines(folder / "growth-memory.svg", "Memory of tamisd", "million names", "MiB", {"resident": memory})
    ready = {what: [(size / 1e6, figures.median(runs[source], "ready_s")) for size, runs in sizes]
             for source, what in SOURCES.items()}
    plots.lines(folder / "growth-start.svg", "Time to ready of tamisd", "million names", "seconds", ready)
    return [("growth-memory.svg", "Memory by the number of names"),
            ("growth-start.svg", "Time to ready by the number of names")]
