"""What an order's verdict makes of a name, wherever in a zone the name stands, and of no other name."""

import itertools
import os
import time
from types import SimpleNamespace

import pytest

from testbed import wire, zone_signing
from testbed.orders import BLOCKED, CENSORED, INVALID_DATA, NOT_READY, make_signer, sign, write_order

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
A, NS, CNAME, SOA, TXT, AAAA, DNAME, RRSIG = 1, 2, 5, 6, 16, 28, 39, 46
TTL = 77  # of the orders
ADDRESSES = {A: [b"\xc0\0\2\x42", b"\xc0\0\2\x43"], AAAA: [b"\x20\1\x0d\xb8" + b"\0" * 11 + b"\x66"]}
ACTIONS = ["sinkhole", "nxdomain", "nodata", "refuse", "observe"]
QTYPES = ["A", "AAAA", "TXT", "MX", "NS", "SOA", "DS", "CNAME", "DNAME", "RRSIG", "NSEC", "HTTPS", "ANY", "TYPE65280"]

# {0} is the action: each has its own names, all alike.
RECORDS = """\
{0} A 192.0.2.3
{0} AAAA 2001:db8::3
{0} TXT "listed"
*.{0} TXT "below a listed name"
{0}-alias CNAME www
to-{0} CNAME {0}
mail-{0} MX 10 {0}
x.{0}-ent A 192.0.2.4
{0}-dname DNAME tree
{0}-cut NS ns.{0}-cut
ns.{0}-cut A 192.0.2.5
"""
ZONE = """\
$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 300
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
*.wild A 192.0.2.6
*.wild-alias CNAME www
tree TXT "tree"
x.tree A 192.0.2.7
dname DNAME tree
cut NS ns.cut
ns.cut A 192.0.2.8
""" + "".join(RECORDS.format(action) for action in ACTIONS)

# Every place where a listed name can stand.
LISTED = ["{0}", "{0}-alias", "{0}-ent", "{0}-dname", "{0}-missing", "a.{0}-missing", "{0}.wild", "a.{0}.wild",
          "{0}.wild-alias", "{0}.dname", "{0}.cut", "ns.{0}-cut", "{0}.{0}-cut"]
# What a list cannot block, and what stands beside listed names.
UNLISTED = ["@", "ns", "www", "wild", "*.wild", "q.wild", "q.wild-alias", "dname", "x.dname", "q.dname", "cut",
            "q.cut", "missing", "{0}-cut", "q.{0}-cut", "x.{0}", "q.{0}-missing", "x.{0}-ent", "x.{0}-dname",
            "q.{0}.wild"]


def names_of(patterns, action, zone):
    return [zone if pattern == "@" else "%s.%s" % (pattern.format(action), zone) for pattern in patterns]


def order_options(action, **options):
    return dict({"action": action, "kind": "provider" if action == "refuse" else "court",
                 "sinkhole": {"a": ["192.0.2.66", "192.0.2.67"], "aaaa": ["2001:db8::66"], "ttl": TTL}}, **options)


@pytest.fixture(scope="module")
def servers(module_farm):
    """Two servers of a plain and a signed zone; the one named `blocking` has an order of each action."""
    key = zone_signing.make_key(module_farm.directory)
    zones = []
    for name, manner in (("plain.example.", None), ("signed.example.", "NSEC")):
        zone = SimpleNamespace(name=name, signing=manner, text=lambda name=name: "$ORIGIN %s\n%s" % (name, ZONE))
        zone.path = module_farm.write(name + "zone", zone.text())
        if manner is not None:
            zone_signing.sign(zone, key)
        zones.append((name, zone.path))
    free = module_farm.tamisd_unstarted().start_zones(zones)
    blocking = module_farm.tamisd_unstarted().start_zones(zones)
    for action in ACTIONS:
        names = [name for zone, _ in zones for name in names_of(LISTED, action, zone)]
        # What can't be listed is refused and leaves the rest in force.
        names += [name for zone, _ in zones for name in (zone, "cut." + zone, "%s-cut.%s" % (action, zone))]
        blocking.activate(write_order(module_farm.directory, action, names=[name.upper() for name in names],
                                      **order_options(action)))
    return SimpleNamespace(free=free, blocking=blocking)


def has_soa_alone(message, signed, ttl_s):
    """The negative answer of an order: the zone's SOA with the order's TTL, no proof that could only lie."""
    soa = [record for record in message.authority if record[1] == SOA]
    others = [record for record in message.authority if record[1] != SOA]
    return len(soa) == 1 and soa[0][3] == ttl_s and [record[1] for record in others] == ([RRSIG] if signed else [])


def check_verdict(message, action, qtype, signed=False):
    text = wire.message_text(message)
    assert message.additional == [], text
    if action == "refuse":
        assert (message.rcode, message.aa, message.answer, message.authority) == (REFUSED, False, [], []), text
        return
    assert message.aa, text
    assert message.rcode == (NXDOMAIN if action == "nxdomain" else NOERROR), text
    kind = A if qtype == "ANY" else wire.type_number(qtype)
    if action == "sinkhole" and kind in ADDRESSES:
        assert [record[4] for record in message.answer] == ADDRESSES[kind], text
        assert all(record[1:4] == (kind, 1, TTL) for record in message.answer), text
        assert message.authority == [], text
    else:
        assert message.answer == [] and has_soa_alone(message, signed, TTL), text


@pytest.mark.parametrize("zone", ["plain.example.", "signed.example."])
@pytest.mark.parametrize("action", ACTIONS[:-1])
@pytest.mark.parametrize("edns, do", [(None, False), (1232, False), (1232, True)])
def test_a_listed_name_gets_its_verdict_wherever_it_stands(servers, zone, action, edns, do):
    for name, qtype in itertools.product(names_of(LISTED, action, zone), QTYPES):
        message = wire.ask(servers.blocking.place, name.swapcase(), qtype, edns=edns, do=do)
        check_verdict(message, action, qtype, signed=do and zone == "signed.example.")
        code = BLOCKED if action == "refuse" else CENSORED
        expected = [(code, "%s https://desk.example/orders/%s" % (action, action))] if edns else []
        assert message.ede == expected, wire.message_text(message)


def same(one, other):
    return (one.flags, one.rcode, one.answer, one.authority, one.additional, one.opt) == \
        (other.flags, other.rcode, other.answer, other.authority, other.additional, other.opt)


@pytest.mark.parametrize("zone", ["plain.example.", "signed.example."])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_other_name_is_answered_as_without_orders(servers, zone, action):
    names = names_of(UNLISTED + (LISTED if action == "observe" else []), action, zone)
    for name, qtype, do in itertools.product(names, QTYPES, (False, True)):
        expected = wire.ask(servers.free.place, name, qtype, edns=1232, do=do)
        message = wire.ask(servers.blocking.place, name, qtype, edns=1232, do=do)
        assert same(message, expected), "%s\ninstead of\n%s" % (wire.message_text(message), wire.message_text(expected))


@pytest.mark.parametrize("action", ACTIONS[:-1])
def test_an_alias_of_a_listed_name_leads_to_its_verdict(servers, action):
    for qtype in ("A", "TXT"):
        message = wire.ask(servers.blocking.place, "to-%s.plain.example." % action, qtype, edns=1232)
        aliases = [record for record in message.answer if record[1] == CNAME]
        assert len(aliases) == 1 and message.answer[0] == aliases[0]
        assert message.ede[0][0] == (BLOCKED if action == "refuse" else CENSORED)
        message.answer.remove(aliases[0])
        check_verdict(message, action, qtype)
    alias = wire.ask(servers.blocking.place, "to-%s.plain.example." % action, "CNAME", edns=1232)
    assert (alias.rcode, len(alias.answer), alias.ede) == (NOERROR, 1, [])


@pytest.mark.parametrize("action", ACTIONS)
def test_the_address_of_a_listed_name_is_not_given_beside_another_answer(servers, action):
    message = wire.ask(servers.blocking.place, "mail-%s.plain.example." % action, "MX", edns=1232)
    assert (message.rcode, len(message.answer), message.ede) == (NOERROR, 1, [])
    assert len(message.additional) == (2 if action == "observe" else 0)


def test_a_delegation_stays_whole_when_the_name_of_its_server_is_listed(servers):
    """Without the glue the whole zone below would be blocked."""
    message = wire.ask(servers.blocking.place, "www.sinkhole-cut.plain.example.", "A", edns=1232)
    assert [record[1] for record in message.authority] == [NS]
    assert [record[4] for record in message.additional] == [b"\xc0\0\2\5"]


def wait_until(condition, timeout_s):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "not within %g s" % timeout_s
        time.sleep(0.05)


@pytest.mark.parametrize("action", ACTIONS[:-1])
@pytest.mark.parametrize("state, reason", [("unloaded", NOT_READY), ("expired", INVALID_DATA)])
def test_a_verdict_stands_in_a_zone_without_data_and_its_apex_is_free(farm, action, state, reason):
    config = {"zones": [{"name": "a.example", "secondary": {"from": ["127.0.0.1@9"]}}]}
    if state == "expired":
        text = ZONE.replace("7200 900 1209600", "2 1 3")
        knot = farm.knot([("a.example.", farm.write("a.example.zone", text))])
        config["zones"][0]["secondary"]["from"] = ["%s@%d" % knot.place]
    tamisd = farm.tamisd(config, wait=state == "expired")
    wait_until(lambda: os.path.exists(tamisd.control_socket), 20)
    tamisd.activate(write_order(farm.directory, "o", names=["www.a.example", "a.example"], **order_options(action)))
    if state == "expired":
        knot.kill()
    wait_until(lambda: wire.ask(tamisd.place, "ns.a.example.", "A").rcode == SERVFAIL, 20)

    for qtype in QTYPES:
        message = wire.ask(tamisd.place, "www.a.example.", qtype, edns=1232)
        check_verdict(message, action, qtype)
        assert message.ede[0][0] == (BLOCKED if action == "refuse" else CENSORED)
        for name in ("a.example.", "ns.a.example.", "x.www.a.example."):
            message = wire.ask(tamisd.place, name, qtype, edns=1232)
            assert (message.rcode, message.aa) == (SERVFAIL, False), wire.message_text(message)
            assert message.answer == message.authority == []
            assert [code for code, _ in message.ede] == [reason]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_subtree_blocks_apex_cut_and_wildcard_but_not_what_is_exempt(farm, action):
    keyring = [make_signer(farm.directory, name) for name in ("alice", "bob")]
    zones = [(name, farm.write(name + "zone", ZONE)) for name in ("a.example.", "b.example.", "held.b.example.")]
    free = farm.tamisd_unstarted().start_zones(zones)
    tamisd = farm.tamisd_unstarted().start_zones(zones, {"orders": {"keyring": keyring}})
    path = write_order(farm.directory, "tree", names=[], exempt=["www.a.example", "cut.b.example"],
                       subtrees=["a.example", "cut.b.example", "wild.b.example", "held.b.example"],
                       **order_options(action))
    for name in ("alice", "bob"):
        sign(farm.directory, name, path)
    tamisd.activate(path)

    blocked = ["a.example.", "x.www.a.example.", "cut.a.example.", "q.cut.a.example.", "x.dname.a.example.",
               "missing.a.example.", "x.cut.b.example.", "ns.cut.b.example.", "wild.b.example.", "*.wild.b.example.",
               "q.wild.b.example.", "held.b.example.", "www.held.b.example."]
    spared = ["www.a.example.", "cut.b.example.", "b.example.", "www.b.example.", "q.wild-alias.b.example.",
              "x.dname.b.example.", "missing.b.example."]
    for name, qtype in itertools.product(blocked, QTYPES):
        message = wire.ask(tamisd.place, name, qtype, edns=1232)
        if action != "observe":
            check_verdict(message, action, qtype)
            assert message.ede[0][0] == (BLOCKED if action == "refuse" else CENSORED)
    for name, qtype in itertools.product(spared + (blocked if action == "observe" else []), QTYPES):
        message, expected = [wire.ask(server.place, name, qtype, edns=1232) for server in (tamisd, free)]
        assert same(message, expected), "%s\ninstead of\n%s" % (wire.message_text(message), wire.message_text(expected))
