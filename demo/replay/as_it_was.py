"""Play (a): what happened in 2014."""

import signal

from replay import network
from replay.play import Play

SEIZED_SERVER = "ns7.seized.example."
# What the server of 2014 forwarded is not known, but that it was far too little.
CAPACITY_SHARE = 0.1


class AsItWas(Play):
    key, title = "a", "as it happened"

    def story(self):
        zones = self.data.zones
        capacity = self.settings.rate * CAPACITY_SHARE
        seized = self.world.add_python(
            "seized", "seized", "replay.seized",
            network.SEIZED, network.PROVIDER[0], network.SINKHOLE, self.data.bad_path, capacity,
        )  # fmt: skip
        seized.start()
        seized.wait_until(lambda: "ready" in seized.log_path.read_text(), 30)

        self.phase("taken, empty answers", "all delegations move at once; NOERROR and nothing but the parent's NS")
        for zone in zones:
            self.world.delegate(zone, [SEIZED_SERVER])
        self.hold(1)
        self.phase("taken, forwarding", f"listed names are sinkholed; the rest forwarded, {capacity:.0f} a second")
        seized.process.send_signal(signal.SIGUSR1)
        self.hold(1.5)
        self.phase("given back", "the delegations go back, and the server is switched off at once")
        for zone in zones:
            self.world.delegate(zone, [f"ns1.{zone}.", f"ns2.{zone}."])
        self.world.stop_server(seized)
        self.hold(1.25)
        self.phase("afterwards", "the last cached delegation has expired")
        self.hold(0.5)
