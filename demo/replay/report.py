"""The tables of a run, for the terminal and, as Markdown, for doc/replay-2014.md."""

from replay.live import percent
from replay.measure import WHOLE

BEGIN, END = "<!-- figures: make replay-2014 -->", "<!-- end of figures -->"


def table(heads, rows, markdown):
    """The first column is a text, the others numbers."""
    cells = [heads, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]

    def line(row):
        padded = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "| " + " | ".join(padded) + " |" if markdown else "  " + "   ".join(padded)

    rule = "|" + "|".join("-" * (width + 1) + (":" if at else "-") for at, width in enumerate(widths)) + "|"
    return [line(heads), *([rule] if markdown else []), *map(line, rows)]


def plays_table(records, markdown=False):
    heads = ["", *(f"({record.play})" for record in records)]
    figures = [record.figures() for record in records]
    rows = [
        ["baseline: lowest second before", *(percent(entry["baseline"]) for entry in figures)],
        ["good lookups after it", *(f"{entry['lookups']:,}" for entry in figures)],
        ["of these not answered rightly", *(f"{entry['failed']:,}" for entry in figures)],
        ["answered rightly after more than a second", *(f"{entry['slow']:,}" for entry in figures)],
        ["lowest second", *(percent(entry["lowest"]) for entry in figures)],
        [f"seconds below {100 * WHOLE:g} %", *(str(entry["below_whole_s"]) for entry in figures)],
        ["seconds below the baseline", *(str(entry["below_baseline_s"]) for entry in figures)],
        ["connections that the sinkhole counted", *(f"{entry['connections']:,}" for entry in figures)],
    ]
    return table(heads, rows, markdown)


def phases_table(record, markdown=False):
    kinds = record.kinds()
    heads = ["phase", "seconds", "good lookups", "failed", "slow", "share", "lowest second", *kinds, "bad at the sinkhole"]
    rows = [
        [
            row["phase"],
            f"{row['seconds']:.0f}",
            f"{row['lookups']:,}",
            f"{row['failed']:,}",
            f"{row['slow']:,}",
            percent(row["share"]),
            percent(row["lowest"]),
            *(percent(row["by_kind"][kind]) for kind in kinds),
            percent(row["sinkholed"]),
        ]
        for row in record.phase_figures()
    ]
    return table(heads, rows, markdown)


def ends_line(record):
    ends = record.failures()
    return ", ".join(f"{end} {count:,}" for end, count in ends.items()) or "none"


def figures_text(records, titles, settings):
    """What stands between the marks of doc/replay-2014.md."""
    lines = [
        f"{settings.names:,} names, {settings.rate:g} good and {settings.bad_rate:g} bad lookups a second, "
        f"time {settings.time_scale:g} times as fast, seed {settings.seed}.",
        "",
        *plays_table(records, markdown=True),
    ]
    for record in records:
        lines += ["", f"### ({record.play}) {titles[record.play]}", ""]
        lines += [f"![shares over time](replay-2014/replay-{record.play}.svg)", ""]
        lines += phases_table(record, markdown=True)
        lines += ["", f"How the failed ones ended: {ends_line(record)}."]
    return "\n".join(lines)


def publish(path, text):
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
