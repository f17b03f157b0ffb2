"""Two workers on two cores against one.

Two cores are all there is, so the generator needs a part of both, and queries a second would say as
much about it as about the server. What it costs is taken out by asking how much CPU time a query costs
the server, in two ways, with generator and server on both cores each time:

- full: asked as fast as it answers. Two workers that got in each other's way would spend more time on
  a query, or leave the cores idle while queries wait; both count against them.
- equal: both asked at the same rate, which one worker bears easily. The work is the same, so a
  difference is what dividing it costs: smaller batches, mostly.
"""

import statistics

import contenders
import figures
import measure as measuring
import plots
from table import Table
from stage import WARM_UP_S, say
from targets import SCALING_MIN, Target
from workload import HITS

NAME = "workers"
FULL, EQUAL = "full", "equal"
CREW = {"one": contenders.Tamis, "two": contenders.TwoWorkers}
CLIENTS = 64  # source ports, so that the kernel's hash gives each worker its half
WINDOW = 800  # as many for each of two workers as one has elsewhere
EQUAL_SHARE = 0.5  # of one worker's full load


def measure(stage):
    stage.clear()
    loads = {load: {name: [] for name in CREW} for load in (FULL, EQUAL)}
    options = stage.options
    generator = {FULL: measuring.Generator(cores=stage.cores, window=WINDOW, clients=CLIENTS, threads=2)}
    with stage.running(stage.create(CREW["one"]), stage.workload) as one, \
            stage.running(stage.create(CREW["two"]), stage.workload) as two:
        crew = {"one": one, "two": two}
        for server in crew.values():
            measuring.pin(server.pids, set(stage.cores))
            server.even_buffers()
        warm = {name: stage.saturate(server, HITS, 0, WARM_UP_S, generator=generator[FULL])
                for name, server in crew.items()}
        generator[EQUAL] = measuring.Generator(cores=stage.cores, window=WINDOW, clients=CLIENTS, threads=2,
                                               rate=int(warm["one"]["qps"] * EQUAL_SHARE))
        for number in range(1, options.pairs + 1):
            for load, runs in loads.items():
                # Neither is always the first: what the machine does in between would be the other's.
                for name in list(crew)[::1 if number % 2 else -1]:
                    runs[name].append(stage.saturate(crew[name], HITS, 1, generator=generator[load]))
                one_us, two_us = (runs[name][-1]["cpu_us"] for name in CREW)
                say(f"workers {number} of {options.pairs}, {load} load: one {one_us:.2f} us, two {two_us:.2f} us")
    return loads


def _scaling(run):
    """Of each pair: the best of one against the best of the other would compare different moments."""
    return [figures.scaling(one["cpu_us"], two["cpu_us"], len(CREW), two["busy"])
            for one, two in _pairs(run, FULL)]


def _ratio(run, load, key):
    return [two[key] / one[key] for one, two in _pairs(run, load)]


def _pairs(run, load):
    runs = run["figures"][load]
    return list(zip(runs["one"], runs["two"]))


def tables(run):
    rows = []
    for load, runs in run["figures"].items():
        for name, taken in runs.items():
            fastest = max(taken, key=lambda figure: figure["qps"])
            rows.append([
                f"{load} load, {name}", f"{figures.best(taken):.2f}", f"{figures.median(taken):.2f}",
                f"{figures.median(taken, 'generator_us'):.2f}", f"{fastest['qps']:,.0f}",
                f"{fastest['busy'] * 100:.0f} %",
                " + ".join(f"{share * 100:.0f}" for share in fastest["threads_busy"]) + " %",
                f"{sum(figure['lost'] for figure in taken):,}"])
    yield Table("Workers; generator and server share the two cores",
                ["", "CPU per query, best, us", "median, us", "of the generator, us", "queries a second",
                 "both cores in use", "by thread", "lost"], rows)
    rows = []
    for what, values in (
            ("two workers on two cores over one on one: 2 x CPU per query of one / of two x cores in use",
             _scaling(run)),
            ("CPU per query of two over that of one, at equal load", _ratio(run, EQUAL, "cpu_us")),
            ("queries a second of two over those of one, the generator on the same cores", _ratio(run, FULL, "qps"))):
        rows.append([what, f"{statistics.median(values):.2f} x", figures.interval_text(values, "{:.2f}")])
    yield Table("What the second worker is worth", ["", "median of the pairs", "95 % interval"], rows)


def targets(run):
    values = _scaling(run)
    yield Target("two workers on two cores over one", statistics.median(values), SCALING_MIN, "x", at_least=True,
                 interval=figures.median_interval(values))


def draw(run, folder):
    groups = {f"{load} load": {f"tamisd, {name}": figures.median(taken) for name, taken in runs.items()}
              for load, runs in run["figures"].items()}
    plots.clusters(folder / "workers.svg", "CPU time of a query with one worker and with two", groups, "microseconds")
    return [("workers.svg", "CPU time of a query with one worker and with two")]
