"""What every answer of a front must be, whatever its origin said: rules 1 to 3 of the design.

1. never an upward referral, never a NOERROR with nothing in it for a name whose state is unknown;
2. with authority, never with recursion; a failure is SERVFAIL with an extended error;
3. a failure never becomes NXDOMAIN or NODATA.
"""

import socket
import struct

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

# Options that belong to an answer or to the way between the client and us; none of the origin's own.
OPTIONS = {8, 10, 15, 18}


def errors(reply):
    """Codes of the extended errors."""
    return [int(option.code) for option in reply.options if isinstance(option, dns.edns.EDEOption)]


def kind(reply):
    """"data", "alias", "nodata", "nxdomain", "referral", "nothing", or the RCODE's text."""
    if reply.rcode() == dns.rcode.NXDOMAIN:
        return "nxdomain"
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode()).lower()
    asked = reply.question[0].rdtype
    if any(rrset.rdtype == asked or asked == dns.rdatatype.ANY for rrset in reply.answer):
        return "data"
    if reply.answer:
        return "alias"
    types = {rrset.rdtype for rrset in reply.authority}
    if dns.rdatatype.SOA in types:
        return "nodata"
    return "referral" if dns.rdatatype.NS in types else "nothing"


def _check_records(zone, reply, what):
    for section in (reply.answer, reply.authority, reply.additional):
        for rrset in section:
            assert rrset.rdclass == dns.rdataclass.IN, what
            assert rrset.name.is_subdomain(zone), what
            assert 0 <= rrset.ttl < 2 ** 31, what


def _check_referral(zone, name, reply, what):
    cuts = {rrset.name for rrset in reply.authority if rrset.rdtype == dns.rdatatype.NS}
    assert len(cuts) == 1, what
    (cut,) = cuts
    assert cut != zone and cut.is_subdomain(zone) and name.is_subdomain(cut), what


def _text(reply, wire):
    """A message for people; its octets when it has records that dnspython reads but cannot print."""
    try:
        return str(reply)
    except (UnicodeDecodeError, ValueError, dns.exception.DNSException):
        return wire.hex()


def check(zone, query, wire, may_be_empty=False):
    """Checks the answer's octets to a query and returns them as a message. `may_be_empty`: the origin
    says with authority that there is nothing, and leaves its SOA out (RFC 2308, 2.2, type 3)."""
    reply = dns.message.from_wire(wire, one_rr_per_rrset=False)
    zone = dns.name.from_text(zone)
    what = "%s\n->\n%s" % (query.question[0], _text(reply, wire))
    assert reply.id == query.id and reply.flags & dns.flags.QR, what
    assert str(reply.question[0]) == str(query.question[0]), what
    assert not reply.flags & (dns.flags.RA | dns.flags.AD), what
    assert {int(option.otype) for option in reply.options} <= OPTIONS, what
    _check_records(zone, reply, what)

    found = kind(reply)
    assert found in ("data", "alias", "nodata", "nxdomain", "referral", "servfail", "yxdomain") or \
        (found == "nothing" and (may_be_empty or reply.flags & dns.flags.TC)), what
    if found == "servfail":
        assert not reply.answer and not reply.authority and not reply.additional, what
        assert errors(reply) or query.edns < 0, what
    elif found == "referral":
        _check_referral(zone, query.question[0].name, reply, what)
    else:
        assert reply.flags & dns.flags.AA, what
    return reply


def ask(front, zone, name, rdtype="A", tcp=False, payload=1232, may_be_empty=False, **options):
    """The front's answer, held against the rules."""
    text = zone if name == "@" else "%s.%s" % (name, zone)
    query = dns.message.make_query(text, rdtype, use_edns=0, payload=payload, **options)
    family = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, family) as client:
        client.settimeout(15)
        client.connect(front.place)
        if not tcp:
            client.send(query.to_wire())
            return check(zone, query, client.recv(65535), may_be_empty)
        client.sendall(struct.pack("!H", len(query.to_wire())) + query.to_wire())
        stream = client.makefile("rb")
        return check(zone, query, stream.read(struct.unpack("!H", stream.read(2))[0]), may_be_empty)
