"""A dynamic-DNS provider, made up: its zones, its hosts, and the order that lists some of them.

Everything follows from the number of names and a seed, so a run can be repeated. Addresses come
from 100.64.0.0/10 and 2001:db8::/32, which nobody on the Internet owns.
"""

import itertools
import multiprocessing
import random
import signal
from dataclasses import dataclass
from pathlib import Path

ZONE_COUNT = 23
LISTED_COUNT = 18_472  # as in the court's papers of 2014
LIVE_COUNT = 1_847  # nine in ten entries of that list were dead
SEED = 20140630
ORDER_ID = "nv-2014-00987"
SINKHOLE_A = "192.0.2.66"
SINKHOLE_AAAA = "2001:db8::66"
NOTICE = "https://desk.example/orders/nv-2014-00987"

# One name in so many carries, beside or instead of its A record:
EVERY_AAAA = 10
EVERY_CNAME = 100
EVERY_MX = 100
EVERY_TXT = 100
EVERY_WILDCARD = 1000
EVERY_SHARED_ADDRESS = 50  # the address of the name before it
EVERY_MISSING = 100  # a name to ask for that nobody has

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
TRIPLES = ["".join(digits) for digits in itertools.product(DIGITS, repeat=3)]
LABELS = len(TRIPLES) ** 2  # host-xxxxxx, six digits of base 36
LABEL_STEP = 1_140_671_485  # without a common factor with LABELS: every index has its own label
ADDRESS_STEP = 2_654_435  # odd: spreads indices over the 22 bits of 100.64.0.0/10

HEAD = """\
$ORIGIN {zone}.
$TTL 60
@ 3600 SOA ns1 hostmaster 2014063000 3600 600 1209600 60
@ 3600 NS ns1
@ 3600 NS ns2
ns1 3600 A 192.0.2.1
ns2 3600 A 192.0.2.2
@ MX 10 mail
@ A 192.0.2.80
www A 192.0.2.80
mail A 192.0.2.25
"""
HEAD_NAMES = ("", "ns1.", "ns2.", "www.", "mail.")


@dataclass(frozen=True)
class Zone:
    name: str
    first: int  # index of its first host among the hosts of all zones
    count: int


@dataclass(frozen=True)
class Provider:
    zones: list[Zone]
    names: int
    folder: Path

    def zone_path(self, zone):
        return self.folder / f"{zone.name}.zone"

    @property
    def names_path(self):
        """Every name to ask for, one a line: all that exist and some that don't."""
        return self.folder / "names.txt"

    def host(self, index):
        zone = next(zone for zone in self.zones if index < zone.first + zone.count)
        return f"{host_label(index)}.{zone.name}"


@dataclass(frozen=True)
class Order:
    path: Path
    names_path: Path
    live: list[str]
    dead: list[str]


def host_label(index):
    number = index * LABEL_STEP % LABELS
    return "host-" + TRIPLES[number // len(TRIPLES)] + TRIPLES[number % len(TRIPLES)]


def address(index):
    if index % EVERY_SHARED_ADDRESS == 1:
        index -= 1
    bits = index * ADDRESS_STEP & 0x3FFFFF
    return f"100.{64 + (bits >> 16)}.{bits >> 8 & 255}.{bits & 255}"


def is_alias(index):
    return index % EVERY_CNAME == 7


def host_records(index, zone):
    """The zone file's lines for one host."""
    label = host_label(index)
    if is_alias(index):
        # The host before is in the same zone, or it is www.
        return f"{label} CNAME {host_label(index - 1) if index > zone.first else 'www'}\n"
    lines = f"{label} A {address(index)}\n"
    if index % EVERY_AAAA == 3:
        lines += f"{label} AAAA 2001:db8:{index >> 16:x}:{index & 0xFFFF:x}::1\n"
    if index % EVERY_MX == 11:
        lines += f"{label} MX 10 mail\n"
    if index % EVERY_TXT == 13:
        lines += f'{label} TXT "registered {index}"\n'
    if index % EVERY_WILDCARD == 17:
        lines += f"*.{label} A {address(index)}\n"
    return lines


def plan(names, folder, zone_count=ZONE_COUNT):
    """Shares the names out: the first zones are the popular ones, as with any provider."""
    weights = [1 / (rank + 3) for rank in range(zone_count)]
    counts = [int(names * weight / sum(weights)) for weight in weights]
    counts[0] += names - sum(counts)
    firsts = itertools.accumulate(counts, initial=0)
    zones = [
        Zone(f"z{rank:02}.example", first, count)
        for rank, first, count in zip(range(1, zone_count + 1), firsts, counts)
    ]
    return Provider(zones, names, folder)


def write_zone(path, zone):
    """Writes one zone file; returns its names and the names of its zone to ask for, as text."""
    hosts = range(zone.first, zone.first + zone.count)
    with open(path, "w", encoding="ascii") as file:
        file.write(HEAD.format(zone=zone.name))
        file.writelines(host_records(index, zone) for index in hosts)

    ask = [f"{prefix}{zone.name}\n" for prefix in HEAD_NAMES]
    ask += [f"{host_label(index)}.{zone.name}\n" for index in hosts]
    for index in hosts:
        if index % EVERY_WILDCARD == 17:
            ask.append(f"anything.{host_label(index)}.{zone.name}\n")
        if index % EVERY_MISSING == 19:
            ask.append(f"missing-{index}.{zone.name}\n")
    return "".join(ask)


def leave_signals_to_parent():
    """Ctrl-C reaches every process of a terminal: the parent ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def write_zones(provider):
    work = [(provider.zone_path(zone), zone) for zone in provider.zones]
    with multiprocessing.Pool(initializer=leave_signals_to_parent) as pool:
        with open(provider.names_path, "w", encoding="ascii") as file:
            file.writelines(pool.starmap(write_zone, work, chunksize=1))


def write_order(provider, folder, order_id=ORDER_ID, listed_count=LISTED_COUNT, live_count=LIVE_COUNT):
    """The order: some hosts that exist, and nine times as many that nobody has any more."""
    chooser = random.Random(SEED)
    live_count = min(live_count, provider.names // 2)
    live = [provider.host(index) for index in chooser.sample(range(provider.names), live_count)]
    # Labels of indices beyond the last host: same form, but no host has them.
    dead = [
        f"{host_label(provider.names + number)}.{chooser.choice(provider.zones).name}"
        for number in range(listed_count - live_count)
    ]
    listed = live + dead
    chooser.shuffle(listed)

    order = Order(folder / f"{order_id}.yaml", folder / f"{order_id}.txt", live, dead)
    order.names_path.write_text("".join(f"{name}\n" for name in listed), encoding="ascii")
    order.path.write_text(
        f"""\
id: {order_id}
kind: court
authority: "US District Court, D. Nevada, 2:14-cv-00987"
starts: 2014-06-30T12:00:00Z
ends: 2099-01-01T00:00:00Z
action: sinkhole
sinkhole: {{ a: [{SINKHOLE_A}], aaaa: ["{SINKHOLE_AAAA}"], ttl: 60 }}
notice: {NOTICE}
names-file: {order.names_path.name}
""",
        encoding="ascii",
    )
    return order
