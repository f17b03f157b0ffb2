"""Forwarded zones: what the origin says, from the cache when it says nothing, and never what it did not say."""

import random

import subprocess
import time

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from testbed.orders import SINKHOLE_A, write_order
from testbed.servers import tamis_program

ZONE = """\
$ORIGIN c.example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
@ MX 10 bad
@ MX 20 mail
ns1 A 192.0.2.1
mail A 192.0.2.2
www A 192.0.2.10
www AAAA 2001:db8::10
bad A 192.0.2.66
alias CNAME www
tobad CNAME middle
middle CNAME bad
never 0 A 192.0.2.11
brief 1 A 192.0.2.12
soon 20 A 192.0.2.13
sub NS ns.sub
sub NS ns1
ns.sub A 192.0.2.20
wild TXT "exists"
*.wild A 192.0.2.21
d DNAME wild
big TXT "%s" "%s" "%s" "%s" "%s" "%s"
""" % tuple("t" * 250 for _ in range(6))

EDE_STALE, EDE_STALE_NXDOMAIN, EDE_UNREACHABLE = 3, 19, 22

def ask(server, name, rdtype="A", tcp=False, timeout=8, flags=0, **options):
    message = dns.message.make_query(name + ("" if name.endswith("example.") else ".c.example."), rdtype,
                                     use_edns=0, **options)
    message.flags = flags
    return (dns.query.tcp if tcp else dns.query.udp)(message, server.address, timeout=timeout, port=server.port)

def codes(reply):
    return [int(option.code) for option in reply.options if isinstance(option, dns.edns.EDEOption)]

def counters(server, part="forwarding"):
    return server.control("cache")[part]

def data(reply):
    return sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset)

def start(farm, origin, forward=None, **server):
    zone = {"name": "c.example", "forward": {"to": ["%s@%d" % origin.place], **(forward or {})}}
    return farm.tamisd({"server": server, "zones": [zone]})

@pytest.fixture
def pair(farm):
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    return origin, start(farm, origin)

def test_an_answer_is_the_origins_with_authority(pair):
    _, front = pair
    reply = ask(front, "www")
    assert reply.rcode() == 0 and data(reply) == ["192.0.2.10"]
    assert reply.flags & dns.flags.AA and not reply.flags & dns.flags.RA
    assert ask(front, "none").rcode() == dns.rcode.NXDOMAIN
    assert data(ask(front, "www", tcp=True)) == ["192.0.2.10"]
    assert ask(front, "WwW").question[0].name.to_text() == "WwW.c.example."

def test_nothing_is_said_that_the_origin_did_not_say(pair):
    origin, front = pair
    for name in ("www", "mail", "alias"):
        assert ask(front, name).rcode() == 0
    assert ask(front, "none").rcode() == dns.rcode.NXDOMAIN
    assert ask(front, "brief").rcode() == 0
    origin.stop()
    time_of_brief = time.monotonic()
    assert data(ask(front, "www")) == ["192.0.2.10"]
    for name, rdtype in (("unseen", "A"), ("mail", "TXT"), ("@", "NS")):
        reply = ask(front, name if name != "@" else "c.example.", rdtype)
        assert reply.rcode() == dns.rcode.SERVFAIL and not reply.answer and not reply.authority
        assert codes(reply) == [EDE_UNREACHABLE]
    while time.monotonic() - time_of_brief < 2.1:
        ask(front, "www")
    reply = ask(front, "brief")
    assert data(reply) == ["192.0.2.12"] and reply.answer[0].ttl == 30
    assert codes(reply) == [EDE_STALE] and reply.flags & dns.flags.AA

def test_stale_answers_of_a_name_that_did_not_exist_say_so(farm):
    zone = ZONE.replace("1209600 60", "1209600 1")
    origin = farm.knot([("c.example.", farm.write("c.zone", zone))])
    front = start(farm, origin)
    assert ask(front, "none").rcode() == dns.rcode.NXDOMAIN
    origin.stop()
    reply = ask(front, "none")
    while not codes(reply):
        reply = ask(front, "none")
    assert reply.rcode() == dns.rcode.NXDOMAIN and codes(reply) == [EDE_STALE_NXDOMAIN]

def test_time_to_live_counts_down_and_zero_is_not_kept(pair):
    origin, front = pair
    first = ask(front, "soon").answer[0].ttl
    assert first == 20
    while ask(front, "soon").answer[0].ttl == first:
        pass
    assert ask(front, "soon").answer[0].ttl == first - 1
    assert ask(front, "never").answer[0].ttl == 0
    origin.stop()
    assert ask(front, "never").rcode() == dns.rcode.SERVFAIL

def test_listed_names_are_answered_here_also_behind_an_alias(farm):
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    front = start(farm, origin)
    before = ask(front, "c.example.", "MX")
    assert any(rrset.name.to_text() == "bad.c.example." for rrset in before.additional)
    assert data(ask(front, "tobad"))[0] == "192.0.2.66"
    front.control("activate", file=write_order(farm.directory, "listed", ["bad.c.example"]), strict=True)
    asked = counters(front)["asked"]
    assert data(ask(front, "bad")) == [SINKHOLE_A] and codes(ask(front, "bad")) == [16]
    assert counters(front)["asked"] == asked
    for tcp in (False, True):
        reply = ask(front, "tobad", tcp=tcp)
        assert [rrset.rdtype for rrset in reply.answer] == [5, 5, 1]
        assert data(reply)[0] == SINKHOLE_A and codes(reply) == [16]
    reply = ask(front, "c.example.", "MX")
    assert [rrset.name.to_text() for rrset in reply.additional] == ["mail.c.example."]
    assert len(reply.answer[0]) == 2

TYPES = ("A", "AAAA", "TXT", "MX", "NS", "SOA", "CNAME", "DNAME", "SRV", "PTR", "CAA", "DS", "DNSKEY", "ANY", "HTTPS",
         "TYPE65280")

@pytest.mark.parametrize("signed", [False, True])
def test_10000_names_are_answered_as_by_the_origin(farm, signed):
    """Every kind of name, found and missing, asked in random case, with and without DO."""
    draw = random.Random("forward")
    lines, names = [ZONE], ["www", "mail", "alias", "d", "x.d", "www.sub", "sub", "x.wild", "big", "never", "bad"]
    for index in range(5000):
        name, kind = "n%d" % index, index % 8
        if kind == 0:
            lines.append("%s 60 CNAME n%d\n" % (name, draw.randrange(5000)))
        elif kind == 1:
            lines.append("*.%s 60 A 198.51.100.%d\n" % (name, index % 256))
            name = "any." + name
        elif kind == 2 and not signed:
            lines.append("%s 60 NS ns.%s\nns.%s 60 A 198.51.100.9\n" % (name, name, name))
            name = "www." + name
        elif kind == 3:
            lines.append("%s 60 MX 10 n%d\n%s 60 MX 20 mail\n" % (name, draw.randrange(5000), name))
        elif kind == 4:
            lines.append("a.b.%s 60 A 198.51.100.3\n" % name)
            name = draw.choice(("a.b.", "b.", "")) + name
        elif kind == 5:
            lines.append("%s 60 SRV 1 2 53 n%d\n" % (name, draw.randrange(5000)))
        else:
            lines.append("%s 3600 A 198.51.100.%d\n" % (name, index % 256))
        names += [name, "gone%d" % index]
    origin = farm.knot([("c.example.", farm.write("c.zone", "".join(lines)))],
                       zone_extra="    dnssec-signing: on" if signed else "")
    order = write_order(farm.directory, "parity", ["bad.c.example", "n4801.c.example", "gone4.c.example"])
    front = farm.tamisd({"zones": [{"name": "c.example", "forward": {"to": ["%s@%d" % origin.place]}}],
                         "orders": {"files": [order]}})
    path = farm.write("names.txt", "\n".join(name + ".c.example" for name in names) + "\n")
    command = [tamis_program("tamis"), "prove", "--front", "%s@%d" % front.place, "--origin",
               "%s@%d" % origin.place, "--names", path, "--order", order, "--types", ",".join(TYPES), "--do=both",
               "--random-case"]
    for _ in range(2):  # from the origin, then from the cache
        proof = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert proof.returncode == 0, proof.stdout[-4000:] + proof.stderr[-4000:]
    assert counters(front, "cache")["hits"] > len(names)
