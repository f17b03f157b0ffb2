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


class ByProtocol(Play):
    mode = ""  # of the plan

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
                    "mode": self.mode,
                    "origins": [origin],
                    "order": str(self.data.order.path),
                    "names": str(self.data.names_path(zone)),
                }
                for zone in self.data.zones
            ],
        }
        (self.folder / "plan.yaml").write_text(json.dumps(plan, indent=1), encoding="utf-8")

    # ---- Commands ----

    def tamis(self, *arguments):
        """Runs tamis on the operator's machine, while the clients go on asking."""
        words = " ".join(map(str, arguments))
        self.output.write(f"$ tamis {words}\n")
        self.output.flush()
        command = self.world.net.inside("operator", self.bin / "tamis", *arguments)
        run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)
        try:
            while run.poll() is None:
                time.sleep(LOOK_S)
                self.world.check_alive()
        finally:
            if run.poll() is None:
                run.terminate()
                run.wait()
        if run.returncode != 0:
            said = (self.folder / "tamis.log").read_text(encoding="utf-8").splitlines()[-10:]
            raise DemoError("\n    ".join([f"tamis {words} ended with {run.returncode}:", *said]))

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
        for step in ("plan", "copy", "shadow", "gate"):
            self.takeover(step)

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
        self.takeover("return")
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
    mode = "secondary"  # this machine is given no transfer, and cannot see that the front is

    def zone_entry(self, zone):
        return {"name": zone, "secondary": {"from": [f"{network.PROVIDER[0]}@53"], "key": "replay"}}


class AsForwarder(ByProtocol):
    key, title = "b2", "with Tamis, forwarding"
    mode = "forward"

    def zone_entry(self, zone):
        return {"name": zone, "forward": {"to": [f"{address}@53" for address in network.PROVIDER]}}
