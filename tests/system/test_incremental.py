"""Changes by IXFR from Knot, NSD and BIND: at the end of many random ones the zone is the origin's."""

import os
import random
import re
import signal

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rdatatype
import dns.update
import dns.zone
import pytest

from testbed.servers import Bind, Knot, Nsd, program

PATIENCE_S = 60.0
ZONE = "moving.example."
LONG = bool(os.environ.get("LONG"))
ROUNDS, CHANGES = 250 if LONG else 25, 80 if LONG else 20  # ten thousand changes from each origin, or hundreds
KEY_NAME, SECRET = "xfr", "bm90LWEtcmVhbC1zZWNyZXQ="


# ---- A zone and its random changes ----

def first_state(generator):
    state = {
        ("@", "NS"): (300, {"ns"}), ("ns", "A"): (300, {"192.0.2.53"}),
        ("*.wild", "TXT"): (300, {'"wild"'}), ("deep.er.than.that", "A"): (300, {"192.0.2.99"}),
        ("old", "DNAME"): (300, {"elsewhere.example."}),
    }
    for number in range(300):
        state["h%d" % number, "A"] = (300, {"198.51.100.%d" % generator.randrange(1, 255)})
    return state


def types_at(state, owner):
    return {rdtype for name, rdtype in state if name == owner}


def change_one(state, generator):
    """Adds, removes or alters a record set of a host, an alias, a cut, a wildcard or an odd type."""
    owner = generator.choice(["h%d" % generator.randrange(400), "a.b%d.c" % generator.randrange(9),
                              "cut%d" % generator.randrange(5), "*.w%d" % generator.randrange(5)])
    if owner.startswith("cut"):
        if (owner, "NS") in state:
            del state[owner, "NS"]
            state.pop(("ns." + owner, "A"), None)
        else:
            state[owner, "NS"] = (600, {"ns." + owner})
            state["ns." + owner, "A"] = (600, {"192.0.2.54"})
        return
    rdtype = generator.choice(["A", "A", "A", "AAAA", "TXT", "CNAME", "MX", "TYPE65280"])
    there = types_at(state, owner)
    if there and generator.random() < 0.3:
        for one in there:
            del state[owner, one]
        return
    if rdtype == "CNAME" or "CNAME" in there:
        for one in there:
            del state[owner, one]
    number = generator.randrange(1, 255)
    data = {"A": "198.51.100.%d", "AAAA": "2001:db8::%x", "TXT": '"text %d"', "CNAME": "h%d",
            "MX": "10 Mail%d", "TYPE65280": "\\# 1 %02x"}[rdtype] % number
    ttl, values = state.get((owner, rdtype), (300, set()))
    if generator.random() < 0.3:
        ttl = generator.choice([60, 300, 900])
    keeps = rdtype != "CNAME" and generator.random() < 0.5
    state[owner, rdtype] = (ttl, (values if keeps else set()) | {data})


def change_some(state, generator, count):
    changed = dict(state)
    for _ in range(count):
        change_one(changed, generator)
    return changed


def zone_text(state, serial):
    lines = ["$ORIGIN " + ZONE, "@ 300 SOA ns hostmaster ( %d 3600 600 86400 60 )" % serial]
    lines += ["%s %d %s %s" % (owner, ttl, rdtype, value)
              for (owner, rdtype), (ttl, values) in sorted(state.items()) for value in sorted(values)]
    return "\n".join(lines) + "\n"


# ---- Origins ----

class Updated:
    """An origin that is told of changes by RFC 2136."""

    def become(self, before, after):
        update = dns.update.UpdateMessage(ZONE)
        for key in sorted(set(before) | set(after)):
            if before.get(key) != after.get(key) and key in before:
                update.delete(key[0], key[1])
        for key in sorted(after):
            if before.get(key) != after[key]:
                ttl, values = after[key]
                for value in sorted(values):
                    update.add(key[0], ttl, key[1], value)
        assert dns.query.tcp(update, self.address, port=self.port, timeout=10).rcode() == 0


class BindOrigin(Updated, Bind):
    name = "bind"

    def start(self, path, options="allow-transfer { any; };"):
        config = self.write("named.conf", """\
options {
    directory "%s"; listen-on port %d { %s; }; listen-on-v6 { none; };
    pid-file none; session-keyfile none; lock-file none; notify no; check-integrity no; %s
    recursion no; allow-query { any; }; dnssec-validation no; empty-zones-enable no;
};
controls { };
key "%s" { algorithm hmac-sha256; secret "%s"; };
zone "%s" { type primary; file "%s"; allow-update { 127.0.0.0/8; }; };
""" % (self.directory, self.port, self.address, options, KEY_NAME, SECRET, ZONE, path))
        self.run([program("named"), "-4", "-g", "-n", "1", "-c", config])
        self.wait_for_zones([ZONE])
        return self


class KnotOrigin(Updated, Knot):
    name = "knot"

    def start(self, path, zone_options=""):
        config = self.write("knot.conf", """\
server:
    listen: %s@%d
    rundir: %s
log:
  - target: stderr
    any: warning
database:
    storage: %s
acl:
  - id: everyone
    address: 127.0.0.0/8
    action: [transfer, update]
policy:
  - id: signed
    algorithm: ecdsap256sha256
    nsec3: on
zone:
  - domain: %s
    file: %s
    acl: everyone
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: changes
%s
""" % (*self.place, self.directory, self.directory, ZONE, path, zone_options))
        self.run([program("knotd"), "-c", config])
        self.wait_for_zones([ZONE])
        return self


class NsdOrigin(Nsd):
    """Reads its zone file again and makes the differences itself."""

    name = "nsd"

    def start(self, path):
        self.zone_file, self.serial = path, 1
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
    zonefiles-check: yes
remote-control:
    control-enable: no
zone:
    name: "%s"
    zonefile: "%s"
    provide-xfr: 127.0.0.1 NOKEY
    store-ixfr: yes
    create-ixfr: yes
""" % (*self.place, self.directory, self.path("nsd.pid"), self.path("xfrd.state"), self.directory,
       self.path("zone.list"), ZONE, path))
        self.run([program("nsd"), "-d", "-c", config])
        self.wait_for_zones([ZONE])
        return self

    def become(self, _before, after):
        self.serial += 1
        with open(self.zone_file, "w", encoding="utf-8") as file:
            file.write(zone_text(after, self.serial))
        self.process.signal(signal.SIGHUP)
        self.process.wait_until(lambda: serial_of(self) == self.serial, "serial", PATIENCE_S)


# ---- Asking ----

def ask(server, name, rdtype, **options):
    query = dns.message.make_query(name, rdtype, use_edns=0, payload=4096, **options)
    return dns.query.udp_with_fallback(query, server.address, port=server.port, timeout=10)[0]


def serial_of(server):
    reply = ask(server, ZONE, "SOA")
    return reply.answer[0][0].serial if reply.answer else None


def notify(server):
    query = dns.message.make_query(ZONE, "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    query.flags = (query.flags & ~dns.flags.RD) | dns.flags.AA
    assert dns.query.udp(query, server.address, port=server.port, timeout=5).rcode() == 0


def follow(tamisd, origin):
    # NSD's old process may answer for a moment still, and we ask it again as it does when unheard.
    serial = getattr(origin, "serial", None) or serial_of(origin)

    def has_arrived():
        if serial_of(tamisd) == serial:
            return True
        notify(tamisd)
        return False

    tamisd.process.wait_until(has_arrived, "serial %d" % serial, PATIENCE_S)


def secondary(origin, **options):
    return {"zones": [{"name": ZONE.rstrip("."),
                       "secondary": {"from": ["%s@%d" % origin.place], **options}}]}


def records(section):
    return sorted(line for rrset in section for line in str(rrset).splitlines())


def assert_same_zone(tamisd, origin, owners_ever, skipped=()):
    """All that a whole transfer from the origin holds is answered here, and nothing else."""
    zone = dns.zone.from_xfr(dns.query.xfr(origin.address, ZONE, port=origin.port, relativize=False),
                             relativize=False)
    for owner, node in zone.nodes.items():
        for rdataset in node.rdatasets:
            if dns.rdatatype.to_text(rdataset.rdtype) in skipped:
                continue
            theirs, ours = (ask(one, owner, rdataset.rdtype) for one in (origin, tamisd))
            assert ours.rcode() == theirs.rcode(), owner
            assert records(ours.answer) == records(theirs.answer), owner
            if not theirs.answer:  # a referral; NSD adds NS sets to answers as well
                assert records(ours.authority) == records(theirs.authority), owner
    for owner in owners_ever:
        name = dns.name.from_text(owner, dns.name.from_text(ZONE))
        for rdtype in ("A", "TXT"):
            theirs, ours = (ask(one, name, rdtype) for one in (origin, tamisd))
            assert ours.rcode() == theirs.rcode(), name
            assert records(ours.answer) == records(theirs.answer), name


def steps_in_log(tamisd):
    return re.findall(r"serial \d+ to \d+ from .*: \d+ changes", tamisd.process.log())


# ---- Peers ----

@pytest.mark.parametrize("kind", [KnotOrigin, NsdOrigin, BindOrigin])
def test_random_changes_arrive_one_by_one_and_the_zone_is_the_origins(farm, kind, pytestconfig):
    generator = random.Random(pytestconfig.getoption("seed"))
    state = first_state(generator)
    owners = {owner for owner, _ in state}
    origin = farm._add(kind).start(farm.write("zone", zone_text(state, 1)))
    tamisd = farm.tamisd(secondary(origin))
    for _ in range(ROUNDS):
        after = change_some(state, generator, generator.randrange(1, CHANGES))
        owners |= {owner for owner, _ in after}
        origin.become(state, after)
        state = after
        follow(tamisd, origin)
    assert_same_zone(tamisd, origin, owners)
    if kind is NsdOrigin:
        # NSD 4.6 adds records that are there already when one of an owner's types changes: such
        # changes are refused, and the zone comes whole.
        assert steps_in_log(tamisd)
    else:
        assert len(steps_in_log(tamisd)) >= ROUNDS - 1
        assert "all of the zone is transferred" not in tamisd.process.log()


@pytest.mark.parametrize("kind", [KnotOrigin, BindOrigin])
def test_many_steps_come_in_one_transfer(farm, kind, pytestconfig):
    generator = random.Random(pytestconfig.getoption("seed"))
    state = first_state(generator)
    owners = {owner for owner, _ in state}
    origin = farm._add(kind).start(farm.write("zone", zone_text(state, 1)))
    tamisd = farm.tamisd(secondary(origin))
    for _ in range(ROUNDS):
        after = change_some(state, generator, 3)
        owners |= {owner for owner, _ in after}
        origin.become(state, after)
        state = after
    follow(tamisd, origin)
    assert_same_zone(tamisd, origin, owners)
    assert 1 <= len(steps_in_log(tamisd)) < ROUNDS / 2  # a NOTIFY may have come in between


def test_an_origin_that_gives_the_whole_zone_instead_is_understood(farm):
    generator = random.Random(1)
    state = first_state(generator)
    origin = farm._add(BindOrigin).start(farm.write("zone", zone_text(state, 1)), "allow-transfer { any; }; provide-ixfr no;")
    tamisd = farm.tamisd(secondary(origin))
    after = change_some(state, generator, 5)
    origin.become(state, after)
    follow(tamisd, origin)
    assert_same_zone(tamisd, origin, {owner for owner, _ in state})
    assert not steps_in_log(tamisd)
    assert "all of the zone is transferred" not in tamisd.process.log()


def test_signed_transfers_bring_changes_of_many_messages(farm):
    generator = random.Random(3)
    state = first_state(generator)
    origin = farm._add(BindOrigin).start(farm.write("zone", zone_text(state, 1)),
                                         "allow-transfer { key %s; }; transfer-message-size 512;" % KEY_NAME)
    config = secondary(origin, key=KEY_NAME)
    tamisd = farm.tamisd({"keys": [{"name": KEY_NAME, "algorithm": "hmac-sha256", "secret": SECRET}],
                          **config})
    after = dict(state)
    for number in range(230):
        after["n%d" % number, "TXT"] = (300, {'"%s"' % ("x" * 200)})
    origin.become(state, after)
    follow(tamisd, origin)
    assert 1 <= len(steps_in_log(tamisd)) <= 2  # a NOTIFY may have come in between
    for number in range(0, 230, 10):
        assert ask(tamisd, "n%d.%s" % (number, ZONE), "TXT").answer


def test_a_restart_goes_on_from_the_serial_that_was_kept(farm):
    generator = random.Random(2)
    state = first_state(generator)
    origin = farm._add(KnotOrigin).start(farm.write("zone", zone_text(state, 1)))
    tamisd = farm.tamisd(secondary(origin))
    after = change_some(state, generator, 10)
    origin.become(state, after)
    tamisd.restart()
    serial = serial_of(origin)
    tamisd.process.wait_until(lambda: serial_of(tamisd) == serial, "serial", PATIENCE_S)
    assert len(steps_in_log(tamisd)) == 1
    assert_same_zone(tamisd, origin, {owner for owner, _ in state})


# ---- Signed, with a digest ----

def test_changes_of_a_signed_zone_with_a_digest_are_verified_and_served(farm, pytestconfig):
    generator = random.Random(pytestconfig.getoption("seed"))
    state = first_state(generator)
    origin = farm._add(KnotOrigin).start(farm.write("zone", zone_text(state, 1)), """\
    dnssec-signing: on
    dnssec-policy: signed
    zonemd-generate: zonemd-sha512
""")
    tamisd = farm.tamisd(secondary(origin, zonemd="require"))
    owners = {owner for owner, _ in state}
    for _ in range(5):
        after = change_some(state, generator, 5)
        owners |= {owner for owner, _ in after}
        origin.become(state, after)
        state = after
        follow(tamisd, origin)
    assert_same_zone(tamisd, origin, owners, skipped=("NSEC3", "RRSIG"))
    for owner in sorted(owners)[::7] + ["missing", "x.y.missing"]:
        name = dns.name.from_text(owner, dns.name.from_text(ZONE))
        theirs, ours = (ask(one, name, "MX", want_dnssec=True) for one in (origin, tamisd))
        assert ours.rcode() == theirs.rcode(), name
        for section in ("answer", "authority"):
            assert records(getattr(ours, section)) == records(getattr(theirs, section)), name
    assert len(steps_in_log(tamisd)) == 5
    assert "refused" not in tamisd.process.log()
