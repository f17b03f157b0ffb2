"""How large a response may be, and what is left out of it when the answer is larger."""

import base64
import time
from types import SimpleNamespace

import dns.message
import dns.tsig
import pytest

from testbed import wire, zone_signing

PAYLOAD_MAX = 1232  # tamisd's default
NOERROR, SERVFAIL = 0, 2
OTHER_ERROR = 0
SECRET = base64.b64encode(b"not-a-real-secret-not-a-real-one").decode()
KEY = dns.tsig.Key("requests.", SECRET, dns.tsig.HMAC_SHA256)

APEX = """\
$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 300
@ NS ns
ns A 192.0.2.1
"""


def zone_text():
    lines = [APEX]
    lines += ["addresses A 192.0.2.%d" % host for host in range(1, 60)]
    lines += ["addresses AAAA 2001:db8::%x" % host for host in range(1, 60)]
    lines += ["mail MX 10 exchange"] + ["exchange A 198.51.100.%d" % host for host in range(1, 50)]
    for host in range(1, 14):
        lines += ["inside NS ns%d.inside" % host, "ns%d.inside A 203.0.113.%d" % (host, host),
                  "ns%d.inside AAAA 2001:db8:1::%x" % (host, host), "beside NS ns%d.inside" % host]
    lines += ["huge A 198.18.%d.%d" % (host // 250, host % 250) for host in range(5000)]
    lines += ["large A 198.18.%d.%d" % (host // 250, host % 250) for host in range(4000)]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def tamisd(module_farm):
    path = module_farm.write("a.example.zone", zone_text())
    signed = SimpleNamespace(
        name="signed.example.", path=module_farm.write("signed.example.zone", ""), signing="NSEC",
        text=lambda: "$ORIGIN signed.example.\n" + APEX + "".join(
            "@ %s\n" % record for record in ("MX 0 .", "TXT \"text\"", "A 192.0.2.2", "AAAA 2001:db8::2")))
    zone_signing.sign(signed, zone_signing.make_key(module_farm.directory))
    return module_farm.tamisd_unstarted().start_zones(
        [("a.example.", path), ("signed.example.", signed.path)],
        {"server": {"nsid": "n" * 255},
         "keys": [{"name": "requests.", "algorithm": "hmac-sha256", "secret": SECRET}]})


def limit_of(payload):
    return 512 if payload is None else min(max(payload, 512), PAYLOAD_MAX)


SIZES = [None, 0, 511, *range(512, PAYLOAD_MAX + 2), 4096, 65535]


@pytest.mark.parametrize("name, rrtype, section", [
    ("addresses", "A", "answer"), ("addresses", "AAAA", "answer"), ("mail", "MX", "additional"),
    ("inside", "A", "additional"), ("beside", "A", "additional")])
def test_no_response_exceeds_what_the_client_takes(tamisd, name, rrtype, section):
    name += ".a.example."
    whole = getattr(wire.ask_tcp(tamisd.place, name, rrtype), section)
    sets = {}
    for record in whole:
        sets.setdefault(record[:2], []).append(record)
    for payload in SIZES:
        message = wire.ask(tamisd.place, name, rrtype, edns=payload)
        text = "%s octets\n%s" % (payload, wire.message_text(message))
        assert message.size <= limit_of(payload), text
        assert message.question == wire.question(name, rrtype), text
        assert (message.opt is not None) == (payload is not None), text
        there = {}
        for record in getattr(message, section):
            there.setdefault(record[:2], []).append(record)
        assert all(there[key] == sets[key] for key in there), text  # whole sets
        complete = len(there) == len(sets)
        # What the client must have: the answer, and the glue of name servers inside the delegation
        # (RFC 9471, 3.1); not the addresses of an exchange nor of servers elsewhere.
        assert message.tc == (not complete and (section == "answer" or name.startswith("inside"))), text


@pytest.mark.parametrize("name, rrtype", [("addresses", "A"), ("inside", "A"), ("ns", "A")])
def test_the_signature_of_a_response_is_within_the_limit(tamisd, name, rrtype):
    for payload in (None, *range(512, PAYLOAD_MAX, 9)):
        query = dns.message.make_query(name + ".a.example.", rrtype, use_edns=payload is not None,
                                       payload=payload or 0)
        query.use_tsig(KEY)
        reply = wire.ask_or_none(tamisd.place, query.to_wire())
        assert len(reply) <= limit_of(payload)
        message = dns.message.from_wire(reply, keyring={KEY.name: KEY}, request_mac=query.mac)
        assert message.had_tsig
        if name == "ns":
            assert (wire.Message(reply).tc, len(message.answer)) == (False, 1), message.to_text()


def test_a_signed_answer_comes_whole_over_tcp(tamisd):
    query = dns.message.make_query("addresses.a.example.", "AAAA")
    query.use_tsig(KEY)
    reply = wire.ask_tcp_raw(tamisd.place, query.to_wire())
    message = dns.message.from_wire(reply, keyring={KEY.name: KEY}, request_mac=query.mac)
    assert (message.had_tsig, len(message.answer[0])) == (True, 59)


@pytest.mark.parametrize("fault, error", [("time", dns.tsig.PeerBadTime), ("key", dns.tsig.PeerBadKey),
                                          ("signature", dns.tsig.PeerBadSignature)])
def test_a_request_signed_wrongly_is_told_what_is_wrong(tamisd, monkeypatch, fault, error):
    query = dns.message.make_query("ns.a.example.", "A")
    key = dns.tsig.Key("others.", SECRET, KEY.algorithm) if fault == "key" else KEY
    query.use_tsig(key)
    with monkeypatch.context() as past:
        if fault == "time":
            hour_ago = time.time() - 3600
            past.setattr(time, "time", lambda: hour_ago)
        octets = bytearray(query.to_wire())
    if fault == "signature":
        octets[octets.rindex(query.mac)] ^= 1
    reply = wire.ask_or_none(tamisd.place, bytes(octets))
    assert wire.rcode(reply) == 9 and wire.Message(reply).answer == []
    with pytest.raises(error):
        dns.message.from_wire(reply, keyring={key.name: key}, request_mac=query.mac)


def test_the_signatures_of_a_name_come_all_or_not_at_all(tamisd):
    whole = len(wire.ask_tcp(tamisd.place, "signed.example.", "RRSIG").answer)
    assert whole == 8
    for payload in SIZES:
        message = wire.ask(tamisd.place, "signed.example.", "RRSIG", edns=payload)
        assert (message.tc, len(message.answer)) in ((True, 0), (False, whole)), wire.message_text(message)


def test_a_record_set_of_a_whole_message_is_answered_over_tcp(tamisd):
    message = wire.ask_tcp(tamisd.place, "large.a.example.", "A", edns=1232)
    assert (message.rcode, message.aa, message.tc, len(message.answer)) == (NOERROR, True, False, 4000)


def test_a_record_set_larger_than_a_message_is_a_failure_with_a_reason(tamisd):
    assert wire.ask(tamisd.place, "huge.a.example.", "A").tc
    message = wire.ask_tcp(tamisd.place, "huge.a.example.", "A", edns=1232)
    assert (message.rcode, message.aa, message.tc) == (SERVFAIL, False, False)
    assert message.answer == message.authority == message.additional == []
    assert [code for code, _ in message.ede] == [OTHER_ERROR]


def test_an_identifier_that_does_not_fit_is_left_out(tamisd):
    longest = wire.name_to_text(b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\x33"
                                + b"d" * 51 + wire.name_from_text("a.example."))
    assert len(wire.name_from_text(longest)) == 255
    for name, payload, there in (("ns.a.example.", 512, True), (longest, 512, False), (longest, 1232, True)):
        question = wire.question(name, "A")
        request = b"\x12\x34\0\0\0\1\0\0\0\0\0\1" + question + wire.opt(payload, options=wire.option(3))
        message = wire.Message(wire.ask_or_none(tamisd.place, request))
        assert message.size <= payload
        assert bool([code for code, _ in message.options() if code == 3]) == there
