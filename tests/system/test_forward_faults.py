"""An origin that fails, lies or is lame, in each way there is: the front never passes it on, asks the other
server, uses what it has, and otherwise says SERVFAIL.

Each fault stands in three zones of one tamisd: alone ("x.example"), beside a right server
("x-two.example"), and after it was right for a while ("x-stale.example").
"""

import collections
import concurrent.futures
import random
import struct
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest

from testbed.faulty_origin import Elsewhere, FaultyOrigins, Raw, Trickle
from testbed.front_rules import ask, errors, kind
from testbed.servers import is_sanitized

QUESTIONS = (("www", "A"), ("www", "AAAA"), ("gone", "A"), ("@", "SOA"))
RIGHT = ("data", "nodata", "nxdomain", "data")
FAILED = ("servfail",) * 4
EDE_STALE, EDE_STALE_NXDOMAIN = 3, 19

# Messages sent for one question of a client's at most (MESSAGES_MAX of src/front/origin_internal.h).
MESSAGES_MAX = 10

NO_AA = 0
AA, TC = dns.flags.AA, dns.flags.TC


def over_udp(fault):
    """The fault over UDP alone; TCP is right."""
    return lambda asked: [asked.honest()] if asked.over_tcp else fault(asked)


def over_tcp(*steps):
    """Truncated over UDP; `steps` (made of the right answer) over TCP."""
    return lambda asked: [step(asked.honest()) for step in steps] if asked.over_tcp else \
        [asked.reply(flags=AA | TC)]


def says(*_, **parts):
    return lambda asked: [asked.reply(**parts)]


def rcode(value):
    return says(rcode=value)


def patched(offset, value, size=2):
    """The right answer with other octets at an offset."""
    def fault(asked):
        wire = asked.honest()
        return [wire[:offset] + value.to_bytes(size, "big") + wire[offset + size:]]
    return fault


def flipped(mask):
    """The right answer with bits of its flags turned."""
    return lambda asked: [patched(2, struct.unpack("!H", asked.honest()[2:4])[0] ^ mask)(asked)[0]]


def wrong_id(wire):
    return bytes([wire[0] ^ 1]) + wire[1:]


def wrong_question(asked):
    wire = bytearray(asked.honest())
    wire[13] ^= 3
    return [bytes(wire)]


def lower_case(asked):
    wire = asked.honest()
    end = 12 + len(asked.name.to_wire())
    return [wire[:12] + wire[12:end].lower() + wire[end:]]


def no_edns(asked):
    return [asked.reply(rcode=dns.rcode.FORMERR, edns=False)] if asked.has_edns else [asked.honest()]


def bare_formerr(asked):
    return [asked.wire[:2] + struct.pack("!5H", 0x8001, 0, 0, 0, 0)] if asked.has_edns else [asked.honest()]


def bad_cookie(asked):
    cookie = asked.client_cookie
    options = [dns.edns.GenericOption(10, cookie + random.randbytes(8))] if cookie else []
    return [asked.reply(rcode=dns.rcode.BADCOOKIE, options=options)]


def forged_cookie(asked):
    return [asked.honest(options=[dns.edns.GenericOption(10, b"forgery!" + b"servers!")])]


def other_class(asked):
    wire = asked.reply(answer=["www 300 A 192.0.2.66"])
    return [wire.replace(b"\xc0\x0c\x00\x01\x00\x01", b"\xc0\x0c\x00\x01\x00\x03")]


def raw_record(asked, owner=b"\xc0\x0c", data=b"\xc0\x00\x02\x0a", rdtype=1, counts=(1, 0, 0), tail=b""):
    """One record written by hand behind the question."""
    end = 12 + len(asked.name.to_wire()) + 4
    return (asked.wire[:2] + struct.pack("!5H", 0x8400, 1, *counts) + asked.wire[12:end] + owner +
            struct.pack("!HHIH", rdtype, 1, 300, len(data)) + data + tail)


def pointer_loop(asked):
    at = 12 + len(asked.name.to_wire()) + 4
    return [raw_record(asked, owner=struct.pack("!H", 0xC000 | at))]


OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00"


def options(octets):
    return lambda asked: [raw_record(asked, counts=(1, 0, 1), tail=OPT + struct.pack("!H", len(octets)) + octets)]


def fails_for(*names):
    return lambda asked: [asked.reply(rcode=dns.rcode.SERVFAIL)] if asked.labels in names else [asked.honest()]


def drowned(asked):
    """Guesses first, then the answer."""
    wire = asked.honest()
    return [struct.pack("!H", (asked.query.id + offset) % 65536) + wire[2:] for offset in range(1, 40)] + [wire]


def truncated_record(asked):
    return [asked.honest()[:-3]]


Fault = collections.namedtuple("Fault", "answers outcome has_tcp")


def fault(answers, outcome=FAILED, has_tcp=True):
    return Fault(answers, outcome, has_tcp)


FAULTS = {
    # It fails, and says so or does not.
    "refuses": fault(rcode(dns.rcode.REFUSED)),
    "servfail": fault(rcode(dns.rcode.SERVFAIL)),
    "notimp": fault(rcode(dns.rcode.NOTIMP)),
    "formerr": fault(rcode(dns.rcode.FORMERR)),
    "notauth": fault(rcode(dns.rcode.NOTAUTH)),
    "badvers": fault(rcode(dns.rcode.BADVERS)),
    "badcookies": fault(bad_cookie),
    "yxdomain": fault(rcode(dns.rcode.YXDOMAIN)),
    "refused-with-data": fault(says(answer=["www 300 A 192.0.2.66"], rcode=dns.rcode.REFUSED)),
    "silent": fault(lambda asked: []),
    "silent-no-tcp": fault(lambda asked: [], has_tcp=False),
    "some-names": fault(fails_for("www"), ("servfail", "servfail", "nxdomain", "data")),
    # It is not the one that was asked, or answers something else.
    "other-id": fault(lambda asked: [wrong_id(asked.honest())]),
    "other-port": fault(over_udp(lambda asked: [Elsewhere(asked.honest(), "127.0.0.1")])),
    "other-address": fault(over_udp(lambda asked: [Elsewhere(asked.honest(), "127.0.0.2")])),
    "other-question": fault(wrong_question),
    "other-type": fault(lambda asked: [patched(12 + len(asked.name.to_wire()), 16)(asked)[0]]),
    "other-opcode": fault(flipped(0x2800)),
    "echo": fault(lambda asked: [asked.wire]),
    "no-question": fault(lambda asked: [asked.wire[:2] + struct.pack("!5H", 0x8400, 0, 0, 0, 0)]),
    "forged-cookie": fault(forged_cookie),
    "two-questions": fault(patched(4, 2)),
    # Another name, zone, class or type.
    "other-name": fault(says(answer=["mail 300 A 192.0.2.66"])),
    "other-zone": fault(says(answer=["www.b.example. 300 A 192.0.2.66"])),
    "other-class": fault(other_class),
    "other-record": fault(says(answer=["www 300 TXT wrong"])),
    "parent-denies": fault(says(authority=["example. 300 SOA ns host 1 2 3 4 5"], rcode=dns.rcode.NXDOMAIN)),
    "parent-nodata": fault(says(authority=["example. 300 SOA ns host 1 2 3 4 5"])),
    "data-and-denial": fault(
        lambda asked: [asked.reply(answer=["%s 300 A 192.0.2.66" % asked.labels,
                                           "%s 300 AAAA 2001:db8::66" % asked.labels, asked.soa()][
                                               (asked.rdtype == "AAAA") + 2 * (asked.rdtype == "SOA"):][:1],
                                   rcode=dns.rcode.NXDOMAIN)]),
    "no-such-zone": fault(lambda asked: [asked.reply(authority=[asked.soa()], rcode=dns.rcode.NXDOMAIN)
                                         if asked.labels == "@" else asked.honest()],
                          ("data", "nodata", "nxdomain", "servfail")),
    # Lame: what the front of 2014 said.
    "upward": fault(says(authority=["example. 300 NS ns.example."], flags=NO_AA)),
    "upward-aa": fault(says(authority=["example. 300 NS ns.example."])),
    "upward-root": fault(says(authority=[". 300 NS a.root-servers.example."], flags=NO_AA)),
    "upward-root-aa": fault(says(authority=[". 300 NS a.root-servers.example."])),
    "circle": fault(says(authority=["@ 300 NS ns1"], flags=NO_AA)),
    "circle-aa": fault(says(authority=["@ 300 NS ns1"])),
    "sideways": fault(says(authority=["other.example. 300 NS ns.example."])),
    "below-elsewhere": fault(says(authority=["sub 300 NS ns.sub"], additional=["ns.sub 300 A 192.0.2.66"], flags=NO_AA)),
    "mixed-referral": fault(says(authority=["www 300 NS ns1", "example. 300 NS ns1"], flags=NO_AA)),
    "no-aa": fault(lambda asked: [asked.honest(flags=NO_AA)]),
    "recursive": fault(lambda asked: [asked.honest(flags=dns.flags.RA)]),
    "empty": fault(says(flags=NO_AA)),
    "empty-denial": fault(says(flags=NO_AA, rcode=dns.rcode.NXDOMAIN)),
    # It cannot be read.
    "garbage": fault(lambda asked: [asked.wire[:2] + b"\x84\x00" + random.randbytes(90)]),
    "nothing": fault(over_udp(lambda asked: [b""])),
    "header": fault(lambda asked: [asked.wire[:2] + struct.pack("!5H", 0x8400, 1, 0, 0, 0)]),
    "too-many-counted": fault(patched(6, 200)),
    "all-counts": fault(patched(6, 0xFFFFFFFFFFFF, 6)),
    "too-few-counted": fault(patched(6, 0, 6)),
    "cut-short": fault(truncated_record),
    "pointer-loop": fault(pointer_loop),
    "pointer-out": fault(lambda asked: [raw_record(asked, owner=b"\xff\xff")]),
    "short-address": fault(lambda asked: [raw_record(asked, data=b"\xc0\x00")]),
    "two-opts": fault(lambda asked: [raw_record(asked, counts=(1, 0, 2), tail=(OPT + b"\0\0") * 2)]),
    "opt-as-answer": fault(lambda asked: [raw_record(asked, counts=(2, 0, 0), tail=OPT + b"\0\0")]),
    "option-too-long": fault(options(b"\x00\x0f\x00\xff\x00\x00")),
    "option-cut": fault(options(b"\x00\x0f\x00")),
    # Truncated, and TCP does not help.
    "truncates-always": fault(lambda asked: [asked.reply(flags=AA | TC)]),
    "truncates-no-tcp": fault(lambda asked: [asked.reply(flags=AA | TC)], has_tcp=False),
    "tcp-closes": fault(over_tcp(lambda wire: None)),
    "tcp-closes-mid-answer": fault(over_tcp(lambda wire: Raw(struct.pack("!H", len(wire)) + wire[:20]), lambda wire: None)),
    "tcp-says-0": fault(over_tcp(lambda wire: Raw(b"\0\0"))),
    "tcp-says-65535": fault(over_tcp(lambda wire: Raw(b"\xff\xff" + wire))),
    "tcp-other-id": fault(over_tcp(wrong_id)),
    "tcp-trickles": fault(over_tcp(lambda wire: Trickle(wire, 0.3))),
    "tcp-silent": fault(lambda asked: [] if asked.over_tcp else [asked.reply(flags=AA | TC)]),
    # What is overcome.
    "slow-tcp": fault(over_tcp(lambda wire: Trickle(wire, 0.002)), RIGHT),
    "truncates": fault(over_tcp(lambda wire: wire), RIGHT),
    "lower-case": fault(lower_case, RIGHT),
    "lower-case-no-tcp": fault(lower_case, RIGHT, has_tcp=False),
    "no-edns": fault(no_edns, RIGHT),
    "bare-formerr": fault(bare_formerr, RIGHT),
    "badcookie-over-udp": fault(over_udp(bad_cookie), RIGHT),
    "drowned": fault(drowned, RIGHT),
    "twice": fault(lambda asked: [asked.honest()] * 2, RIGHT),
    "garbage-first": fault(lambda asked: [b"\xff" * 5, wrong_id(asked.honest()), asked.honest()], RIGHT),
}

# What fails wholly, and so must be overcome by another server or by what is known.
FAILING = sorted(name for name, one in FAULTS.items() if one.outcome == FAILED)


def ask_all(front, zones):
    """{zone: [answer to each of QUESTIONS]}, or the failed check in the answer's place."""
    def one(job):
        zone, (name, rdtype), tcp = job
        try:
            return ask(front, zone, name, rdtype, tcp=tcp)
        except AssertionError as error:
            return error

    jobs = [(zone, question, index % 2 == 1) for zone in zones for index, question in enumerate(QUESTIONS)]
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(one, jobs))
    found = collections.defaultdict(list)
    for (zone, _, _), reply in zip(jobs, replies):
        found[zone].append(reply)
    return found


def kinds(replies):
    for reply in replies:
        if isinstance(reply, AssertionError):
            raise reply
    return tuple(kind(reply) for reply in replies)


@pytest.fixture(scope="module")
def origins():
    with FaultyOrigins() as made:
        yield made


@pytest.fixture(scope="module")
def faulty(origins):
    """Every fault's origins, by zone."""
    places = {}
    for name, one in FAULTS.items():
        zone = name + ".example"
        places[zone] = [origins.add(zone, one.answers, one.has_tcp)]
        if name in FAILING:
            two, stale = name + "-two.example", name + "-stale.example"
            places[two] = [origins.add(two, one.answers, one.has_tcp), origins.add(two, lambda asked: [asked.honest()])]
            places[stale] = [origins.add(stale, one.answers, one.has_tcp, ttl=1)]
            places[stale][0].is_faulty = False
    return places


@pytest.fixture(scope="module")
def front(module_farm, faulty):
    zones = [{"name": zone, "forward": {"to": [place.text for place in places]}} for zone, places in faulty.items()]
    return module_farm.tamisd({"zones": zones})


@pytest.fixture(scope="module")
def alone(front):
    return ask_all(front, [name + ".example" for name in FAULTS])


@pytest.fixture(scope="module")
def beside(front, alone):  # pylint: disable=unused-argument
    return ask_all(front, [name + "-two.example" for name in FAILING])


@pytest.fixture(scope="module")
def after(front, faulty):
    """Answers before the fault, and those after they have expired."""
    zones = [name + "-stale.example" for name in FAILING]
    before = ask_all(front, zones)
    for zone in zones:
        faulty[zone][0].is_faulty = True
    time.sleep(2)  # TTLs are whole seconds, and all of 1
    return before, ask_all(front, zones)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_never_passed_on(name, alone, faulty):
    assert kinds(alone[name + ".example"]) == FAULTS[name].outcome
    for labels, count in faulty[name + ".example"][0].asked.items():
        assert count <= 3 * MESSAGES_MAX, (labels, count)


@pytest.mark.parametrize("name", FAILING)
def test_a_right_server_beside_it_is_enough(name, beside):
    assert kinds(beside[name + "-two.example"]) == RIGHT


@pytest.mark.parametrize("name", FAILING)
def test_what_was_right_before_is_used_and_said_to_be_stale(name, after):
    before, stale = (replies[name + "-stale.example"] for replies in after)
    assert kinds(before) == kinds(stale) == RIGHT
    assert [errors(reply) for reply in before] == [[]] * 4
    assert [errors(reply) for reply in stale] == [[EDE_STALE], [EDE_STALE], [EDE_STALE_NXDOMAIN], [EDE_STALE]]


# ---- What belongs to an answer, and what does not ----

def mixed(asked):
    """Answers of many kinds, by the first label."""
    alias = ["n%d 300 CNAME n%d" % (number, number + 1) for number in range(100)]
    ede = dns.edns.EDEOption(18, "not for you")
    options = {
        "nsid": [dns.edns.GenericOption(3, b"an origin's name")],
        "ede": [ede],
        "unknown": [dns.edns.GenericOption(65001, b"x"), ede],
        "subnet": [dns.edns.ECSOption("198.51.100.0", 24, 24)],
    }
    label = asked.labels
    if label in options:
        return [asked.reply(answer=["%s 300 A 192.0.2.10" % label], options=options[label])]
    parts = {
        "n0": {"answer": alias},
        "loop": {"answer": ["loop 300 CNAME loop"], "authority": ["@ 300 NS ns1"]},
        "away": {"answer": ["away 300 CNAME www.b.example.", "www.b.example. 300 A 192.0.2.66"]},
        "strangers": {"answer": ["strangers 300 A 192.0.2.10"], "authority": ["@ 300 NS ns.b.example."],
                      "additional": ["ns.b.example. 300 A 192.0.2.66", "bank.test. 300 A 192.0.2.66"]},
        "ttl0": {"answer": ["ttl0 0 A 192.0.2.10"]},
        "long-denial": {"authority": [asked.soa(2 ** 31 - 1, 2 ** 31 - 1)], "rcode": dns.rcode.NXDOMAIN},
        "silence": {},
        "many": {"answer": ["many 300 A 198.51.%d.%d" % (n // 250, n % 250) for n in range(300)]},
        "huge": {"answer": ["huge 300 TXT " + " ".join("%03d%s" % (n, "h" * 250) for n in range(k, k + 50))
                            for k in range(0, 250, 50)]},
    }
    if label == "wide-ttl":
        wire = asked.reply(answer=["wide-ttl 16909060 A 192.0.2.10"])
        return [wire.replace(b"\x01\x02\x03\x04", b"\x80\x00\x00\x01")]
    if label not in parts:
        return [asked.honest()]
    wire = asked.reply(**parts[label])
    if not asked.over_tcp and len(wire) > asked.query.payload:
        return [asked.reply(flags=AA | TC)]
    return [wire]


ZONE = "mixed.example"


@pytest.fixture
def mixing(farm):
    with FaultyOrigins() as origins:
        place = origins.add(ZONE, mixed)
        yield farm.tamisd({"zones": [{"name": ZONE, "forward": {"to": [place.text], "client-subnet": True}}]}), place


def test_what_belongs_to_an_answer_is_kept(mixing):
    front, place = mixing
    for _ in range(2):  # from the origin, from the cache
        assert [option.otype for option in ask(front, ZONE, "nsid").options] == []
        assert errors(ask(front, ZONE, "ede")) == [18]
        assert [option.to_text() for option in ask(front, ZONE, "unknown").options] == ["EDE 18: not for you"]
    subnet = dns.edns.ECSOption("198.51.100.0", 24)
    reply = ask(front, ZONE, "subnet", options=[subnet])
    assert [option.to_text() for option in reply.options] == ["ECS 198.51.100.0/24 scope/24"]
    assert place.asked["ede"] == place.asked["nsid"] == 1


def test_odd_answers_stay_within_the_zone(mixing):
    front, _ = mixing
    for _ in range(2):
        assert kind(ask(front, ZONE, "n0", tcp=True)) == "alias"
        assert kind(ask(front, ZONE, "loop")) == "alias"
        reply = ask(front, ZONE, "away")
        assert kind(reply) == "alias" and len(reply.answer) == 1
        reply = ask(front, ZONE, "strangers")
        assert kind(reply) == "data" and not reply.additional and len(reply.authority) == 1


def test_times_to_live_at_their_bounds(mixing):
    front, place = mixing
    for label in ("ttl0", "wide-ttl"):  # RFC 2181, 8: one that is too large is 0
        for turn in (1, 2):
            assert ask(front, ZONE, label).answer[0].ttl == 0
            assert place.asked[label] == turn
    for _ in range(2):
        reply = ask(front, ZONE, "long-denial")
        assert kind(reply) == "nxdomain" and reply.authority[0].ttl > 2 ** 31 - 100
    assert place.asked["long-denial"] == 1


def test_large_answers_come_whole_over_tcp(mixing):
    front, place = mixing
    for _ in range(2):
        assert ask(front, ZONE, "many", payload=512).flags & TC
        assert len(ask(front, ZONE, "many", tcp=True).answer[0]) == 300
        reply = ask(front, ZONE, "huge", "TXT", tcp=True)
        assert sum(len(text) for rdata in reply.answer[0] for text in rdata.strings) == 250 * 253
    assert place.asked["huge"] == 2  # over UDP and, truncated, over TCP


def test_an_authoritative_nothing_is_the_origins_word_and_not_kept(mixing):
    front, place = mixing
    for _ in range(2):
        assert kind(ask(front, ZONE, "silence", may_be_empty=True)) == "nothing"
    assert place.asked["silence"] == 2


# ---- A failure is not asked for again and again ----

FAILS_AGAIN = ("refuses", "silent-no-tcp", "upward-aa", "other-id", "truncates-no-tcp", "badcookies", "tcp-trickles")


def test_failures_are_remembered(farm):
    """RFC 9520, 3.2: whoever asks, and however often, the origin is asked after 1, 2, 4... seconds."""
    with FaultyOrigins() as origins:
        places = {name: origins.add(name + ".example", FAULTS[name].answers, FAULTS[name].has_tcp)
                  for name in FAILS_AGAIN}
        front = farm.tamisd({"zones": [{"name": name + ".example", "forward": {"to": [place.text]}}
                                       for name, place in places.items()]})

        def insist(name):
            until, asked = time.monotonic() + 6, 0
            while time.monotonic() < until or asked < 20:
                assert kind(ask(front, name + ".example", "www", tcp=asked % 2 == 1)) == "servfail"
                asked += 1
                time.sleep(0.005)
            return asked

        with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
            asked = dict(zip(places, pool.map(insist, places)))
        for name, place in places.items():
            # At 0, 1 and 3 seconds, and at 7 and 15 on a machine that stumbles.
            assert place.asked["www"] <= 5 * MESSAGES_MAX, (name, asked[name], place.asked)


def test_servers_that_disagree_are_each_believed_whole(farm):
    """One has the name and the other denies it: an answer is either's, never a mixture."""
    with FaultyOrigins() as origins:
        has = origins.add("split.example", lambda asked: [asked.reply(answer=["%s 300 A 192.0.2.10" % asked.labels])])
        lacks = origins.add("split.example", lambda asked: [asked.reply(authority=[asked.soa()],
                                                                        rcode=dns.rcode.NXDOMAIN)])
        front = farm.tamisd({"zones": [{"name": "split.example", "forward": {"to": [has.text, lacks.text]}}]})
        for number in range(50):
            first, again = (ask(front, "split.example", "n%d" % number) for _ in range(2))
            assert kind(first) in ("data", "nxdomain") and kind(again) == kind(first)
            assert len(first.answer) + len(first.authority) == 1


# ---- Anything at all ----

def test_mutated_answers_break_nothing(farm):
    """Right answers with octets changed, cut or added, as they come: the rules hold for what is passed on."""
    draw = random.Random("mutations")

    def mutated(asked):
        wire = bytearray(mixed(asked)[0] if draw.random() < 0.3 else asked.honest())
        end = 12 + len(asked.name.to_wire()) + 4
        for _ in range(draw.choice((0, 1, 1, 2, 4, 16))):
            # Mostly behind the question: with another one it is thrown away, and takes its time.
            at = draw.randrange(end if draw.random() < 0.99 else 2, len(wire))
            wire[at] = draw.choice((0, 1, 0xc0, 0xff, wire[at] ^ 1 << draw.randrange(8), draw.randrange(256)))
        if draw.random() < 0.1:
            del wire[draw.randrange(end, len(wire)):]
        if draw.random() < 0.1:
            wire += draw.randbytes(draw.randrange(1, 30))
        return [bytes(wire)]

    count, labels = 500 if is_sanitized() else 2000, ("www", "gone", "n0", "loop", "strangers", "ede", "subnet")
    with FaultyOrigins() as origins:
        places = [origins.add(ZONE, mutated) for _ in range(2)]
        front = farm.tamisd({"zones": [{"name": ZONE, "forward": {"to": [place.text for place in places]}}]})
        found = collections.Counter()

        def some(first):
            for number in range(first, count, 48):
                label = labels[number % len(labels)]
                rdtype = "TYPE%d" % (256 + number) if number % 3 > 0 else "A"
                try:
                    found[kind(ask(front, ZONE, label, rdtype, may_be_empty=True))] += 1
                except dns.exception.FormError:
                    found["rdata"] += 1  # of a record whose type changed: it is not for us to read

        with concurrent.futures.ThreadPoolExecutor(48) as pool:
            list(pool.map(some, range(48)))
        assert found["nodata"] > found["rdata"] and sum(found.values()) == count, found
        front.process.check_alive()
