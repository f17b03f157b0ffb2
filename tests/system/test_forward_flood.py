"""A flood of random names through the front, as open as a real one: sent whether it is answered or not."""

import random
import string
import time

import dns.message
import dns.query
import pytest

from testbed.load import RIGHT, Load
from testbed.orders import SINKHOLE_A

RATE_MAX = 300  # messages a second that the origin is to get
UNSEEN_MAX = RATE_MAX // 2
BURST = 0.1  # of a rate, at once
FLOOD_RATE = 10 * RATE_MAX
GOOD_RATE = 500
GOOD_NAMES = 100
SECONDS = 4

ZONE = """\
$ORIGIN c.example.
$TTL 1
@ SOA ns1 hostmaster 7 3600 600 1209600 1
@ NS ns1
ns1 A 192.0.2.1
""" + "".join(f"h{index} A 198.51.100.{index}\n" for index in range(GOOD_NAMES))


def asked_of(origin):
    """Queries that have reached Knot, by its own count and any protocol."""
    counts = origin.control("stats", "mod-stats.request-protocol").splitlines()
    return sum(int(line.rpartition("=")[2]) for line in counts if "=" in line)


@pytest.fixture
def loads():
    running = []
    yield running
    for load in running:
        load.kill()


def test_good_names_are_answered_and_the_origin_gets_its_rate_at_most(farm, tmp_path, loads):
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))], zone_extra="    global-module: mod-stats")
    front = farm.tamisd({"zones": [{"name": "c.example", "forward": {"to": ["%s@%d" % origin.place],
                                                                   "rate-max": RATE_MAX}}]})
    good = [(f"h{index}.c.example", f"198.51.100.{index}") for index in range(GOOD_NAMES)]
    for name, _ in good:  # becomes known, within what names never seen may take
        while dns.query.udp(dns.message.make_query(name, "A"), front.address, timeout=8, port=front.port).rcode() != 0:
            pass
    draw = random.Random("flood")
    flood = [("".join(draw.choices(string.ascii_lowercase, k=12)) + ".c.example", "NXDOMAIN")
             for _ in range(FLOOD_RATE * SECONDS)]

    before, since = asked_of(origin), time.monotonic()
    for name, questions, rate in (("flood", flood, FLOOD_RATE), ("good", good, GOOD_RATE)):
        folder = tmp_path / name
        folder.mkdir()
        loads.append(Load(front, str(folder), questions, rate, SECONDS, SINKHOLE_A))
    flooded, answered = (load.finish() for load in loads)
    asked, took_s = asked_of(origin) - before, time.monotonic() - since

    assert [outcome for *_, outcome in answered if outcome != RIGHT] == []
    assert asked <= RATE_MAX * (took_s + BURST)
    denied = sum(outcome == RIGHT for *_, outcome in flooded)
    assert 0 < denied <= UNSEEN_MAX * (took_s + BURST)
    assert front.control("cache")["forwarding"]["over_unseen"] > len(flood) // 2
