"""Orders that change by dynamic update: a policy zone here, and a catalog with its members at another tamisd
from which changes come by IXFR."""

import dns.query
import dns.rcode
import dns.update
import pytest

from testbed.order_answers import DATA, active, address, eventually

POLICY, CATALOG = "rpz.example.", "catalog.example."
HEAD = "$ORIGIN %s\n$TTL 60\n@ SOA localhost. root.localhost. 1 3600 600 86400 60\n@ NS localhost.\n"
LOOPBACK = ("127.0.0.1", "::1")


def update(server, zone, **changes):
    """Replaces the data of owners by (type, text), or deletes owners that get None."""
    message = dns.update.UpdateMessage(zone)
    for owner, data in changes.items():
        owner = owner.replace("_dot_", ".")
        if data is None:
            message.delete(owner)
        else:
            message.replace(owner, 60, *data)
    reply = dns.query.udp(message, server.address, timeout=10, port=server.port)
    assert reply.rcode() == dns.rcode.NOERROR, reply


def primary(farm, name, text, **options):
    return {"name": name, "primary": {"file": farm.write(name + "zone", text)}, "allow-update": list(LOOPBACK), **options}


def data_zone(farm):
    return {"name": "a.example", "primary": {"file": farm.write("a.zone", DATA)}}


def test_an_order_follows_updates_of_its_policy_zone(farm):
    server = farm.tamisd({"zones": [data_zone(farm), primary(farm, POLICY, HEAD % POLICY + "h1.a.example CNAME .\n")],
                          "orders": {"zones": [POLICY]}})
    assert (address(server, "h1.a.example"), address(server, "h2.a.example")) == ("NXDOMAIN", "198.51.100.2")

    update(server, POLICY, h2_dot_a_dot_example=("CNAME", "."))
    eventually(lambda: address(server, "h2.a.example") == "NXDOMAIN", "the second name")
    assert address(server, "h1.a.example") == "NXDOMAIN"

    update(server, POLICY, h1_dot_a_dot_example=None)
    eventually(lambda: address(server, "h1.a.example") == "198.51.100.1", "the first name's own answer")
    assert address(server, "h2.a.example") == "NXDOMAIN"


@pytest.fixture
def pair(farm):
    """A tamisd that takes updates of a catalog and of what it lists, and one that follows it."""
    origin, edge = farm.tamisd_unstarted(), farm.tamisd_unstarted()

    def given(name, text):
        return primary(farm, name, HEAD % name + text, notify=["%s@%d" % edge.place],
                       **{"allow-transfer": list(LOOPBACK)})

    origin.start({"zones": [given(CATALOG, "version TXT 2\n")] + [
        given("o%d.%s" % (number, POLICY), "h%d.a.example CNAME .\n" % number) for number in (1, 2)]})
    edge.start({"zones": [data_zone(farm), {"name": CATALOG, "secondary": {"from": ["%s@%d" % origin.place]}}],
                "orders": {"catalog": CATALOG}})
    return origin, edge


def test_members_follow_updates_of_their_catalog_at_the_origin(pair):
    origin, edge = pair
    for number in (1, 2):
        update(origin, CATALOG, **{"m%d_dot_zones" % number: ("PTR", "o%d.%s" % (number, POLICY))})
        eventually(lambda n=number: address(edge, "h%d.a.example" % n) == "NXDOMAIN", "member %d" % number)
    assert len(active(edge)) == 2

    update(origin, "o2." + POLICY, h3_dot_a_dot_example=("CNAME", "."))
    eventually(lambda: address(edge, "h3.a.example") == "NXDOMAIN", "a name more of a member")

    update(origin, CATALOG, m1_dot_zones=None)
    eventually(lambda: address(edge, "h1.a.example") == "198.51.100.1", "the lift")
    assert (address(edge, "h2.a.example"), address(edge, "h3.a.example")) == ("NXDOMAIN", "NXDOMAIN")
