"""What the servers hold and what they are asked: the demo's provider with its 23 zones, mixes of
queries, and orders. Everything follows from the number of names and a seed."""

import bisect
import random
from dataclasses import dataclass
from pathlib import Path

import provider as made_up

SEED = 20140630
POPULAR_COUNT = 10_000
POPULAR_SHARE = 0.80
MISSING_SHARE = 0.05
MIX_QUERIES = 1_000_000  # of one round: as many as a fast server answers in five seconds
PACED_QUERIES = 100_000
LIVE_EVERY = 50  # at most one name in so many is listed
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"

HITS, FLOOD = "hits", "flood"
MIXES = {
    HITS: "80 % popular names, 15 % any name, 5 % NXDOMAIN",
    FLOOD: "random names that do not exist",
}
# Share of NXDOMAIN that a right server gives: below the first or above the second, the answers are
# not what was asked for, and the run stops.
NXDOMAIN_SHARES = {HITS: (0.04, 0.06), FLOOD: (0.999, 1.0)}


@dataclass(frozen=True)
class Question:
    name: str
    expected: str  # what tests/load/paced_load compares with: an address, or NXDOMAIN


class Asker:
    """Draws names as clients would."""

    def __init__(self, provider, seed):
        self.provider = provider
        self.firsts = [zone.first for zone in provider.zones]
        self.random = random.Random(seed)
        # The same names are popular in every round.
        popular = random.Random(SEED)
        count = min(POPULAR_COUNT, provider.names)
        self.popular = [self._host(index) for index in popular.sample(range(provider.names), count)]

    def _zone_of(self, index):
        return self.provider.zones[bisect.bisect_right(self.firsts, index) - 1]

    def _host(self, index):
        while made_up.is_alias(index):  # whose answer is another host's
            index -= 1
        name = f"{made_up.host_label(index)}.{self._zone_of(index).name}"
        return Question(name, made_up.address(index))

    def any(self):
        return self._host(self.random.randrange(self.provider.names))

    def missing(self):
        label = "".join(self.random.choices(LETTERS, k=12))
        zone = self._zone_of(self.random.randrange(self.provider.names))
        return Question(f"{label}.{zone.name}", "NXDOMAIN")

    def mixed(self):
        draw = self.random.random()
        if draw < POPULAR_SHARE:
            return self.random.choice(self.popular)
        return self.missing() if draw < POPULAR_SHARE + MISSING_SHARE else self.any()

    def draw(self, mix, count):
        ask = self.mixed if mix == HITS else self.missing
        return (ask() for _ in range(count))


@dataclass(frozen=True)
class Workload:
    """Files of one size and seed, made once and kept for the next run."""

    provider: made_up.Provider
    folder: Path
    orders: dict  # by number of listed names

    @property
    def zones(self):
        """As the test bed's servers take them."""
        return [(zone.name, self.provider.zone_path(zone)) for zone in self.provider.zones]

    def mix_path(self, mix, round_number):
        """Queries for dnsperf: other ones in each round, the same for all servers of a round."""
        path = self.folder / f"{mix}-{round_number}.dnsperf"
        asker = Asker(self.provider, f"{SEED} {mix} {round_number}")
        _write_once(path, (f"{q.name} A\n" for q in asker.draw(mix, MIX_QUERIES)))
        return path

    def paced_path(self):
        """Queries with what is expected, for tests/load/paced_load."""
        path = self.folder / "paced"
        asker = Asker(self.provider, f"{SEED} paced")
        _write_once(path, (f"{q.name} {q.expected}\n" for q in asker.draw(HITS, PACED_QUERIES)))
        return path


def order_id(size):
    return f"bench-{size}"


def _write_once(path, lines):
    """A file that is there is whole: it gets its name when it is."""
    if path.exists():
        return
    part = path.with_suffix(".part")
    with open(part, "w", encoding="ascii") as file:
        file.writelines(lines)
    part.rename(path)


def make(names, order_sizes, folder):
    """The workload in `folder`, made now unless it is there."""
    zones = folder / "zones"
    provider = made_up.plan(names, zones)
    done = folder / "done"
    if not done.exists():
        zones.mkdir(parents=True, exist_ok=True)
        made_up.write_zones(provider)
    orders = {}
    for count in order_sizes:
        # One in ten is alive, as it was with the court's list; but of all names only so many that
        # the mix is answered as without the order, or two kinds of answer would be compared.
        live_count = min(count // 10, names // LIVE_EVERY)
        orders[count] = made_up.write_order(provider, folder, order_id(count), count, live_count)
    done.touch()
    return Workload(provider, folder, orders)
