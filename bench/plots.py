"""Figures as SVG, drawn by gnuplot."""

import re
import statistics
import subprocess

OURS, THEIRS, SECOND, DARK = "#0a6e5c", "#9aa5ad", "#d98e04", "#404040"
COLOURS = (OURS, SECOND, "#5b4a9c", "#a33b3b", "#3b7ea3", THEIRS)

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


def _round_size(match):
    size = int(match[0].replace(",", ""))
    return f"{size / 1e6:.0f} M" if size >= 1_000_000 else f"{size / 1e3:.0f} k"


def _short(name):
    """A label that fits below its bar: large numbers rounded, what follows a comma in the second line."""
    name = re.sub(r"\d{1,3}(,\d{3})+", _round_size, name)
    return re.sub(r", | in ", r"\\n", name)


def _block(name, rows):
    return f"${name} << END\n" + "".join(" ".join(map(str, row)) + "\n" for row in rows) + "END\n"


def bars(path, title, values, unit):
    """One bar a server; ours in colour. `values`: pairs of name and number."""
    rows = [[f'"{_short(name)}"', f"{value:.4g}", int(OURS[1:] if name.startswith("tamis") else THEIRS[1:], 16)]
            for name, value in values]
    _gnuplot(path, title, _block("figures", rows) + f"""\
set key off
set ylabel "{unit}"
set yrange [0:*]
set offsets 0, 0, graph 0.1, 0
plot $figures using 0:2:3:xtic(1) with boxes lc rgb variable, \\
     $figures using 0:2:(sprintf("%.3g", $2)) with labels offset 0,0.7
""")


def clusters(path, title, groups, unit, bound=None, logarithmic=False, top=None):
    """A cluster of bars a server, one of each group. `groups`: by label, numbers by name. Bars above
    `top` are cut."""
    names = list(next(iter(groups.values())))
    rows = [[f'"{_short(name)}"'] + [f"{values[name]:.4g}" for values in groups.values()] for name in names]
    parts = [f'$figures using {column}:xtic(1) title "{label}" lc rgb "{colour}"'
             for column, (label, colour) in enumerate(zip(groups, COLOURS), start=2)]
    if bound is not None:
        parts.append(f'{bound} title "{bound:g} x" with lines lc rgb "{DARK}" dt 2')
    _gnuplot(path, title, _block("figures", rows) + f"""\
set style data histogram
set style histogram clustered gap 1
set ylabel "{unit}"
{"set logscale y" if logarithmic else f"set yrange [0:*{f'<{top}' if top else ''}]"}
set key outside top center horizontal
plot {", ".join(parts)}
""", width=1000)


def lines(path, title, x_unit, y_unit, series):
    """`series`: by label, pairs. Through the origin, so that linear growth is a straight line from it."""
    blocks, parts = "", []
    for number, ((label, points), colour) in enumerate(zip(series.items(), COLOURS)):
        blocks += _block(f"line{number}", [(0, 0)] + points)
        parts.append(f'$line{number} using 1:2 title "{label}" with linespoints pt 7 lw 2 lc rgb "{colour}"')
    _gnuplot(path, title, blocks + f"""\
set xlabel "{x_unit}"
set ylabel "{y_unit}"
set xrange [0:*]
set yrange [0:*]
set key top left
plot {", ".join(parts)}
""")


def scattered(path, title, groups, unit, bound):
    """Every value as a point, and their median as a line. `groups`: by label, values."""
    rows = [(number, f"{value:.4f}") for number, values in enumerate(groups.values()) for value in values]
    medians = [(number, f"{statistics.median(values):.4f}") for number, values in enumerate(groups.values())]
    tics = ", ".join(f'"{_short(label)}" {number}' for number, label in enumerate(groups))
    _gnuplot(path, title, _block("figures", rows) + _block("medians", medians) + f"""\
set ylabel "{unit}"
set xrange [-0.5:{len(groups) - 0.5}]
set xtics ({tics})
set key outside top center horizontal
set xzeroaxis lc rgb "{THEIRS}"
plot $figures using 1:2 title "a pair" with points pt 7 ps 0.5 lc rgb "{THEIRS}", \\
     $medians using ($1-0.2):2:(0.4):(0) title "median" with vectors nohead lw 3 lc rgb "{OURS}", \\
     {bound} title "bound" with lines lc rgb "{SECOND}" dt 2
""")


def swap(path, title, figure, rate, bound_ms):
    """The latest answer of each slice of time, around the command at 0."""
    rows = [[at_ms / 1e3, f"{latest_us / 1e3:.3f}"] for at_ms, latest_us in figure["slices"]]
    active_s = figure["active_s"]
    _gnuplot(path, title, _block("figures", rows) + f"""\
set xlabel "seconds from the command; {rate:,} queries a second"
set ylabel "milliseconds"
set yrange [0:*]
set key outside top center horizontal
set arrow from {active_s:.3f}, graph 0 to {active_s:.3f}, graph 1 nohead dt 2 lc rgb "{DARK}"
set label "in force" at {active_s:.3f}, graph 0.95 offset 0.5,0
plot $figures using 1:2 title "latest answer of {figure["slice_ms"]} ms" with impulses lc rgb "{OURS}", \\
     {bound_ms} title "bound" with lines lc rgb "{SECOND}"
""")
