"""Answers from signed zones convince validators: Unbound, which asks tamisd as a stub, and delv, which
reads tamisd's own messages. Each kind of answer and denial, for NSEC, NSEC3 and opt-out."""

import subprocess
from types import SimpleNamespace

import dns.dnssec
import dns.rdata
import pytest

from testbed import wire, zone_signing
from testbed.servers import program

MANNERS = {"nsec.example.": "NSEC", "nsec3.example.": "NSEC3 salt", "optout.example.": "NSEC3 opt-out"}

# What stands in every zone. {ds} are the DS records of the signed children.
RECORDS = """\
$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 300
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::2
Mixed.Case TXT "upper case owner"
mail MX 10 www
\\000.zero A 192.0.2.3
a.b.ent A 192.0.2.4
alias CNAME www
alias-missing CNAME missing
alias-missing-below CNAME missing.b.ent
alias-nodata CNAME mail
alias-ent CNAME b.ent
alias-wild CNAME anything.wild
alias-wild-nodata CNAME anything.wild
alias-chain CNAME x.alias-wild-chain
*.alias-wild-chain CNAME y.wild-alias
*.wild A 192.0.2.5
*.wild TXT "expanded"
exact.wild MX 10 www
*.wild-alias CNAME www
*.wild-alias-missing CNAME missing.b.ent
a.*.wild-ent A 192.0.2.6
dn DNAME tree
tree A 192.0.2.7
x.tree A 192.0.2.8
to-x.tree CNAME x.tree
*.w.tree A 192.0.2.9
alias-dn CNAME x.dn
unsigned NS ns.unsigned
ns.unsigned A 192.0.2.10
deep.only NS ns.deep.only
ns.deep.only A 192.0.2.11
signed NS ns.signed
ns.signed A 192.0.2.12
beside.signed-sibling A 192.0.2.13
{ds}
"""

CHILD = """\
$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 300
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
"""

# Name below the zone, type, RCODE, and whether opt-out leaves it insecure: there the covering NSEC3
# could hide an unsigned delegation (RFC 5155, 9.2).
SECURE, OPT_OUT = False, True
QUESTIONS = [
    ("@", "SOA", "NOERROR", SECURE),
    ("@", "NS", "NOERROR", SECURE),
    ("@", "DNSKEY", "NOERROR", SECURE),
    ("@", "AAAA", "NOERROR", SECURE),
    ("www", "A", "NOERROR", SECURE),
    ("wWw", "aaaa", "NOERROR", SECURE),
    ("www", "MX", "NOERROR", SECURE),
    ("mixed.case", "TXT", "NOERROR", SECURE),
    ("case", "TXT", "NOERROR", SECURE),
    ("\\000.zero", "A", "NOERROR", SECURE),
    ("\\000.zero", "MX", "NOERROR", SECURE),
    ("\\000.\\000.zero", "MX", "NXDOMAIN", OPT_OUT),
    ("\\001.zero", "A", "NXDOMAIN", OPT_OUT),
    ("zero", "A", "NOERROR", SECURE),
    ("missing", "A", "NXDOMAIN", OPT_OUT),
    ("aaa", "A", "NXDOMAIN", OPT_OUT),
    ("zzzz", "A", "NXDOMAIN", OPT_OUT),
    ("q.missing.deep.down", "A", "NXDOMAIN", OPT_OUT),
    ("q.www", "A", "NXDOMAIN", OPT_OUT),
    ("ent", "A", "NOERROR", SECURE),
    ("b.ent", "TXT", "NOERROR", SECURE),
    ("missing.b.ent", "A", "NXDOMAIN", OPT_OUT),
    ("only", "A", "NOERROR", OPT_OUT),
    ("missing.only", "A", "NXDOMAIN", OPT_OUT),
    ("alias", "A", "NOERROR", SECURE),
    ("alias", "CNAME", "NOERROR", SECURE),
    ("alias", "TXT", "NOERROR", SECURE),
    ("alias-missing", "A", "NXDOMAIN", OPT_OUT),
    ("alias-missing-below", "A", "NXDOMAIN", OPT_OUT),
    ("alias-nodata", "A", "NOERROR", SECURE),
    ("alias-ent", "A", "NOERROR", SECURE),
    ("alias-wild", "A", "NOERROR", OPT_OUT),
    ("alias-wild-nodata", "MX", "NOERROR", OPT_OUT),
    ("alias-chain", "A", "NOERROR", OPT_OUT),
    ("alias-chain", "TXT", "NOERROR", OPT_OUT),
    ("q.wild", "A", "NOERROR", OPT_OUT),
    ("q.q.q.wild", "TXT", "NOERROR", OPT_OUT),
    ("q.wild", "MX", "NOERROR", OPT_OUT),
    ("*.wild", "A", "NOERROR", SECURE),
    ("*.wild", "MX", "NOERROR", SECURE),
    ("q.*.wild", "A", "NXDOMAIN", OPT_OUT),
    ("exact.wild", "A", "NOERROR", SECURE),
    ("q.exact.wild", "A", "NXDOMAIN", OPT_OUT),
    ("wild", "A", "NOERROR", SECURE),
    ("q.wild-alias", "A", "NOERROR", OPT_OUT),
    ("q.wild-alias", "CNAME", "NOERROR", OPT_OUT),
    ("q.wild-alias", "TXT", "NOERROR", OPT_OUT),
    ("q.wild-alias-missing", "A", "NXDOMAIN", OPT_OUT),
    ("dn", "DNAME", "NOERROR", SECURE),
    ("dn", "A", "NOERROR", SECURE),
    ("x.dn", "A", "NOERROR", SECURE),
    ("x.dn", "TXT", "NOERROR", SECURE),
    ("missing.dn", "A", "NXDOMAIN", OPT_OUT),
    ("to-x.dn", "A", "NOERROR", SECURE),
    ("q.w.dn", "A", "NOERROR", OPT_OUT),
    ("alias-dn", "A", "NOERROR", SECURE),
    ("unsigned", "DS", "NOERROR", OPT_OUT),
    ("deep.only", "DS", "NOERROR", OPT_OUT),
    ("signed", "DS", "NOERROR", SECURE),
    ("www.signed", "A", "NOERROR", SECURE),
    ("signed-sibling", "A", "NOERROR", SECURE),
    ("missing.signed-sibling", "A", "NXDOMAIN", OPT_OUT),
]

# A wildcard that is an empty non-terminal has no NSEC: the one that covers it tells. NSD sends it,
# Knot and BIND do not, and Unbound cannot read it, whoever sends it.
QUESTIONS_OF_EMPTY_WILDCARD = [
    ("b.wild-ent", "A", "NOERROR", OPT_OUT),
    ("!.wild-ent", "A", "NOERROR", OPT_OUT),
    ("a.b.wild-ent", "A", "NOERROR", OPT_OUT),
]


def full_name(name, zone):
    return zone if name == "@" else "%s.%s" % (name, zone)


@pytest.fixture(scope="module")
def anchored(module_farm):
    """tamisd with the signed zones and their children, and Unbound and delv's anchors for them."""
    key = zone_signing.make_key(module_farm.directory)
    with open(key + ".key", encoding="ascii") as file:
        key_text = [line for line in file if not line.startswith(";")][0].split("DNSKEY")[1].strip()
    rdata = dns.rdata.from_text("IN", "DNSKEY", key_text)

    zones = []

    def add(name, text, manner):
        path = module_farm.write(name + "zone", "")
        zone = SimpleNamespace(name=name, path=path, signing=manner,
                               text=lambda: "$ORIGIN %s\n%s" % (name, text))
        if manner is None:
            module_farm.write(name + "zone", zone.text())
        else:
            zone_signing.sign(zone, key)
        zones.append((name, path))

    for zone, manner in MANNERS.items():
        child = "signed." + zone
        ds = dns.dnssec.make_ds(child, rdata, "SHA256").to_text()
        add(zone, RECORDS.format(ds="signed DS " + ds), manner)
        add(child, CHILD, manner)
        add("unsigned." + zone, CHILD, None)

    tamisd = module_farm.tamisd_unstarted().start_zones(zones)
    anchors = ["%s IN DNSKEY %s" % (zone, key_text) for zone in MANNERS]
    unbound = module_farm.unbound([name for name, _ in zones], anchors, tamisd.place)
    flags, protocol, algorithm, *octets = key_text.split()
    delv_anchors = module_farm.write("anchors.conf", "trust-anchors {\n" + "".join(
        "    %s static-key %s %s %s \"%s\";\n" % (zone, flags, protocol, algorithm, "".join(octets))
        for zone in MANNERS) + "};\n")
    return SimpleNamespace(tamisd=tamisd, unbound=unbound, delv_anchors=delv_anchors)


@pytest.mark.parametrize("zone", MANNERS)
@pytest.mark.parametrize("name, rrtype, rcode, opt_out", QUESTIONS)
def test_unbound_finds_every_kind_of_answer_secure(anchored, zone, name, rrtype, rcode, opt_out):
    message = wire.ask(anchored.unbound.place, full_name(name, zone), rrtype.upper(), flags=wire.RD,
                       edns=1232, do=True, timeout_s=20.0)
    text = wire.message_text(message)
    assert wire.RCODES[message.rcode] == rcode, text
    insecure = opt_out and MANNERS[zone] == "NSEC3 opt-out"
    assert bool(message.flags & wire.AD) != insecure, text


@pytest.mark.parametrize("zone", MANNERS)
def test_an_unsigned_child_is_proved_insecure(anchored, zone):
    message = wire.ask(anchored.unbound.place, "www.unsigned." + zone, "A", flags=wire.RD, edns=1232,
                       do=True, timeout_s=20.0)
    assert (message.rcode, message.flags & wire.AD) == (0, 0), wire.message_text(message)
    assert len(message.answer) == 1


@pytest.mark.parametrize("zone", MANNERS)
def test_delv_validates_tamisds_own_messages(anchored, zone):
    """Unbound may ask again in other ways; delv takes one message for each question."""
    faults = []
    for name, rrtype, rcode, opt_out in QUESTIONS + QUESTIONS_OF_EMPTY_WILDCARD:
        if "signed" in name.split("."):
            continue  # takes a resolver that goes from zone to zone
        run = subprocess.run(
            [program("delv"), "@" + anchored.tamisd.address, "-p", str(anchored.tamisd.port), "-a",
             anchored.delv_anchors, "+root=" + zone, "-t", rrtype.upper(), "-q", full_name(name, zone)],
            capture_output=True, text=True, timeout=60, check=False)
        sign = "ncache nxdomain" if rcode == "NXDOMAIN" else ""
        insecure = opt_out and MANNERS[zone] == "NSEC3 opt-out"
        validated = "fully validated" in run.stdout or insecure and "unsigned answer" in run.stdout
        if not validated or sign not in run.stdout + run.stderr:
            faults.append("%s %s:\n%s%s" % (name, rrtype, run.stdout, run.stderr))
    assert not faults, "\n".join(faults)
