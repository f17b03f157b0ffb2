"""What stands in front of an origin and asks it, the origins, and the zone that is flooded."""

import json
import random
import urllib.request
from pathlib import Path

import provider as made_up

import contenders
from testbed.process import LOOPBACK, free_port
from workload import LETTERS, SEED, Zones

CACHE_SIZE = "1G"  # room for as many answers as dnsdist's cache has entries


class Origin(contenders.Nsd):
    """Of all fronts: it holds the workload with TTLs that outlast a run."""

    zone_settings = f"    provide-xfr: {LOOPBACK} NOKEY\n"

    def begin(self, workload):
        super().begin(workload.lasting)


class Secondary(contenders.Tamis):
    """The same answers from a copy of the zones."""

    def __init__(self, directory, origin):
        super().__init__(directory)
        self.origin = origin

    def zone(self, name, path):
        return {"name": name, "secondary": {"from": [f"{LOOPBACK}@{self.origin.port}"]}}


class Forwarding(contenders.Tamis):
    """Answers from what it has asked the origin. `settings`: of each zone."""

    holds_zones = False

    def __init__(self, directory, origin, settings=None):
        super().__init__(directory)
        self.origin, self.settings = origin, settings or {}

    def zone(self, name, path):
        return {"name": name, "forward": {"to": [f"{LOOPBACK}@{self.origin.port}"], **self.settings}}

    @property
    def helper_pids(self):
        return self.origin.pids


class Remembering(Forwarding):
    """With room for all that it is asked. The default is full in a second when nothing is asked twice."""

    server_settings = {"cache": {"size": CACHE_SIZE}}


class Dnsdist(contenders.Cache):
    """The same with dnsdist. An order in force is its list from the start."""

    def __init__(self, directory, origin, orders=None):
        super().__init__(directory)
        self.origin, self.orders = origin, orders
        self.blocks = orders is not None

    def begin(self, workload):
        self.begin_cache(self.origin.port, self.orders and self.orders.names_path)

    @property
    def helper_pids(self):
        return self.origin.pids


# ---- the flood ----

FLOODED = "flooded.example"
GOOD_NAMES = 3_000
GOOD_TTL_S = 10  # so that good names, too, need the origin all the time
CAPACITY = 800  # messages a second: BIND's limit, with the slack, is 1,000 at most
CAPACITY_SLACK = 1.25  # its seconds are not the front's
LEARN_OTHERS = 10  # good names to one that nobody has: there are always some


class LimitedOrigin(contenders.Bind):
    """An origin that can answer so many messages a second, and drops the others: its rate limit without
    regard to what is asked, and without cookies, whose owners it would not limit."""

    options = (f"rate-limit {{ all-per-second {CAPACITY * CAPACITY_SLACK:.0f}; window 1; slip 0; }}; "
               "answer-cookie no;")

    def __init__(self, directory):
        super().__init__(directory)
        self.counters_port = free_port()
        self.statements = (f"statistics-channels {{ inet {LOOPBACK} port {self.counters_port} "
                           f"allow {{ {LOOPBACK}; }}; }};")

    def asked(self):
        """Queries that have come, by its own count."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.counters_port}/json/v1/server", timeout=10) as reply:
            return json.load(reply)["opcodes"]["QUERY"]


class FloodedZone(Zones):
    """One zone of names that are asked for, and names that nobody has ever heard of."""

    def __init__(self, folder):
        self.folder = Path(folder)
        hosts = [(made_up.host_label(index), made_up.address(index)) for index in range(GOOD_NAMES)]
        head = made_up.HEAD.format(zone=FLOODED).replace("$TTL 60\n", f"$TTL {GOOD_TTL_S}\n")
        zone_path = self._write(f"{FLOODED}.zone", [head, *(f"{label} A {address}\n" for label, address in hosts)])
        super().__init__([(FLOODED, zone_path)])

        draw = random.Random(f"{SEED} flooded")
        good = [f"{label}.{FLOODED} {address}\n" for label, address in hosts]
        learnt = [line for number, line in enumerate(good)
                  for line in ([_random_name(draw), line] if number % LEARN_OTHERS == 0 else [line])]
        self.learn_count = len(learnt)
        self.learn_path = self._write("learn", learnt)
        self.good_path = self._write("good", good)

    def flood_path(self, size):
        """So many names, other ones for each size."""
        path = self.folder / f"flood-{size}"
        if not path.exists():
            draw = random.Random(f"{SEED} flood {size}")
            self._write(path.name, (_random_name(draw) for _ in range(size)))
        return path

    def _write(self, name, lines):
        path = self.folder / name
        with open(path, "w", encoding="ascii") as file:
            file.writelines(lines)
        return path


def _random_name(draw):
    return f"{''.join(draw.choices(LETTERS, k=12))}.{FLOODED} NXDOMAIN\n"
