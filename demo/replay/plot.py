"""Shares over time as SVG and PNG, drawn by gnuplot."""

import subprocess

from replay.measure import WHOLE

GOOD, BAD, DARK = "#0a6e5c", "#d98e04", "#404040"
WIDTH, HEIGHT = 1100, 460
ROW = 0.06  # of the height: names of neighbouring phases stand one above the other

HEAD = """\
set terminal {terminal}
set output "{path}"
set title "{title}" offset 0,3.2
set border 3 lc rgb "#606060"
set tics nomirror
set grid ytics lc rgb "#e0e0e0"
set xlabel "seconds; {scale}"
set ylabel "per cent of the lookups of a second"
set yrange [0:103]
set ytics 20
set xrange [{first}:{last}]
set tmargin 6
set rmargin 12
set bmargin 6
set key at screen 0.5, 0.03 center horizontal maxrows 1 width -4
"""
TERMINALS = {
    "svg": 'svg size {width},{height} font "sans-serif,13" background "white"',
    "png": 'pngcairo size {width},{height} font "sans-serif,10" background "white"',
}


def _block(name, rows):
    return f"${name} << END\n" + "".join(f"{x:.2f} {y:.3f}\n" for x, y in rows) + "END\n"


def _marks(record, start):
    """A line at the begin of each phase, its name above the plot."""
    text = ""
    phases = [phase for phase in record.phases if phase.name != "warm-up"]
    for number, phase in enumerate(phases):
        at = phase.began - start
        text += f'set arrow from {at:.2f}, graph 0 to {at:.2f}, graph 1 nohead dt 3 lc rgb "{DARK}"\n'
        height = 1 + ROW * (0.7 + number % 3)
        text += f'set label "{phase.name}" at {at:.2f}, graph {height:.3f} left tc rgb "{DARK}" font ",10"\n'
    return text


def draw(record, title, time, folder):
    """Writes replay-KEY.svg and .png into the folder; returns their paths."""
    start = record.phase("baseline").began
    series = {which: [(second - start + 0.5, 100 * share) for second, share in record.shares(which)]
              for which in ("good", "bad")}  # fmt: skip
    scale = f"{time.day_s:g} of them are a day of 2014"
    paths = []
    for form, terminal in TERMINALS.items():
        path = folder / f"replay-{record.play}.{form}"
        terminal = terminal.format(width=WIDTH, height=HEIGHT)
        last = record.phases[-1].ended - start
        script = HEAD.format(terminal=terminal, path=path, title=title, scale=scale, first=0, last=f"{last:.1f}")
        script += _marks(record, start) + _block("good", series["good"]) + _block("bad", series["bad"])
        script += (
            f'plot $bad using 1:2 title "bad lookups that reach the sinkhole" with lines lw 2 lc rgb "{BAD}", '
            f'$good using 1:2 title "good lookups answered rightly" with lines lw 2 lc rgb "{GOOD}", '
            f'{100 * WHOLE:g} title "{100 * WHOLE:g} %" with lines dt 2 lc rgb "{DARK}"\n'
        )
        subprocess.run(["gnuplot"], input=script, text=True, check=True)
        paths.append(path)
    return paths
