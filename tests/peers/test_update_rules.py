"""Dynamic updates beside BIND and Knot: the same messages, one after the other, to all three. After each, the
RCODE and what the zone then has are compared; where a peer goes another way, the case says which one."""

import struct

import dns.rdata
import pytest

from testbed import wire

ZONE = """\
$ORIGIN u.example.
$TTL 300
@ SOA ns1 hostmaster 10 3600 600 1209600 60
@ NS ns1
@ NS ns2
@ TXT "apex"
ns1 A 192.0.2.1
ns2 A 192.0.2.2
www A 192.0.2.3
www A 192.0.2.4
www TXT "x"
alias CNAME www
deep.empty A 192.0.2.5
*.wild A 192.0.2.6
mail MX 10 www
sub NS ns.sub
ns.sub A 192.0.2.7
"""

IN, NONE, ANY = 1, 254, 255
NAMES = ("u.example.", "ns1.u.example.", "www.u.example.", "alias.u.example.", "new.u.example.", "mail.u.example.",
         "empty.u.example.", "deep.empty.u.example.", "x.wild.u.example.", "a.b.c.u.example.", "b.c.u.example.",
         "sub.u.example.", "dname.u.example.", "NEW.u.example.")
TYPES = ("A", "AAAA", "TXT", "CNAME", "MX", "NS", "SOA", "DNAME")


def rr(owner, rrtype, rrclass=IN, ttl=0, rdata=None):
    """One record in wire form; owners without a dot at the end are in the zone."""
    if not owner.endswith("."):
        owner = "u.example." if owner == "@" else owner + ".u.example."
    octets = b"" if rdata is None else dns.rdata.from_text("IN", rrtype, rdata).to_wire()
    return (wire.name_from_text(owner) + struct.pack("!HHIH", wire.type_number(rrtype), rrclass, ttl, len(octets))
            + octets)


def add(owner, rrtype, rdata, ttl=300):
    return rr(owner, rrtype, IN, ttl, rdata)


def message(prerequisites=(), updates=(), zone="u.example.", zone_type="SOA", zone_class=IN):
    return (struct.pack("!HHHHHH", 0x4321, 5 << 11, 1, len(prerequisites), len(updates), 0)
            + wire.question(zone, zone_type, zone_class) + b"".join(prerequisites) + b"".join(updates))


SOA = "ns1.u.example. hostmaster.u.example. %d 3600 600 1209600 60"
NEW = add("new", "A", "192.0.2.9")

# Name, prerequisites, updates, RCODE, and the peers that agree ("bk": both; "B": only BIND is asked).
CASES = [
    # Zone section (RFC 2136, 3.1)
    ("a zone of another's", {"zone": "v.example."}, [], [NEW], "NOTAUTH", "bk"),
    ("a name in the zone as the zone", {"zone": "www.u.example."}, [], [NEW], "NOTAUTH", "bk"),
    ("a zone section of another type", {"zone_type": "A"}, [], [NEW], "FORMERR", "bk"),
    # Prerequisites (3.2)
    ("name in use", {}, [rr("www", "ANY", ANY)], [], "NOERROR", "bk"),
    ("name in use that is not", {}, [rr("new", "ANY", ANY)], [NEW], "NXDOMAIN", "bk"),
    ("name in use that is an empty non-terminal", {}, [rr("empty", "ANY", ANY)], [NEW], "NXDOMAIN", "bk"),
    ("name in use that only a wildcard makes", {}, [rr("x.wild", "ANY", ANY)], [NEW], "NXDOMAIN", "bk"),
    ("name not in use", {}, [rr("new", "ANY", NONE)], [], "NOERROR", "bk"),
    ("name not in use that is", {}, [rr("www", "ANY", NONE)], [NEW], "YXDOMAIN", "bk"),
    ("set exists", {}, [rr("www", "A", ANY)], [], "NOERROR", "bk"),
    ("set exists that does not", {}, [rr("www", "MX", ANY)], [NEW], "NXRRSET", "bk"),
    ("set does not exist", {}, [rr("www", "MX", NONE)], [], "NOERROR", "bk"),
    ("set does not exist that does", {}, [rr("www", "TXT", NONE)], [NEW], "YXRRSET", "bk"),
    ("set is exactly", {}, [rr("www", "A", IN, 0, "192.0.2.4"), rr("www", "A", IN, 0, "192.0.2.3")], [], "NOERROR", "bk"),
    ("set is exactly, one missing", {}, [rr("www", "A", IN, 0, "192.0.2.3")], [NEW], "NXRRSET", "bk"),
    ("set is exactly, one too many", {}, [rr("www", "A", IN, 0, "192.0.2.%d" % i) for i in (3, 4, 5)], [NEW],
     "NXRRSET", "bk"),
    ("prerequisite with a TTL", {}, [rr("www", "A", ANY, 1)], [NEW], "FORMERR", "bk"),
    ("prerequisite with data of class ANY", {}, [rr("www", "A", ANY, 0, "192.0.2.3")], [NEW], "FORMERR", "bk"),
    ("prerequisite of class CH", {}, [rr("www", "A", 3)], [NEW], "FORMERR", "bk"),
    ("prerequisite outside of the zone", {}, [rr("www.v.example.", "ANY", ANY)], [NEW], "NOTZONE", "bk"),
    ("prerequisites in another letter case", {}, [rr("WWW", "A", ANY), rr("nEw", "ANY", NONE)], [], "NOERROR", "bk"),
    # The look ahead (3.4.1)
    ("update outside of the zone", {}, [], [NEW, add("www.v.example.", "A", "192.0.2.9")], "NOTZONE", "bk"),
    ("update of a meta type", {}, [], [NEW, rr("new", "ANY", IN)], "FORMERR", "bk"),
    ("deletion of a set with a TTL", {}, [], [NEW, rr("new", "A", ANY, 5)], "FORMERR", "b"),
    ("deletion of a set with data", {}, [], [NEW, rr("new", "A", ANY, 0, "192.0.2.9")], "FORMERR", "bk"),
    ("deletion of a record with a TTL", {}, [], [NEW, rr("new", "A", NONE, 5, "192.0.2.9")], "FORMERR", "bk"),
    ("deletion of a record of type ANY", {}, [], [NEW, rr("new", "ANY", NONE)], "FORMERR", "bk"),
    ("update of class CH", {}, [], [NEW, rr("new", "A", 3, 5)], "FORMERR", "bk"),
    # The updates (3.4.2)
    ("a name", {}, [], [NEW], "NOERROR", "bk"),
    ("a second record, whose TTL counts for both", {}, [], [add("NEW", "A", "192.0.2.10", 77)], "NOERROR", "bk"),
    ("a record that is there", {}, [], [add("new", "A", "192.0.2.10", 77)], "NOERROR", "bk"),
    ("a record off", {}, [], [rr("new", "A", NONE, 0, "192.0.2.9")], "NOERROR", "bk"),
    ("a record off that is not there", {}, [], [rr("new", "A", NONE, 0, "192.0.2.99")], "NOERROR", "bk"),
    ("a CNAME beside other data is left out", {}, [], [add("new", "CNAME", "www.u.example.")], "NOERROR", "bk"),
    ("other data beside a CNAME is left out", {}, [], [add("alias", "TXT", "y")], "NOERROR", "bk"),
    ("a CNAME for a CNAME", {}, [], [add("alias", "CNAME", "mail.u.example.")], "NOERROR", "bk"),
    ("a set off, and another on", {}, [], [rr("new", "A", ANY), add("new", "AAAA", "2001:db8::1")], "NOERROR", "bk"),
    ("off and on in one message", {}, [], [rr("new", "ANY", ANY), add("new", "TXT", "z")], "NOERROR", "bk"),
    ("the last record of a name off", {}, [], [rr("new", "TXT", NONE, 0, "z")], "NOERROR", "bk"),
    ("a name off", {}, [], [rr("www", "ANY", ANY)], "NOERROR", "bk"),
    ("a name off that is not there", {}, [], [rr("www", "ANY", ANY)], "NOERROR", "bk"),
    ("below empty non-terminals", {}, [], [add("a.b.c", "A", "192.0.2.20")], "NOERROR", "bk"),
    ("an empty non-terminal gets data", {}, [], [add("b.c", "A", "192.0.2.21")], "NOERROR", "bk"),
    ("the name below off", {}, [], [rr("a.b.c", "A", ANY)], "NOERROR", "bk"),
    ("all of the apex off but SOA and NS", {}, [], [rr("@", "ANY", ANY)], "NOERROR", "bk"),
    ("the apex's NS off as a set", {}, [], [rr("@", "NS", ANY)], "NOERROR", "bk"),
    ("the SOA off", {}, [], [rr("@", "SOA", ANY)], "NOERROR", "bk"),
    ("a name server off", {}, [], [rr("@", "NS", NONE, 0, "ns2.u.example.")], "NOERROR", "bk"),
    ("the last name server off", {}, [], [rr("@", "NS", NONE, 0, "ns1.u.example.")], "NOERROR", "bk"),
    ("a delegation", {}, [], [add("sub", "NS", "ns2.sub.u.example.")], "NOERROR", "bk"),
    ("a delegation off", {}, [], [rr("sub", "NS", ANY)], "NOERROR", "bk"),
    ("data in another letter case is the same", {}, [], [rr("mail", "MX", NONE, 0, "10 WWW.u.example.")], "NOERROR", "bk"),
    ("a SOA with an older serial is left out", {}, [], [add("@", "SOA", SOA % 5)], "NOERROR", "bk"),
    ("a SOA below the apex is left out", {}, [], [add("new", "SOA", SOA % 5000)], "NOERROR", "B"),  # ends Knot 3.2
    ("nothing at all", {}, [], [], "NOERROR", "bk"),
    ("all or nothing", {}, [rr("ns1", "A", ANY), rr("www", "A", ANY)], [NEW], "NXRRSET", "bk"),
    ("an unknown type", {}, [], [add("new", "TYPE65400", "\\# 2 abcd")], "NOERROR", "bk"),
    ("an address of three octets", {}, [], [wire.name_from_text("new.u.example.") + struct.pack("!HHIH", 1, 1, 60, 3)
                                            + b"\xc0\0\2"], "FORMERR", "bk"),
]


@pytest.fixture(scope="module")
def servers(module_farm):
    zones = lambda name: [("u.example.", module_farm.write("%s/u.example.zone" % name, ZONE))]
    knot_acl = "  - id: update\n    address: 127.0.0.0/8\n    action: update"
    return {
        "tamisd": module_farm.tamisd({"zones": [{"name": "u.example", "primary": {"file": zones("tamisd")[0][1]},
                                                 "allow-update": ["127.0.0.0/8"]}]}),
        "bind": module_farm.bind(zones("bind"), zone_extra="allow-update { any; };"),
        "knot": module_farm.knot(zones("knot"), allow_transfer=False, extra=knot_acl,
                                 zone_extra="    acl: [everyone, update]"),
    }


def contents(server):
    """What the names of the tests have: record sets with their TTLs, the SOA without its serial."""
    found = {}
    for name in NAMES:
        for rrtype in TYPES:
            reply = wire.ask(server.place, name, rrtype)
            records = sorted((one[1], one[3] if one[1] != 6 else 0, one[4][:-20] if one[1] == 6 else one[4])
                             for one in reply.answer)
            cut = sorted(one[4] for one in reply.authority if one[1] == 2 and not reply.answer)
            found[name, rrtype] = (reply.rcode, records, cut)
    return found


def rcode_of(reply):
    return "silence" if reply is None else wire.RCODES[wire.rcode(reply)]


def test_each_message_has_the_rcode_and_the_effect_that_the_peers_agree_on(servers):
    wrong = []
    for case, zone, prerequisites, updates, rcode, peers in CASES:
        octets = message(prerequisites, updates, **zone)
        asked = {name: server for name, server in servers.items() if peers != "B" or name != "knot"}
        peers = peers.lower()
        got = {name: rcode_of(wire.ask_or_none(server.place, octets, 2.0)) for name, server in asked.items()}
        if got["tamisd"] != rcode:
            wrong.append("%s: wanted %s: %s" % (case, rcode, got))
        for letter, peer in (("b", "bind"), ("k", "knot")):
            if peer in asked and (got[peer] == rcode) != (letter in peers):
                wrong.append("%s: of the peers %s were to agree on %s: %s" % (case, peers, rcode, got))
        now = {name: contents(server) for name, server in servers.items()}
        for letter, peer in (("b", "bind"), ("k", "knot")):
            differ = [key for key in now[peer] if now[peer][key] != now["tamisd"][key]]
            if differ and letter in peers:
                wrong.append("%s: not as %s at %s: %s" % (case, peer, differ[0],
                                                          {name: now[name][differ[0]] for name in servers}))
    assert not wrong, "%d differ:\n%s" % (len(wrong), "\n".join(wrong))
