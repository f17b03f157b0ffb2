"""A signed origin's denials answer for other names than they came for (RFC 8198), as the origin would."""

import random
import subprocess
from types import SimpleNamespace

import dns.message
import dns.query
import dns.rcode
import pytest

from testbed import wire, zone_signing
from testbed.asker import ask_all
from testbed.orders import write_order
from testbed.servers import program, tamis_program

ZONE = "c.example."
RECORDS = """\
$ORIGIN c.example.
$TTL 300
@ SOA ns1 hostmaster {serial} 3600 600 1209600 {minimum}
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
www AAAA 2001:db8::10
Mixed.Case TXT "upper case owner"
mail MX 10 www
\\000.zero A 192.0.2.3
a.b.ent A 192.0.2.4
alias CNAME www
lost CNAME nowhere
*.wild A 192.0.2.5
*.wild TXT "expanded"
exact.wild MX 10 www
*.wild-alias CNAME www
*.wild-lost CNAME nowhere
a.*.wild-ent A 192.0.2.6
*.wild-mail MX 10 www
dn DNAME tree
x.tree A 192.0.2.8
*.w.tree A 192.0.2.9
unsigned NS ns.unsigned
ns.unsigned A 192.0.2.11
deep.only NS ns.deep.only
ns.deep.only A 192.0.2.12
signed NS ns1
signed DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
"""

# What random names stand below.
PARENTS = ["", "", "", "www.", "ent.", "b.ent.", "a.b.ent.", "wild.", "exact.wild.", "wild-alias.", "wild-lost.",
           "wild-ent.", "*.wild-ent.", "wild-mail.", "dn.", "x.dn.", "tree.", "w.tree.", "unsigned.", "deep.only.", "only.",
           "signed.", "zero.", "case.", "alias.", "mail.", "*.wild."]


def sign(farm, manner, name="c.zone", serial=1, minimum=300):
    path = farm.write(name, "")
    zone = SimpleNamespace(name=ZONE, path=path, signing=manner,
                           text=lambda: RECORDS.format(serial=serial, minimum=minimum))
    if not hasattr(farm, "key"):
        farm.key = zone_signing.make_key(farm.directory)
    zone_signing.sign(zone, farm.key)
    return path


def start(farm, origin, orders=(), **forward):
    return farm.tamisd({"zones": [{"name": "c.example", "forward": {"to": ["%s@%d" % origin.place], **forward}}],
                        "orders": {"files": list(orders)}})


def ask(server, name, rdtype="A", do=False):
    message = dns.message.make_query(name + ("" if name.endswith("example.") else "." + ZONE), rdtype, use_edns=0,
                                     want_dnssec=do)
    return dns.query.udp(message, server.address, timeout=8, port=server.port)


def cache(server, part="denials"):
    return server.control("cache")[part]


def learn(server, parents=("",), draw=None):
    """Asks for random names until nothing is asked of the origin for them any more."""
    draw = draw or random.Random("learn")
    for parent in parents:
        asked = -1
        while asked != cache(server, "forwarding")["asked"]:
            asked = cache(server, "forwarding")["asked"]
            for _ in range(10):
                ask(server, "%x.%s" % (draw.getrandbits(60), parent) + ZONE)


def flood(server, count, do=False, seed="flood"):
    """Asks for random names at the apex; returns the replies."""
    draw = random.Random(seed)
    messages = [wire.query("%x.%s" % (draw.getrandbits(60), ZONE), "A", edns=1232, do=do) for _ in range(count)]
    return ask_all(server.place, messages)


ORIGINS = [("knot", "NSEC"), ("knot", "NSEC3 salt"), ("knot", "NSEC3 opt-out"), ("nsd", "NSEC3"), ("bind", "NSEC")]


@pytest.mark.parametrize("origin, manner", ORIGINS)
def test_random_names_are_answered_as_by_the_origin_for_five_types_with_and_without_do(farm, origin, manner):
    """5,000 names beside, between and below every kind of name."""
    origin = getattr(farm, origin)([(ZONE, sign(farm, manner))])
    order = write_order(farm.directory, "parity", ["listed.c.example", "listed.wild.c.example"])
    front = start(farm, origin, [order])
    draw = random.Random(manner)
    names = ["listed", "listed.wild", "wild", "ent", "b.ent", "only", "zero", "case", "*.wild", "wild-ent", "tree", "dn",
             "unsigned", "deep.only", "signed", "b.wild-ent", "!.wild-ent", "\\001.zero", "\\255.zero"]
    while len(names) < 5000:
        label = "".join(draw.choice("abcmwz01-") for _ in range(draw.randrange(1, 9)))
        names.append(label.strip("-").ljust(1, "x") + "." + draw.choice(PARENTS) + "c.example")
    names = [name if name.endswith("example") else name + ".c.example" for name in names]
    path = farm.write("names.txt", "\n".join(names) + "\n")
    command = [tamis_program("tamis"), "prove", "--front", "%s@%d" % front.place, "--origin", "%s@%d" % origin.place,
               "--names", path, "--order", order, "--types", "A,TXT,MX,CNAME,DS", "--do=both", "--random-case"]
    ask(front, "first")
    proof = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert proof.returncode == 0, proof.stdout[-4000:] + proof.stderr[-4000:]
    denials = cache(front)
    assert denials["bogus"] == 0
    if manner == "NSEC3 opt-out":
        assert denials["nxdomain"] == denials["nodata"] == denials["wildcard"] == 0 and denials["useless"] > 0
    else:
        assert denials["nxdomain"] > 10000 and denials["nodata"] > 1000
        assert cache(front, "forwarding")["asked"] < 25000


@pytest.mark.parametrize("origin, manner", [("knot", "NSEC"), ("knot", "NSEC3"), ("nsd", "NSEC"), ("bind", "NSEC3")])
def test_a_flood_of_random_names_reaches_the_origin_a_few_times(farm, origin, manner):
    origin = getattr(farm, origin)([(ZONE, sign(farm, manner))])
    front = start(farm, origin)
    for do in (False, True):
        replies = flood(front, 5000, do, str(do))
        assert all(reply is not None and wire.rcode(reply) == dns.rcode.NXDOMAIN for reply in replies)
    assert cache(front, "forwarding")["asked"] < 1000
    # What is known now is enough, also without the origin.
    learn(front)
    origin.stop()
    replies = flood(front, 2000, True, "more")
    denied = [reply for reply in replies if wire.rcode(reply) == dns.rcode.NXDOMAIN]
    assert len(denied) > 1900
    assert all(reply[2] & 0x04 for reply in denied)  # AA
    assert ask(front, "www").rcode() == dns.rcode.SERVFAIL


def test_without_do_there_are_no_dnssec_records(farm):
    front = start(farm, farm.knot([(ZONE, sign(farm, "NSEC"))]))
    for parent in ("", "wild.", "unsigned.", "signed.", "ent.", "dn."):
        for number in range(30):
            reply = dns.message.from_wire(
                ask_all(front.place, [wire.query("q%d.%s%s" % (number, parent, ZONE), "A", edns=1232)])[0])
            for rrset in reply.answer + reply.authority + reply.additional:
                assert rrset.rdtype not in (43, 46, 47, 50), reply


def test_a_wildcard_answers_for_names_that_were_never_asked(farm):
    origin = farm.knot([(ZONE, sign(farm, "NSEC"))])
    front = start(farm, origin)
    learn(front, ("", "wild."))
    origin.stop()
    reply = ask(front, "never-asked.wild", do=True)
    assert reply.rcode() == 0 and [rrset.rdtype for rrset in reply.answer] == [1, 46]
    assert cache(front)["wildcard"] > 0
    # What stands below the wildcard is no business of it, nor are cuts and aliases.
    for name in ("exact.wild", "q.unsigned", "unsigned", "q.dn", "alias", "q.wild-alias"):
        assert ask(front, name, "MX").rcode() == dns.rcode.SERVFAIL, name


def test_a_new_serial_makes_the_old_denials_go(farm):
    path = sign(farm, "NSEC")
    origin = farm.knot([(ZONE, path)])
    front = start(farm, origin)
    learn(front)
    assert ask(front, "fresh").rcode() == dns.rcode.NXDOMAIN
    global RECORDS
    before, RECORDS = RECORDS, RECORDS + "fresh A 192.0.2.77\nfresh2 A 192.0.2.78\n"
    try:
        sign(farm, "NSEC", serial=2)
    finally:
        RECORDS = before
    origin.control("zone-reload", ZONE)
    origin.wait_for_zones([ZONE])
    while ask(origin, ZONE, "SOA").answer[0][0].serial != 2:
        pass
    # Any denial that has to be asked for tells of the serial.
    assert ask(front, "fresh2").rcode() == dns.rcode.NXDOMAIN
    assert ask(front, ZONE, "TXT", do=True).rcode() == 0
    assert ask(front, "fresh2").rcode() == 0


def test_purge_and_new_servers_forget(farm):
    path = sign(farm, "NSEC")
    origin, other = farm.knot([(ZONE, path)]), farm.knot([(ZONE, path)])
    front = start(farm, origin)
    learn(front)
    assert cache(front)["records"] > 0
    purged = subprocess.run([tamis_program("tamis"), "ctl", "-s", front.control_socket, "cache", "purge", "www.c.example"],
                            capture_output=True, text=True, timeout=30, check=True)
    assert "denials of the zone purged" in purged.stdout and cache(front)["records"] == 0
    learn(front)
    assert cache(front)["records"] > 0
    front.config["zones"][0]["forward"]["to"] = ["%s@%d" % other.place]
    front.write_config()
    front.reload()
    assert cache(front)["records"] == 0
    assert ask(front, "anything-else").rcode() == dns.rcode.NXDOMAIN
    front.config["zones"][0]["forward"]["aggressive-nsec"] = False
    front.write_config()
    front.reload()
    made = cache(front)["nxdomain"]
    flood(front, 200)
    assert cache(front)["records"] == 0 and cache(front)["nxdomain"] == made


def test_listed_names_stay_listed_and_denials_end_with_their_time(farm):
    origin = farm.knot([(ZONE, sign(farm, "NSEC", minimum=2))])
    front = start(farm, origin, [write_order(farm.directory, "listed", ["bad.c.example"])], **{"stale-max": "0s"})
    learn(front)
    reply = ask(front, "bad")
    assert reply.rcode() == 0 and len(reply.answer) == 1
    origin.stop()
    while ask(front, "one-more").rcode() == dns.rcode.NXDOMAIN:
        pass
    assert ask(front, "yet-another").rcode() == dns.rcode.SERVFAIL


def test_white_lies_are_not_kept(farm):
    """Knot's online signing denies each name by itself; nothing can be made of it."""
    origin = farm.knot([(ZONE, farm.write("c.zone", RECORDS.format(serial=1, minimum=300)))],
                       zone_extra="    module: mod-onlinesign")
    front = start(farm, origin)
    replies = flood(front, 300, True)
    assert all(reply is not None for reply in replies)
    denials = cache(front)
    assert denials["records"] == 0 and denials["useless"] > 0 and denials["nxdomain"] == denials["nodata"] == 0


@pytest.mark.parametrize("manner", ["NSEC", "NSEC3 salt"])
def test_delv_validates_what_is_made(farm, manner):
    path = sign(farm, manner)
    origin = farm.knot([(ZONE, path)])
    front = start(farm, origin)
    learn(front, ("", "wild.", "ent.", "www.", "wild-mail.", "x.tree."))
    key = subprocess.run([program("kdig"), "@" + origin.address, "-p", str(origin.port), ZONE, "DNSKEY", "+short"],
                         capture_output=True, text=True, timeout=30, check=True).stdout.split()
    anchors = farm.write("anchors.conf", "trust-anchors { %s static-key %s %s %s \"%s\"; };\n"
                         % (ZONE, key[0], key[1], key[2], "".join(key[3:])))
    made = cache(front)["nxdomain"], cache(front)["nodata"], cache(front)["wildcard"]
    for name, rdtype, said in (("made", "A", "NXDOMAIN"), ("q.made.www", "A", "NXDOMAIN"), ("made.wild", "A", ""),
                               ("made.wild", "SRV", "ncache"), ("made.x.tree", "TXT", "NXDOMAIN")):
        run = subprocess.run([program("delv"), "@" + front.address, "-p", str(front.port), "-a", anchors, "+root=" + ZONE,
                              "-t", rdtype, "-q", name + "." + ZONE], capture_output=True, text=True, timeout=60,
                             check=False)
        assert "fully validated" in run.stdout and said.lower() in (run.stdout + run.stderr).lower(), run.stdout + run.stderr
    now = cache(front)["nxdomain"], cache(front)["nodata"], cache(front)["wildcard"]
    assert all(after > before for before, after in zip(made, now)), (made, now)
