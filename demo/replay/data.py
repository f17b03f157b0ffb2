"""What the world of the replay knows: the provider's zones, the parent's, the order, and who asks what."""

import random
from dataclasses import dataclass

import provider as made_up
from replay import network

LIVE_COUNT = 2000  # of the listed names, as the press said
DAY_S = 86400
HOST_TTL_S = 60
TTL_MIN_S = 2  # the least with which a resolver's cache does anything

# As in demo/provider.py, but for the TTLs, which follow the scale of time.
ZONE_HEAD = """\
$ORIGIN {zone}.
$TTL {host_ttl}
@ {day} SOA ns1 hostmaster 2014063000 3600 600 1209600 {host_ttl}
@ {day} NS ns1
@ {day} NS ns2
ns1 {day} A {ns1}
ns2 {day} A {ns2}
@ MX 10 mail
@ A 192.0.2.80
www A 192.0.2.80
mail A 192.0.2.25
"""

ROOT_ZONE = """\
$ORIGIN .
$TTL 172800
@ SOA a.root-servers.net. hostmaster.root-servers.net. 2014063000 1800 900 604800 86400
@ NS a.root-servers.net.
a.root-servers.net. A {root}
example. NS a.nic.example.
a.nic.example. A {tld}
"""

TLD_HEAD = """\
$ORIGIN example.
$TTL 172800
@ SOA a.nic hostmaster.nic 2014063000 1800 900 604800 2
@ NS a.nic
a.nic A {tld}
ns7.seized A {seized}
ns1.front A {front}
"""

DELEGATION = """\
{label} {day} NS ns1.{label}
{label} {day} NS ns2.{label}
ns1.{label} {day} A {ns1}
ns2.{label} {day} A {ns2}
"""


@dataclass(frozen=True)
class Time:
    """How much faster than in 2014."""

    scale: float

    @property
    def day_s(self):
        return DAY_S / self.scale

    @property
    def day_ttl(self):
        return max(TTL_MIN_S, round(self.day_s))

    @property
    def host_ttl(self):
        return max(TTL_MIN_S, round(HOST_TTL_S / self.scale))


@dataclass(frozen=True)
class Data:
    provider: made_up.Provider
    order: made_up.Order
    time: Time
    folder: object

    @property
    def zones(self):
        return [zone.name for zone in self.provider.zones]

    def names_path(self, zone_name):
        """The known names of one zone, for the plan of the takeover."""
        return self.folder / f"{zone_name}.names"

    @property
    def good_path(self):
        return self.folder / "good"

    @property
    def bad_path(self):
        return self.folder / "bad"


def zone_text(zone, time):
    ns1, ns2 = network.PROVIDER
    hosts = range(zone.first, zone.first + zone.count)
    head = ZONE_HEAD.format(zone=zone.name, host_ttl=time.host_ttl, day=time.day_ttl, ns1=ns1, ns2=ns2)
    return head + "".join(made_up.host_records(index, zone) for index in hosts)


def right_address(index, zone):
    """What the provider's zone leads to; None for an alias whose target is no host."""
    if not made_up.is_alias(index):
        return made_up.address(index)
    return made_up.address(index - 1) if index > zone.first else "192.0.2.80"


def write_good(data, listed, seed):
    """Names and their right addresses, the most popular first. An alias of a listed name leads to the
    sinkhole, rightly: it is asked for by nobody here."""
    lines = []
    for zone in data.provider.zones:
        for index in range(zone.first, zone.first + zone.count):
            name = f"{made_up.host_label(index)}.{zone.name}"
            target = f"{made_up.host_label(index - 1)}.{zone.name}"
            if name not in listed and not (made_up.is_alias(index) and target in listed):
                lines.append(f"{name} {right_address(index, zone)}\n")
    random.Random(seed).shuffle(lines)
    data.good_path.write_text("".join(lines), encoding="ascii")


def write_names(provider, data):
    for zone in provider.zones:
        hosts = range(zone.first, zone.first + zone.count)
        lines = [f"{prefix}{zone.name}\n" for prefix in made_up.HEAD_NAMES]
        lines += [f"{made_up.host_label(index)}.{zone.name}\n" for index in hosts]
        data.names_path(zone.name).write_text("".join(lines), encoding="ascii")


def parent_text(provider, time):
    ns1, ns2 = network.PROVIDER
    text = TLD_HEAD.format(tld=network.TLD, seized=network.SEIZED, front=network.FRONT)
    for zone in provider.zones:
        label = zone.name.partition(".")[0]
        text += DELEGATION.format(label=label, day=time.day_ttl, ns1=ns1, ns2=ns2)
    return text


def write(names, zone_count, listed_count, time, folder, seed):
    """All files that the three plays share."""
    assert made_up.SINKHOLE_A == network.SINKHOLE  # of the order, and the machine
    zones_folder = folder / "zones"
    zones_folder.mkdir()
    provider = made_up.plan(names, zones_folder, zone_count)
    for zone in provider.zones:
        provider.zone_path(zone).write_text(zone_text(zone, time), encoding="ascii")
    order = made_up.write_order(
        provider, folder, listed_count=listed_count, live_count=min(LIVE_COUNT, listed_count)
    )
    data = Data(provider, order, time, folder)
    listed = order.live + order.dead
    write_good(data, set(listed), seed)
    data.bad_path.write_text("".join(f"{name}\n" for name in listed), encoding="ascii")
    write_names(provider, data)
    (zones_folder / "root.zone").write_text(
        ROOT_ZONE.format(root=network.ROOT, tld=network.TLD), encoding="ascii"
    )
    (zones_folder / "example.zone").write_text(parent_text(provider, time), encoding="ascii")
    return data
