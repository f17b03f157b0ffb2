"""A small Internet of network namespaces: one for each machine, all at one bridge.

Names carry the process id, so that runs side by side don't meet, and what close() takes away is only
what this run made.
"""

import os
import subprocess

from servers import DemoError

PREFIX_BITS = 24

# The machines. The provider's two addresses are those of its zones, see demo/provider.py.
ROOT = "192.0.2.3"
TLD = "192.0.2.4"
PROVIDER = ("192.0.2.1", "192.0.2.2")
SEIZED = "192.0.2.20"  # the name server of 2014
FRONT = "192.0.2.30"
RESOLVERS = {"unbound": "192.0.2.41", "kresd": "192.0.2.42", "bind": "192.0.2.43"}
CLIENTS = "192.0.2.50"
SINKHOLE = "192.0.2.66"
ATTACKER = "192.0.2.90"
OPERATOR = "192.0.2.100"  # who runs tamis

MACHINES = {
    "root": (ROOT,),
    "tld": (TLD,),
    "provider": PROVIDER,
    "seized": (SEIZED,),
    "front": (FRONT,),
    **{kind: (address,) for kind, address in RESOLVERS.items()},
    "clients": (CLIENTS,),
    "sinkhole": (SINKHOLE,),
    "attacker": (ATTACKER,),
    "operator": (OPERATOR,),
}

# What the provider's line carries inwards, and how many packets wait for it.
PROVIDER_LINE_MBIT = 20
PROVIDER_QUEUE = 200


def run_quietly(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"{' '.join(command)}: {done.stderr.strip()}")


class Network:
    def __init__(self):
        self.prefix = f"replay{os.getpid()}-"
        self.namespaces = []

    def build(self):
        switch = self._add("switch")
        run_quietly("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
        run_quietly("ip", "-n", switch, "link", "set", "bridge", "up")
        for machine, addresses in MACHINES.items():
            self._plug(machine, addresses, switch)
        self._narrow(switch, "provider")

    def _add(self, machine):
        name = self.prefix + machine
        run_quietly("ip", "netns", "add", name)
        self.namespaces.append(name)
        run_quietly("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def _plug(self, machine, addresses, switch):
        name = self._add(machine)
        peer = ("peer", "name", machine, "netns", switch)
        run_quietly("ip", "-n", name, "link", "add", "line", "type", "veth", *peer)
        run_quietly("ip", "-n", switch, "link", "set", machine, "master", "bridge", "up")
        for address in addresses:
            run_quietly("ip", "-n", name, "addr", "add", f"{address}/{PREFIX_BITS}", "dev", "line")
        run_quietly("ip", "-n", name, "link", "set", "line", "up")

    def _narrow(self, switch, machine):
        """Bounds what reaches a machine. A queue that counts packets, as routers have: one that counts
        octets would let small queries in where the flood's large packets no longer fit."""
        tc = ("tc", "-n", switch, "qdisc", "add", "dev", machine)
        rate = ("rate", f"{PROVIDER_LINE_MBIT}mbit", "burst", "32kb", "latency", "100ms")
        run_quietly(*tc, "root", "handle", "1:", "tbf", *rate)
        run_quietly(*tc, "parent", "1:1", "pfifo", "limit", str(PROVIDER_QUEUE))

    def inside(self, machine, *command):
        """The command, to be run on a machine. ip execs it: its process id stays."""
        return ["ip", "netns", "exec", self.prefix + machine, *map(str, command)]

    def close(self):
        """With its namespace go a machine's interfaces, and with these their ends at the bridge."""
        while self.namespaces:
            subprocess.run(["ip", "netns", "del", self.namespaces.pop()], capture_output=True, check=False)
