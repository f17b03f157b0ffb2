"""Plays (b1) and (b2): the same takeover with tamis takeover, as a secondary and by forwarding."""

import json
import os
import subprocess
import time
from pathlib import Path

import provider as made_up
from replay import network
from replay.play import LOOK_S, Play
from servers import DemoError

FRONT_SERVER = "ns1.front.example"
FLOOD_FACTOR = 10  # of the provider's line
RETURNS = 6  # commands at a time
CONTROL_RATE = 8000  # questions a second of copy and shadow: less than the provider's line takes


class ByProtocol(Play):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.bin = Path(os.environ.get("TAMIS_BIN", "build/bin")).resolve()
        self.front = None
        self.output = open(self.folder / "tamis.log", "w", encoding="utf-8")

    # ---- The front and its plan ----

    def zone_entry(self, zone):
        raise NotImplementedError

    def start_front(self):
        folder = self.folder / "front"
        folder.mkdir()
        config = {
            "server": {"listen": [f"{network.FRONT}@53"], "workers": 1, "state": "state", "control": "tamisd.sock"},
            "keys": [{"name": "replay", "algorithm": "hmac-sha256", "secret": self.world.secret}],
            "zones": [self.zone_entry(zone) for zone in self.data.zones],
        }
        (folder / "tamisd.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")
        self.front = self.world.add("front", "front", [self.bin / "tamisd", "-c", folder / "tamisd.yaml"])
        self.front.start()
        self.front.wait_until(lambda: "ready" in self.front.log_path.read_text(errors="replace").split(), 60)

    def write_plan(self):
        origin = f"{network.PROVIDER[0]}@53"
        parent = f"{network.TLD}@53"
        plan = {
            "state": "takeover",
            "front": {"address": f"{network.FRONT}@53", "control": str(self.folder / "front" / "tamisd.sock")},
            "parents": [parent],
            "name-servers": [{"name": FRONT_SERVER, "addresses": [network.FRONT]}],
            "delegation": {
                "parent-zone": "example",
                "ttl": self.data.time.day_ttl,
                "update": {"server": parent, "key": "replay", "secret": self.world.secret},
            },
            "types": ["A"],
            "gate": {"queries": min(10_000, self.settings.names // 100)},
            # The machine is shared with all the others here: latency is not what is looked at.
            "canary": {"seconds": 1, "interval": 1, "sample": 200, "latency-ms-max": 1000},
            "return": {"quiet-seconds": 3},
            "domains": [
                {
                    "name": zone,
                    "origins": [origin],
                    "order": str(self.data.order.path),
                    "names": str(self.data.names_path(zone)),
                }
                for zone in self.data.zones
            ],
        }
        (self.folder / "plan.yaml").write_text(json.dumps(plan, indent=1), encoding="utf-8")

    # ---- Commands ----

    def tamis_all(self, commands, codes=(0,)):
        """Runs tamis on the operator's machine, several at a time, while the clients go on asking."""
        runs = []
        try:
            for arguments in commands:
                words = " ".join(map(str, arguments))
                self.output.write(f"$ tamis {words}\n")
                self.output.flush()
                command = self.world.net.inside("operator", self.bin / "tamis", *arguments)
                output = {"stdin": subprocess.DEVNULL, "stdout": self.output, "stderr": self.output}
                runs.append((words, subprocess.Popen(command, **output)))
            while any(run.poll() is None for _, run in runs):
                time.sleep(LOOK_S)
                self.world.check_alive()
                self.check_codes(runs, codes)
        finally:
            for _, run in runs:
                if run.poll() is None:
                    run.terminate()
                    run.wait()
        self.check_codes(runs, codes)

    def check_codes(self, runs, codes):
        for words, run in runs:
            if run.poll() is not None and run.returncode not in codes:
                said = (self.folder / "tamis.log").read_text(encoding="utf-8").splitlines()[-10:]
                raise DemoError("\n    ".join([f"tamis {words} ended with {run.returncode}:", *said]))

    def tamis(self, *arguments):
        self.tamis_all([arguments])

    def takeover(self, step, *more):
        self.tamis("takeover", step, self.folder / "plan.yaml", *more)

    def control(self, *arguments):
        self.tamis("ctl", "-s", self.folder / "front" / "tamisd.sock", *arguments)

    # ---- The story ----

    def story(self):
        self.prepare()
        self.take()
        self.attack()
        self.give_back()

    def prepare(self):
        self.phase("copy, shadow, gate", "nothing moves before every known name was compared")
        self.start_front()
        self.control("activate", self.data.order.path)
        self.write_plan()
        self.takeover("plan")
        for step in ("copy", "shadow"):
            self.takeover(step, "--rate", CONTROL_RATE)
        self.takeover("gate")

    def take(self):
        canary = self.data.zones[-1]
        self.phase("canary, go", f"{canary} first, then one domain after the other, each watched")
        self.takeover("canary", canary)
        self.takeover("go", *self.data.zones[:-1])
        self.phase("taken", "until the last old delegation has expired, and on")
        self.hold(1.25)

    def attack(self):
        mbit = network.PROVIDER_LINE_MBIT * FLOOD_FACTOR
        self.phase("provider flooded", f"{mbit} Mbit/s into its line of {network.PROVIDER_LINE_MBIT}")
        flood = self.world.add_python(
            "flood", "attacker", "replay.flood",
            mbit, self.settings.seed, ",".join(network.PROVIDER), ",".join(self.data.zones),
        )  # fmt: skip
        flood.start()
        self.hold(1)
        self.world.stop_server(flood)
        self.phase("flood over")
        self.hold(0.25)

    def give_back(self):
        self.phase("order lifted", "the front answers as the provider does, for every name")
        self.control("lift", made_up.ORDER_ID)
        self.hold(0.5)
        self.phase("return, drain", "the delegations go back; the front answers until nobody asks it")
        # First all, since none is done as long as queries come for another. Then each proves for some
        # seconds that it is quiet: several side by side, as many as the control socket takes.
        plan, zones = self.folder / "plan.yaml", self.data.zones
        self.tamis_all([("takeover", "return", plan, "--no-wait")], codes=(0, 1))
        parts = [zones[first::RETURNS] for first in range(min(RETURNS, len(zones)))]
        self.tamis_all([("takeover", "return", plan, *part) for part in parts])
        self.phase("front stopped")
        self.world.stop_server(self.front)
        self.hold(0.5)
        self.takeover("status")

    def close(self):
        super().close()
        self.output.close()


class AsSecondary(ByProtocol):
    key, title = "b1", "with Tamis, as a secondary"
    with_transfer = True

    def zone_entry(self, zone):
        return {"name": zone, "secondary": {"from": [f"{network.PROVIDER[0]}@53"], "key": "replay"}}


class AsForwarder(ByProtocol):
    key, title = "b2", "with Tamis, forwarding"

    def zone_entry(self, zone):
        return {"name": zone, "forward": {"to": [f"{address}@53" for address in network.PROVIDER]}}
