"""What the servers hold and what they are asked: the demo's provider with its 23 zones, mixes of
queries, and orders. Everything follows from the number of names and a seed."""

import bisect
import itertools
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import provider as made_up

SEED = 20140630
POPULAR_COUNT = 10_000
POPULAR_OF_NAMES = 10  # but at most one in so many
MIX_QUERIES = 1_000_000  # of one round: as many as a fast server answers in five seconds
PACED_QUERIES = 100_000
UPDATE_STEP = 7_368_787  # a prime: spreads updates over the zones, and names every host
LIVE_EVERY = 10  # of the listed: as it was with the court's list
LIVE_OF_NAMES = 50  # at most one name in so many is listed
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SHARE_TOLERANCE = 0.01  # of right answers by kind, over what was asked for

HITS, FLOOD, NODATA, LISTED, MIXED = "hits", "flood", "nodata", "listed", "mixed"
MIXES = {
    HITS: "80 % popular names, 15 % any name, 5 % NXDOMAIN",
    FLOOD: "random names that do not exist",
    NODATA: "AAAA of names that have none",
    LISTED: "names of an order",
    MIXED: "60 % of the hits' mix, 20 % NODATA, 15 % NXDOMAIN, 5 % names of an order",
}
# Shares of what each mix asks for: popular names, any name, missing names, missing types, listed names.
SHARES = {
    HITS: (0.80, 0.15, 0.05, 0, 0),
    FLOOD: (0, 0, 1, 0, 0),
    NODATA: (0, 0, 0, 1, 0),
    LISTED: (0, 0, 0, 0, 1),
    MIXED: (0.48, 0.09, 0.18, 0.20, 0.05),
}
ONCE_TYPES = ("A", "AAAA", "TXT", "MX")

ORDER = """\
id: {name}
kind: court
authority: "US District Court, D. Nevada, 2:14-cv-00987"
starts: 2014-06-30T12:00:00Z
ends: 2099-01-01T00:00:00Z
action: sinkhole
sinkhole: {{ a: [{a}], aaaa: ["{aaaa}"], ttl: 60 }}
notice: https://desk.example/orders/{name}
names-file: {name}.txt
"""


@dataclass(frozen=True)
class Question:
    name: str
    type: str
    expected: str  # what tests/load/paced_load compares with: an address, or NXDOMAIN


class Asker:
    """Draws names as clients would."""

    def __init__(self, workload, seed):
        self.provider = workload.provider
        self.popular = [self._address_of(index) for index in workload.popular]
        self.listed_names = workload.smallest_orders.names_path.read_text(encoding="ascii").split()
        self.random = random.Random(seed)

    def _address_of(self, index):
        while made_up.is_alias(index):  # whose answer is another host's
            index -= 1
        return Question(host_name(self.provider, index), "A", made_up.address(index))

    def one_popular(self):
        return self.random.choice(self.popular)

    def any(self):
        return self._address_of(self.random.randrange(self.provider.names))

    def missing(self):
        label = "".join(self.random.choices(LETTERS, k=12))
        zone = zone_of(self.provider, self.random.randrange(self.provider.names))
        return Question(f"{label}.{zone.name}", "A", "NXDOMAIN")

    def without_type(self):
        """What a client with IPv4 and IPv6 asks beside most of its questions."""
        index = self.random.randrange(self.provider.names)
        while made_up.is_alias(index) or index % made_up.EVERY_AAAA == 3:
            index = self.random.randrange(self.provider.names)
        return Question(host_name(self.provider, index), "AAAA", "")

    def listed(self):
        return Question(self.random.choice(self.listed_names), "A", made_up.SINKHOLE_A)

    def draw(self, mix, count):
        kinds = (self.one_popular, self.any, self.missing, self.without_type, self.listed)
        return (kind() for kind in self.random.choices(kinds, SHARES[mix], k=count))


@dataclass(frozen=True)
class OrderPart:
    name: str
    path: Path


@dataclass(frozen=True)
class Orders:
    """So many listed names, as one order or as several."""

    size: int
    parts: list
    names_path: Path

    @property
    def key(self):
        return f"{self.size}/{len(self.parts)}"


class Zones:
    """What a server needs of a workload to start with these."""

    def __init__(self, zones):
        self.zones = zones


class Workload:
    """Files of one size and seed, made once and kept for the next run."""

    def __init__(self, names, order_sizes, folder):
        self.folder = folder / str(names)
        self.provider = made_up.plan(names, self.folder / "zones")
        self.order_sizes = sorted(order_sizes)
        done = self.folder / "done"
        if not done.exists():
            self.provider.folder.mkdir(parents=True, exist_ok=True)
            made_up.write_zones(self.provider)
            done.touch()

    @property
    def names(self):
        return self.provider.names

    @property
    def zones(self):
        """As the test bed's servers take them."""
        return [(zone.name, self.provider.zone_path(zone)) for zone in self.provider.zones]

    @cached_property
    def popular(self):
        """The same hosts in every round, by index."""
        return random.Random(SEED).sample(range(self.names), min(POPULAR_COUNT, self.names // POPULAR_OF_NAMES))

    @cached_property
    def lasting(self):
        """The same zones with TTLs of a day: what a cache has learnt, it still knows at the end of a run."""
        folder = self.folder / "lasting"
        folder.mkdir(exist_ok=True)
        zones = Zones([(name, folder / path.name) for name, path in self.zones])
        for (name, path), (_, lasting_path) in zip(self.zones, zones.zones):
            if not lasting_path.exists():
                _write(lasting_path, _lasting_lines(name, path))
        return zones

    # ---- queries ----

    def mix_path(self, mix, round_number):
        """Queries for dnsperf: other ones in each round, the same for all servers of a round."""
        path = self.folder / f"{mix}-{self.smallest_orders.size}-{round_number}.dnsperf"
        if not path.exists():
            asker = Asker(self, f"{SEED} {mix} {round_number}")
            _write(path, (f"{q.name} {q.type}\n" for q in asker.draw(mix, MIX_QUERIES)))
        return path

    def once_paths(self):
        """No question twice in all of it, a quarter of the names to begin with and the others: each name
        for its first type before any for the next."""
        paths = self.folder / "once-first.dnsperf", self.folder / "once.dnsperf"
        if not paths[1].exists():
            chosen = random.Random(f"{SEED} once").sample(range(self.names), min(self.names, 2 * MIX_QUERIES))
            for path, part in zip(paths, (chosen[:len(chosen) // 4], chosen[len(chosen) // 4:])):
                lines = (f"{host_name(self.provider, index)} {rdtype}\n" for rdtype in ONCE_TYPES for index in part)
                _write(path, itertools.islice(lines, MIX_QUERIES))
        return paths

    def nxdomain_share(self, mix, blocks):
        """Of the answers of a server that answers right, at least and at most."""
        share = SHARES[mix][2]
        if not blocks:
            share += SHARES[mix][4] * dead_share(self.smallest_orders.size, self.names)
        return share - SHARE_TOLERANCE, share + SHARE_TOLERANCE

    def paced_path(self):
        """Queries with what is expected, for tests/load/paced_load."""
        path = self.folder / "paced"
        if not path.exists():
            asker = Asker(self, f"{SEED} paced")
            _write(path, (f"{q.name} {q.expected}\n" for q in asker.draw(HITS, PACED_QUERIES)))
        return path

    # ---- updates ----

    def updated_host(self, number):
        """By index: each once before the first comes again, and no alias, which would have to go first."""
        index = number * UPDATE_STEP % self.names
        return index - 1 if made_up.is_alias(index) else index

    def update(self, number):
        """A host, and the address that it gets."""
        return host_name(self.provider, self.updated_host(number)), made_up.address(number + 1)

    def write_updates(self, path, first, count):
        """For dnsperf -u: a new address for so many hosts."""
        with open(path, "w", encoding="ascii") as file:
            for number in range(first, first + count):
                host, address = self.update(number)
                label, _, zone = host.partition(".")
                file.write(f"{zone}\ndelete {label} A\nadd {label} 60 A {address}\nsend\n")

    # ---- orders ----

    def listed_names(self):
        """Without end, so that a smaller order lists the first names of a larger one. One in ten is
        alive, but none that is popular, and of all names only a few: so the mix of hits is answered
        as without the order, or two kinds of answer would be compared."""
        provider, popular = self.provider, set(self.popular)
        chooser = random.Random(f"{SEED} listed")  # another draw than that of the popular ones
        live_count = self.names // LIVE_OF_NAMES
        drawn = chooser.sample(range(self.names), min(live_count + len(popular), self.names))
        live = itertools.islice((index for index in drawn if index not in popular), live_count)
        dead = itertools.count(self.names)  # same form, but no host has these labels
        for number in itertools.count():
            index = next(live, None) if number % LIVE_EVERY == 0 else None
            if index is not None:
                yield host_name(provider, index)
            else:
                yield f"{made_up.host_label(next(dead))}.{chooser.choice(provider.zones).name}"

    def orders(self, size, part_count):
        folder = self.folder / "orders"
        folder.mkdir(exist_ok=True)
        names_path = folder / f"{size}.txt"
        if not names_path.exists():
            _write(names_path, (f"{name}\n" for name in itertools.islice(self.listed_names(), size)))
        names = [f"bench-{size}-{part_count}-{number}" for number in range(part_count)]
        parts = [OrderPart(name, folder / f"{name}.yaml") for name in names]
        if not all(part.path.exists() for part in parts):
            lines = names_path.read_text(encoding="ascii").splitlines(keepends=True)
            for number, part in enumerate(parts):
                _write(part.path.with_suffix(".txt"), lines[number::part_count])
                _write(part.path, [ORDER.format(name=part.name, a=made_up.SINKHOLE_A, aaaa=made_up.SINKHOLE_AAAA)])
        return Orders(size, parts, names_path)

    @cached_property
    def smallest_orders(self):
        """What a set in memory can do as well."""
        return self.orders(self.order_sizes[0], 1)


def zone_of(provider, index):
    return provider.zones[bisect.bisect_right(provider.zones, index, key=lambda zone: zone.first) - 1]


def host_name(provider, index):
    return f"{made_up.host_label(index)}.{zone_of(provider, index).name}"


def dead_share(listed, names):
    """Of an order's names, those that do not exist."""
    return 1 - min(-(-listed // LIVE_EVERY), names // LIVE_OF_NAMES) / listed


def _lasting_lines(name, path):
    head = made_up.HEAD.format(zone=name)
    lasting = head.replace("$TTL 60\n", "$TTL 86400\n").replace("@ 3600 SOA", "@ SOA").replace(" 60\n@", " 86400\n@")
    with open(path, encoding="ascii") as file:
        file.seek(len(head))
        yield lasting
        yield from file


def _write(path, lines):
    """A file that is there is whole: it gets its name when it is."""
    part = path.with_suffix(path.suffix + ".part")
    with open(part, "w", encoding="ascii") as file:
        file.writelines(lines)
    part.rename(path)
