"""The main job of Tamis on one machine: take over the zones of a running provider, sinkhole what an
order lists while its customers go on changing their hosts, prove that nothing else changed, lose the
origin, lift the order. Then the desk at work: hosts, a report, an order's life, an appeal, the ledger. Then
the sinkhole: who connects, who of them is a victim, and the report to who can clean the machines.

    make demo                         # NAMES=5000000 for full size, KEEP=1 to look around after
    /usr/bin/python3 demo/demo.py --help

Exits 0 when every figure is what it must be, 1 when one is not.
"""

import argparse
import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asking
import changing
import desk
import provider as made_up
import servers
import sink
from screen import Screen, duration, size

REPOSITORY = Path(__file__).resolve().parent.parent
ACTIVATION_TRIES = 3  # the bound is tamisd's; one hiccup of a shared machine is not
ACTIVATION_MAX_S = 0.1
LIFT_MAX_S = 1.0
SAMPLE = 500  # names asked while the origin is down
CHANGING, CHANGING_LISTED = 2000, 100  # hosts that get new addresses, and those of them that are listed
UPDATES_MIN = 300
SETTLE_MAX_S = 10
TYPES = "A,AAAA,MX,TXT"


class Demo:
    def __init__(self, names, keep, bin_folder, folder, screen):
        self.names, self.keep, self.bin, self.folder = names, keep, bin_folder, folder
        self.screen = screen
        self.provider = self.order = self.origin = self.front = self.customers = None
        self.desk = desk.DeskDemo(bin_folder, folder / "desk", screen)
        self.sink = sink.SinkDemo(bin_folder, folder / "sink", screen)
        self.start_timeout_s = 60 + names / 20_000

    # ---- The programs ----

    def tamis(self, *arguments, exit_codes=(0,)):
        """Runs a command with --json; returns its exit code and what it said."""
        command = [str(self.bin / "tamis"), *map(str, arguments), "--json"]
        # Progress goes to the terminal as it comes.
        run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        try:
            if run.returncode not in exit_codes:
                raise ValueError
            return run.returncode, json.loads(run.stdout)
        except ValueError:
            said = run.stdout.decode(errors="replace").strip()
            raise servers.DemoError(
                f"tamis {' '.join(map(str, arguments[:2]))} ended with {run.returncode}: {said}"
            ) from None

    def control(self, *arguments):
        return self.tamis("ctl", "-s", self.front.folder / "tamisd.sock", *arguments)[1]

    def prove(self, names_path, *more):
        return self.tamis(
            "prove",
            *("--front", f"{servers.HOST}@{self.front.port}"),
            *("--origin", f"{servers.HOST}@{self.origin.port}"),
            *("--names", names_path),
            *("--types", TYPES),
            *more,
            exit_codes=(0, 1),
        )

    def start_origin(self):
        self.origin.start()
        return sum(
            self.origin.wait_until(
                lambda: asking.is_authority(self.origin.address, zone.name), self.start_timeout_s
            )
            for zone in self.provider.zones
        )

    def stop(self):
        if self.customers is not None:
            self.customers.stop()
        self.desk.stop()
        self.sink.stop()
        for server in (self.front, self.origin):
            if server is not None:
                server.stop()

    # ---- The steps ----

    def run(self):
        for program in ("tamis", "tamisd", "tamis-desk", "tamis-sink"):
            if not os.access(self.bin / program, os.X_OK):
                raise servers.DemoError(f"{self.bin / program} is missing: run make build first")
        steps = (
            self.step_provider,
            self.step_copy,
            self.step_rehearsal,
            self.step_changes,
            self.step_activation,
            self.step_back_and_forth,
            self.step_changes_end,
            self.step_proof,
            self.step_origin_down,
            self.step_lift,
            self.step_proof_after,
        )
        self.screen.title(
            "Tamis: the takeover of 2014, as it should have gone",
            f"{made_up.ZONE_COUNT} zones of a dynamic-DNS provider, {self.names:,} hostnames,",
            f"a court's order that lists {made_up.LISTED_COUNT:,} of them.",
        )
        for step in steps:
            step()
        self.desk.run()
        self.desk.stop()
        self.sink.run()
        if not self.keep:
            self.sink.end()
        self.screen.verdict()
        return 1 if self.screen.failures else 0

    def step_provider(self):
        self.screen.step("The provider", "Debian's Knot DNS, as it runs today.")
        started_s = time.monotonic()
        zones_folder = self.folder / "zones"
        zones_folder.mkdir()
        self.provider = made_up.plan(self.names, zones_folder)
        made_up.write_zones(self.provider)
        self.order = made_up.write_order(self.provider, self.folder)
        self.screen.figure("zone files written in", duration(time.monotonic() - started_s))

        self.secrets = {
            key: base64.b64encode(os.urandom(32)).decode() for key in ("front", "customers")
        }
        port, front_port = servers.free_ports(2)
        self.origin = servers.knotd(
            self.folder / "origin", self.provider, port, front_port, self.secrets
        )
        self.screen.figure("Knot loads them in", duration(self.start_origin()))
        self.front = servers.tamisd(
            self.folder / "front",
            self.provider,
            front_port,
            port,
            self.secrets["front"],
            self.bin / "tamisd",
        )

    def step_copy(self):
        self.screen.step("The copy", "tamisd transfers every zone (AXFR, signed with TSIG).")
        self.front.start()
        took_s = self.front.wait_until(
            lambda: "ready" in self.front.log_path.read_text(errors="replace").split(),
            self.start_timeout_s,
        )
        serving = sum(
            asking.is_authority(self.front.address, zone.name) for zone in self.provider.zones
        )
        self.screen.check(
            "zones served", serving, serving == len(self.provider.zones), "all of them"
        )
        self.screen.figure("copied in", duration(took_s))
        zones = self.control("zones")
        zone_memory = sum(zone["memory_octets"] for zone in zones)
        self.screen.figure("names copied", sum(zone["names"] for zone in zones))
        self.screen.figure("records copied", sum(zone["records"] for zone in zones))
        self.screen.figure(
            "memory of tamisd",
            size(self.front.memory()),
            f"zone data {zone_memory / self.names:.0f} octets a name; "
            f"Knot {size(self.origin.memory())}",
        )

    def step_rehearsal(self):
        self.screen.step("The rehearsal", "What the order would hit, before anything happens.")
        zones = [
            f"--zone={zone.name}={self.provider.zone_path(zone)}" for zone in self.provider.zones
        ]
        started_s = time.monotonic()
        code, report = self.tamis("order", "rehearse", self.order.path, *zones, exit_codes=(0, 1))
        listed, live, dead = report["listed"], len(self.order.live), len(self.order.dead)
        self.screen.figure("rehearsed in", duration(time.monotonic() - started_s))
        self.screen.check(
            "listed names that exist", listed["live"], listed["live"] == live, f"{live:,}"
        )
        self.screen.check(
            "listed names already dead",
            listed["states"]["dead"],
            listed["states"]["dead"] == dead,
            f"{dead:,}, nine in ten as in 2014",
        )
        self.screen.check(
            "zone cuts, apexes, names not ours", listed["refused"], listed["refused"] == 0, "none"
        )
        self.screen.figure(
            "others at the same addresses",
            report["shared"]["names"],
            "untouched: only names are blocked",
        )
        self.screen.figure(
            "others that refer to listed ones",
            report["references"]["names"],
            "as an alias, MX or NS",
        )
        self.screen.check(
            "verdict of the rehearsal",
            "accepted" if report["accepted"] else "refused",
            report["accepted"] and code == 0,
            "accepted",
        )

    def changing_hosts(self):
        """Hosts with an address of their own, listed ones among them, and the zone of each. The one that
        is watched stays as it is."""
        chooser = random.Random(made_up.SEED + 2)
        names = {
            self.provider.host(index)
            for index in chooser.sample(range(self.names), min(self.names // 2, CHANGING))
            if not made_up.is_alias(index)
        }
        for name in self.order.live[1 : CHANGING_LISTED + 1]:
            if len(self.right_answer(name)[1]) == 1:  # an alias has its target beside it
                names.add(name)
        return [(name, name.partition(".")[2]) for name in sorted(names - {self.order.live[0]})]

    def step_changes(self):
        self.screen.step(
            "The customers",
            "From here on hosts get new addresses: signed updates to Knot,",
            "which tells the front (NOTIFY), which asks for the changes (IXFR).",
        )
        hosts = self.changing_hosts()
        self.customers = changing.Customers(
            self.origin.address, "customers", self.secrets["customers"], hosts, made_up.SEED + 3
        )
        self.customers.start()
        self.screen.figure("hosts that change", len(hosts), "by turns, listed ones among them")
        self.screen.figure("updates a second, at most", changing.UPDATES_A_SECOND)

    def right_answer(self, name):
        """What the origin says about a name."""
        return asking.ask(self.origin.address, name)

    def step_activation(self):
        self.screen.step("The activation", "A client asks for a listed name all the while.")
        lost = 0
        for tried in range(1, ACTIVATION_TRIES + 1):
            result, active_s, lost_now = self.activate()
            lost += lost_now
            if active_s <= ACTIVATION_MAX_S or tried == ACTIVATION_TRIES:
                break
            # Something else had the processor or the disk: a slow tamisd is slow again.
            self.screen.figure("active after, on a busy machine", duration(active_s), "lifted, once more")
            self.control("lift", made_up.ORDER_ID)
        self.screen.check(
            "names in force",
            result["names"],
            result["names"] == made_up.LISTED_COUNT and result["refused"] == 0,
            f"all {made_up.LISTED_COUNT:,}, none refused",
        )
        self.screen.figure("time that tamisd took", duration(result["took_ms"] / 1000))
        self.screen.check(
            "first sinkholed answer after",
            duration(active_s),
            active_s <= ACTIVATION_MAX_S,
            f"at most {duration(ACTIVATION_MAX_S)}, the command's start included",
        )
        self.screen.check("answers lost meanwhile", lost, lost == 0, "none")

    def activate(self):
        """Returns what tamisd says, the seconds to the first sinkholed answer, and the answers lost."""
        name = self.order.live[0]
        sinkholed = ("NOERROR", [f"{name}. {made_up.SINKHOLE_A}"])
        with asking.Watcher(self.front.address, name, sinkholed) as watcher:
            started_s = time.monotonic()
            result = self.control("activate", self.order.path)
            first_s = watcher.wait_first(5)
        return result, float("inf") if first_s is None else first_s - started_s, watcher.lost

    def show_proof(self, code, report, listed):
        """What tamis prove found; listed is how many names it had to find sinkholed."""
        names, answers = report["names"], report["answers"]
        self.screen.figure("names asked", names["listed"] + names["unlisted"])
        self.screen.figure(
            "answers compared",
            answers["compared"],
            f"{duration(report['seconds'])}, {answers['compared'] / report['seconds']:,.0f}/s",
        )
        if listed:
            right = names["listed"] - names["listed_wrong"]
            self.screen.check("listed names sinkholed", right, right == listed, f"all {listed:,}")
            if answers["blocked_alias"]:
                self.screen.figure(
                    "answers by an alias of one",
                    answers["blocked_alias"],
                    "end at the sinkhole, too",
                )
        self.screen.check(
            "other names that differ" if listed else "names that differ",
            names["unlisted_different"],
            names["unlisted_different"] == 0,
            "none",
        )
        self.screen.check(
            "verdict of tamis prove",
            "proved" if report["proved"] else "not proved",
            report["proved"] and code == 0,
            "proved",
        )
        for example in report["examples"][:3]:
            self.screen.write(f"   {example['name']} {example['type']}: {example['detail']}")

    def step_proof(self):
        self.screen.step("The proof", f"Front and origin, asked for every name: {TYPES}.")
        code, report = self.prove(self.provider.names_path, "--order", self.order.path)
        self.show_proof(code, report, made_up.LISTED_COUNT)

    def step_back_and_forth(self):
        self.screen.step("Lifted, and in force again", "Hosts go on changing, listed ones too.")
        before = self.customers.acknowledged
        self.check_sinkholed("listed names sinkholed")
        self.check_lift(self.right_answer(self.order.live[0]))
        result, active_s, lost = self.activate()
        self.screen.figure("first sinkholed answer after", duration(active_s))
        self.screen.check("answers lost meanwhile", lost, lost == 0, "none")
        self.check_sinkholed("listed names sinkholed again")
        self.screen.figure("updates meanwhile", self.customers.acknowledged - before)

    def check_sinkholed(self, label):
        """Of listed names alone: any other may differ while the front is behind by a change."""
        _, report = self.prove("/dev/null", "--order", self.order.path)
        right = report["names"]["listed"] - report["names"]["listed_wrong"]
        self.screen.check(
            label, right, right == made_up.LISTED_COUNT, f"all {made_up.LISTED_COUNT:,}"
        )

    def step_changes_end(self):
        self.screen.step("The customers rest", "What they were told is what the front answers.")
        customers = self.customers
        while customers.is_alive() and customers.acknowledged < UPDATES_MIN and not customers.failed:
            time.sleep(0.01)
        customers.stop()
        self.screen.check(
            "updates that Knot acknowledged",
            customers.acknowledged,
            customers.acknowledged > 0 and customers.failed == 0,
            "all that were sent",
        )
        settled_s = self.settle()
        self.screen.check(
            "front has Knot's serials after",
            duration(settled_s),
            settled_s < SETTLE_MAX_S,
            f"within {SETTLE_MAX_S} s",
        )
        listed = set(self.order.live)
        others = [name for name in customers.last if name not in listed]
        right = sum(
            f"{name}. {customers.last[name]}" in asking.ask(self.front.address, name)[1]
            for name in others
        )
        self.screen.check(
            "changed hosts, their last address", right, right == len(others), f"all {len(others):,}"
        )
        log = self.front.log_path.read_text(errors="replace")
        changes = len(re.findall(r": serial \d+ to \d+ from ", log))
        whole = len(re.findall(r": serial \d+ from ", log)) - len(self.provider.zones)
        self.screen.check("transfers of changes alone", changes, changes > 0, "some")
        self.screen.figure("transfers of a whole zone", whole, "that Knot gave in their place")

    def settle(self):
        """Waits until the front has every serial of the origin; returns the seconds it took."""
        wanted = {
            zone.name: asking.serial(self.origin.address, zone.name) for zone in self.provider.zones
        }
        return self.front.wait_until(
            lambda: all(
                asking.serial(self.front.address, zone) == serial for zone, serial in wanted.items()
            ),
            SETTLE_MAX_S,
        )

    def sample_of_others(self):
        """Some names that the order leaves alone, with what the origin says about each."""
        chooser = random.Random(made_up.SEED + 1)
        listed = set(self.order.live)
        answers = {}
        for index in chooser.sample(range(self.names), min(self.names, 3 * SAMPLE)):
            name = self.provider.host(index)
            if name in listed or len(answers) == SAMPLE:
                continue
            rcode, records = self.right_answer(name)
            # An alias of a listed name ends at the sinkhole.
            if not any(record.partition(". ")[0] in listed for record in records):
                answers[name] = rcode, records
        return answers

    def step_origin_down(self):
        self.screen.step("The origin stops", "Nobody must notice.")
        before = self.sample_of_others()
        self.lifted_answer = self.right_answer(self.order.live[0])
        self.origin.stop()
        right = sum(asking.ask(self.front.address, name) == before[name] for name in before)
        self.screen.check(
            "answers as the origin gave them", right, right == len(before), f"all {len(before):,}"
        )

    def step_lift(self):
        self.screen.step("The lift", "The order falls; the origin is still down.")
        self.check_lift(self.lifted_answer)

    def check_lift(self, lifted_answer):
        name = self.order.live[0]
        with asking.Watcher(self.front.address, name, lifted_answer) as watcher:
            started_s = time.monotonic()
            result = self.control("lift", made_up.ORDER_ID)
            first_s = watcher.wait_first(5)
        lifted_s = float("inf") if first_s is None else first_s - started_s
        self.screen.figure("time that tamisd took", duration(result["took_ms"] / 1000))
        self.screen.check(
            "first right answer after",
            duration(lifted_s),
            lifted_s < LIFT_MAX_S,
            f"under {duration(LIFT_MAX_S)}, the command's start included",
        )
        self.screen.check("answers lost meanwhile", watcher.lost, watcher.lost == 0, "none")

    def step_proof_after(self):
        self.screen.step("The proof after the lift", "The origin is back; every listed name again.")
        self.start_origin()
        self.show_proof(*self.prove(self.order.names_path), listed=0)

    # ---- Looking around ----

    def show_how_to_look(self):
        dig = f"dig @{servers.HOST} -p {self.front.port}"
        control = f"{self.bin / 'tamis'} ctl -s {self.front.folder / 'tamisd.sock'}"
        sinkhole, processes = self.sink.how_to_look()
        stop = " ".join(map(str, ["kill", self.front.process.pid, self.origin.process.pid, *processes]))
        self.screen.write("\nBoth servers and the sinkhole go on. Look around:\n")
        for line in (
            f"{dig} {self.order.live[0]} A",
            f"{control} activate {self.order.path}",
            f"{dig} {self.order.live[0]} A",
            f"{control} stats",
            f"{control} lift {made_up.ORDER_ID}",
            *sinkhole,
        ):
            self.screen.write(f"   {line}")
        self.screen.write(f"\nand when done:\n\n   {stop}; sleep 1; rm -r {self.folder}")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Takes over a made-up provider's zones on loopback and proves every figure.",
        epilog="example: demo/demo.py --names 5000000 --keep",
    )
    parser.add_argument("--names", type=int, default=200_000, help="hostnames (default: 200000)")
    parser.add_argument("--keep", action="store_true", help="leave the servers running")
    arguments = parser.parse_args()
    if not 1000 <= arguments.names <= 5_000_000:
        parser.error("--names goes from 1000 to 5000000")
    return arguments


def main():
    arguments = parse_arguments()
    # kill ends the demo as Ctrl-C does: by way of its own clean-up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bin_folder = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")).resolve()
    folder = Path(tempfile.mkdtemp(prefix="tamis-demo-"))
    demo = Demo(arguments.names, arguments.keep, bin_folder, folder, Screen())
    finished = False
    try:
        code = demo.run()
        finished = True
    except servers.DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        code = 130
    finally:
        if not (finished and arguments.keep):
            demo.stop()
            shutil.rmtree(folder, ignore_errors=True)
    if finished and arguments.keep:
        demo.show_how_to_look()
    return code


if __name__ == "__main__":
    sys.exit(main())
