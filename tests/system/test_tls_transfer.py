"""Zone transfer over TLS (RFC 9103): from BIND and from origins that are not what they should be."""

import os
import signal
import ssl
import time

import pytest

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode

from testbed.certificates import Authority
from testbed.fake_origin import FakeOrigin
from testbed.process import LOOPBACK, free_port
from testbed.servers import Bind, Nsd, program
from testbed.xot_origin import XotOrigin, server_context

PATIENCE_S = 30.0

ZONE = "x.example."
RECORDS = [ZONE + " NS ns." + ZONE, "ns." + ZONE + " A 192.0.2.53", "www." + ZONE + " A 192.0.2.80"]
KEY_NAME, SECRET = "xfr", "bm90LWEtcmVhbC1zZWNyZXQ="

ZONE_TEXT = """\
$ORIGIN x.example.
$TTL 300
@ SOA ns hm %(serial)d 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.80
host-%(serial)d A 198.51.100.1
"""


class XotBind(Bind):
    """Gives its zone over TLS alone, and to the key alone; its clear port is another."""

    def start(self, path, pair, client_ca=None):
        self.tls_port = free_port()
        config = self.write("named.conf", """\
tls origin { cert-file "%s"; key-file "%s"; protocols { TLSv1.3; }; %s };
key "%s" { algorithm hmac-sha256; secret "%s"; };
options {
    directory "%s"; listen-on port %d { %s; }; listen-on port %d tls origin { %s; };
    listen-on-v6 { none; };
    pid-file none; session-keyfile none; lock-file none;
    recursion no; allow-query { any; }; notify no; dnssec-validation no; empty-zones-enable no;
};
controls { };
zone "%s" { type primary; file "%s"; allow-transfer port %d transport tls { key "%s"; }; };
""" % (pair.certificate, pair.key, "ca-file \"%s\";" % client_ca if client_ca else "", KEY_NAME,
       SECRET, self.directory, self.port, self.address, self.tls_port, self.address, ZONE, path,
       self.tls_port, KEY_NAME))
        self.run([program("named"), "-4", "-g", "-n", "1", "-c", config])
        self.wait_for_zones([ZONE])
        return self


class XotNsd(Nsd):
    """Gives its zone over TLS too, and passes over ALPN."""

    def start(self, path, pair):
        self.tls_port = free_port()
        config = self.write("nsd.conf", """\
server:
    ip-address: %s@%d
    ip-address: %s@%d
    tls-port: %d
    tls-service-pem: "%s"
    tls-service-key: "%s"
    server-count: 1
    database: ""
    zonesdir: "%s"
    username: ""
    pidfile: "%s"
    xfrdfile: "%s"
    xfrdir: "%s"
    zonelistfile: "%s"
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "%s"
    zonefile: "%s"
    provide-xfr: 127.0.0.1 NOKEY
""" % (*self.place, self.address, self.tls_port, self.tls_port, pair.certificate, pair.key,
       self.directory, self.path("nsd.pid"), self.path("xfrd.state"), self.directory,
       self.path("zone.list"), ZONE, path))
        self.run([program("nsd"), "-d", "-c", config])
        self.wait_for_zones([ZONE])
        return self


@pytest.fixture
def authority(farm):
    return Authority(os.path.join(farm.directory, "certificates"))


@pytest.fixture
def pair(authority):
    return authority.issue("ns.example")


def config(origin, tls, **secondary):
    """A secondary zone of `origin`, whose failures are retried soon."""
    return {"keys": [{"name": KEY_NAME, "algorithm": "hmac-sha256", "secret": SECRET}],
            "zones": [{"name": "x.example", "secondary": {"from": [origin], "tls": tls, **secondary}}]}


def trusting(authority, **more):
    return {"name": "ns.example", "ca": authority.certificate, **more}


def ask(server, name, rdtype):
    query = dns.message.make_query(name, rdtype, use_edns=0)
    return dns.query.udp(query, server.address, port=server.port, timeout=5)


def serial_of(server):
    reply = ask(server, ZONE, "SOA")
    return reply.answer[0][0].serial if reply.answer else None


def notify(server, serial):
    query = dns.message.make_query(ZONE, "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    query.flags = (query.flags & ~dns.flags.RD) | dns.flags.AA
    return dns.query.udp(query, server.address, port=server.port, timeout=5)


def eventually(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "not within %g s: %s" % (PATIENCE_S, what)
        time.sleep(0.05)


def zone_error(server):
    return server.control("zones")[0]["error"]


def refused(farm, origin, tls, reason):
    """Starts a secondary that never gets the zone, and says why."""
    server = farm.tamisd(config(origin, tls))
    assert reason in zone_error(server)
    assert zone_error(server).startswith(origin)
    reply = ask(server, "www." + ZONE, "A")
    assert reply.rcode() == dns.rcode.SERVFAIL
    return server


# ---- Origins that are who they should be ----

@pytest.mark.parametrize("mutual", [False, True], ids=["server only", "both sides"])
def test_a_zone_comes_from_bind_over_tls_and_follows_its_changes(farm, authority, pair, mutual):
    path = farm.write("x.zone", ZONE_TEXT % {"serial": 1})
    ours = authority.issue("edge.example")
    origin = farm._add(XotBind).start(path, pair, authority.certificate if mutual else None)
    tls = trusting(authority, **({"certificate": ours.certificate, "key": ours.key} if mutual else {}))
    server = farm.tamisd(config("%s@%d" % (LOOPBACK, origin.tls_port), tls, key=KEY_NAME))
    assert serial_of(server) == 1
    assert ask(server, "host-1." + ZONE, "A").answer[0][0].address == "198.51.100.1"

    farm.write("x.zone", ZONE_TEXT % {"serial": 2})
    origin.process.signal(signal.SIGHUP)
    eventually(lambda: serial_of(origin) == 2, "BIND has the new zone")
    notify(server, 2)
    eventually(lambda: serial_of(server) == 2, "so has the secondary")
    assert ask(server, "host-2." + ZONE, "A").answer


def test_a_zone_comes_from_nsd_over_tls_and_follows_its_changes(farm, authority, pair):
    path = farm.write("x.zone", ZONE_TEXT % {"serial": 1})
    origin = farm._add(XotNsd).start(path, pair)
    server = farm.tamisd(config("%s@%d" % (LOOPBACK, origin.tls_port), trusting(authority)))
    assert ask(server, "host-1." + ZONE, "A").answer[0][0].address == "198.51.100.1"

    farm.write("x.zone", ZONE_TEXT % {"serial": 2})
    origin.process.signal(signal.SIGHUP)
    eventually(lambda: serial_of(origin) == 2, "NSD has the new zone")
    notify(server, 2)
    eventually(lambda: serial_of(server) == 2, "so has the secondary")


def test_an_origin_that_wants_a_certificate_of_ours_is_told_from_others(farm, authority, pair):
    path = farm.write("x.zone", ZONE_TEXT % {"serial": 1})
    origin = farm._add(XotBind).start(path, pair, authority.certificate)
    refused(farm, "%s@%d" % (LOOPBACK, origin.tls_port), trusting(authority),
            "want a certificate of ours")  # BIND hangs up without an alert
    ours = authority.issue("edge.example")
    context = server_context(pair, clients=authority)
    with XotOrigin(ZONE, RECORDS, context) as origin:
        refused(farm, origin.text, trusting(authority), "a certificate of ours")  # alert or not
        server = farm.tamisd(config(origin.text, trusting(authority, certificate=ours.certificate,
                                                          key=ours.key)))
        assert serial_of(server) == 1
        assert set(origin.client_names) == {"edge.example"}


def test_soa_and_transfer_go_over_tls_1_3_and_nothing_in_the_clear(farm, authority, pair):
    with XotOrigin(ZONE, RECORDS, server_context(pair)) as origin:
        server = farm.tamisd(config(origin.text, trusting(authority)))
        assert serial_of(server) == 1
        origin.serial = 2
        notify(server, 2)
        eventually(lambda: serial_of(server) == 2, "new serial")
        assert {kind for kind, *_ in origin.asked} >= {"SOA", "AXFR"}
        assert {(version, protocol) for _, version, protocol in origin.asked} == {("TLSv1.3", "dot")}
        assert set(origin.server_names) == {"ns.example"}
        assert origin.in_clear == [] and origin.failures == []


def test_a_large_zone_in_many_records_of_tls_comes_whole(farm, authority, pair):
    hosts = ["h%d.%s A 198.51.100.%d" % (number, ZONE, number % 250) for number in range(8000)]
    with XotOrigin(ZONE, RECORDS + hosts, server_context(pair), message_size_max=600000) as origin:
        server = farm.tamisd(config(origin.text, trusting(authority)))
        for number in (0, 1, 3999, 7999):
            assert ask(server, "h%d.%s" % (number, ZONE), "A").answer[0][0].address == \
                "198.51.100.%d" % (number % 250)
        assert server.control("zones")[0]["records"] == 8004


def test_a_pinned_key_needs_no_authority_and_no_name(farm, authority, pair):
    other = authority.issue("other.example")
    with XotOrigin(ZONE, RECORDS, server_context(pair)) as origin:
        server = farm.tamisd(config(origin.text, {"pin": [other.pin(), pair.pin()]}))
        assert serial_of(server) == 1
        assert set(origin.server_names) <= {None}


def test_the_port_is_853_unless_given(farm, authority):
    server = farm.tamisd(config("127.0.0.77", trusting(authority)))
    assert "127.0.0.77@853" in zone_error(server)


# ---- Origins that are not ----

def test_another_key_than_the_pinned_one_is_refused_and_told(farm, authority, pair):
    other = authority.issue("other.example")
    with XotOrigin(ZONE, RECORDS, server_context(pair)) as origin:
        server = refused(farm, origin.text, {"pin": [other.pin()]}, "none of \"pin\"")
        assert pair.pin() in zone_error(server)
        assert origin.asked == [] and origin.in_clear == []


def test_a_pin_does_not_make_up_for_a_wrong_authority_or_name(farm, authority, pair):
    other = Authority(os.path.join(farm.directory, "other"), "other authority")
    with XotOrigin(ZONE, RECORDS, server_context(pair)) as origin:
        refused(farm, origin.text, {**trusting(other), "pin": [pair.pin()]}, "no authority in")
        refused(farm, origin.text, {"name": "other.example", "pin": [pair.pin()]},
                "its certificate is not for other.example")
        assert origin.asked == [] and origin.in_clear == []


def test_a_certificate_of_another_authority_name_or_time_is_refused(farm, authority, pair):
    other = Authority(os.path.join(farm.directory, "other"), "other authority")
    expired = authority.issue("ns.example", "expired", days=-1)
    with XotOrigin(ZONE, RECORDS, server_context(pair)) as origin:
        refused(farm, origin.text, trusting(other), "no authority in " + other.certificate)
        refused(farm, origin.text, trusting(authority, name="another.example"),
                "its certificate is not for another.example")
        assert origin.asked == [] and origin.in_clear == []
    with XotOrigin(ZONE, RECORDS, server_context(expired)) as origin:
        refused(farm, origin.text, trusting(authority), "its certificate has expired")
        assert origin.asked == [] and origin.in_clear == []


def test_tls_1_2_is_not_enough(farm, authority, pair):
    old = server_context(pair, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    with XotOrigin(ZONE, RECORDS, old) as origin:
        refused(farm, origin.text, trusting(authority), "speaks no TLS 1.3")
        assert origin.asked == [] and origin.in_clear == []


def test_an_origin_in_the_clear_is_not_fallen_back_to(farm, authority):
    path = farm.write("x.zone", ZONE_TEXT % {"serial": 1})
    origin = farm.knot([(ZONE, path)])
    server = farm.tamisd(config("%s@%d" % origin.place, trusting(authority)))
    assert "TLS" in zone_error(server)
    assert ask(server, "www." + ZONE, "A").rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("octets, reason", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not TLS 1.3: is the port right?"),
    (b"", "during the TLS handshake: does it speak TLS at this port?"),
    (b"\x15\x03\x03\x00\x02\x02\x28", "refuses TLS (Handshake failed)"),
    (b"\x15\x03\x03\x00\x02\x02\x78", "speaks TLS but not DNS over it"),
    (b"\x16\x03\x03\x00\x05\x02\x00\x00\x01\x00", "not TLS 1.3: is the port right?"),
], ids=["http", "nothing", "alert", "no such protocol", "a broken hello"])
def test_garbage_in_place_of_a_handshake_is_told(farm, authority, octets, reason):
    class Garbage(FakeOrigin):
        def _serve_tcp(self):
            while not self._stopping.is_set():
                try:
                    connection, _ = self._tcp.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.recv(4096)
                    connection.sendall(octets)

    with Garbage(0) as origin:
        refused(farm, origin.text, trusting(authority), reason)


@pytest.mark.timed
def test_an_origin_that_never_answers_the_handshake_holds_up_neither_stop_nor_reload(farm, authority):
    with FakeOrigin(None) as origin:
        server = farm.tamisd(config(origin.text, trusting(authority)), wait=False)
        server.process.wait_until(lambda: os.path.exists(server.control_socket), "control socket")
        server.control("reload")
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 4  # the handshake itself may take 5 s


# ---- Reload ----

def test_a_reload_reads_the_authority_again(farm, authority, pair):
    other = Authority(os.path.join(farm.directory, "other"), "other authority")
    trusted = farm.write("trusted.pem", open(other.certificate, encoding="ascii").read())
    with XotOrigin(ZONE, RECORDS, server_context(pair)) as origin:
        server = refused(farm, origin.text, {"name": "ns.example", "ca": trusted}, "no authority in")
        farm.write("trusted.pem", open(authority.certificate, encoding="ascii").read())
        server.control("reload")
        eventually(lambda: serial_of(server) == 1, "transferred")


def test_a_broken_authority_refuses_start_and_reload_with_its_file(farm, authority, pair):
    trusted = farm.write("trusted.pem", open(authority.certificate, encoding="ascii").read())
    with XotOrigin(ZONE, RECORDS, server_context(pair)) as origin:
        server = farm.tamisd(config(origin.text, {"name": "ns.example", "ca": trusted}))
        farm.write("trusted.pem", "nothing of the kind\n")
        with pytest.raises(AssertionError) as failure:
            server.control("reload")
        assert failure.value.error["file"] == trusted
        assert "no certificate that can be read" in failure.value.error["text"]
        origin.serial = 2
        notify(server, 2)
        eventually(lambda: serial_of(server) == 2, "the old authority still serves")
