"""The takeover of 2014, played in network namespaces with real servers: as it happened (a), and by the
protocol of tamis takeover, as a secondary (b1) and by forwarding (b2).

    make replay-2014                  # about a quarter of an hour; NAMES, TIME_SCALE, PLAYS, OUT
    PYTHONPATH=demo /usr/bin/python3 -m replay --help

Exits 0 when in no second of (b1) and (b2) fewer good lookups succeeded than before the takeover.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import provider as made_up
from replay import data, network, plot, report
from replay.as_it_was import AsItWas
from replay.by_protocol import AsForwarder, AsSecondary
from servers import DemoError

PLAYS = {play.key: play for play in (AsItWas, AsSecondary, AsForwarder)}
REPOSITORY = Path(__file__).resolve().parents[2]
HOUR = 3600
SEED = 20140630


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", type=int, default=100_000, help="of all zones (100000)")
    parser.add_argument("--zones", type=int, default=made_up.ZONE_COUNT, help="of the provider (23)")
    parser.add_argument("--listed", type=int, default=made_up.LISTED_COUNT, help="by the order (18472)")
    parser.add_argument("--time-scale", type=float, default=HOUR, help="how much faster than in 2014 (3600)")
    parser.add_argument("--rate", type=float, default=500, help="good lookups a second (500)")
    parser.add_argument("--bad-rate", type=float, default=50, help="lookups of listed names a second (50)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--plays", default="a,b1,b2", help="which of a, b1, b2")
    parser.add_argument("--out", type=Path, default=Path("build/replay-2014"), help="folder for the results")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument("--publish", action="store_true", help="into doc/replay-2014.md")
    arguments = parser.parse_args()
    arguments.plays = arguments.plays.split(",")
    for key in arguments.plays:
        if key not in PLAYS:
            parser.error(f"'{key}' is no play: choose from {', '.join(PLAYS)}")
    if arguments.names < 2000:
        parser.error("--names must be at least 2000: every zone needs some")
    if not 2 <= arguments.zones <= made_up.ZONE_COUNT:
        parser.error("--zones must be from 2, a canary and another, to 23")
    return arguments


def check_machine():
    bin_folder = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")).resolve()
    os.environ["TAMIS_BIN"] = str(bin_folder)
    if os.geteuid() != 0:
        raise DemoError("network namespaces need root: run sudo make replay-2014")
    for program in ("tamis", "tamisd"):
        if not os.access(bin_folder / program, os.X_OK):
            raise DemoError(f"{bin_folder / program} is missing: run make build first")


def play_one(key, shared, folder, arguments):
    """One play in a network of its own."""
    net = network.Network()
    play_folder = folder / key
    play_folder.mkdir()
    print(f"\n({key}) {PLAYS[key].title}", flush=True)
    play = PLAYS[key](net, shared, play_folder, arguments)
    try:
        net.build()
        record = play.run()
    finally:
        play.close()
        net.close()
        keep_logs(play_folder, arguments.out / f"logs-{key}")
    return record


def keep_logs(play_folder, target):
    """What the servers said and which lookups failed, for whoever asks why."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(play_folder.glob("*/log")):
        if path.parent.name != "clients":
            shutil.copy(path, target / f"{path.parent.name}.log")
    for name in ("failures", "tamis.log"):
        if (play_folder / name).exists():
            shutil.copy(play_folder / name, target / name)


def show(records, arguments, time_of):
    print()
    for line in report.plays_table(records):
        print(line)
    for record in records:
        print(f"\n({record.play}) {PLAYS[record.play].title}; failed: {report.ends_line(record)}")
        for line in report.phases_table(record):
            print(line)
        kept = arguments.out / f"replay-{record.play}.json"
        kept.write_text(json.dumps(record.to_json()) + "\n", encoding="utf-8")
        if not arguments.no_plots:
            title = f"2014, {PLAYS[record.play].title}"
            print("  " + ", ".join(map(str, plot.draw(record, title, time_of, arguments.out))))


def publish(records, arguments):
    target = REPOSITORY / "doc" / "replay-2014"
    target.mkdir(exist_ok=True)
    for record in records:
        shutil.copy(arguments.out / f"replay-{record.play}.svg", target)
    titles = {key: play.title for key, play in PLAYS.items()}
    report.publish(REPOSITORY / "doc" / "replay-2014.md", report.figures_text(records, titles, arguments))


def judge(records):
    """The promise is that of (b): good lookups never fall below what they were."""
    code = 0
    for record in records:
        if record.play == "a":
            continue
        breaches = record.breaches()
        if breaches:
            code = 1
            second, share = min(breaches, key=lambda breach: breach[1])
            at = second - record.phase("baseline").began
            print(f"\n({record.play}) {len(breaches)} seconds below the baseline, "
                  f"the lowest {share:.2%} at {at:.0f} s")  # fmt: skip
        else:
            print(f"\n({record.play}) good lookups never fell below the baseline")
    return code


def run(arguments, folder):
    check_machine()
    arguments.out.mkdir(parents=True, exist_ok=True)
    time_of = data.Time(arguments.time_scale)
    started = time.monotonic()
    print(f"The takeover of 2014, {arguments.time_scale:g} times as fast: a day takes {time_of.day_s:g} s",
          flush=True)  # fmt: skip
    shared = data.write(arguments.names, arguments.zones, arguments.listed, time_of, folder, arguments.seed)
    records = [play_one(key, shared, folder, arguments) for key in arguments.plays]
    show(records, arguments, time_of)
    if arguments.publish:
        publish(records, arguments)
    code = judge(records)
    print(f"took {time.monotonic() - started:.0f} s; results in {arguments.out}")
    return code


def main():
    arguments = parse_arguments()
    # kill ends the replay as Ctrl-C does: by way of its own clean-up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="tamis-replay-"))
    try:
        return run(arguments, folder)
    except DemoError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nreplay: stopped", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
