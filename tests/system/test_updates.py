"""Dynamic updates (RFC 2136): the clients that people use, who may, what a kill or a failing disk leaves."""

import os
import socket
import subprocess
import threading
import time

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest

from testbed import wire
from testbed.orders import SINKHOLE_A, write_order
from testbed.servers import program, tamis_program

SECRET = "bm90LWEtcmVhbC1zZWNyZXQ="
LONG = bool(os.environ.get("LONG"))

ZONE = """\
$ORIGIN a.example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
bad A 192.0.2.4
"""

KEYS = {"all": "hmac-sha256", "own.a.example": "hmac-sha256", "acme": "hmac-sha256", "sha1": "hmac-sha1",
        "sha512": "hmac-sha512"}


def write_settled(farm, name, text):
    """Writes a file and waits: one of a moment ago could change again without its times telling."""
    path = farm.write(name, text)
    while time.time_ns() - os.stat(path).st_ctime_ns < 50_000_000:
        time.sleep(0.01)
    return path


def start(farm, zone=None, **options):
    path = write_settled(farm, "a.zone", ZONE)
    zone = {"name": "a.example", "primary": {"file": path}, "allow-update": ["all", "sha1", "sha512"], **(zone or {})}
    return farm.tamisd({"keys": [{"name": name, "algorithm": algorithm, "secret": SECRET}
                                 for name, algorithm in KEYS.items()], "zones": [zone]}, **options)


def address(server, name):
    """The address that the server gives for a name, or the RCODE."""
    reply = wire.ask(server.place, name + ".a.example", "A")
    found = sorted(socket.inet_ntoa(one[4]) for one in reply.answer if one[1] == 1)
    return found[0] if found else wire.RCODES[reply.rcode]


def serial(server):
    return int.from_bytes(wire.ask(server.place, "a.example", "SOA").answer[0][4][-20:-16], "big")


def make(key="all", zone="a.example", **options):
    if key is None:
        return dns.update.UpdateMessage(zone)
    return dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({key: SECRET}), keyname=key,
                                    keyalgorithm=KEYS.get(key, "hmac-sha256"), **options)


def send(server, message, tcp=False):
    ask = dns.query.tcp if tcp else dns.query.udp
    return dns.rcode.to_text(ask(message, server.address, timeout=10, port=server.port).rcode())


def put(server, name, value, key="all", tcp=False):
    message = make(key)
    message.replace(name, 60, "A", value)
    return send(server, message, tcp)


# ---- Clients ----

@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
@pytest.mark.parametrize("client", ["nsupdate", "knsupdate"])
def test_an_update_is_seen_as_soon_as_it_is_acknowledged(farm, client, tcp):
    server = start(farm)
    text = ("server %s %d\nzone a.example.\nprereq nxdomain new.a.example.\nupdate add new.a.example. 60 A 192.0.2.9\n"
            "send\nquit\n" % server.place)
    done = subprocess.run([program(client), "-y", "hmac-sha256:all:" + SECRET, *(["-v"] if tcp else [])], input=text,
                          text=True, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (address(server, "new"), serial(server)) == ("192.0.2.9", 8)


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
@pytest.mark.parametrize("key", ["all", "sha1", "sha512"])
def test_every_answer_is_signed_with_the_algorithm_of_its_key(farm, key, tcp):
    assert put(start(farm), "new", "192.0.2.9", key, tcp) == "NOERROR"  # dnspython checks the answer's MAC


def test_many_updates_on_one_connection_are_all_answered(farm):
    server = start(farm)
    with socket.create_connection(server.place) as connection:
        for i in range(600):
            message = make("all", id=i)
            message.add("many%d" % i, 60, "A", "192.0.2.1")
            dns.query.send_tcp(connection, message.to_wire())
        connection.shutdown(socket.SHUT_WR)
        stream = connection.makefile("rb")
        answers = {}
        while len(head := stream.read(2)) == 2:
            reply = stream.read(int.from_bytes(head, "big"))
            answers[int.from_bytes(reply[:2], "big")] = wire.rcode(reply)
    assert answers == {i: 0 for i in range(600)}
    assert address(server, "many599") == "192.0.2.1"


def test_a_late_answer_to_a_client_that_has_left_harms_nobody(farm):
    server = start(farm)
    for i in range(50):
        with socket.create_connection(server.place) as connection:
            message = make()
            message.add("left%d" % i, 60, "A", "192.0.2.1")
            dns.query.send_tcp(connection, message.to_wire())
    assert put(server, "after", "192.0.2.2", tcp=True) == "NOERROR"


# ---- Permission ----

def test_bad_signatures_are_told_apart(farm):
    server = start(farm)
    bad = dns.update.UpdateMessage("a.example", keyring=dns.tsigkeyring.from_text({"all": "d3Jvbmc="}), keyname="all")
    with pytest.raises(dns.tsig.PeerBadSignature):
        send(server, bad)
    with pytest.raises(dns.tsig.PeerBadKey):
        put(server, "new", "192.0.2.9", "nobody")
    late = make()
    late.add("new", 60, "A", "192.0.2.9")
    real, time.time = time.time, lambda: real() - 3600
    try:
        octets = late.to_wire()
    finally:
        time.time = real
    reply = wire.Message(wire.ask_or_none(server.place, octets))
    tsig = next(one for one in reply.additional if one[1] == 250)
    assert (reply.rcode, tsig[4][-10:-8]) == (9, b"\0\x12")  # NOTAUTH, BADTIME, and our time behind it
    assert abs(int.from_bytes(tsig[4][-6:], "big") - time.time()) < 5
    assert address(server, "new") == "NXDOMAIN"


def test_what_is_wrong_with_a_signed_message_is_told_with_a_signature(farm):
    server = start(farm)
    message = make()
    message.update.append(dns.rrset.from_rdata(dns.name.from_text("new.a.example"), 60,
                                               dns.rdata.GenericRdata(1, 252, b"x")))
    assert send(server, message) == "FORMERR"
    message = make()
    message.present("missing")
    assert send(server, message) == "NXDOMAIN"


def test_who_is_not_allowed_is_refused_and_changes_nothing(farm):
    server = start(farm)
    assert put(server, "new", "192.0.2.9", None) == "REFUSED"
    assert put(server, "new", "192.0.2.9", None, tcp=True) == "REFUSED"
    assert (address(server, "new"), serial(server)) == ("NXDOMAIN", 7)


POLICY = [{"key": "own.a.example", "self": True, "types": ["A", "AAAA"]},
          {"key": "own.a.example", "names": ["shared.a.example"]},
          {"key": "acme", "subtree": ["_acme-challenge.a.example"], "types": ["TXT"]}]


@pytest.mark.parametrize("key, name, rrtype, data, rcode", [
    ("own.a.example", "own", "A", "192.0.2.9", "NOERROR"),
    ("own.a.example", "own", "AAAA", "2001:db8::9", "NOERROR"),
    ("own.a.example", "own", "TXT", "x", "REFUSED"),
    ("own.a.example", "below.own", "A", "192.0.2.9", "REFUSED"),
    ("own.a.example", "bad", "A", "192.0.2.9", "REFUSED"),
    ("own.a.example", "shared", "TXT", "x", "NOERROR"),
    ("own.a.example", "shared", "NS", "ns1", "REFUSED"),
    ("acme", "_acme-challenge", "TXT", "x", "NOERROR"),
    ("acme", "host._acme-challenge", "TXT", "x", "NOERROR"),
    ("acme", "host._acme-challenge", "A", "192.0.2.9", "REFUSED"),
    ("acme", "own", "A", "192.0.2.9", "REFUSED"),
])
def test_a_policy_grants_a_key_what_its_rules_name(module_farm, request, key, name, rrtype, data, rcode):
    server = getattr(module_farm, "policed", None) or start(module_farm, {"update-policy": POLICY})
    module_farm.policed = server
    message = make(key)
    message.add(name, 60, rrtype, data)
    assert send(server, message) == rcode
    message = make(key)
    message.delete(name)
    assert send(server, message) == ("NOERROR" if rcode == "NOERROR" or (key, name) in (
        ("own.a.example", "own"), ("own.a.example", "shared"), ("acme", "host._acme-challenge")) else "REFUSED")


def test_deleting_a_name_needs_every_type_that_it_has(farm):
    server = start(farm, {"update-policy": POLICY})
    message = make()
    message.add("own", 60, "TXT", "not the key's")
    assert send(server, message) == "NOERROR"
    message = make("own.a.example")
    message.delete("own")
    assert send(server, message) == "REFUSED"


def test_an_update_of_a_blocked_name_changes_the_data_and_not_the_verdict(farm):
    server = start(farm)
    order = write_order(farm.directory, "blocks", ["bad.a.example"])
    server.activate(order)
    assert address(server, "bad") == SINKHOLE_A
    assert put(server, "bad", "192.0.2.99") == "NOERROR"
    assert address(server, "bad") == SINKHOLE_A
    server.lift("blocks")
    assert address(server, "bad") == "192.0.2.99"


# ---- Forwarding ----

@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
def test_a_secondary_passes_updates_on_with_their_signature(farm, tcp):
    path = farm.write("knot.zone", ZONE)
    knot = farm.knot([("a.example", path)], allow_transfer=False, zone_extra="    acl: [everyone, update]",
                     extra="key:\n  - id: all\n    algorithm: hmac-sha256\n    secret: %s\n"
                     "acl:\n  - id: update\n    key: all\n    action: update" % SECRET)
    server = farm.tamisd({"zones": [{"name": "a.example", "secondary": {
        "from": ["%s@%d" % knot.place], "forward-updates": True}}]})
    assert put(server, "new", "192.0.2.9", tcp=tcp) == "NOERROR"  # signed by the primary for the client
    assert address(knot, "new") == "192.0.2.9"
    assert put(server, "new", "192.0.2.10", None, tcp=tcp) in ("NOTAUTH", "REFUSED")
    knot.stop()
    assert put(server, "new", "192.0.2.11", None, tcp=tcp) == "SERVFAIL"


def test_a_secondary_refuses_updates_unless_told_to_pass_them_on(farm):
    path = farm.write("knot.zone", ZONE)
    knot = farm.knot([("a.example", path)])
    server = farm.tamisd({"zones": [{"name": "a.example", "secondary": {"from": ["%s@%d" % knot.place]}}]})
    assert put(server, "new", "192.0.2.9", None) == "REFUSED"


# ---- Restarts ----

@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "kill"])
def test_what_was_acknowledged_is_there_after(farm, kill):
    server = start(farm)
    for i in range(5):
        assert put(server, "n%d" % i, "192.0.2.%d" % i) == "NOERROR"
    before = serial(server)
    server.restart(kill=kill)
    assert [address(server, "n%d" % i) for i in range(5)] == ["192.0.2.%d" % i for i in range(5)]
    assert serial(server) == before
    assert put(server, "n5", "192.0.2.5") == "NOERROR"


def test_a_changed_file_does_not_undo_updates(farm):
    server = start(farm)
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    farm.write("a.zone", ZONE.replace(" 7 ", " 100 ") + "person A 192.0.2.50\n")
    server.reload()
    assert (address(server, "new"), address(server, "person")) == ("192.0.2.9", "NXDOMAIN")
    server.restart()
    assert (address(server, "new"), address(server, "person")) == ("192.0.2.9", "NXDOMAIN")
    assert "tamis zone import" in server.process.log()


def test_a_file_that_changed_before_any_update_is_read(farm):
    server = start(farm)
    farm.write("a.zone", ZONE.replace(" 7 ", " 8 ") + "person A 192.0.2.50\n")
    server.reload()
    assert address(server, "person") == "192.0.2.50"
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    assert serial(server) == 9


def test_a_zone_that_begins_to_take_updates_by_a_reload_takes_them(farm):
    server = start(farm, {"allow-update": []})
    assert put(server, "new", "192.0.2.9") == "REFUSED"
    server.config["zones"][0]["allow-update"] = ["all"]
    server.reload()
    assert put(server, "new", "192.0.2.9") == "NOERROR"


class Storm:
    """Clients that set names to a counter, and remember the last value that was acknowledged."""

    def __init__(self, server, clients=4):
        self.server = server
        self.stops = False
        self.acknowledged = {}
        self.tried = {}
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        value = 0
        while not self.stops:
            value += 1
            message = make()
            for name in ("c%d" % client, "twin%d" % client):
                message.replace(name, 60, "A", "10.0.%d.%d" % (value >> 8, value & 255))
            self.tried[client] = value
            try:
                if dns.query.udp(message, self.server.address, timeout=2, port=self.server.port).rcode() == 0:
                    self.acknowledged[client] = value
            except (OSError, dns.exception.DNSException):
                return

    def end(self):
        self.stops = True
        for thread in self.threads:
            thread.join()


def test_no_acknowledged_update_is_lost_to_kills(farm):
    server = start(farm)
    for cycle in range(500 if LONG else 20):
        storm = Storm(server)
        wanted = cycle % 7 + 1
        server.process.wait_until(lambda: sum(storm.acknowledged.values()) >= wanted, "updates")
        server.process.process.kill()
        storm.end()
        server.restart(kill=True)
        for client, value in storm.acknowledged.items():
            found, twin = address(server, "c%d" % client), address(server, "twin%d" % client)
            assert found == twin, "half of a message, in cycle %d" % cycle
            high, low = found.split(".")[2:]
            assert value <= int(high) * 256 + int(low) <= storm.tried[client], "cycle %d" % cycle


# ---- Failing disks ----

def fault_library():
    folder = os.path.dirname(os.path.dirname(tamis_program("tamisd")))
    path = os.path.join(folder, "tests", "fault", "libfault_io.so")
    if not os.path.exists(path):
        pytest.skip("%s is not built" % path)
    return path


def start_faulty(farm, calls, number):
    switch = os.path.join(farm.directory, "fails-now")
    return switch, start(farm, env={"LD_PRELOAD": fault_library(), "FAULT_PATH": "*/journal/*", "FAULT_CALLS": calls,
                                    "FAULT_ERRNO": number, "FAULT_COUNT": "0", "FAULT_WHILE": switch,
                                    "ASAN_OPTIONS": "verify_asan_link_order=0"})


def test_a_full_disk_refuses_updates_until_there_is_room(farm):
    switch, server = start_faulty(farm, "pwrite,pwritev,write,writev,ftruncate", "ENOSPC")
    assert put(server, "before", "192.0.2.1") == "NOERROR"
    open(switch, "w", encoding="ascii").close()
    assert put(server, "during", "192.0.2.2") == "SERVFAIL"
    assert put(server, "during", "192.0.2.2", tcp=True) == "SERVFAIL"
    assert (address(server, "before"), address(server, "during")) == ("192.0.2.1", "NXDOMAIN")
    assert server.process.log().count("updates are refused: the journal cannot be written") == 1
    os.unlink(switch)
    assert put(server, "after", "192.0.2.3") == "NOERROR"
    assert "updates are taken again" in server.process.log()
    server.restart(kill=True)
    assert [address(server, name) for name in ("before", "during", "after")] == ["192.0.2.1", "NXDOMAIN", "192.0.2.3"]


def test_a_failing_sync_acknowledges_nothing_and_a_restart_has_what_was(farm):
    switch, server = start_faulty(farm, "fsync,fdatasync,msync,pwrite", "EIO")
    assert put(server, "before", "192.0.2.1") == "NOERROR"
    open(switch, "w", encoding="ascii").close()
    assert put(server, "during", "192.0.2.2") == "SERVFAIL"
    assert address(server, "during") == "NXDOMAIN"
    os.unlink(switch)
    server.restart(kill=True)
    assert address(server, "before") == "192.0.2.1"
    assert put(server, "after", "192.0.2.3") == "NOERROR"


# ---- Damaged files ----

def journal_file(server):
    return server.path("state", "journal", "data.mdb")


def flip_everything(path, text):
    """Flips a bit of every place where the file has the text."""
    with open(path, "r+b") as file:
        octets = bytearray(file.read())
        at = octets.find(text)
        assert at >= 0
        while at >= 0:
            octets[at + len(text) - 1] ^= 1
            at = octets.find(text, at + 1)
        file.seek(0)
        file.write(octets)


def test_a_damaged_commit_is_named_and_what_is_before_it_is_served(farm):
    server = start(farm)
    for i, name in enumerate(("first", "second", "third")):
        assert put(server, name, "198.51.100.%d" % i) == "NOERROR"
    server.process.kill()
    flip_everything(journal_file(server), b"\6second")
    server.restart(kill=True)
    log = server.process.log()
    assert "does not lead on from serial 8" in log and "later updates are lost" in log
    assert [address(server, name) for name in ("first", "second", "third")] == ["198.51.100.0", "NXDOMAIN", "NXDOMAIN"]
    assert serial(server) == 11  # beyond 10, which secondaries may have
    assert put(server, "fourth", "198.51.100.3") == "NOERROR"
    server.restart(kill=True)
    assert [address(server, name) for name in ("first", "fourth")] == ["198.51.100.0", "198.51.100.3"]


def test_a_torn_journal_serves_what_the_snapshot_has_and_takes_no_updates(farm):
    server = start(farm)
    assert put(server, "kept", "192.0.2.9") == "NOERROR"
    server.restart()  # writes a snapshot
    assert put(server, "lost", "192.0.2.10") == "NOERROR"
    server.process.kill()
    path = journal_file(server)
    os.truncate(path, os.path.getsize(path) // 2 | 1)
    with open(path, "r+b") as file:
        file.write(b"\xff" * 8192)
    server.restart(kill=True)
    assert address(server, "kept") == "192.0.2.9"
    assert put(server, "new", "192.0.2.11") == "SERVFAIL"
    assert "no updates are taken" in server.process.log()


def test_a_damaged_snapshot_is_made_good_by_file_and_journal(farm):
    server = start(farm)
    assert put(server, "one", "192.0.2.1") == "NOERROR"
    server.restart()
    assert put(server, "two", "192.0.2.2") == "NOERROR"
    server.process.kill()
    path = server.path("state", "zones", "a.example.snapshot")
    with open(path, "r+b") as file:
        file.seek(4100)
        file.write(b"\xff" * 64)
    server.restart(kill=True)
    assert [address(server, name) for name in ("one", "two")] == ["192.0.2.1", "192.0.2.2"]
    assert "snapshot" in server.process.log()


def test_dnsperf_sends_updates(farm):
    server = start(farm)
    updates = farm.write("updates", "".join("a.example\nadd perf%d 60 A 192.0.2.1\nsend\n" % i
                                            for i in range(300)))
    done = subprocess.run([program("dnsperf"), "-u", "-s", server.address, "-p", str(server.port), "-d", updates, "-n",
                           "1", "-q", "100", "-y", "hmac-sha256:all:" + SECRET], capture_output=True, text=True,
                          timeout=60, check=False)
    assert "Updates completed:    300 (100.00%)" in done.stdout, done.stdout + done.stderr
    assert address(server, "perf299") == "192.0.2.1"
    assert serial(server) < 7 + 300  # one serial for many
