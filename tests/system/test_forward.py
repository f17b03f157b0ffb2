"""Forwarded zones: what the origin says, from the cache when it says nothing, and never what it did not say."""

import os
import random
import socket
import subprocess
import time

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from testbed.order_answers import eventually
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
soon 10 A 192.0.2.13
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
    assert data(ask(front, "www")) == ["192.0.2.10"]
    for name, rdtype in (("unseen", "A"), ("mail", "TXT"), ("@", "NS")):
        reply = ask(front, name if name != "@" else "c.example.", rdtype)
        assert reply.rcode() == dns.rcode.SERVFAIL and not reply.answer and not reply.authority
        assert codes(reply) == [EDE_UNREACHABLE]
    reply = ask(front, "brief")
    while not codes(reply):
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
    assert first == 10
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


def test_clients_of_tcp_wait_for_the_origin_and_get_whole_answers(pair):
    _, front = pair
    reply = ask(front, "big", "TXT", payload=512)
    assert reply.flags & dns.flags.TC and not reply.answer
    assert len(data(ask(front, "big", "TXT", tcp=True))[0]) > 1400
    with socket.create_connection(front.place, timeout=8) as stream:
        names = ["www", "mail", "x.wild", "unseen"]
        for name in names:  # all at once, none of them known
            dns.query.send_tcp(stream, dns.message.make_query(name + ".c.example", "A"))
        replies = [dns.query.receive_tcp(stream)[0] for _ in names]
    assert sorted(reply.question[0].name.to_text() for reply in replies) == sorted(n + ".c.example." for n in names)


def test_answers_with_and_without_dnssec_are_kept_apart(farm):
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))], zone_extra="    dnssec-signing: on")
    front = start(farm, origin)
    for _ in range(2):
        plain, signed = ask(front, "www"), ask(front, "www", want_dnssec=True)
        assert [rrset.rdtype for rrset in plain.answer] == [1]
        assert sorted(rrset.rdtype for rrset in signed.answer) == [1, 46]
        assert signed.ednsflags & dns.flags.DO and not plain.ednsflags & dns.flags.DO
        assert data(ask(front, "www", flags=dns.flags.CD)) == ["192.0.2.10"]
    assert counters(front)["asked"] == 3


def test_a_popular_answer_is_renewed_before_it_expires(pair):
    _, front = pair
    deadline = time.monotonic() + 60
    while counters(front)["refreshed"] == 0:
        assert time.monotonic() < deadline
        assert ask(front, "soon").answer[0].ttl > 0
    assert counters(front)["failed"] == 0
    assert ask(front, "soon").answer[0].ttl > 5


def test_a_purged_name_is_asked_for_anew(pair):
    origin, front = pair
    ask(front, "www"), ask(front, "mail"), ask(front, "x.wild"), ask(front, "y.wild")

    def purge(*words):
        return subprocess.run([tamis_program("tamis"), "ctl", "-s", front.control_socket, "cache", "purge", *words],
                              capture_output=True, text=True, timeout=20, check=True).stdout

    assert purge("www.c.example") == "1 answers purged\n"
    assert purge("www.c.example") == "0 answers purged\n"
    assert purge("--subtree", "wild.c.example.") == "2 answers purged\n"
    origin.stop()
    assert ask(front, "www").rcode() == dns.rcode.SERVFAIL
    assert data(ask(front, "mail")) == ["192.0.2.2"]
    shown = subprocess.run([tamis_program("tamis"), "ctl", "-s", front.control_socket, "cache"],
                           capture_output=True, text=True, timeout=20, check=True).stdout
    assert "forwarding:" in shown and "127.0.0.1@%d" % origin.port in shown


@pytest.mark.parametrize("persists", [True, False])
def test_the_cache_outlives_a_restart_when_it_is_told_to(farm, persists):
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    front = start(farm, origin, cache={"size": "2M", "persist": persists})
    assert data(ask(front, "www")) == ["192.0.2.10"]
    origin.stop()
    front.restart()
    assert ask(front, "www").rcode() == (dns.rcode.NOERROR if persists else dns.rcode.SERVFAIL)


def test_a_kill_costs_no_more_of_the_cache_than_an_interval(farm):
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    front = start(farm, origin, cache={"size": "2M", "persist": True, "save-interval": "1s"})
    saved = os.path.join(front.directory, "state", "cache")
    for name, address in (("www", "192.0.2.10"), ("mail", "192.0.2.2")):
        before = os.stat(saved).st_ino if os.path.exists(saved) else None
        assert data(ask(front, name)) == [address]
        eventually(lambda was=before: os.path.exists(saved) and os.stat(saved).st_ino != was, "the cache is saved")
    origin.stop()
    front.restart(kill=True)
    assert data(ask(front, "www")) == ["192.0.2.10"] and data(ask(front, "mail")) == ["192.0.2.2"]
    assert ask(front, "unseen").rcode() == dns.rcode.SERVFAIL


def test_a_reload_brings_zones_and_other_servers(farm):
    first = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    changed = farm.write("d.zone", ZONE.replace("192.0.2.10", "192.0.2.99"))
    second = farm.knot([("c.example.", changed), ("d.example.", farm.write("e.zone", ZONE.replace("c.ex", "d.ex")))])
    front = farm.tamisd({"zones": []})
    assert ask(front, "www").rcode() == dns.rcode.REFUSED
    zone = {"name": "c.example", "forward": {"to": ["%s@%d" % first.place]}}
    front.config["zones"] = [zone]
    assert not front.reload()["findings"]
    assert data(ask(front, "www")) == ["192.0.2.10"]
    zone["forward"] = {"to": ["%s@%d" % second.place]}
    front.config["zones"].append({"name": "d.example", "forward": {"to": ["%s@%d" % second.place]}})
    assert not front.reload()["findings"]
    assert data(ask(front, "www")) == ["192.0.2.10"]  # its time is not over
    front.control("cache", purge="c.example", subtree=True)
    assert data(ask(front, "www")) == ["192.0.2.99"]
    assert data(ask(front, "www.d.example.")) == ["192.0.2.10"]
    del front.config["zones"][1]
    assert not front.reload()["findings"]
    assert ask(front, "www.d.example.").rcode() == dns.rcode.REFUSED
    assert {origin["server"] for origin in counters(front, "origins")} == {"%s@%d" % second.place}


def test_without_an_origin_who_asks_for_signatures_gets_what_is_kept_without(farm):
    """Resolvers set DO and often CD, whether they validate or not; what warmed the cache may not have."""
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    front = start(farm, origin)
    ask(front, "www")
    ask(front, "mail", want_dnssec=True, flags=dns.flags.CD)
    origin.stop()
    for flags in (0, dns.flags.CD):
        assert data(ask(front, "www", want_dnssec=True, flags=flags)) == ["192.0.2.10"]
        assert data(ask(front, "www", flags=flags)) == ["192.0.2.10"]
        assert data(ask(front, "mail", want_dnssec=True, flags=flags)) == ["192.0.2.2"]
        assert ask(front, "mail", flags=flags).rcode() == dns.rcode.SERVFAIL


class MuteOrigin:
    """Takes questions and answers none; what it was asked is in `asked`."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.place = self.socket.getsockname()

    def asked(self):
        self.socket.setblocking(False)
        names = set()
        try:
            while True:
                names.add(dns.message.from_wire(self.socket.recv(4096)).question[0].name.to_text().lower())
        except BlockingIOError:
            return names


def test_a_slow_origin_is_not_waited_for_when_something_is_known(farm):
    """Within the client-response timer (RFC 8767, 5), and those who come meanwhile do not ask again."""
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    front = start(farm, origin)
    ask(front, "brief")
    mute = MuteOrigin()
    front.config["zones"][0]["forward"]["to"] = ["%s@%d" % mute.place]
    front.reload()
    reply = ask(front, "brief")
    while not codes(reply):
        reply = ask(front, "brief")
    assert codes(reply) == [EDE_STALE] and data(reply) == ["192.0.2.12"]
    assert mute.asked() == {"brief.c.example."}


def test_a_reload_takes_waiting_questions_to_the_new_servers(farm):
    origin = farm.knot([("c.example.", farm.write("c.zone", ZONE))])
    mute = MuteOrigin()
    front = start(farm, mute)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(dns.message.make_query("www.c.example", "A").to_wire(), front.place)
        while not mute.asked():
            pass
        front.config["zones"][0]["forward"]["to"] = ["%s@%d" % origin.place]
        front.reload()
        assert data(dns.message.from_wire(client.recv(4096))) == ["192.0.2.10"]


def test_a_stop_leaves_no_client_without_an_answer(farm):
    mute = MuteOrigin()
    front = start(farm, mute)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(dns.message.make_query("www.c.example", "A").to_wire(), front.place)
        while not mute.asked():
            pass
        front.end()
        assert dns.message.from_wire(client.recv(4096)).rcode() == dns.rcode.SERVFAIL


def test_listed_names_never_reach_the_origin(farm):
    mute = MuteOrigin()
    order = write_order(farm.directory, "listed", ["bad.c.example", "worse.c.example"])
    front = farm.tamisd({"zones": [{"name": "c.example", "forward": {"to": ["%s@%d" % mute.place]}}],
                         "orders": {"files": [order]}})
    for rdtype in ("A", "AAAA", "TXT", "ANY", "NS", "DS"):
        for tcp in (False, True):
            assert codes(ask(front, "BAD", rdtype, tcp=tcp)) == [16]
    assert ask(front, "c.example.", "SOA").rcode() == dns.rcode.SERVFAIL
    assert mute.asked() == {"c.example."}


def test_many_who_ask_the_same_cost_the_origin_one_question(farm):
    mute = MuteOrigin()
    front = start(farm, mute)
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
    for index, client in enumerate(clients):
        client.settimeout(10)
        client.sendto(dns.message.make_query("wWw.c.example" if index % 2 else "www.c.example", "A", id=index).to_wire(),
                      front.place)
    for index, client in enumerate(clients):
        reply = dns.message.from_wire(client.recv(4096))
        assert reply.id == index and reply.rcode() == dns.rcode.SERVFAIL
        assert str(reply.question[0].name) == ("wWw.c.example." if index % 2 else "www.c.example.")
        client.close()
    # Late ones may find that the failure is known.
    assert counters(front)["asked"] == 1


def test_a_flood_of_random_names_takes_nothing_from_those_that_exist(farm):
    zone = ZONE + "".join("h%d 1 A 192.0.2.7\n" % index for index in range(200))
    origin = farm.knot([("c.example.", farm.write("c.zone", zone))])
    front = start(farm, origin, {"rate-max": 2000, "unseen-rate-max": 20})
    while any(ask(front, "h%d" % index).rcode() != 0 for index in range(200)):
        pass  # become known within the budget
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind(("127.0.0.1", 0))
        for turn in range(200):
            for index in range(50):
                flood.sendto(dns.message.make_query("r%d-%d.c.example" % (turn, index), "A").to_wire(), front.place)
            assert data(ask(front, "h%d" % turn)) == ["192.0.2.7"]
    found = counters(front)
    assert found["over_unseen"] > 1000
    (server,) = counters(front, "origins")
    assert server["asked"] < 5000


def test_a_clients_subnet_is_passed_on_when_told(farm):
    subnet = dns.edns.ECSOption("198.51.100.0", 24)
    for passes in (True, False):
        mute = MuteOrigin()
        front = start(farm, mute, {"client-subnet": passes})
        assert ask(front, "www", options=[subnet]).rcode() == dns.rcode.SERVFAIL
        asked = dns.message.from_wire(mute.socket.recv(4096))
        assert [option.to_text() for option in asked.options if option.otype == 8] == \
            (["ECS 198.51.100.0/24 scope/0"] if passes else [])


def test_a_subnet_of_no_possible_size_is_not_passed_on(farm):
    mute = MuteOrigin()
    front = start(farm, mute, {"client-subnet": True})
    for size in (3, 21, 300):
        reply = ask(front, "n%d" % size, options=[dns.edns.GenericOption(8, b"\x40" * size)])
        assert reply.rcode() == dns.rcode.SERVFAIL
        asked = dns.message.from_wire(mute.socket.recv(4096))
        assert not [option for option in asked.options if option.otype == 8]
        mute.asked()
