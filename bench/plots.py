"""The figures of a run as SVG, drawn by gnuplot."""

import re
import statistics
import subprocess

import report
from workload import FLOOD, HITS

OURS, THEIRS, SECOND = "#0a6e5c", "#9aa5ad", "#d98e04"

SWAP = "swap.svg"
TITLES = {
    "cpu.svg": "CPU time of a query",
    "latency.svg": "Latency at half load",
    "start.svg": "Time to ready",
    "memory.svg": "Memory of a name",
    SWAP: "Latest answers while an order goes in force",
}

HEAD = """\
set terminal svg size {width},{height} font "sans-serif,13" background "white"
set output "{path}"
set title "{title}"
set style fill solid
set border 3 lc rgb "#606060"
set tics nomirror
set grid ytics lc rgb "#e0e0e0"
set boxwidth 0.8 relative
set bmargin 4
"""


def _gnuplot(path, title, commands, width=760, height=400):
    script = HEAD.format(path=path, title=title, width=width, height=height) + commands
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def _short(name):
    """A label that fits below its bar: an order's size in the second line, rounded."""
    first, _, second = name.partition(", ")
    listed = re.match(r"([\d,]+) listed", second)
    if listed:
        size = int(listed[1].replace(",", ""))
        second = f"+ {size / 1e6:.0f} M" if size >= 1_000_000 else f"+ {size / 1e3:.0f} k"
    return f"{first}\\n{second}" if second else first


def _block(name, rows):
    return f"${name} << END\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "END\n"


def _bars(path, title, values, unit):
    """One bar a server; ours in colour. `values`: pairs of name and number."""
    rows = [[f'"{_short(name)}"', f"{value:.4g}", int(OURS[1:] if name.startswith("tamisd") else THEIRS[1:], 16)]
            for name, value in values]
    _gnuplot(path, title, _block("figures", rows) + f"""\
set key off
set ylabel "{unit}"
set yrange [0:*]
set offsets 0, 0, graph 0.1, 0
plot $figures using 0:2:3:xtic(1) with boxes lc rgb variable, \\
     $figures using 0:2:(sprintf("%.3g", $2)) with labels offset 0,0.7
""")


def draw_queries(results, folder):
    entries = results["mixes"]
    rows = [[f'"{_short(name)}"', f"{report.best(entries[HITS][name]):.3f}",
             f"{report.best(entries[FLOOD][name]):.3f}" if name in entries[FLOOD] else "NaN"]
            for name in entries[HITS]]
    bound = report.best(entries[HITS]["floor"]) * report.FLOOR_RATIO_MAX
    _gnuplot(folder / "cpu.svg", "CPU time of one UDP query, best of the rounds", _block("figures", rows) + f"""\
set style data histogram
set style histogram clustered gap 1
set ylabel "microseconds"
set yrange [0:*]
set key top left
plot $figures using 2:xtic(1) title "popular names" lc rgb "{OURS}", \\
     $figures using 3 title "NXDOMAIN flood" lc rgb "{SECOND}", \\
     {bound} title "1.1 x the floor" with lines lc rgb "#404040" dt 2
""", width=900)


def draw_starts(results, folder):
    starts = results["starts"]
    _bars(folder / "start.svg", f"Ready with {results['names']:,} names",
          [(name, statistics.median(start["ready_s"] for start in runs)) for name, runs in starts.items()], "seconds")
    _bars(folder / "memory.svg", "Memory of one name",
          [(name, report.bytes_per_name(results, name)) for name in starts], "octets")


def draw_latency(results, folder):
    rows = [[f'"{_short(name)}"'] + [f"{report.median(runs, key):.1f}" for key in ("p50_us", "p99_us", "p999_us")]
            for name, runs in results["latency"].items()]
    _gnuplot(folder / "latency.svg", "Latency at half load", _block("figures", rows) + f"""\
set style data histogram
set style histogram clustered gap 1
set ylabel "microseconds"
set logscale y
set key top left
plot $figures using 2:xtic(1) title "50 %" lc rgb "{OURS}", \\
     $figures using 3 title "99 %" lc rgb "{THEIRS}", \\
     $figures using 4 title "99.9 %" lc rgb "{SECOND}"
""", width=900)


def draw_swap(results, folder):
    """The latest answer of each hundredth of a second, while the largest order goes in force."""
    size = max(map(int, results["orders"]))
    swap = min(results["orders"][str(size)]["swaps"], key=lambda swap: swap["latest_ms"])
    rows = [[at_ms / 1e3, f"{latest_us / 1e3:.3f}"] for at_ms, latest_us in swap["slices"]]
    _gnuplot(folder / SWAP, f"Latest answers while {size:,} listed names go in force (20,000 queries a second)",
             _block("figures", rows) + f"""\
set xlabel "seconds from the command"
set ylabel "milliseconds"
set yrange [0:*]
set key outside top center horizontal
set arrow from {swap["active_s"]:.3f}, graph 0 to {swap["active_s"]:.3f}, graph 1 nohead dt 2 lc rgb "#404040"
set label "in force" at {swap["active_s"]:.3f}, graph 0.95 offset 0.5,0
plot $figures using 1:2 title "latest answer of 10 ms" with impulses lc rgb "{OURS}", \\
     {report.LATE_MS_MAX} title "bound" with lines lc rgb "{SECOND}"
""")


def draw(results, folder):
    folder.mkdir(parents=True, exist_ok=True)
    draw_queries(results, folder)
    draw_starts(results, folder)
    draw_latency(results, folder)
    if results["orders"]:
        draw_swap(results, folder)
