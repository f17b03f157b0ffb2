"""Latency at half of each server's own full load."""

import figures
import plots
from table import Table
from stage import say

NAME = "latency"
ROUNDS = 3
RATE_MAX = 100_000  # queries a second that the generator of a steady load keeps up with
QUANTILES = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}


def measure(stage):
    latency = {}
    rates = {entry: min(int(stage.best_qps(entry) / 2), RATE_MAX) for entry in stage.field}
    for number in range(min(ROUNDS, stage.options.rounds)):
        for entry, server in stage.field.items():
            result = stage.finish(stage.paced(server, rates[entry], stage.options.seconds))
            values = result.latencies_us()
            figure = {"rate": result.rate, "lost": result.lost}
            figure.update((key, figures.quantile(values, share)) for key, share in QUANTILES.items())
            latency.setdefault(entry, []).append(figure)
            say(f"latency {number + 1}: {entry} {figure['p99_us']:.0f} us at the 99th percentile of "
                f"{result.rate:,.0f} a second")
    return latency


def tables(run):
    rows = [[name, f"{figures.median(runs, 'rate'):,.0f}"] + [f"{figures.median(runs, key):.0f}" for key in QUANTILES]
            + [f"{sum(figure['lost'] for figure in runs):,}"]
            for name, runs in run["figures"].items()]
    yield Table(f"Latency at half of each server's own full load, at most {RATE_MAX:,} queries a second (medians, us)",
                ["", "queries a second", "50 %", "99 %", "99.9 %", "lost"], rows)


def targets(_):
    return []


def draw(run, folder):
    groups = {label: {name: figures.median(runs, key) for name, runs in run["figures"].items()}
              for key, label in zip(QUANTILES, ("50 %", "99 %", "99.9 %"))}
    plots.clusters(folder / "latency.svg", "Latency at half load", groups, "microseconds", logarithmic=True)
    return [("latency.svg", "Latency at half load")]
