"""An origin that lies, breaks off or never ends: refused with the reason, and the old zone is kept."""

import hashlib
import itertools
import time

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.zone
import pytest

from testbed.scripted_origin import ScriptedOrigin

ZONE = "kept.example."
PATIENCE_S = 30.0
HEAD = ["@ 300 NS ns", "ns 300 A 192.0.2.53", "www 300 A 192.0.2.1"]


def soa(serial):
    return "@ 300 SOA ns hostmaster %d 3600 600 86400 60" % serial


def whole(serial, *more):
    """A good transfer of the zone."""
    return lambda _query: iter([[soa(serial), *HEAD, *more, soa(serial)]])


def ask(server, name, rdtype):
    query = dns.message.make_query(name, rdtype, use_edns=0)
    return dns.query.udp(query, server.address, port=server.port, timeout=5)


def serial_of(server):
    return ask(server, ZONE, "SOA").answer[0][0].serial


def notify(server):
    query = dns.message.make_query(ZONE, "SOA")
    query.set_opcode(dns.opcode.NOTIFY)
    query.flags = (query.flags & ~dns.flags.RD) | dns.flags.AA
    assert dns.query.udp(query, server.address, port=server.port, timeout=5).rcode() == 0


def start(farm, origin, **options):
    tamisd = farm.tamisd({"zones": [{"name": ZONE.rstrip("."),
                                     "secondary": {"from": [origin.text], **options}}]})
    assert serial_of(tamisd) == 1
    return tamisd


def wait_for(tamisd, text):
    tamisd.process.wait_until(lambda: text in tamisd.process.log(), "'%s' in the log" % text, PATIENCE_S)


def assert_kept(tamisd):
    assert serial_of(tamisd) == 1
    assert ask(tamisd, "www." + ZONE, "A").answer[0][0].address == "192.0.2.1"
    assert ask(tamisd, "new." + ZONE, "A").rcode() == dns.rcode.NXDOMAIN


def addresses(count):
    return ["h%d 300 A 192.0.2.9" % number for number in range(count)]


def forever(query):
    """Steps that never reach the announced serial, and data that never ends."""
    yield [soa(2), soa(1)]
    for number in itertools.count():
        yield ["x%d.%d 300 A 192.0.2.9" % (number, digit) for digit in range(500)]


# ---- Changes ----

BROKEN_CHANGES = {
    "truncated": ([[soa(2), soa(1), "www 300 A 192.0.2.1"], None], "before the answer was complete"),
    "looping": ([[soa(3), soa(1), soa(2), soa(2), soa(1), soa(1), soa(2)]], "from serial 2 to 1"),
    "out of zone": ([[soa(2), soa(1), soa(2), "new.example. 300 A 192.0.2.9", soa(2)]],
                    "a change of kept.example that is outside of the zone"),
    "from another serial": ([[soa(2), soa(7), soa(2), soa(2)]], "from serial 7 on, where serial 1 is"),
    "backwards": ([[soa(2), soa(1), soa(0), soa(2)]], "from serial 1 to 0"),
    "not as announced": ([[soa(1)]], "announced serial 2 of kept.example and sent changes to serial 1"),
    "another end": ([[soa(2), soa(1), soa(2), "new 300 A 192.0.2.9",
                      "@ 300 SOA other hostmaster 2 3600 600 86400 60"]], "with another SOA"),
    "no end": ([[soa(2), soa(1), soa(2), "new 300 A 192.0.2.9"], None], "before the answer was complete"),
    "more behind the end": ([[soa(2), soa(1), soa(2), soa(2), "new 300 A 192.0.2.9"]],
                            "behind the closing SOA"),
    "garbage": ([b"\x00" * 40], "no answer to our query"),
    "no SOA": ([["new 300 A 192.0.2.9", soa(2)]], "with no SOA of it"),
    "removes what is not there": (
        [[soa(2), soa(1), "www 300 A 192.0.2.9", soa(2), "new 300 A 192.0.2.9", soa(2)]],
        "www.kept.example. A is removed, but was not there"),
    "adds what is there": ([[soa(2), soa(1), soa(2), "www 300 A 192.0.2.1", soa(2)]],
                           "www.kept.example. A is added, but is there already"),
    "adds twice": ([[soa(2), soa(1), soa(2), "new 300 A 192.0.2.9", "new 300 A 192.0.2.9", soa(2)]],
                   "new.kept.example. A is added twice"),
    "an alias beside data": ([[soa(2), soa(1), soa(2), "www 300 CNAME ns", soa(2)]],
                             "leaves a CNAME beside other data"),
    "no name servers": ([[soa(2), soa(1), "@ 300 NS ns", soa(2), soa(2)]], "without SOA or NS"),
}


@pytest.mark.parametrize("fault", sorted(BROKEN_CHANGES))
def test_broken_changes_are_refused_and_all_of_the_zone_is_asked_for(farm, fault):
    answer, why = BROKEN_CHANGES[fault]
    announced = 3 if fault == "looping" else 2
    with ScriptedOrigin(ZONE, 1, whole(1)) as origin:
        tamisd = start(farm, origin)
        origin.serial, origin.ixfr = announced, lambda _query: iter(answer)
        origin.axfr = lambda _query: iter([None])  # not to be had, for now
        notify(tamisd)
        wait_for(tamisd, why)
        wait_for(tamisd, "closed the connection before the answer was complete")
        assert_kept(tamisd)

        origin.axfr = whole(announced, "new 300 A 192.0.2.2")
        notify(tamisd)
        tamisd.process.wait_until(lambda: serial_of(tamisd) == announced, "the new serial", PATIENCE_S)
        assert ask(tamisd, "new." + ZONE, "A").answer[0][0].address == "192.0.2.2"
        assert origin.asked[-1] == "AXFR"


def test_endless_changes_end_at_their_bound(farm):
    with ScriptedOrigin(ZONE, 1, whole(1)) as origin:
        tamisd = start(farm, origin)
        origin.serial, origin.ixfr, origin.axfr = 2, forever, whole(2)
        notify(tamisd)
        wait_for(tamisd, "so many changes of kept.example that all of it is less")
        tamisd.process.wait_until(lambda: serial_of(tamisd) == 2, "serial 2", PATIENCE_S)


@pytest.mark.parametrize("answer", [[[soa(2)], None], [["@ 300 NS ns"]]])
def test_an_answer_that_is_no_transfer_leads_to_the_whole_zone(farm, answer):
    with ScriptedOrigin(ZONE, 1, whole(1)) as origin:
        tamisd = start(farm, origin)
        origin.serial, origin.ixfr, origin.axfr = 2, lambda _query: iter(answer), whole(2)
        notify(tamisd)
        tamisd.process.wait_until(lambda: serial_of(tamisd) == 2, "serial 2", PATIENCE_S)
        assert origin.asked[-2:] == ["IXFR", "AXFR"]


def test_a_whole_zone_in_place_of_changes_is_taken(farm):
    with ScriptedOrigin(ZONE, 1, whole(1)) as origin:
        tamisd = start(farm, origin)
        origin.serial, origin.ixfr = 2, whole(2, "new 300 A 192.0.2.2")
        notify(tamisd)
        tamisd.process.wait_until(lambda: serial_of(tamisd) == 2, "serial 2", PATIENCE_S)
        assert origin.asked[-1] == "IXFR"
        assert ask(tamisd, "new." + ZONE, "A").answer


# ---- Whole zones ----

BROKEN_ZONES = {
    "truncated": ([[soa(2), *HEAD], None], {}, "before the answer was complete"),
    "another end": ([[soa(2), *HEAD, soa(3)]], {}, "changed the SOA of kept.example during the transfer"),
    "no name servers": ([[soa(2), "www 300 A 192.0.2.9", soa(2)]], {}, "no NS at the zone's apex"),
    "an older serial": ([[soa(0), *HEAD, soa(0)]], {}, "older than our 1"),
    "oversized": ([[soa(2), *HEAD, *addresses(1000)], [*addresses(1000), soa(2)]],
                  {"transfer-size-max": "16K"}, "sent more than 16384 octets"),
    "garbage": ([b"\xff" * 100], {}, "no answer to our query"),
}


@pytest.mark.parametrize("fault", sorted(BROKEN_ZONES))
def test_a_broken_zone_is_refused_and_the_old_one_kept(farm, fault):
    answer, options, why = BROKEN_ZONES[fault]
    with ScriptedOrigin(ZONE, 1, whole(1)) as origin:
        tamisd = start(farm, origin, **options)
        origin.serial, origin.axfr = 2, lambda _query: iter(answer)
        notify(tamisd)
        wait_for(tamisd, why)
        assert_kept(tamisd)


def test_a_zone_that_trickles_forever_ends_with_its_time(farm):
    def trickle(_query):
        yield [soa(2)]
        while True:
            time.sleep(0.05)
            yield ["h 300 A 192.0.2.9"]

    with ScriptedOrigin(ZONE, 1, whole(1)) as origin:
        tamisd = start(farm, origin, **{"transfer-time-max": "2s"})
        origin.serial, origin.axfr = 2, trickle
        notify(tamisd)
        wait_for(tamisd, "took longer than the whole exchange may")
        assert_kept(tamisd)


# ---- Digests ----

def digest_of(lines):
    """The ZONEMD record of a zone, made by dnspython."""
    zone = dns.zone.from_text("\n".join("$ORIGIN " + ZONE if not n else line
                                        for n, line in enumerate([""] + lines)), relativize=False)
    return "@ 300 ZONEMD " + zone.compute_digest(dns.zone.DigestHashAlgorithm.SHA512).to_text()


def with_digest(serial, *more, spoiled=()):
    """A transfer of a zone with a digest, of which `spoiled` is added behind the digest's back."""
    lines = [soa(serial), *HEAD, *more]
    digest = digest_of(lines + ["@ 300 ZONEMD %d 1 2 %s" % (serial, "00" * 64)])
    return lambda _query: iter([[*lines, digest, *spoiled, soa(serial)]])


def test_a_zone_whose_digest_does_not_match_is_refused(farm):
    with ScriptedOrigin(ZONE, 1, with_digest(1)) as origin:
        tamisd = start(farm, origin)
        origin.serial, origin.axfr = 2, with_digest(2, spoiled=["new 300 A 192.0.2.9"])
        notify(tamisd)
        wait_for(tamisd, "serial 2 from %s is refused: its records do not match its ZONEMD" % origin.text)
        assert_kept(tamisd)
        origin.axfr = with_digest(2, "new 300 A 192.0.2.2")
        notify(tamisd)
        tamisd.process.wait_until(lambda: serial_of(tamisd) == 2, "serial 2", PATIENCE_S)


def test_changes_that_spoil_the_digest_are_refused(farm):
    with ScriptedOrigin(ZONE, 1, with_digest(1)) as origin:
        tamisd = start(farm, origin)
        origin.serial, origin.axfr = 2, with_digest(2)
        origin.ixfr = lambda _query: iter([[soa(2), soa(1), soa(2), "new 300 A 192.0.2.9", soa(2)]])
        notify(tamisd)
        wait_for(tamisd, "its ZONEMD is of another serial than 2")
        tamisd.process.wait_until(lambda: serial_of(tamisd) == 2, "serial 2", PATIENCE_S)
        assert ask(tamisd, "new." + ZONE, "A").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("policy, is_taken", [("verify", True), ("ignore", True), ("require", False)])
def test_a_zone_without_a_digest_is_taken_unless_one_is_required(farm, policy, is_taken):
    with ScriptedOrigin(ZONE, 1, with_digest(1)) as origin:
        tamisd = start(farm, origin, zonemd=policy)
        origin.serial, origin.axfr = 2, whole(2)
        notify(tamisd)
        if is_taken:
            tamisd.process.wait_until(lambda: serial_of(tamisd) == 2, "serial 2", PATIENCE_S)
        else:
            wait_for(tamisd, "it has no ZONEMD")
            assert_kept(tamisd)


def test_the_digest_of_many_odd_names_is_the_one_that_others_make(farm):
    odd = ["\\%03d%s 300 TXT \"%d\"" % (number % 256, hashlib.sha1(b"%d" % number).hexdigest()[:6], number)
           for number in range(20500)]
    odd += ["b\\000.a 300 A 192.0.2.9", "b.a\\000 300 A 192.0.2.9", "b\\001.a\\001 300 A 192.0.2.9", "B.A 300 A 192.0.2.9",
            "a 300 MX 10 Mixed.Case", "*.a 300 A 192.0.2.9"]
    lines = [soa(1), *HEAD, *odd]
    digest = digest_of(lines + ["@ 300 ZONEMD 1 1 2 %s" % ("00" * 64)])
    parts = [lines[at:at + 500] for at in range(0, len(lines), 500)] + [[digest, soa(1)]]
    with ScriptedOrigin(ZONE, 1, lambda _query: iter(parts)) as origin:
        start(farm, origin, zonemd="require")


# ---- EXPIRE ----

def test_the_origins_expire_time_counts(farm):
    with ScriptedOrigin(ZONE, 1, whole(1), expire_s=1000) as origin:
        tamisd = start(farm, origin)

        def left_s():
            zone = next(one for one in tamisd.control("zones") if one["name"] + "." == ZONE)
            return zone["expires_at"] - time.time()

        assert 900 < left_s() <= 1000
        # A check that finds the same serial gives time and never takes it (RFC 7314, 4).
        origin.expire_s, asked = 10, len(origin.asked)
        notify(tamisd)
        tamisd.process.wait_until(lambda: len(origin.asked) > asked, "a check", PATIENCE_S)
        origin.expire_s = 50000
        notify(tamisd)
        tamisd.process.wait_until(lambda: left_s() > 49000, "more time", PATIENCE_S)
        assert left_s() <= 50000
        # More than the SOA allows is not believed.
        origin.expire_s = 2000000
        notify(tamisd)
        tamisd.process.wait_until(lambda: left_s() > 86000, "all the time", PATIENCE_S)
        assert left_s() <= 86400
