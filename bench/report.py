"""From the figures of a run to tables and plots, and to the verdict on each of our targets."""

import json
import math
import re
import sys

import quiet
from pieces import PIECES
from table import Table

FORMAT = 2  # of a file of results


def targets(name, run):
    return list(PIECES[name].targets(run))


def all_met(results):
    return all(target.met for name, run in results["pieces"].items() for target in targets(name, run))


def _number(value):
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.0f}"


def _target_table(results):
    rows = []
    for name, run in results["pieces"].items():
        for target in targets(name, run):
            interval = ""
            if target.interval:
                is_known = math.isfinite(target.interval[0])
                interval = " to ".join(map(_number, target.interval)) if is_known else "too few"
            rows.append([target.what, f"{_number(target.figure)} {target.unit}".strip(), interval,
                         f"at {'least' if target.at_least else 'most'} {_number(target.bound)} {target.unit}".strip(),
                         target.verdict])
    return Table("Targets", ["", "measured", "interval", "target", ""], rows)


def circumstances(run):
    machine, options = run["machine"], run["options"]
    return (f"Measured {run['when'][:16].replace('T', ' ')} UTC: tamisd {run['tamis']}; "
            f"{', '.join(run['versions'].values())}; {machine['cpu']}{', virtual' if machine['virtual'] else ''}, "
            f"{machine['cores']} cores, {machine['memory_gib']:.0f} GiB, Linux {machine['kernel']}; "
            f"{run['names']:,} names, {options['rounds']} rounds of {options['seconds']} s, "
            f"{options['starts']} starts; {quiet.line(run['noise'])}.")


def _noise_warning(run):
    complaints = quiet.complaints(run["noise"])
    return f"The machine was not quiet ({'; '.join(complaints)}): these figures wobble." if complaints else ""


def print_tables(results, stream=sys.stdout):
    for name, run in results["pieces"].items():
        print(f"== {name}\n{circumstances(run)}", file=stream)
        if _noise_warning(run):
            print(_noise_warning(run), file=stream)
        for table in PIECES[name].tables(run):
            print("\n" + table.text(), end="", file=stream)
        print(file=stream)
    table = _target_table(results)
    if table.rows:
        print(table.text(), end="", file=stream)


def draw(results, folder):
    """Returns what was drawn of each piece, as pairs (file name, what it shows)."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: PIECES[name].draw(run, folder) for name, run in results["pieces"].items()}


def markdown(results, drawn):
    parts = [_target_table(results).markdown()]
    for name, run in results["pieces"].items():
        parts.append(f"### {name}\n\n{circumstances(run)}\n")
        if _noise_warning(run):
            parts.append(f"**{_noise_warning(run)}**\n")
        if drawn[name]:
            parts.append("".join(f"![{text}](benchmarks/{file})\n" for file, text in drawn[name]))
        parts += [table.markdown() for table in PIECES[name].tables(run)]
    return "\n".join(parts)


# ---- the reference ----


def load(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    if results.get("format") != FORMAT:
        raise SystemExit(f"bench: {path} is of another format; measure again")
    return results


def save(results, path):
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    # A line for a list of numbers, not for each of them.
    text = re.sub(r"\[[^][{}\"]*\]", lambda match: " ".join(match[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")


def merged(all_results):
    """The last run of each piece. A piece compares only what it measured itself, so pieces of different
    runs may stand side by side."""
    pieces = {}
    for results in all_results:
        pieces.update(results["pieces"])
    return {"format": FORMAT, "pieces": {name: pieces[name] for name in PIECES if name in pieces}}


def publish(paths, root, despite_noise):
    """Makes the pieces of these runs the reference: their figures, plots and tables replace the last
    ones; pieces that none of them has stay."""
    reference = root / "bench" / "results" / "reference.json"
    results = merged([load(path) for path in paths])
    for name, run in results["pieces"].items():
        if quiet.complaints(run["noise"]) and not despite_noise:
            raise SystemExit(f"bench: {name}: {_noise_warning(run)} Run it again (ONLY={name}), or publish with "
                             "--noisy")
    if reference.exists():
        results = merged([load(reference), results])

    page = root / "doc" / "benchmarks.md"
    text = markdown(results, draw(results, root / "doc" / "benchmarks"))
    whole, count = re.subn(r"(<!-- figures -->\n).*(<!-- end of figures -->)",
                           lambda match: match[1] + text + "\n" + match[2], page.read_text(encoding="utf-8"),
                           flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"bench: {page} has no place for the figures")
    page.write_text(whole, encoding="utf-8")
    save(results, reference)
