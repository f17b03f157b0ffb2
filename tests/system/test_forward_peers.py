"""Forwarded zones of real servers that stop, hang, come back, refuse or move."""

import concurrent.futures
import random
import signal
import subprocess
import time

import dns.flags
import pytest

from testbed.front_rules import ask, errors, kind
from testbed.servers import tamis_program

ZONE = "c.example"
NAMES = 2500
TYPES = ("A", "AAAA", "TXT", "MX", "NS", "SOA", "CNAME", "SRV", "PTR", "CAA", "DS", "ANY", "HTTPS", "TYPE65280")
HEAD = """\
$ORIGIN c.example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.1
mail A 192.0.2.2
www A 192.0.2.10
loop CNAME loop
round CNAME about
about CNAME round
brief 1 A 192.0.2.12
"""


def write_zone(farm):
    """A zone of many kinds of names; returns its path and the names to ask for, found and missing."""
    draw = random.Random("peers")
    lines, names = [HEAD], ["@", "www", "mail", "loop", "round", "nobody"]
    for index in range(NAMES // 2):
        name, kind_of = "n%d" % index, index % 6
        if kind_of == 0:
            lines.append("%s 600 CNAME n%d\n" % (name, draw.randrange(NAMES // 2)))
        elif kind_of == 1:
            lines.append("*.%s 600 A 198.51.100.%d\n" % (name, index % 256))
            name = "any." + name
        elif kind_of == 2:
            lines.append("%s 600 NS ns.%s\nns.%s 600 A 198.51.100.9\n" % (name, name, name))
            name = "www." + name
        elif kind_of == 3:
            lines.append("a.b.%s 600 A 198.51.100.3\n" % name)
            name = draw.choice(("a.b.", "b.", "")) + name
        else:
            lines.append("%s 600 A 198.51.100.%d\n%s 600 MX 10 mail\n" % (name, index % 256, name))
        names += [name, "gone%d" % index]
    return farm.write("c.zone", "".join(lines)), names


def start(farm, origins, **forward):
    return farm.tamisd({"server": {"cache": {"size": "512M"}}, "zones": [{"name": ZONE, "forward": {"to": ["%s@%d" % place for place in origins], **forward}}]})


def everything(front, questions):
    def one(question):
        return ask(front, ZONE, *question)

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return list(pool.map(one, questions))


@pytest.mark.parametrize("peer", ["nsd", "bind", "powerdns"])
def test_names_are_answered_as_by_the_origin_and_when_it_is_gone(farm, peer):
    zone, names = write_zone(farm)
    if peer != "nsd":  # the others answer SERVFAIL to aliases in a circle, and so do we, without AA
        names = [name for name in names if name not in ("loop", "round")]
    origin = getattr(farm, peer)([(ZONE + ".", zone)])
    front = start(farm, [origin.place])
    path = farm.write("names.txt", "".join("%s\n" % (ZONE if n == "@" else n + "." + ZONE) for n in names))
    command = [tamis_program("tamis"), "prove", "--front", "%s@%d" % front.place, "--origin", "%s@%d" % origin.place,
               "--names", path, "--types", ",".join(TYPES), "--random-case"]
    for _ in range(2):  # from the origin, then from the cache
        proof = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert proof.returncode == 0, proof.stdout[-4000:] + proof.stderr[-4000:]
    names = [name for name in names if name not in ("loop", "round")]  # a circle is not kept
    kept = [(name, "A") for name in names]
    before = [kind(reply) for reply in everything(front, kept)]
    origin.stop()
    after = [kind(reply) for reply in everything(front, kept)]
    changes = [change for change in zip(names, before, after) if change[1] != change[2]]
    # A cache may drop an answer, but for another it does not become something else. All answers of a name
    # share a bucket of 16 slots: where two names that are asked for all 14 types meet in one, some go.
    assert {change[2] for change in changes} <= {"servfail"} and len(changes) <= 5, changes
    unseen = everything(front, [(name, "LOC") for name in names] + [("un" + name, "A") for name in names[1:]])
    assert {kind(reply) for reply in unseen} == {"servfail"}
    assert all(errors(reply) in ([22], [23]) for reply in unseen)


def test_one_of_two_that_hangs_takes_no_answer_along(farm):
    zone, names = write_zone(farm)
    hung, well = farm.knot([(ZONE + ".", zone)]), farm.knot([(ZONE + ".", zone)])
    front = start(farm, [hung.place, well.place])
    hung.process.signal(signal.SIGSTOP)
    try:
        replies = everything(front, [(name, "A") for name in names[:500]])
        assert "servfail" not in {kind(reply) for reply in replies}
        # Both: what is known is used, of the rest nothing is said.
        well.process.signal(signal.SIGSTOP)
        assert kind(ask(front, ZONE, "www")) == "data"
        assert kind(ask(front, ZONE, "mail", "TXT")) == "servfail"
    finally:
        well.process.signal(signal.SIGCONT)
        hung.process.signal(signal.SIGCONT)
    while kind(ask(front, ZONE, "mail", "TXT")) == "servfail":
        time.sleep(0.05)


def test_a_flapping_origin_is_never_a_denial(farm):
    zone, _ = write_zone(farm)
    origin = farm.knot([(ZONE + ".", zone)])
    front = start(farm, [origin.place])
    expected = kind(ask(front, ZONE, "brief"))
    assert expected == "data"
    seen = set()
    for turn in range(8):
        origin.process.signal(signal.SIGSTOP if turn % 2 else signal.SIGCONT)
        names = ["brief"] + ["any.n%d" % (1 + 6 * (8 * turn + k)) for k in range(8)]
        kinds = [kind(reply) for reply in everything(front, [(name, "A") for name in names])]
        assert kinds[0] == "data" and set(kinds) <= {"data", "servfail"}
        seen |= set(kinds)
    origin.process.signal(signal.SIGCONT)
    assert seen == {"data", "servfail"}
    while kind(ask(front, ZONE, "mail", "MX")) == "servfail":
        time.sleep(0.05)


def test_an_origin_that_refuses_us_is_a_failure(farm):
    zone, _ = write_zone(farm)
    origin = farm.bind([(ZONE + ".", zone)], zone_extra="allow-query { 127.0.0.9; };", wait=False)
    front = start(farm, [origin.place])
    for name in ("www", "nobody", "@"):
        reply = ask(front, ZONE, name)
        assert kind(reply) == "servfail" and errors(reply)[0] in (22, 23)
    right = farm.knot([(ZONE + ".", zone)])
    front.config["zones"][0]["forward"]["to"] = ["%s@%d" % right.place]
    assert not front.reload()["findings"]
    reply = ask(front, ZONE, "www")
    assert kind(reply) == "data" and reply.flags & dns.flags.AA
