"""Tamis beside Knot, NSD, BIND, PowerDNS and dnsdist, in one run on one machine.

    /usr/bin/python3 bench/bench.py [--names N] [--rounds N] [--only queries,orders] ...
    /usr/bin/python3 bench/bench.py publish [--noisy] bench/results/RUN.json...

The first measures, prints the tables and writes RUN.json with plots beside it. The second makes runs
the reference of doc/benchmarks.md. The method is told there.
"""

import argparse
import datetime
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "tests"), str(ROOT / "bench")]

# pylint: disable=wrong-import-position
import contenders  # noqa: E402
import machine  # noqa: E402
import measure  # noqa: E402
import quiet  # noqa: E402
import report  # noqa: E402
from pieces import PIECES  # noqa: E402
from stage import Stage, say  # noqa: E402

SIZE_STEP = 5  # between the two numbers of names that growth is judged by, unless told
SCALE = (1_000_000, 5_000_000, 20_000_000)


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def measure_piece(stage, name, before):
    """Its figures with their circumstances, so that each piece can stand for itself."""
    options = stage.options
    stage.accounts = []
    started = now()
    figures = PIECES[name].measure(stage)
    return {
        "when": started,
        "until": now(),
        "names": options.names,
        "options": {key: getattr(options, key) for key in ("rounds", "seconds", "starts", "pairs")},
        "machine": machine.describe(stage.cores),
        "tamis": contenders.tamis_version(),
        "versions": contenders.versions(options.peers),
        "noise": quiet.summary(before, stage.accounts),
        "figures": figures,
    }


def run(options, path):
    """Measures the pieces; what is measured is saved at once, so that a piece that fails late takes
    none of the others with it."""
    results = {"format": report.FORMAT, "pieces": {}}
    stage = Stage(options)
    before = quiet.look_before(stage.cores)
    if before["others_before"] > quiet.OTHERS_MAX:
        say(f"the machine is busy (others use {before['others_before']:.0%} of the cores): figures will wobble; "
            "a quiet one is worth waiting for")
    try:
        for name in options.only:
            results["pieces"][name] = measure_piece(stage, name, before)
            say(f"{name}: {quiet.line(results['pieces'][name]['noise'])}")
            report.save(results, path)
    finally:
        stage.close()
    return results


# ---- the command line ----


def numbers(text):
    return tuple(int(part.replace("_", "")) for part in text.split(","))


def chosen_from(known):
    def parse(text):
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {unknown[0]}; known: {', '.join(known)}")
        return [name for name in known if name in names]
    return parse


def parse_options(arguments):
    parser = argparse.ArgumentParser(description="Tamis beside other name servers.")
    parser.add_argument("--only", type=chosen_from(PIECES), default=list(PIECES),
                        help=f"pieces of the benchmark, of {','.join(PIECES)} (default: all)")
    parser.add_argument("--names", type=int, default=1_000_000, help="hostnames in the 23 zones (default 1000000)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="of one measurement (default 3)")
    parser.add_argument("--starts", type=int, default=3, help="starts of each server (default 3)")
    parser.add_argument("--pairs", type=int, help="measurements with and without an order (default: three a round)")
    parser.add_argument("--peers", type=chosen_from(contenders.PEERS), default=list(contenders.PEERS),
                        help=f"of {','.join(contenders.PEERS)} (default: all)")
    parser.add_argument("--orders", type=numbers, default=(18_472, 1_000_000, 5_000_000),
                        help="sizes of orders (default 18472,1000000,5000000)")
    parser.add_argument("--parts", type=numbers, default=(1, 100), help="documents for each of them (default 1,100)")
    parser.add_argument("--sizes", type=numbers,
                        help="numbers of names that growth is shown for (default: a fifth of NAMES, and NAMES)")
    parser.add_argument("--scale", dest="sizes", action="store_const", const=SCALE,
                        help="growth at 1, 5 and 20 million names")
    parser.add_argument("--work", default=str(ROOT / "build" / "bench-work"), help="where the workload is kept")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    options = parser.parse_args(arguments)
    options.pairs = options.pairs or 3 * options.rounds
    options.sizes = options.sizes or (options.names // SIZE_STEP, options.names)
    return options


def publish(arguments):
    parser = argparse.ArgumentParser(prog="bench.py publish", description="Makes runs the reference.")
    parser.add_argument("--noisy", action="store_true", help="although the machine was busy; the page will say so")
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    report.publish(options.runs, ROOT, options.noisy)
    return 0


def main(arguments):
    if arguments[:1] == ["publish"]:
        return publish(arguments[1:])
    options = parse_options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with it
    folder = ROOT / "bench" / "results"
    path = folder / f"{now().replace(':', '').replace('+0000', 'Z')}.json"
    try:
        results = run(options, path)
    except measure.BadAnswers as error:
        print(f"bench: {error}; look at its settings in bench/contenders.py", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130

    report.draw(results, path.with_suffix(""))
    report.print_tables(results)
    print(f"\n{path.relative_to(ROOT)} has the figures of every round; its plots are in the folder beside it")
    return 1 if options.strict and not report.all_met(results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
