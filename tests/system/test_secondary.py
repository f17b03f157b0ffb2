"""Secondary zones: transferred from Knot, NSD and BIND, kept fresh, given up in time, taken back."""

import time

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rrset
import dns.zone
import pytest

from testbed.process import free_port
from testbed.servers import Bind, Knot, Nsd, program

# Generous: a busy machine under sanitizers is slow, and none of these times is a promise.
PATIENCE_S = 30.0

KEY_NAME, SECRET, OTHER_SECRET = "xfr", "bm90LWEtcmVhbC1zZWNyZXQ=", "YW5vdGhlci1zZWNyZXQtaGVyZQ=="

MIXED = """\
$ORIGIN %(zone)s
$TTL 300
@ IN SOA ns hostmaster ( %(serial)d %(refresh)d %(retry)d %(expire)d 60 )
@ NS ns
@ NS ns.elsewhere.example.
@ MX 10 Mail
@ TXT "v=spf1 -all" "second string"
@ CAA 0 issue "ca.example"
ns A 192.0.2.53
ns AAAA 2001:db8::53
Mail A 192.0.2.25
www CNAME web
web 60 A 192.0.2.80
web 60 A 192.0.2.81
web HTTPS 1 . alpn=h2 ipv4hint=192.0.2.80
_sip._tcp SRV 10 20 5060 sip.web
*.wild TXT "wild"
deep.er.than.that A 192.0.2.99
old DNAME elsewhere.example.
sub NS ns.sub
sub DS 1 8 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns.sub A 192.0.2.54
naptr NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@web.example!" .
rp RP hostmaster txt.rp
odd TYPE65280 \\# 4 c00cffff
host-%(serial)d A 198.51.100.1
"""


def zone_text(zone, serial=1, refresh=3600, retry=600, expire=86400):
    return MIXED % {"zone": zone, "serial": serial, "refresh": refresh, "retry": retry,
                    "expire": expire}


def ask(server, name, rdtype):
    query = dns.message.make_query(name, rdtype, use_edns=0)
    return dns.query.udp(query, server.address, port=server.port, timeout=5)


def serial_of(server, zone):
    reply = ask(server, zone, "SOA")
    return reply.answer[0][0].serial if reply.answer else None


def eventually(condition, what, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within %g s: %s" % (timeout_s, what)
        time.sleep(0.05)


def place_text(server):
    return "%s@%d" % server.place


def secondary(zone, *origins, **options):
    return {"name": zone.rstrip("."), "secondary": {"from": [place_text(one) for one in origins],
                                                    **options}}


def ede_codes(reply):
    return [int(option.code) for option in reply.options if option.otype == dns.edns.EDE]


def is_servfail(reply, ede):
    return reply.rcode() == dns.rcode.SERVFAIL and ede in ede_codes(reply) and not reply.answer


def notify(server, zone, serial=None):
    query = dns.message.make_query(zone, "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    query.flags = (query.flags & ~dns.flags.RD) | dns.flags.AA
    if serial is not None:
        query.answer.append(dns.rrset.from_text(
            zone, 0, "IN", "SOA", "ns. hostmaster. %d 0 0 0 0" % serial))
    return dns.query.udp(query, server.address, port=server.port, timeout=5)


# ---- Transfers ----

@pytest.mark.parametrize("kind", ["knot", "nsd", "bind"])
def test_a_mixed_zone_from_each_server_answers_as_there(farm, kind):
    zone = "mixed.example."
    path = farm.write("mixed.zone", zone_text(zone))
    if kind == "nsd":
        origin = farm._add(KeyedNsd).start(zone, path, key=None)
    else:
        origin = getattr(farm, kind)([(zone, path)])
    tamisd = farm.tamisd({"zones": [secondary(zone, origin)]})

    content = dns.zone.from_file(path, origin=zone, relativize=False)
    for owner, node in content.nodes.items():
        for rdataset in node.rdatasets:
            theirs, ours = (ask(one, owner, rdataset.rdtype) for one in (origin, tamisd))
            assert ours.rcode() == theirs.rcode(), owner
            assert (ours.flags & dns.flags.AA) == (theirs.flags & dns.flags.AA), owner
            assert sorted(map(str, ours.answer)) == sorted(map(str, theirs.answer)), owner
    assert ask(tamisd, "x.wild.mixed.example.", "TXT").answer[0][0].strings == (b"wild",)
    assert ask(tamisd, "missing.mixed.example.", "A").rcode() == dns.rcode.NXDOMAIN


def test_many_zones_come_from_one_origin(farm):
    zones = ["z%d.example." % number for number in range(60)]
    origin = farm.knot([(zone, farm.write(zone + "zone", zone_text(zone, number + 1)))
                        for number, zone in enumerate(zones)])
    tamisd = farm.tamisd({"zones": [secondary(zone, origin) for zone in zones]})
    assert [serial_of(tamisd, zone) for zone in zones] == list(range(1, 61))


def test_a_large_zone_of_many_messages_comes_whole(farm):
    zone = "large.example."
    hosts = "".join("h%d A 198.51.100.%d\n" % (number, number % 250) for number in range(50000))
    origin = farm.knot([(zone, farm.write("large.zone", zone_text(zone) + hosts))])
    tamisd = farm.tamisd({"zones": [secondary(zone, origin)]})
    for number in (0, 1, 24999, 49998, 49999):
        reply = ask(tamisd, "h%d.large.example." % number, "A")
        assert reply.answer[0][0].address == "198.51.100.%d" % (number % 250)


# ---- Signatures ----

class KeyedNsd(Nsd):
    """Gives its zone only to the key; to everyone when there is none."""

    def start(self, zone, path, key=KEY_NAME):
        config = self.write("nsd.conf", """\
server:
    ip-address: %s@%d
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
key:
    name: "%s"
    algorithm: hmac-sha256
    secret: "%s"
zone:
    name: "%s"
    zonefile: "%s"
    provide-xfr: 127.0.0.1 %s
""" % (*self.place, self.directory, self.path("nsd.pid"), self.path("xfrd.state"), self.directory,
       self.path("zone.list"), KEY_NAME, SECRET, zone, path, key or "NOKEY"))
        self.run([program("nsd"), "-d", "-c", config])
        self.wait_for_zones([zone])
        return self


class KeyedBind(Bind):
    """Gives its zone only to the key."""

    def start(self, zone, path):
        config = self.write("named.conf", """\
options {
    directory "%s"; listen-on port %d { %s; }; listen-on-v6 { none; };
    pid-file none; session-keyfile none; lock-file none;
    recursion no; allow-query { any; }; notify no; dnssec-validation no; empty-zones-enable no;
};
controls { };
key "%s" { algorithm hmac-sha256; secret "%s"; };
zone "%s" { type primary; file "%s"; allow-transfer { key "%s"; }; };
""" % (self.directory, self.port, self.address, KEY_NAME, SECRET, zone, path, KEY_NAME))
        self.run([program("named"), "-4", "-g", "-n", "1", "-c", config])
        self.wait_for_zones([zone])
        return self


class KeyedKnot(Knot):
    """Gives its zone only to the key."""

    def start(self, zone, path):
        config = self.write("knot.conf", """\
server:
    listen: %s@%d
    rundir: %s
log:
  - target: stderr
    any: warning
database:
    storage: %s
key:
  - id: %s
    algorithm: hmac-sha256
    secret: %s
acl:
  - id: keyed
    key: %s
    action: transfer
zone:
  - domain: %s
    file: %s
    acl: keyed
    zonefile-sync: -1
    journal-content: none
""" % (*self.place, self.directory, self.directory, KEY_NAME, SECRET, KEY_NAME, zone, path))
        self.run([program("knotd"), "-c", config])
        self.wait_for_zones([zone])
        return self


KEYED = {"knot": KeyedKnot, "nsd": KeyedNsd, "bind": KeyedBind}


def start_keyed(farm, kind, keys):
    zone = "keyed.example."
    hosts = "".join("h%d A 198.51.100.%d\n" % (number, number % 250) for number in range(20000))
    origin = farm._add(KEYED[kind]).start(zone, farm.write("keyed.zone", zone_text(zone) + hosts))
    options = {"key": keys[0]["name"]} if keys else {}
    return zone, farm.tamisd({"keys": keys, "zones": [secondary(zone, origin, **options)]})


@pytest.mark.parametrize("kind", sorted(KEYED))
def test_a_transfer_with_the_right_key_succeeds(farm, kind):
    zone, tamisd = start_keyed(
        farm, kind, [{"name": KEY_NAME, "algorithm": "hmac-sha256", "secret": SECRET}])
    assert serial_of(tamisd, zone) == 1
    assert ask(tamisd, "h19999.keyed.example.", "A").answer[0][0].address == "198.51.100.249"


@pytest.mark.parametrize("kind", sorted(KEYED))
@pytest.mark.parametrize("fault", ["no key", "other secret", "other name"])
def test_a_transfer_with_a_wrong_key_is_refused_and_explained(farm, kind, fault):
    keys = {
        "no key": [],
        "other secret": [{"name": KEY_NAME, "algorithm": "hmac-sha256", "secret": OTHER_SECRET}],
        "other name": [{"name": "other", "algorithm": "hmac-sha256", "secret": SECRET}],
    }[fault]
    said = {
        "no key": "allow this address there or configure a key",
        "other secret": "BADSIG: the secret of the key xfr differs there",
        "other name": "BADKEY: it does not know the key other",
    }[fault]
    zone, tamisd = start_keyed(farm, kind, keys)
    assert is_servfail(ask(tamisd, zone, "SOA"), dns.edns.EDECode.NOT_READY)
    eventually(lambda: said in tamisd.process.log(), "'%s' in the log" % said)


# ---- Freshness ----

def start_pair(farm, zone, **timers):
    path = farm.write("zone", zone_text(zone, 1, **timers))
    origin = farm.knot([(zone, path)])
    tamisd = farm.tamisd({"zones": [secondary(zone, origin)]})
    assert serial_of(tamisd, zone) == 1
    return path, origin, tamisd


def change(farm, origin, zone, serial, **timers):
    farm.write("zone", zone_text(zone, serial, **timers))
    origin.control("-b", "zone-reload", zone)
    assert serial_of(origin, zone) == serial


def test_a_notify_brings_the_new_serial(farm):
    zone = "notified.example."
    _, origin, tamisd = start_pair(farm, zone)
    for serial, hint in ((2, 2), (3, None), (4, 4)):
        change(farm, origin, zone, serial)
        reply = notify(tamisd, zone, hint)
        assert reply.rcode() == dns.rcode.NOERROR and reply.opcode() == dns.opcode.NOTIFY
        eventually(lambda: serial_of(tamisd, zone) == serial, "serial %d" % serial)
        assert ask(tamisd, "host-%d.%s" % (serial, zone), "A").answer
        assert ask(tamisd, "host-%d.%s" % (serial - 1, zone), "A").rcode() == dns.rcode.NXDOMAIN


def test_the_refresh_timer_brings_the_new_serial_without_notify(farm):
    zone = "timed.example."
    timers = {"refresh": 1, "retry": 1}
    _, origin, tamisd = start_pair(farm, zone, **timers)
    for serial in (2, 3):
        change(farm, origin, zone, serial, **timers)
        eventually(lambda: serial_of(tamisd, zone) == serial, "serial %d" % serial)


def test_an_older_serial_is_not_taken(farm):
    zone = "older.example."
    _, origin, tamisd = start_pair(farm, zone)
    change(farm, origin, zone, 5)
    notify(tamisd, zone, 5)
    eventually(lambda: serial_of(tamisd, zone) == 5, "serial 5")
    change(farm, origin, zone, 4)
    notify(tamisd, zone)
    eventually(lambda: "older than our 5" in tamisd.process.log(), "the reason in the log")
    assert serial_of(tamisd, zone) == 5


# ---- Absence ----

def test_a_zone_whose_origin_is_gone_serves_then_expires_then_serves_again(farm):
    zone = "gone.example."
    timers = {"refresh": 1, "retry": 1, "expire": 4}
    path, origin, tamisd = start_pair(farm, zone, **timers)

    origin.stop()
    time.sleep(1.5)
    assert ask(tamisd, "web." + zone, "A").answer, "still within its expire time"
    eventually(lambda: ask(tamisd, "web." + zone, "A").rcode() != dns.rcode.NOERROR, "expiry")
    for name in ("web.", "missing.", ""):
        reply = ask(tamisd, name + zone, "A")
        assert is_servfail(reply, dns.edns.EDECode.INVALID_DATA), reply

    origin.start([(zone, path)])
    eventually(lambda: serial_of(tamisd, zone) == 1, "the zone back with the same serial")
    assert ask(tamisd, "missing." + zone, "A").rcode() == dns.rcode.NXDOMAIN


def test_a_zone_that_never_came_answers_servfail_and_holds_up_no_other(farm):
    zone, dead = "good.example.", "dead.example."
    path = farm.write("zone", zone_text(zone))
    origin = farm.knot([(zone, path)])
    nowhere = "127.0.0.1@%d" % free_port()
    tamisd = farm.tamisd({"zones": [
        {"name": dead.rstrip("."), "secondary": {"from": [nowhere]}}, secondary(zone, origin)]})

    assert serial_of(tamisd, zone) == 1
    for name in (dead, "www." + dead):
        assert is_servfail(ask(tamisd, name, "A"), dns.edns.EDECode.NOT_READY)


def test_a_second_origin_stands_in_for_the_first(farm):
    zone = "twofold.example."
    path = farm.write("zone", zone_text(zone))
    first, second = farm.knot_unstarted(), farm.knot([(zone, path)])
    tamisd = farm.tamisd({"zones": [secondary(zone, first, second)]})
    assert serial_of(tamisd, zone) == 1
