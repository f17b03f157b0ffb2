"""The sinkhole of Tamis at work: listed names lead to it, infected machines, hunters of controllers and
scanners connect, and it counts the victims, which are known here, without a mistake.

    make demo                         # after the main job and the desk
    /usr/bin/python3 demo/sink.py     # this alone
"""

import collections
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asking
import servers
import sink_parts as parts
from screen import Screen, duration

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))
from testbed import mmdb, sink_traffic  # noqa: E402

PLAY_S = 12  # for ten days
HOLD_S = 0.5  # a bot waits for a command
SCANNED_PORTS = [22, 80, 443, 445, 3389]
START_TIMEOUT_S = SETTLE_TIMEOUT_S = 30
COMMAND_TIMEOUT_S = 60


class SinkDemo:
    def __init__(self, bin_folder, folder, screen):
        self.bin, self.folder, self.screen = bin_folder, folder, screen
        self.name_server = self.sink = self.view = None

    def run(self):
        self.folder.mkdir()
        for step in (
            self.step_start,
            self.step_traffic,
            self.step_count,
            self.step_report,
            self.step_page,
        ):
            step()

    def stop(self):
        """Ends what runs; once more does no harm."""
        if self.view is not None:
            self.view.terminate()
            self.view.wait()
        for server in (self.sink, self.name_server):
            if server is not None:
                server.stop()

    def end(self):
        """The end in order: what is open is recorded."""
        self.stop()
        code = self.sink.process.returncode
        self.screen.check("exit code of tamis-sink", code, code == 0, "0")

    # ---- Commands ----

    @property
    def socket(self):
        return self.sink.folder / "tamis-sink.sock"

    def command(self, *arguments):
        """The words of a command about the sinkhole's events."""
        config = self.sink.folder / "tamis-sink.yaml"
        return [str(self.bin / "tamis"), "sink", *arguments, "-c", str(config)]

    def live_command(self, *options):
        return [str(self.bin / "tamis"), "sink", "live", *options, "-s", str(self.socket)]

    def output(self, command):
        run = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if run.returncode != 0:
            said = run.stderr.strip()
            raise servers.DemoError(f"{' '.join(command[:3])} ended with {run.returncode}: {said}")
        return run.stdout

    def show(self, command, lines_max=100):
        """Runs a command and shows what a person sees of it."""
        words = [Path(command[0]).name, *command[1:]]
        for folder in (self.sink.folder, self.folder):
            words = [word.removeprefix(f"{folder}/") for word in words]
        self.screen.write(f"\n   $ {' '.join(words)}")
        text = self.output(command)
        for line in text.splitlines()[:lines_max]:
            self.screen.write(f"   {line}".rstrip())
        self.screen.write()
        return text

    def live(self):
        return json.loads(self.output(self.live_command("--json")))

    # ---- The steps ----

    def step_start(self):
        self.screen.step(
            "The sinkhole",
            "Two orders, whose names lead to two addresses; tamis-sink listens there,",
            "and tamisd tells it which listed names were asked for, and of no others.",
        )
        self.population = sink_traffic.Population(
            sink_traffic.PLAYED_SEED, sink_traffic.PLAYED
        )
        orders = parts.write_orders(self.folder)
        networks = mmdb.write(self.folder / "networks.mmdb", sink_traffic.networks(self.population))
        answers = self.folder / "answers.sock"
        port, bots_port, *others = servers.free_ports(2 + len(SCANNED_PORTS))
        self.ports = dict(zip(SCANNED_PORTS, others))
        self.bots_port = bots_port
        folder = self.folder / "tamis-sink"
        folder.mkdir()
        self.sink = parts.sink(
            folder,
            [bots_port, *others],
            orders,
            answers,
            networks,
            REPOSITORY / "rules",
            self.bin / "tamis-sink",
        )
        self.sink.start()
        took_s = self.sink.wait_until(
            lambda: "ready" in self.sink.log_path.read_text(errors="replace").splitlines(),
            START_TIMEOUT_S,
        )
        self.screen.figure("tamis-sink ready after", duration(took_s), "keys made, rules compiled")
        self.name_server = parts.name_server(
            self.folder / "ns1", port, orders, answers, self.bin / "tamisd"
        )
        self.name_server.start()
        self.name_server.wait_until(
            lambda: asking.is_authority(self.name_server.address, parts.ZONE), START_TIMEOUT_S
        )
        lead = sum(
            self.has_address(number, parts.ADDRESSES[number * 2 // parts.LISTED])
            for number in range(parts.LISTED)
        )
        self.screen.check(
            "listed names that lead to it", lead, lead == parts.LISTED, f"all {parts.LISTED}"
        )
        others = range(parts.LISTED, parts.HOSTS)
        untouched = sum(self.has_address(number, parts.address(number)) for number in others)
        self.screen.check(
            "other names untouched", untouched, untouched == len(others), "all the others"
        )

    def has_address(self, number, address):
        name = parts.name(number)
        return asking.ask(self.name_server.address, name)[1] == [f"{name}. {address}"]

    def step_traffic(self):
        self.screen.step(
            "Who connects",
            "Ten days in a few seconds, invented, so that the truth is known: check-ins of",
            "njRAT, njw0rm and H-Worm by infected machines and by who pretends to be one.",
        )
        bots = [bot for bot in self.population.bots if bot.first is not None]
        infected = sum(bot.truth == sink_traffic.VICTIM for bot in bots)
        others = {event.address for event in self.population.events if event.bot is None}
        self.screen.figure("infected machines", infected, "some behind NAT, some with ever new addresses")
        self.screen.figure("ids of hunters and sandboxes", len(bots) - infected)
        self.screen.figure("scanners and crawlers", len(others))
        self.start_view()
        started_s = time.monotonic()
        self.resolver = parts.Resolver(self.name_server.address)
        self.sent = sink_traffic.play(
            self.population, self.place_of, PLAY_S, HOLD_S, parts.name_of
        )
        took_s = time.monotonic() - started_s
        self.wait_for_census()
        self.end_view()
        rate = f"{len(self.sent) / took_s:,.0f} connections a second"
        self.screen.figure("played in", duration(took_s), rate)
        self.screen.figure("addresses that came", len({event.address for event in self.sent}))
        status = self.status()
        written = status["log"]["written"]
        self.screen.check(
            "connections recorded", written, written == len(self.sent), f"all {len(self.sent):,}"
        )
        self.screen.check(
            "listed names asked for before",
            status["answers"]["listed"],
            status["answers"]["listed"] > 0,
            "told by tamisd (dnstap)",
        )

    def place_of(self, event):
        """Where a machine connects to: it asks for its controller's name first; who scans asks nobody."""
        name = parts.name_of(event)
        if name is not None:
            address = self.resolver.address(event.address, name)
        else:
            address = parts.ADDRESSES[event.port % len(parts.ADDRESSES)]
        return address, self.bots_port if event.bot is not None else self.ports[event.port]

    def status(self):
        return asking.control(self.socket, "status")

    def wait_for_census(self):
        self.sink.wait_until(
            lambda: self.status()["census"]["events"] >= len(self.sent), SETTLE_TIMEOUT_S
        )

    def start_view(self):
        """On a terminal, what happens is seen as it happens."""
        if self.screen.stream.isatty() and sys.stdin.isatty():
            self.view = subprocess.Popen(self.live_command())

    def end_view(self):
        if self.view is not None:
            self.view.terminate()
            self.view.wait()
            self.view = None

    def truth(self):
        """The last connection of each victim that was here for long enough to be proven."""
        sink_traffic.as_played(self.population)
        provable = self.population.provable(parts.PERSISTENCE_S, parts.CHECKINS_MIN)
        last = {id(event.bot): event for event in self.sent if event.bot is not None}
        return [last[id(bot)] for bot in provable]

    def step_count(self):
        self.screen.step("The count", "Who is counted, and how that is known: doc/sinkhole.md.")
        self.show(self.live_command("--once"))
        self.show(self.command("top", "--by", "country"))
        self.victims = self.truth()
        truth, proven = len(self.victims), self.live()["classes"]["proven"]
        self.screen.check("victims here for long enough", truth, truth > 0, "as they were played")
        self.screen.check("proven victims", proven, proven == truth, f"{truth}, the known truth")
        wanted = collections.Counter((event.family, event.address) for event in self.victims)
        found = collections.Counter(
            (row["family"], row["address"])
            for row in json.loads(self.output(self.command("report", "--all", "--json")))
        )
        wrong, missed = found - wanted, wanted - found
        self.screen.check("of them, no victims", wrong.total(), not wrong, "none")
        self.screen.check("victims missed", missed.total(), not missed, "none")
        top = json.loads(self.output(self.command("top", "--by", "country", "--json")))
        proven = {cut["key"]: cut["classes"]["proven"] for cut in top["cuts"]}
        countries = {country: count for country, count in proven.items() if count > 0}
        truth = collections.Counter(event.country[0] for event in self.victims)
        self.screen.check(
            "countries with their victims",
            len(countries),
            countries == truth,
            " ".join(sorted(truth)),
        )

    def step_report(self):
        networks = collections.Counter(event.country[1] for event in self.victims)
        asn, count = networks.most_common(1)[0]
        self.screen.step(
            "The report",
            f"For who runs AS{asn}: sealed addresses are opened here, and nowhere else.",
        )
        text = self.show(self.command("report", "--asn", str(asn)), 4)
        rows = list(csv.DictReader(io.StringIO(text)))
        addresses = sorted(event.address for event in self.victims if event.country[1] == asn)
        right = sorted(row["src_ip"] for row in rows) == addresses
        self.screen.check(
            "machines to clean (CSV)", len(rows), right, f"{count}, by their last addresses"
        )
        machines = json.loads(self.output(self.command("report", "--asn", str(asn), "--json")))
        right = sorted(machine["address"] for machine in machines) == addresses
        self.screen.check("the same as JSON", len(machines), right, str(count))
        named = sum(machine["name"] in parts.listed(0) + parts.listed(1) for machine in machines)
        self.screen.figure("with the name that led them here", named)

    def step_page(self):
        self.screen.step("The page", "What a person sees who comes here with a browser.")
        name = parts.name(0)
        address = self.resolver.address(servers.HOST, name)
        wanted = ("This is a sinkhole", parts.ORDERS[0], parts.notice(0), parts.CONTACT)
        for scheme, port in (("http", self.ports[80]), ("https", self.ports[443])):
            place = ["--resolve", f"{name}:{port}:{address}", f"{scheme}://{name}:{port}/"]
            head, _, body = self.output(["curl", "-sS", "-i", "-k", *place]).partition("\n\n")
            lines = [line for line in head.splitlines() if line.startswith("Sinkhole: ")]
            header = lines[0] if lines else "no header"
            says = parts.ORDERS[0] in header and all(text in body for text in wanted)
            self.screen.check(
                f"{scheme}://{name}", "a sinkhole" if says else "else", says, "order and contact named"
            )
        self.screen.write(f"   {header}")

    # ---- Looking around ----

    def how_to_look(self):
        """Commands for who looks around, and the processes that go on."""
        port, name = self.ports[80], parts.name(0)
        return [
            " ".join(self.live_command()),
            " ".join(self.command("top", "--by", "asn")),
            f"curl --resolve {name}:{port}:{parts.ADDRESSES[0]} http://{name}:{port}/",
        ], [self.sink.process.pid, self.name_server.process.pid]


def main():
    bin_folder = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")).resolve()
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="tamis-demo-") as folder:
        demo = SinkDemo(bin_folder, Path(folder) / "sink", screen)
        try:
            demo.run()
            demo.end()
        except servers.DemoError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\ndemo: stopped", file=sys.stderr)
            return 130
        finally:
            demo.stop()
    screen.verdict()
    return 1 if screen.failures else 0


if __name__ == "__main__":
    sys.exit(main())
