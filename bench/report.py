"""From the figures of a run to tables, and to the verdict on each of our targets."""

import json
import re
import shutil
import statistics
import sys
from dataclasses import dataclass

import plots
from workload import FLOOD, HITS, MIXES

LISTED_BYTES_MAX = 24
NAME_BYTES_MAX = 80
READY_S_MAX = 5.0
SNAPSHOT_S_MAX = 1.0
LATE_MS_MAX = 5.0
COST_MAX = 0.01
FLOOR_RATIO_MAX = 1.1
PEER_RATIO_MAX = 0.8
KNOT_START_RATIO_MAX = 0.25
SCALING_MIN = 1.8  # of two workers, over one
FULL_SIZE = 5_000_000  # names that the absolute start times are meant for
ACTIVE_S_MAX = {18_472: 0.1, 1_000_000: 1.5, 5_000_000: 5.0}


def order_entry(size):
    """What tamisd with an active order of this size is called among the servers."""
    return f"tamisd, {size:,} listed"


@dataclass(frozen=True)
class Table:
    title: str
    head: list
    rows: list


# ---- figures ----


def best(figures, key="cpu_us"):
    return min(figure[key] for figure in figures)


def median(figures, key="cpu_us"):
    return statistics.median(figure[key] for figure in figures)


def peers_of(results, mix=HITS):
    return [name for name in results["versions"] if name in results["mixes"][mix]]


def best_peer(results, mix):
    return min(peers_of(results, mix), key=lambda name: best(results["mixes"][mix][name]), default=None)


def paired_cost(results, size):
    """What an order costs a query: the median over the rounds, each against the same round without."""
    entries = results["mixes"][HITS]
    pairs = zip(entries[order_entry(size)], entries["tamisd"])
    return statistics.median(with_order["cpu_us"] / without["cpu_us"] - 1 for with_order, without in pairs)


def best_pair_ratio(results):
    """CPU time of a query with two workers over that with one."""
    one, two = zip(*results["workers"])
    return min(two) / min(one)


def bytes_per_name(results, name):
    """NSD's processes share pages, so that each page is counted once: proportional set size."""
    key = "pss" if name == "nsd" else "rss"
    return statistics.median(start["memory"][key] for start in results["starts"][name]) / results["names"]


# ---- targets ----


@dataclass(frozen=True)
class Target:
    what: str
    figure: float
    bound: float
    unit: str

    @property
    def met(self):
        return self.figure <= self.bound


def _query_targets(results, mix, entry, what):
    entries = results["mixes"][mix]
    ours = best(entries[entry])
    yield Target(f"CPU per query, {what}: of the floor", ours / best(entries["floor"]), FLOOR_RATIO_MAX, "x")
    peer = best_peer(results, mix)
    if peer is not None:
        yield Target(f"CPU per query, {what}: of the best peer ({peer})", ours / best(entries[peer]),
                     PEER_RATIO_MAX, "x")


def _start_targets(results):
    starts = results["starts"]
    ready_s = median(starts["tamisd"], "ready_s")
    yield Target("memory of a name", bytes_per_name(results, "tamisd"), NAME_BYTES_MAX, "octets")
    if "knot" in starts:
        yield Target("ready from zone files: of Knot's time", ready_s / median(starts["knot"], "ready_s"),
                     KNOT_START_RATIO_MAX, "x")
    if results["names"] >= FULL_SIZE:
        yield Target("ready from zone files", ready_s, READY_S_MAX, "s")
    if "tamisd, snapshot" in starts:
        yield Target("ready from its snapshot", median(starts["tamisd, snapshot"], "ready_s"), SNAPSHOT_S_MAX, "s")


def _order_targets(results):
    for text, order in results["orders"].items():
        size, swaps = int(text), order["swaps"]
        yield Target(f"{size:,} listed names: cost of a query", paired_cost(results, size) * 100, COST_MAX * 100, "%")
        yield Target(f"{size:,} listed names: memory of each", order["bytes_per_name"], LISTED_BYTES_MAX, "octets")
        if size in ACTIVE_S_MAX:
            yield Target(f"{size:,} listed names: active after", best(swaps, "active_s"), ACTIVE_S_MAX[size], "s")
        yield Target(f"{size:,} listed names: latest answer in the swap", best(swaps, "latest_ms"), LATE_MS_MAX, "ms")
        yield Target(f"{size:,} listed names: answers lost", max(swap["lost"] for swap in swaps), 0, "")


def targets(results):
    found = list(_query_targets(results, HITS, "tamisd", "hits"))
    found += _query_targets(results, FLOOD, "tamisd", "NXDOMAIN flood")
    if results["orders"]:
        size = max(map(int, results["orders"]))
        found += _query_targets(results, HITS, order_entry(size), f"{size:,} names listed")
    found.append(Target("CPU per query, one worker of two: of one alone", best_pair_ratio(results),
                        2 / SCALING_MIN, "x"))
    return found + list(_start_targets(results)) + list(_order_targets(results))


def all_met(results):
    return all(target.met for target in targets(results))


# ---- tables ----


def _query_table(results, mix):
    entries = results["mixes"][mix]
    floor = best(entries["floor"])
    rows = []
    for name, figures in entries.items():
        values = [figure["cpu_us"] for figure in figures]
        fastest = max(figures, key=lambda figure: figure["qps"])
        rows.append([
            name, f"{best(figures):.2f}", f"{median(figures):.2f}",
            f"{(max(values) / min(values) - 1) * 100:.0f} %", f"{best(figures) / floor:.2f}",
            f"{best(figures, 'user_us'):.2f}", f"{fastest['qps']:,.0f}", f"{fastest['server_busy'] * 100:.0f} %",
            f"{median(figures, 'response_size'):.0f}", f"{sum(figure['lost'] for figure in figures):,}"])
    return Table(f"CPU per query, {mix}: {MIXES[mix]}",
                 ["", "best, us", "median, us", "spread", "x floor", "in the program, us", "queries a second",
                  "core in use", "octets of an answer", "lost"], rows)


def _start_table(results):
    rows = []
    for name, starts in results["starts"].items():
        times = sorted(start["ready_s"] for start in starts)
        of_name = [statistics.median(start["memory"][key] for start in starts) / results["names"]
                   for key in ("rss", "pss", "peak_rss")]
        rows.append([name, f"{times[0]:.2f}", f"{statistics.median(times):.2f}"] + [f"{size:.0f}" for size in of_name])
    return Table("Start, and octets of memory a name",
                 ["", "ready, best, s", "median, s", "resident", "shared once", "peak"], rows)


def _latency_table(results):
    rows = [[name, f"{median(runs, 'rate'):,.0f}", f"{median(runs, 'p50_us'):.0f}", f"{median(runs, 'p99_us'):.0f}",
             f"{median(runs, 'p999_us'):.0f}", f"{sum(run['lost'] for run in runs):,}"]
            for name, runs in results["latency"].items()]
    return Table("Latency at half of each server's own full load, at most 100,000 queries a second (medians, us)",
                 ["", "queries a second", "50 %", "99 %", "99.9 %", "lost"], rows)


def _answer_table(results):
    rows = [[kind, f"{figure['ns']:.0f}", f"{figure['instructions']:,.0f}", f"{figure['cache_misses']:.1f}"]
            for kind, figure in results["answers"].items()]
    return Table("One answer without a network (time with 1,000,000 names; instructions and misses by callgrind)",
                 ["", "ns", "instructions", "cache misses"], rows)


def _order_table(results):
    rows = []
    for text, order in results["orders"].items():
        swaps = order["swaps"]
        rows.append([f"{int(text):,}", f"{paired_cost(results, int(text)) * 100:+.1f} %",
                     f"{order['bytes_per_name']:.0f}", f"{best(swaps, 'active_s') * 1e3:.0f}",
                     f"{median(swaps, 'active_s') * 1e3:.0f}", f"{best(swaps, 'latest_ms'):.2f}",
                     f"{median(swaps, 'latest_ms'):.2f}", f"{median(swaps, 'latest_before_ms'):.2f}",
                     f"{sum(swap['lost'] for swap in swaps):,}"])
    return Table("Orders, activated at 20,000 queries a second",
                 ["names listed", "cost of a query", "octets each", "active, best, ms", "median, ms",
                  "latest answer, best, ms", "median, ms", "before, ms", "lost"], rows)


def _number(value):
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _target_table(results):
    rows = [[target.what, f"{_number(target.figure)} {target.unit}".strip(),
             f"at most {_number(target.bound)} {target.unit}".strip(), "PASS" if target.met else "short"]
            for target in targets(results)]
    return Table("Targets", ["", "measured", "target", ""], rows)


def tables(results):
    found = [_query_table(results, mix) for mix in MIXES]
    found += [_answer_table(results), _start_table(results), _latency_table(results)]
    if results["orders"]:
        found.append(_order_table(results))
    return found + [_target_table(results)]


def machine_line(results):
    machine = results["machine"]
    return (f"{machine['cpu']}{', virtual' if machine['virtual'] else ''}, {machine['cores']} cores, "
            f"{machine['memory_gib']:.0f} GiB, Linux {machine['kernel']}; tamisd {results['tamis']}; "
            + ", ".join(results["versions"].values())
            + f"; {results['names']:,} names, {results['rounds']} rounds of {results['seconds']} s; "
            f"load of the machine {results['load_average_before']:.1f} at the beginning; at most "
            f"{foreign_share(results) * 100:.0f} % of both cores used by others while measuring")


def foreign_share(results):
    return max(figure["foreign"] for entries in results["mixes"].values()
               for figures in entries.values() for figure in figures)


# ---- output ----


def print_table(results, stream=sys.stdout):
    print(machine_line(results), file=stream)
    for table in tables(results):
        widths = [max(len(row[column]) for row in [table.head] + table.rows) for column in range(len(table.head))]
        print(f"\n{table.title}", file=stream)
        for row in [table.head] + table.rows:
            cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            print("  " + "  ".join(cells).rstrip(), file=stream)


def markdown(results):
    lines = [f"Measured {results['when'][:10]}: {machine_line(results)}.", ""]
    lines += [f"![{text}](benchmarks/{name})" for name, text in plots.TITLES.items()
              if name != plots.SWAP or results["orders"]]
    lines.append("")
    for table in tables(results):
        lines += [f"### {table.title}", "", "| " + " | ".join(table.head) + " |",
                  "|---|" + "---:|" * (len(table.head) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines.append("")
    return "\n".join(lines)


def publish(path, root):
    """Makes a run the reference: its figures, plots and tables replace those of the last one."""
    results = json.loads(path.read_text(encoding="utf-8"))
    reference = root / "bench" / "results" / "reference.json"
    if path.resolve() != reference:
        shutil.copyfile(path, reference)
    plots.draw(results, root / "doc" / "benchmarks")
    page = root / "doc" / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    text, count = re.subn(r"(<!-- figures -->\n).*(<!-- end of figures -->)",
                          lambda match: match[1] + markdown(results) + "\n" + match[2], text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"bench: {page} has no place for the figures")
    page.write_text(text, encoding="utf-8")
