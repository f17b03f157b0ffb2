"""Each zone's queries are counted by what became of them, for the zone alone."""

import pytest

from testbed import wire
from testbed.orders import write_order
from test_metrics import figures, get
from testbed.process import LOOPBACK, free_port

ZONE = """@ 300 SOA ns hostmaster 17 3600 600 1209600 60
@ 300 NS ns
ns 300 A 192.0.2.2
www 300 A 192.0.2.80
evil 300 A 192.0.2.7
alias 300 CNAME www
"""


def start(farm, server=None, zones=("a.example", "b.example"), **config):
    path = farm.write("any.zone", ZONE)
    return farm.tamisd({
        "server": {"metrics": "%s@%d" % (LOOPBACK, free_port()), **(server or {})},
        "zones": [{"name": name, "primary": {"file": path}} for name in zones] + config.pop("more_zones", []), **config})


def answers(tamisd):
    return {zone["name"]: zone["answers"] for zone in tamisd.control("zones")}


def test_queries_are_counted_by_zone_and_kind(farm):
    origin = farm.knot([("f.example.", farm.write("f.zone", ZONE))])
    order = write_order(farm.directory, "block", names=["evil.a.example", "evil.f.example"])
    tamisd = start(farm, more_zones=[{"name": "f.example", "forward": {"to": ["%s@%d" % origin.place]}}],
                   orders={"files": [order]})
    before = answers(tamisd)
    for name, count in (("www.a", 5), ("none.a", 3), ("evil.a", 2), ("alias.a", 1), ("www.b", 4), ("www.f", 6),
                        ("none.f", 2), ("evil.f", 3)):
        for _ in range(count):
            wire.ask(tamisd.place, name + ".example.", "A")
    wire.ask_tcp(tamisd.place, "www.a.example.", "A")
    wire.ask(tamisd.place, "www.elsewhere.example.", "A")
    expected = {"a.example": {"queries": 12, "listed": 2, "servfail": 0, "nxdomain": 3},
                "b.example": {"queries": 4, "listed": 0, "servfail": 0, "nxdomain": 0},
                "f.example": {"queries": 11, "listed": 3, "servfail": 0, "nxdomain": 2}}
    now = answers(tamisd)
    assert {zone: {kind: now[zone][kind] - before[zone][kind] for kind in expected[zone]} for zone in now} == expected

    origin.kill()
    assert wire.ask(tamisd.place, "never.f.example.", "A", timeout_s=20).rcode == 2
    assert answers(tamisd)["f.example"]["servfail"] == 1
    found = figures(tamisd)
    for zone, counts in answers(tamisd).items():
        for kind in ("listed", "servfail", "nxdomain"):
            assert found['tamisd_zone_answers_total{zone="%s",kind="%s"}' % (zone, kind)] == counts[kind]
        assert sum(value for name, value in found.items() if name.startswith(
            'tamisd_zone_answers_total{zone="%s"' % zone)) == counts["queries"]


def test_a_zone_that_comes_begins_at_zero_and_one_that_stays_goes_on(farm):
    tamisd = start(farm)
    for name in ("www.a.example.", "www.b.example."):
        for _ in range(7):
            wire.ask(tamisd.place, name, "A")
    stayed = answers(tamisd)["a.example"]["queries"]
    tamisd.config["zones"][1]["name"] = "c.example"
    tamisd.reload()
    assert answers(tamisd) == {"a.example": {"queries": stayed, "listed": 0, "servfail": 0, "nxdomain": 0},
                               "c.example": {"queries": 0, "listed": 0, "servfail": 0, "nxdomain": 0}}
    wire.ask(tamisd.place, "www.c.example.", "A")
    assert answers(tamisd)["c.example"]["queries"] == 1


@pytest.mark.parametrize("zones_max", [0, 1])
def test_no_more_zones_are_counted_than_configured(farm, zones_max):
    tamisd = start(farm, {"zone-counters": zones_max})
    for name in ("www.a.example.", "www.b.example."):
        wire.ask(tamisd.place, name, "A")
    counted = [zone for zone, counts in answers(tamisd).items() if counts is not None]
    assert counted == ["a.example", "b.example"][:zones_max]
    assert get(tamisd, "metrics")[1].count("\ntamisd_zone_answers_total{") == 4 * zones_max
