"""Odd messages get the answer that Knot gives, or none where Knot gives none."""

import concurrent.futures
import os
import struct

import pytest

import odd_messages
from testbed import wire

ZONE = """@ 3600 SOA ns hostmaster 1 7200 900 1209600 300
@ 3600 NS ns
ns 3600 A 192.0.2.1
www 3600 A 192.0.2.2
www 3600 TXT "www"
"""
# Where we do not follow Knot, whom we follow, and why.
CHOICES = {
    "UPDATE from nobody": "bind",  # REFUSED (RFC 2136, 3.3)
    "EDNS size 1": "bind",  # values below 512 count as 512 (RFC 6891, 6.2.3); Knot trips over 1 alone
    "IXFR over UDP from serial 0": "nsd",  # REFUSED: the zone is ours (RFC 5936, 2.2.1)
    "IXFR over UDP from serial 1": "nsd",
    "type IXFR at a.example.": "bind",  # a request without its SOA is malformed, whoever asks (RFC 1995, 3)
}
SILENCE_S = 0.7  # how long "no answer" is waited for


def brief(reply):
    """What is compared of an answer; None for no answer."""
    if reply is None:
        return None
    message = wire.Message(reply)
    errors = [struct.unpack("!H", one[4][-4:-2])[0] for one in message.additional if one[1] == 250]
    text = "%s flags=%04x questions=%d answers=%d authorities=%d additionals=%d" % (
        wire.RCODES[message.rcode], message.flags & 0xFFF0, message.question_count, len(message.answer),
        len(message.authority), len([one for one in message.additional if one[1] != 250]))
    if message.opt is not None:
        text += " OPT version=%d%s" % (message.opt[2], " DO" if message.opt[3] else "")
    return text + (" TSIG error=%d" % errors[0] if errors else "")


@pytest.fixture(scope="module")
def servers(module_farm):
    zones = [("a.example.", module_farm.write("a.example.zone", ZONE))]
    return {"tamisd": module_farm.tamisd({"zones": [{"name": "a.example", "primary": {"file": zones[0][1]}}]}),
            "knot": module_farm.knot(zones, allow_transfer=False), "nsd": module_farm.nsd(zones),
            "bind": module_farm.bind(zones)}


def ask_everyone(servers, ask):
    """Asks all servers all cases, many at a time. Returns (case, octets, brief by server)."""
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        cases = list(odd_messages.all_cases())
        answers = {name: [pool.submit(ask, server.place, octets, SILENCE_S) for _, octets in cases]
                   for name, server in servers.items()}
        results = [(case, octets, {name: brief(answers[name][index].result()) for name in servers})
                   for index, (case, octets) in enumerate(cases)]
    for _, octets, briefs in results:
        if (briefs["tamisd"] is None) != (briefs["knot"] is None):
            # One of them was perhaps only late: ask again, alone and patiently.
            for name in ("tamisd", "knot"):
                briefs[name] = briefs[name] or brief(ask(servers[name].place, octets, 4 * SILENCE_S))
    return results


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_odd_messages_get_knots_answer_over(servers, transport):
    ask = wire.ask_or_none if transport == "UDP" else wire.ask_tcp_raw
    wrong = []
    for case, octets, answers in ask_everyone(servers, ask):
        wanted = CHOICES.get(case, "knot")
        if answers["tamisd"] != answers[wanted]:
            wrong.append("%s (%s)\n%s" % (case, octets.hex(), "\n".join(
                "    %-7s %s" % (name, answer) for name, answer in answers.items())))
    assert not wrong, "%d answers differ:\n%s" % (len(wrong), "\n".join(wrong))


def test_the_server_still_answers_after_all_odd_messages(servers):
    answer = wire.ask(servers["tamisd"].place, "www.a.example.", "A")
    assert (answer.rcode, answer.aa, len(answer.answer)) == (0, True, 1)


def test_question_comes_back_in_its_letter_case(servers):
    for _ in range(20):
        name = bytes(octet ^ 0x20 if chr(octet).isalpha() and os.urandom(1)[0] & 1 else octet
                     for octet in wire.name_from_text("www.a.example."))
        reply = wire.ask_or_none(servers["tamisd"].place, wire.query(name, "A"))
        assert reply[12:12 + len(name)] == name
