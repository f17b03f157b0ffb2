"""What tamisd tells about itself: its figures add up to what was asked, and nothing about a client is
kept for a name that no order lists."""

import json
import os
import re
import socket
import struct
import time
import urllib.error
import urllib.request

import dns.message
import dns.opcode
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.update

from testbed import wire
from testbed.order_answers import eventually
from testbed.orders import write_order
from testbed.process import LOOPBACK, free_port

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
KEY_NAME, SECRET = "xfr", "bm90LWEtcmVhbC1zZWNyZXQ="

ZONE = """@ 3600 SOA ns hostmaster 17 3600 600 1209600 300
@ 3600 NS ns
ns 3600 A 192.0.2.2
www 3600 A 192.0.2.80
evil 3600 A 192.0.2.7
watched 3600 A 192.0.2.8
"""
ZONE_NAMES = 5


def start(farm, config=None):
    zone = {"name": "a.example", "primary": {"file": farm.write("a.example.zone", ZONE)}}
    merged = {"server": {"metrics": "%s@%d" % (LOOPBACK, free_port())}, **(config or {})}
    merged["zones"] = [zone] + merged.get("zones", [])
    return farm.tamisd(merged)


def get(server, page):
    """(status, body)"""
    url = "http://%s/%s" % (server.config["server"]["metrics"].replace("@", ":"), page)
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(server):
    """Every sample by its name with labels."""
    status, body = get(server, "metrics")
    assert status == 200
    samples = {}
    for line in body.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name not in samples, name
            samples[name] = float(value)
    return samples


def counted(server, udp):
    """The figures once all requests are counted: that is after they are answered."""
    eventually(lambda: figures(server)['tamisd_requests_total{transport="udp"}'] >= udp, "requests over UDP")
    return figures(server)


def test_figures_add_up_to_what_was_asked(farm):
    orders = [write_order(farm.directory, "block", names=["evil.a.example", "dead.a.example"]),
              write_order(farm.directory, "watch", names=["watched.a.example"], action="observe")]
    tamisd = start(farm, {"orders": {"files": orders}})
    asked = {
        "www.a.example.": (4, NOERROR), "missing.a.example.": (3, NXDOMAIN), "www.other.example.": (2, REFUSED),
        "evil.a.example.": (7, NOERROR), "dead.a.example.": (5, NOERROR), "watched.a.example.": (6, NOERROR),
    }
    for name, (count, rcode) in asked.items():
        for _ in range(count):
            assert wire.ask(tamisd.place, name, "A").rcode == rcode
    for _ in range(3):
        assert wire.ask_tcp(tamisd.place, "evil.a.example.", "A").rcode == NOERROR
    assert wire.ask(tamisd.place, "evil.a.example.", "MX").rcode == NOERROR

    udp = sum(count for count, _ in asked.values()) + 1
    found = counted(tamisd, udp)
    expected = {
        'tamisd_requests_total{transport="udp"}': udp,
        'tamisd_requests_total{transport="tcp"}': 3,
        'tamisd_tcp_connections_total': 3,
        'tamisd_responses_total{rcode="NOERROR"}': udp + 3 - 3 - 2,
        'tamisd_responses_total{rcode="NXDOMAIN"}': 3,
        'tamisd_responses_total{rcode="REFUSED"}': 2,
        'tamisd_responses_total{rcode="SERVFAIL"}': 0,
        'tamisd_verdicts_total': 7 + 5 + 3 + 1,
        'tamisd_ignored_total': 0,
        'tamisd_malformed_total': 0,
        'tamisd_order_hits_total{order="block"}': 7 + 5 + 3 + 1,
        'tamisd_order_hits_total{order="watch"}': 6,
        'tamisd_order_names{order="block"}': 2,
        'tamisd_order_in_force{order="block"}': 1,
        'tamisd_zone_serving{zone="a.example"}': 1,
        'tamisd_zone_serial{zone="a.example"}': 17,
        'tamisd_zone_names{zone="a.example"}': ZONE_NAMES,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert abs(found["tamisd_start_time_seconds"] - time.time()) < 300

    stats = tamisd.control("stats")
    assert (stats["queries"]["udp"], stats["queries"]["tcp"]) == (udp, 3)
    assert stats["queries"]["verdicts"] == 16
    assert stats["responses"]["NXDOMAIN"] == 3
    by_order = {order["id"]: (order["hits"], [(name["name"], name["hits"]) for name in order["names"]])
                for order in stats["orders"]}
    assert by_order == {"block": (16, [("evil.a.example", 11), ("dead.a.example", 5)]),
                        "watch": (6, [("watched.a.example", 6)])}

    # A request that cannot be answered, and one that is no request.
    whole = wire.query("www.a.example.", "A")
    cut = whole[:10] + b"\0\1" + whole[12:]  # says that a record follows
    assert wire.rcode(wire.ask_or_none(tamisd.place, cut)) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(struct.pack("!HHHHHH", 1, wire.QR, 0, 0, 0, 0), tamisd.place)
    assert wire.ask(tamisd.place, "www.a.example.", "A").rcode == NOERROR
    later = counted(tamisd, udp + 3)
    assert later["tamisd_malformed_total"] == 1 and later["tamisd_ignored_total"] == 1
    assert later['tamisd_requests_total{transport="udp"}'] == udp + 3

    tamisd.lift("block")
    assert not [name for name in figures(tamisd) if "block" in name]


def test_every_sample_belongs_to_a_family_that_is_explained_once(farm):
    tamisd = start(farm, {"orders": {"files": [write_order(farm.directory, "one", names=["evil.a.example"])]}})
    family, seen = None, set()
    for line in get(tamisd, "metrics")[1].splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in seen
            seen.add(family)
            assert line.rstrip().endswith(".")
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family
            assert line.split()[3] == ("counter" if family.endswith("_total") else "gauge")
        else:
            assert re.fullmatch(re.escape(family) + r'(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? \d+', line), line


def test_health_is_told_and_says_what_is_wrong(farm):
    tamisd = start(farm)
    assert get(tamisd, "healthz") == (200, "ok\n")
    tamisd.config["zones"].append({"name": "dark.example", "secondary": {"from": [
        "%s@%d" % (LOOPBACK, free_port())]}})
    tamisd.reload()
    status, body = get(tamisd, "healthz")
    assert status == 503 and "dark.example" in body and "a.example" not in body.replace("dark.example", "")
    tamisd.config["zones"].pop()
    tamisd.reload()
    assert get(tamisd, "healthz") == (200, "ok\n")


# ---- Privacy ----


class Client:
    """Asks from an address of its own, which would be told apart anywhere."""

    def __init__(self, place, address):
        self.place, self.address = place, address

    def _socket(self, kind):
        sock = socket.socket(socket.AF_INET, kind)
        sock.settimeout(5)
        sock.bind((self.address, 0))
        sock.connect(self.place)
        return sock

    def udp(self, message):
        with self._socket(socket.SOCK_DGRAM) as sock:
            sock.send(message)
            return sock.recv(65535)

    def udp_unanswered(self, message):
        """Of what may be ignored, no answer is waited for."""
        with self._socket(socket.SOCK_DGRAM) as sock:
            sock.send(message)

    def tcp(self, octets):
        """Whatever comes back before the server closes or nothing follows."""
        with self._socket(socket.SOCK_STREAM) as sock:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            return sock.makefile("rb").read()


def framed(message):
    return struct.pack("!H", len(message)) + message


def everything_told(server):
    """What a person or a program can read of the server, by where it stands."""
    told = {"log": server.process.log()}
    for page in ("metrics", "healthz", "nowhere"):
        told[page] = get(server, page)[1]
    for command in ("status", "zones", "orders", "stats"):
        told[command] = json.dumps(server.control(command))
        told["tamis ctl " + command] = server.ctl(command).stdout
    for folder, _, files in os.walk(server.path("state")):
        for file in files:
            with open(os.path.join(folder, file), encoding="latin-1") as stream:
                told[file] = stream.read()
    return told


def assert_untold(told, secrets):
    for where, text in told.items():
        for secret in secrets:
            assert secret.lower() not in text.lower(), "%s is told in: %s" % (secret, where)


def ask_everything(client, label):
    """All kinds of requests, sound and broken, about names that begin with the label."""
    names = [label + rest for rest in (".a.example.", ".www.a.example.", ".evil.a.example.", ".other.example.", ".")]
    for name in names:
        for rrtype in ("A", "AAAA", "ANY", "SOA", "AXFR", "DS", "TYPE65280"):
            message = wire.query(name, rrtype, 0x1234, edns=1232, do=True)
            client.udp(message)
            client.tcp(framed(message))
        client.udp(wire.query(name, "TXT", rrclass=3))  # CHAOS
    for opcode in (dns.opcode.NOTIFY, dns.opcode.STATUS):
        message = dns.message.make_query(names[0], "SOA")
        message.set_opcode(opcode)
        client.udp(message.to_wire())
    update = dns.update.Update("a.example.")
    update.add(label, 300, "A", "192.0.2.99")
    client.udp(update.to_wire())

    # Signed by a key we know not, by one we know with another secret, and rightly.
    for key, secret in (("other", SECRET), (KEY_NAME, "YW5vdGhlci1zZWNyZXQtaGVyZQ=="), (KEY_NAME, SECRET)):
        message = dns.message.make_query(names[0], "A")
        message.use_tsig(dns.tsigkeyring.from_text({key: secret}), keyname=key)
        client.udp(message.to_wire())

    # Cut short, with rubbish behind, a question that never ends, and a length that promises more.
    whole = wire.query(names[0], "A", 0x1234)
    for size in range(12, len(whole)):
        client.udp_unanswered(whole[:size])
    client.udp_unanswered(whole + b"rubbish")
    client.udp_unanswered(whole[:2] + b"\x80" + whole[3:])  # a response
    client.tcp(framed(whole)[:-3])
    client.tcp(struct.pack("!H", 65535) + whole)


def test_nothing_is_kept_of_who_asks_for_a_name_that_no_order_lists(farm):
    orders = [write_order(farm.directory, "block", names=["evil.a.example", "quiet.a.example"]),
              write_order(farm.directory, "watch", names=["watched.a.example"], action="observe")]
    tamisd = start(farm, {
        "orders": {"files": orders},
        "keys": [{"name": KEY_NAME, "algorithm": "hmac-sha256", "secret": SECRET}],
        "zones": [{"name": "dark.example", "secondary": {"from": ["%s@%d" % (LOOPBACK, free_port())]}}],
    })
    tamisd.activate(write_order(farm.directory, "person", names=["evil.a.example"]))
    client = Client(tamisd.place, "127.77.88.99")
    ask_everything(client, "canary")
    for name in ("www.a.example.", "evil.a.example.", "watched.a.example.", "canary.dark.example."):
        client.udp(wire.query(name, "A"))
    tamisd.ctl("reload")

    told = everything_told(tamisd)
    assert_untold(told, [client.address, "canary"])
    # Of a listed name it is told how often it was asked for, and not by whom.
    assert "evil.a.example" in told["stats"] and "watched.a.example" in told["stats"]
    assert_untold({where: told[where] for where in ("log", "metrics", "healthz", "status", "zones")},
                  ["evil.a.example", "quiet.a.example", "watched.a.example", "www.a.example"])
    assert "quiet.a.example" not in told["stats"]

    process = tamisd.process
    tamisd.stop()
    assert_untold({"the log after the end": process.log()}, [client.address, "canary", "evil.a.example"])

