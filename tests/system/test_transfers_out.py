"""Zones on their way out: AXFR and IXFR to the servers that people use, to slow and rude clients, and while the
zone changes; NOTIFY to those who want to know."""

import os
import random
import socket
import struct
import subprocess
import threading
import time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsigkeyring
import dns.update
import dns.zone
import pytest

from testbed.certificates import Authority
from testbed.process import free_port
from testbed.secondaries import BindSecondary, KnotSecondary, NsdSecondary
from testbed.servers import program

PATIENCE_S = 60.0
LONG = bool(os.environ.get("LONG"))

KEY = ("xfr", "bm90LWEtcmVhbC1zZWNyZXQ=")
KEYRING = dns.tsigkeyring.from_text({KEY[0]: KEY[1]})
ZONE = "a.example."

TEXT = """\
$ORIGIN a.example.
$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
left TXT "0"
right TXT "0"
"""

# Deeper than anything that a test changes, so that names of every depth go through compression.
SHAPES = ["www CNAME left", "mail MX 10 ns", "mail MX 20 left.deep.er", "left.deep.er AAAA 2001:db8::1", "*.wild TXT \"*\"",
          "sub NS ns.sub", "ns.sub A 192.0.2.2", "odd TYPE65280 \\# 3 010203", "old DNAME elsewhere.example."]


def eventually(condition, what, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within %g s: %s" % (timeout_s, what)
        time.sleep(0.02)


def start(farm, lines=SHAPES, server=None, notify=(), **options):
    text = TEXT + "".join(line + "\n" for line in lines)
    path = farm.write("a.zone", text)
    # A file that was written a moment ago could change again without its times telling.
    while time.time_ns() - os.stat(path).st_ctime_ns < 50_000_000:
        time.sleep(0.01)
    zone = {"name": "a.example", "primary": {"file": path}, "allow-transfer": [KEY[0]], "allow-update": [KEY[0]],
            "notify": list(notify), **options}
    return farm.tamisd({"server": server or {}, "zones": [zone],
                        "keys": [{"name": KEY[0], "algorithm": "hmac-sha256", "secret": KEY[1]}]})


def change(server, fill, **options):
    """Sends one update that `fill` makes; it has to be taken."""
    message = dns.update.UpdateMessage(ZONE, keyring=KEYRING, keyname=KEY[0], keyalgorithm="hmac-sha256")
    fill(message)
    reply = dns.query.udp(message, server.address, timeout=20, port=server.port, **options)
    assert reply.rcode() == dns.rcode.NOERROR


def serial_of(server, zone=ZONE):
    try:
        reply = dns.query.udp(dns.message.make_query(zone, "SOA"), server.address, port=server.port, timeout=2)
    except dns.exception.Timeout:
        return None
    return reply.answer[0][0].serial if reply.answer else None


def request(kind="AXFR", serial=None, key=True, zone=ZONE, **options):
    query = dns.message.make_query(zone, kind, **options)
    if serial is not None:
        query.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", ". . %d 0 0 0 0" % serial))
    query.flags &= ~dns.flags.RD
    if key:
        query.use_tsig(KEYRING, keyname=KEY[0], algorithm="hmac-sha256")
    return query


def answers(server, query, timeout_s=60.0):
    """The messages of a transfer, each with its signature checked, to the last one."""
    with socket.create_connection(server.place, timeout=timeout_s) as sock:
        wire = query.to_wire()
        sock.sendall(struct.pack("!H", len(wire)) + wire)
        stream = sock.makefile("rb")
        messages, end, context = [], End(), None
        while True:
            head = stream.read(2)
            assert len(head) == 2, "the connection ended behind %d messages" % len(messages)
            message = dns.message.from_wire(stream.read(struct.unpack("!H", head)[0]), keyring=query.keyring,
                                            request_mac=query.mac, xfr=True, tsig_ctx=context, multi=True,
                                            one_rr_per_rrset=True)
            context = message.tsig_ctx
            assert message.id == query.id
            assert message.had_tsig == bool(query.keyring)
            messages.append(message)
            if end.has_come(message):
                return messages


def records(messages):
    return [(rrset.name, rrset.ttl, rrset.rdtype, rrset[0]) for message in messages for rrset in message.answer]


class End:
    """Tells the last message of a transfer: an error, or the SOA that it began with, as often as its form wants."""

    def __init__(self):
        self.count = self.soas = 0
        self.is_difference = False

    def has_come(self, message):
        if message.rcode() != dns.rcode.NOERROR:
            return True
        for rrset in message.answer:
            self.count += 1
            self.soas += rrset.rdtype == dns.rdatatype.SOA
            self.is_difference |= self.count == 2 and self.soas == 2
        if self.count == 1:
            return message.question[0].rdtype == dns.rdatatype.IXFR
        return self.soas == (4 if self.is_difference else 2)


def content(server, key=True, zone=ZONE):
    """A zone as the server gives it by AXFR: the serial, and all records but the SOA's copy."""
    found = records(answers(server, request(key=key, zone=zone)))
    assert found[0] == found[-1] and found[0][2] == dns.rdatatype.SOA
    assert len(set(found)) == len(found) - 1
    return found[0][3].serial, set(found)


def transfers(server, what):
    return server.control("status")["transfers_out"][what]


# ---- One transfer ----

def test_axfr_tells_the_zone_file(farm):
    server = start(farm)
    file = dns.zone.from_file(server.config["zones"][0]["primary"]["file"], origin=ZONE, relativize=False)
    wanted = {(name, rdataset.ttl, rdataset.rdtype, rdata) for name, node in file.nodes.items() for rdataset in node
              for rdata in rdataset}
    assert content(server) == (7, wanted)


@pytest.mark.parametrize("serial, form", [(7, "soa"), (8, "soa"), (6, "whole")])
def test_ixfr_from_a_serial_without_history(farm, serial, form):
    server = start(farm)
    messages = answers(server, request("IXFR", serial))
    assert len(records(messages)) == (1 if form == "soa" else len(content(server)[1]) + 1)


def test_ixfr_tells_what_changed_and_nothing_else(farm):
    server = start(farm)
    change(server, lambda message: message.add("new", 60, "A", "192.0.2.9"))
    change(server, lambda message: message.add("passing", 60, "A", "192.0.2.9"))
    change(server, lambda message: message.delete("passing"))
    change(server, lambda message: message.delete("left", "TXT"))
    found = [(str(name), dns.rdatatype.to_text(kind), data.serial if kind == dns.rdatatype.SOA else str(data))
             for name, _, kind, data in records(answers(server, request("IXFR", 7)))]
    assert found == [(ZONE, "SOA", 11), (ZONE, "SOA", 7), ("left." + ZONE, "TXT", "\"0\""), (ZONE, "SOA", 11),
                     ("new." + ZONE, "A", "192.0.2.9"), (ZONE, "SOA", 11)]
    eventually(lambda: transfers(server, "ixfr") == 1, "it is counted")


@pytest.mark.parametrize("changes, size", [(1, 6), (100, 1)], ids=["fits", "does not fit"])
def test_ixfr_over_udp_is_the_difference_where_it_fits(farm, changes, size):
    server = start(farm)

    def fill(message):
        for i in range(changes):
            message.add("host-with-a-long-name-%d" % i, 60, "A", "192.0.2.9")
    message = dns.update.UpdateMessage(ZONE, keyring=KEYRING, keyname=KEY[0], keyalgorithm="hmac-sha256")
    fill(message)
    assert dns.query.tcp(message, server.address, timeout=20, port=server.port).rcode() == dns.rcode.NOERROR
    reply = dns.query.udp(request("IXFR", 7, use_edns=0, payload=1232), server.address, port=server.port, timeout=20,
                          one_rr_per_rrset=True)
    assert reply.had_tsig
    assert len(reply.answer) == (5 if size > 1 else 1)
    assert reply.answer[0][0].serial == 8


def test_who_may_not_is_refused(farm):
    server = start(farm, **{"allow-transfer": ["127.0.0.2", "127.0.0.1 key xfr"]})
    assert answers(server, request(key=False))[0].rcode() == dns.rcode.REFUSED
    assert answers(server, request(key=False, zone="other.example."))[0].rcode() == dns.rcode.NOTAUTH
    assert answers(server, request(key=False, zone="www." + ZONE))[0].rcode() == dns.rcode.NOTAUTH
    assert len(content(server)[1]) > 5
    reply = dns.query.udp(request(), server.address, port=server.port, timeout=20)
    assert reply.rcode() == dns.rcode.NOTIMP and reply.had_tsig
    with socket.create_connection(server.place, source_address=("127.0.0.2", 0)) as sock:
        wire = request(key=False).to_wire()
        sock.sendall(struct.pack("!H", len(wire)) + wire)
        head = sock.makefile("rb").read(14)
        assert head[5] & 0xf == dns.rcode.NOERROR


def test_the_time_to_expiry_is_told_to_who_asks(farm):
    server = start(farm)
    asked = request(use_edns=0, options=[dns.edns.GenericOption(9, b"")])
    first = answers(server, asked)[0]
    assert [option.data for option in first.options] == [struct.pack("!I", 86400)]
    assert not answers(server, request())[0].options
    asked = request("SOA", key=False, use_edns=0, options=[dns.edns.GenericOption(9, b"")])
    reply = dns.query.udp(asked, server.address, port=server.port, timeout=20)
    assert [option.data for option in reply.options] == [struct.pack("!I", 86400)]


def test_a_secondary_tells_what_is_left_to_its_expiry(farm):
    primary = start(farm)
    secondary = farm.tamisd({"keys": primary.config["keys"], "zones": [{
        "name": "a.example", "secondary": {"from": ["%s@%d" % primary.place], "key": KEY[0]},
        "allow-transfer": ["127.0.0.1"]}]})
    zone = secondary.control("zones")[0]
    asked = request(key=False, use_edns=0, options=[dns.edns.GenericOption(9, b"")])
    told = struct.unpack("!I", answers(secondary, asked)[0].options[0].data)[0]
    assert zone["expires_at"] - time.time() - PATIENCE_S < told <= 86400
    assert told <= zone["expires_at"] - int(time.time()) + 2


def test_a_zone_that_is_not_served_is_not_sent(farm):
    secondary = farm.tamisd({"zones": [{
        "name": "a.example", "secondary": {"from": ["127.0.0.1@%d" % free_port()]}, "allow-transfer": ["127.0.0.1"]}]})
    assert answers(secondary, request(key=False))[0].rcode() == dns.rcode.SERVFAIL


def test_transfers_over_tls(farm):
    pair = Authority(os.path.join(farm.directory, "ca")).issue("ns.example")
    port = free_port()
    start(farm, ["h%d A 192.0.2.1" % i for i in range(20000)],
          {"tls": {"listen": ["127.0.0.1@%d" % port], "certificate": pair.certificate,
                   "key": pair.key}})
    done = subprocess.run([program("kdig"), "@127.0.0.1", "-p", str(port), "+tls", "-y", "hmac-sha256:%s:%s" % KEY,
                           ZONE, "AXFR"], capture_output=True, text=True, timeout=60, check=True)
    assert "20006 records" in done.stdout, done.stdout[-1000:] + done.stderr


# ---- Secondaries that people run ----

WORDS = ["a", "b", "c", "www", "x.a", "y.a", "deep.er.a", "*.b", "mail"]


def random_fill(rng):
    """Makes an update of a few random additions and deletions."""
    def fill(message):
        for _ in range(rng.randrange(1, 5)):
            owner = rng.choice(WORDS) + rng.choice(["", "1", "2", "3"])
            kind, data = rng.choice([("A", "192.0.2.%d" % rng.randrange(4)), ("TXT", "t%d" % rng.randrange(4)),
                                     ("AAAA", "2001:db8::%d" % rng.randrange(4)), ("MX", "10 m%d" % rng.randrange(3))])
            what = rng.randrange(4)
            if what < 2:
                message.add(owner, rng.choice([60, 300]), kind, data)
            elif what == 2:
                message.delete(owner, kind)
            else:
                message.replace(owner, 60, kind, data)
    return fill


@pytest.mark.parametrize("kind", [KnotSecondary, NsdSecondary, BindSecondary], ids=["knot", "nsd", "bind"])
def test_a_secondary_follows_thousands_of_changes(farm, kind, pytestconfig):
    rng = random.Random(pytestconfig.getoption("--seed"))
    secondary = farm._add(kind)
    server = start(farm, notify=["127.0.0.1@%d key %s" % (secondary.port, KEY[0])])
    secondary.follow(ZONE, server.place, KEY)
    for _ in range(10):
        for _ in range(500 if LONG else 150):
            change(server, random_fill(rng))
        eventually(lambda: serial_of(secondary) == serial_of(server), "the secondary has the serial")
        assert content(secondary, key=False) == content(server)
    # Not by whole zones: the first, our own look, and hardly more.
    assert transfers(server, "ixfr") >= 10
    assert transfers(server, "axfr") <= 2 + 10
    assert server.control("status")["notify"]["answered"] > 0


# ---- While the zone changes ----

def test_each_transfer_is_of_one_serial_while_updates_run(farm):
    """Two records far apart in the table change together; no transfer ever tells them apart."""
    server = start(farm, ["h%d A 192.0.2.1" % i for i in range(30000)])
    done = threading.Event()

    def write():
        count = 0
        while not done.is_set():
            count += 1

            def fill(message):
                message.replace("left", 60, "TXT", str(count))
                message.replace("right", 60, "TXT", str(count))
            change(server, fill)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = set()
        for _ in range(12):
            serial, found = content(server)
            texts = {str(data) for _, _, kind, data in found if kind == dns.rdatatype.TXT}
            assert texts == {"\"%d\"" % (serial - 7)}
            assert len(found) == 30000 + 5
            seen.add(serial)
    finally:
        done.set()
        writer.join()
    assert len(seen) > 1


# ---- Rude clients ----

def ask_raw(server, query, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(60)
    sock.connect(server.place)
    wire = query.to_wire()
    sock.sendall(struct.pack("!H", len(wire)) + wire)
    return sock


def count_records(sock, wanted):
    stream = sock.makefile("rb")
    count = 0
    while count < wanted:
        count += struct.unpack("!H", stream.read(struct.unpack("!H", stream.read(2))[0])[6:8])[0]
    sock.close()


MANY = ["h%d TXT %s" % (i, "x" * 200) for i in range(100000)]


def test_a_client_that_does_not_read_is_cut_off_and_one_that_reads_slowly_is_served(farm):
    server = start(farm, MANY, {"tcp-idle-timeout": "2s"})
    silent = ask_raw(server, request(), 4096)
    slow = ask_raw(server, request(), 65536)
    begun = time.monotonic()
    stream = slow.makefile("rb", 65536)
    count = 0
    while count < 100000 + 6:
        head = stream.read(2)
        assert len(head) == 2, "cut off after %d records" % count
        message = stream.read(struct.unpack("!H", head)[0])
        count += struct.unpack("!H", message[6:8])[0]
        if time.monotonic() - begun < 6:
            time.sleep(0.01) # three times as long as the other one is waited for
    eventually(lambda: transfers(server, "failed") == 1, "the silent client is cut off")
    eventually(lambda: transfers(server, "running") == 0, "the slow client is done")
    silent.close()
    slow.close()


def test_a_connection_that_is_reset_ends_its_transfer_alone(farm):
    server = start(farm, MANY)
    for _ in range(20):
        sock = ask_raw(server, request(), 4096)
        sock.recv(1000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    assert len(content(server)[1]) == 100000 + 5
    eventually(lambda: transfers(server, "running") == 0, "all have ended")
    assert transfers(server, "failed") == 20


def test_more_transfers_than_may_run_wait_for_their_turn(farm):
    server = start(farm, MANY, {"tcp-clients": 200, "tcp-clients-per-address": 200})
    socks = [ask_raw(server, request(), 4096) for _ in range(50)]
    eventually(lambda: transfers(server, "waiting") == 50 - 32, "some wait")
    readers = [threading.Thread(target=count_records, args=(sock, 100000 + 6)) for sock in socks]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(PATIENCE_S)
        assert not reader.is_alive()
    eventually(lambda: transfers(server, "axfr") == 50, "all are sent")


def test_queries_are_answered_while_twenty_transfers_run(farm):
    server = start(farm, ["h%d A 192.0.2.1" % i for i in range(200000)])
    readers = [threading.Thread(target=count_records, args=(ask_raw(server, request()), 200000 + 6))
               for _ in range(20)]
    for reader in readers:
        reader.start()
    asked = 0
    while asked < 500 or any(reader.is_alive() for reader in readers):
        query = dns.message.make_query("h%d.%s" % (asked % 200000, ZONE), "A")
        assert len(dns.query.udp(query, server.address, port=server.port, timeout=5).answer) == 1
        asked += 1
    eventually(lambda: transfers(server, "axfr") == 20, "all are sent")
    assert transfers(server, "failed") == 0


def test_a_stop_does_not_wait_for_transfers(farm):
    server = start(farm, MANY)
    sock = ask_raw(server, request(), 4096)
    eventually(lambda: transfers(server, "running") == 1, "it runs")
    assert server.stop() == 0
    sock.close()


# ---- NOTIFY ----

def test_a_secondary_is_told_at_the_start_and_of_each_change_until_it_answers(farm):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PATIENCE_S)
        server = start(farm, notify=["127.0.0.1@%d key xfr" % sock.getsockname()[1]])

        def receive():
            wire, place = sock.recvfrom(4096)
            return dns.message.from_wire(wire, keyring=KEYRING), place
        first, _ = receive()
        again, place = receive() # the first was not answered
        for message in (first, again):
            assert (message.question[0].name, message.answer[0][0].serial) == (dns.name.from_text(ZONE), 7)
            assert message.had_tsig and message.flags & dns.flags.AA
        reply = dns.message.make_response(again)
        reply.use_tsig(KEYRING, keyname=KEY[0], algorithm="hmac-sha256")
        reply.request_mac = again.mac
        sock.sendto(reply.to_wire(), place)
        eventually(lambda: server.control("status")["notify"]["answered"] == 1, "the answer is taken")
        change(server, lambda message: message.add("new", 60, "A", "192.0.2.9"))
        assert receive()[0].answer[0][0].serial == 8
