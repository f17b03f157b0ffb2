"""Orders in force as zones of the server: a policy zone each, and the catalog that lists them."""

import socket
import time

import dns.message
import dns.query
import dns.rcode

from testbed import orders
from testbed.order_answers import DATA, PATIENCE_S, active, address, ask, eventually

CATALOG = "catalog.orders.example."
SUBSCRIBER = "127.0.0.1"


def start(farm, files=(), **publish):
    return farm.tamisd({
        "zones": [{"name": "a.example", "primary": {"file": farm.write("a.zone", DATA)}}],
        "orders": {"files": list(files),
                   "publish": {"catalog": CATALOG, "suffix": "orders.example",
                               "allow-transfer": [SUBSCRIBER], **publish}},
    })


def write_order(farm, order_id, names, **changes):
    return orders.write_order(farm.directory + "/orders", order_id, names=names, **changes)


def member(tamisd, order_id):
    """The zone that the catalog lists for the order, or None."""
    reply = ask(tamisd, "%s.zones.%s" % (order_id, CATALOG), "PTR")
    return reply.answer[0][0].target.to_text() if reply.answer else None


def serial(tamisd, zone):
    return ask(tamisd, zone, "SOA").answer[0][0].serial


def metadata(tamisd, zone):
    strings = ask(tamisd, "_tamis." + zone, "TXT").answer[0][0].strings
    return dict(string.decode().split("=", 1) for string in strings)


def test_orders_come_into_the_catalog_and_leave_it(farm):
    first = write_order(farm, "t-1", ["h1.a.example"])
    tamisd = start(farm, [first])
    assert member(tamisd, "t-1") == "t-1.orders.example."
    assert ask(tamisd, "version." + CATALOG, "TXT").answer[0][0].strings == (b"2",)
    assert metadata(tamisd, "t-1.orders.example.")["id"] == "t-1"
    assert address(tamisd, "h1.a.example.t-1.orders.example.") == orders.SINKHOLE_A

    before = serial(tamisd, CATALOG)
    tamisd.activate(write_order(farm, "t-2", ["h2.a.example"], action="nxdomain"))
    eventually(lambda: member(tamisd, "t-2") is not None, "the second order")
    assert metadata(tamisd, "t-2.orders.example.")["action"] == "nxdomain"
    middle = serial(tamisd, CATALOG)
    assert middle > before

    tamisd.lift("t-1")
    eventually(lambda: member(tamisd, "t-1") is None, "the lift")
    assert serial(tamisd, CATALOG) > middle
    eventually(lambda: ask(tamisd, "t-1.orders.example.", "SOA").rcode() == dns.rcode.REFUSED, "the zone gone")
    assert member(tamisd, "t-2") == "t-2.orders.example."


def test_secondaries_are_told_of_orders_that_come_change_and_go(farm):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as secondary:
        secondary.bind((SUBSCRIBER, 0))
        secondary.settimeout(PATIENCE_S)
        told = {}

        def told_of(zone, newer_than=0):
            """Answers NOTIFYs until the zone's serial that they tell is newer; returns it."""
            while told.get(zone, 0) <= newer_than:
                wire, place = secondary.recvfrom(4096)
                message = dns.message.from_wire(wire)
                secondary.sendto(dns.message.make_response(message).to_wire(), place)
                told[message.question[0].name.to_text()] = message.answer[0][0].serial
            return told[zone]

        tamisd = start(farm, notify=["%s@%d" % secondary.getsockname()])
        listed = told_of(CATALOG)
        tamisd.activate(write_order(farm, "t-1", ["h1.a.example"]))
        first = told_of("t-1.orders.example.")
        listed = told_of(CATALOG, listed)
        tamisd.activate(write_order(farm, "t-1", ["h2.a.example"]))
        told_of("t-1.orders.example.", first)
        tamisd.reload()
        tamisd.lift("t-1")
        told_of(CATALOG, listed)


def test_an_order_that_changes_keeps_its_member_and_gets_a_new_serial(farm):
    tamisd = start(farm)
    assert serial(tamisd, CATALOG) > 0, "a catalog without members"
    tamisd.activate(write_order(farm, "t-1", ["h1.a.example"]))
    eventually(lambda: member(tamisd, "t-1") is not None, "the order")
    zone = "t-1.orders.example."
    before, listed = serial(tamisd, zone), serial(tamisd, CATALOG)
    tamisd.activate(write_order(farm, "t-1", ["h1.a.example", "h2.a.example"]))
    eventually(lambda: serial(tamisd, zone) > before, "the new list")
    assert address(tamisd, "h2.a.example." + zone) == orders.SINKHOLE_A
    assert serial(tamisd, CATALOG) == listed


def test_an_order_that_ends_leaves_the_catalog_by_itself(farm):
    tamisd = start(farm)
    tamisd.activate(write_order(farm, "t-1", ["h1.a.example"], ends=orders.timestamp(time.time() + 4)))
    eventually(lambda: member(tamisd, "t-1") is not None, "the order")
    eventually(lambda: member(tamisd, "t-1") is None, "its end")


def test_nobody_else_is_shown_what_is_published(farm):
    tamisd = start(farm, [write_order(farm, "t-1", ["h1.a.example"])])
    for name in (CATALOG, "t-1.orders.example.", "h1.a.example.t-1.orders.example."):
        query = dns.message.make_query(name, "SOA")
        reply = dns.query.udp(query, tamisd.address, port=tamisd.port, timeout=5, source="127.0.0.2")
        assert reply.rcode() == dns.rcode.REFUSED and not reply.answer


def test_a_restart_publishes_again_with_serials_that_grow(farm):
    tamisd = start(farm)
    tamisd.activate(write_order(farm, "t-1", ["h1.a.example"]))
    eventually(lambda: member(tamisd, "t-1") is not None, "the order")
    before = serial(tamisd, CATALOG), serial(tamisd, "t-1.orders.example.")
    eventually(lambda: int(time.time()) > max(before), "the next second")
    tamisd.restart()
    assert member(tamisd, "t-1") == "t-1.orders.example."
    assert serial(tamisd, CATALOG) > before[0]
    assert serial(tamisd, "t-1.orders.example.") > before[1]


def test_a_reload_keeps_renames_and_ends_the_publication(farm):
    tamisd = start(farm, [write_order(farm, "t-1", ["h1.a.example"])])
    before = serial(tamisd, CATALOG)
    tamisd.reload()
    assert (member(tamisd, "t-1"), serial(tamisd, CATALOG)) == ("t-1.orders.example.", before)

    tamisd.config["orders"]["publish"]["suffix"] = "rpz.example"
    tamisd.reload()
    eventually(lambda: member(tamisd, "t-1") == "t-1.rpz.example.", "the new name")
    assert ask(tamisd, "t-1.orders.example.", "SOA").rcode() == dns.rcode.REFUSED

    del tamisd.config["orders"]["publish"]
    tamisd.reload()
    assert ask(tamisd, CATALOG, "SOA").rcode() == dns.rcode.REFUSED
    assert {zone["name"] for zone in tamisd.control("zones")} == {"a.example"}
    assert set(active(tamisd)) == {"t-1"}


def test_a_zone_of_the_configuration_is_never_replaced(farm):
    path = write_order(farm, "a", ["h1.a.example"])
    tamisd = start(farm, [path], suffix="example")
    assert "zone a.example.: there is a zone of this name already" in tamisd.process.log()
    assert address(tamisd, "h2.a.example") == "198.51.100.2"
    assert member(tamisd, "a") is None
