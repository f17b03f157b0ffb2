"""The pool of origins (src/front/origin.h) asks real servers: every answer is the server's own, every
server is believed as it is, and none that fails takes an answer with it."""

import itertools
import json
import os
import subprocess
import sys

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from testbed.load import load_program
from testbed.process import free_port
from testbed.servers import repository

ZONE = """$ORIGIN a.example.
$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
@ MX 10 mail
@ TXT "v=spf1 -all"
ns A 192.0.2.1
mail A 192.0.2.2
mail AAAA 2001:db8::2
alias CNAME mail
alias2 CNAME alias
away CNAME www.b.example.
nowhere CNAME missing
*.wild A 192.0.2.3
below.*.wild TXT "a literal asterisk"
old DNAME new
host.new A 192.0.2.4
cut NS ns.cut
ns.cut A 192.0.2.5
empty.non.terminal A 192.0.2.6
""" + "".join("big TXT \"%s\"\n" % (chr(97 + i) * 200) for i in range(20))

NAMES = ["", "ns.", "mail.", "alias.", "alias2.", "away.", "nowhere.", "x.wild.", "x.y.wild.", "*.wild.",
         "host.old.", "gone.old.", "old.", "cut.", "host.cut.", "ns.cut.", "non.terminal.", "missing.",
         "www.missing.", "big."]
TYPES = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "DS", "ANY"]


class Asking:
    """tests/load/ask_origin while it runs. `questions` are (name, type) or (name, type, "do")."""

    def __init__(self, zone, questions, servers, window=64, timeout_ms=2000, rate=0):
        self.count = len(questions)
        self.process = subprocess.Popen(
            [load_program("ask_origin"), zone, str(window), str(timeout_ms), str(rate),
             ",".join("%s@%d" % place for place in servers)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.process.stdin.write("".join(
            "%s %d %s\n" % (q[0], dns.rdatatype.from_text(q[1]), "".join(q[2:])) for q in questions))
        self.process.stdin.close()
        self.process.stdin = None
        self.first_line = self.process.stderr.readline()

    def is_running(self):
        return self.process.poll() is None

    def results(self):
        """Waits for the end: pairs (code, message or None), and the summary."""
        output, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, self.first_line + errors
        *answers, summary = output.splitlines()
        results = []
        for answer in answers:
            code, message = answer.split()
            results.append((int(code),
                            None if message == "-" else dns.message.from_wire(bytes.fromhex(message))))
        assert len(results) == self.count
        return results, json.loads(summary)


def asked(*arguments, **options):
    return Asking(*arguments, **options).results()


def content(message):
    """What must be the same, whoever asks."""
    sections = [sorted((str(rrset.name).lower(), rrset.rdtype, rrset.ttl,
                        tuple(sorted(rdata.to_text().lower() for rdata in rrset))) for rrset in section)
                for section in (message.answer, message.authority, message.additional)]
    return dns.rcode.to_text(message.rcode()), bool(message.flags & dns.flags.AA), sections


def ask_directly(server, name, rrtype):
    query = dns.message.make_query(name, rrtype, use_edns=0, payload=1232)
    answer, _ = dns.query.udp_with_fallback(query, server.address, 5, server.port)
    return answer


@pytest.mark.parametrize("kind", ["knot", "nsd", "bind"])
def test_answers_are_those_of_the_server_itself(farm, kind):
    zone = farm.write("a.example.zone", ZONE)
    server = getattr(farm, kind)([("a.example.", zone)])
    questions = [(name + "a.example.", rrtype) for name, rrtype in itertools.product(NAMES, TYPES)]
    results, summary = asked("a.example.", questions, [server.place])
    for (name, rrtype), (code, message) in zip(questions, results):
        assert code == 0, (name, rrtype, code)
        assert content(message) == content(ask_directly(server, name, rrtype)), (name, rrtype)
    counted = summary["servers"][0]
    assert counted["case"] == 1 and counted["edns"] == 1 and counted["healthy"] == 1
    assert counted["truncated"] > 0 and counted["refused"] == counted["mismatches"] == 0


def test_names_of_other_zones_of_the_server_are_not_believed(farm):
    zone = farm.write("a.example.zone", ZONE)
    server = farm.knot([("a.example.", zone)])
    results, _ = asked("b.example.", [("www.b.example.", "A")], [server.place])
    code, message = results[0]
    assert code == -121 and message.rcode() == dns.rcode.REFUSED  # EREMOTEIO


def _many(count):
    return [("n%d.wild.a.example." % i, "A") for i in range(count)]


def _assert_all_good(results):
    for code, message in results:
        assert code == 0 and message.answer, (code, message)


def test_knot_that_insists_on_cookies_gets_them(farm):
    zone = farm.write("a.example.zone", ZONE)
    server = farm.knot([("a.example.", zone)],
                       extra="mod-cookies:\n  - id: strict\n    badcookie-slip: 1",
                       zone_extra="    global-module: mod-cookies/strict")
    results, summary = asked("a.example.", _many(500), [server.place], window=1)
    _assert_all_good(results)
    counted = summary["servers"][0]
    assert counted["cookies"] == 1 and counted["over_tcp"] == 0
    assert 501 <= counted["asked"] < 600  # the first question twice, and what a busy machine repeats


def test_bind_that_insists_on_cookies_gets_them(farm):
    zone = farm.write("a.example.zone", ZONE)
    server = farm.bind([("a.example.", zone)], options="    answer-cookie yes; require-server-cookie yes;")
    results, summary = asked("a.example.", _many(500), [server.place], window=1)
    _assert_all_good(results)
    counted = summary["servers"][0]
    assert counted["cookies"] == 1 and counted["over_tcp"] == 0
    assert 501 <= counted["asked"] < 600


def test_no_answer_is_lost_with_a_server_that_dies_and_comes_back(farm):
    zone = farm.write("a.example.zone", ZONE)
    servers = [farm.knot([("a.example.", zone)]), farm.nsd([("a.example.", zone)])]
    # The rate stretches the run over the kill and the return.
    asking = Asking("a.example.", _many(10000), [server.place for server in servers], window=20, rate=2000)
    servers[0].kill()
    servers[0].start([("a.example.", zone)])
    assert asking.is_running()
    results, summary = asking.results()
    _assert_all_good(results)
    assert summary["failed"] == 0


def test_one_server_of_three_is_enough(farm):
    zone = farm.write("a.example.zone", ZONE)
    empty = farm.knot([("a.example.", zone)])
    other = farm.nsd([("b.example.", farm.write("b.zone", ZONE.replace("a.example", "b.example")))])
    nobody = ("127.0.0.1", free_port())
    results, summary = asked("a.example.", _many(1000), [nobody, other.place, empty.place])
    _assert_all_good(results)
    dead, refusing, good = summary["servers"]
    assert not dead["healthy"] and dead["answered"] == 0
    assert refusing["refused"] > 0
    # Whoever fails is soon left alone.
    assert good["asked"] > 3 * (dead["asked"] + refusing["asked"])


def test_nobody_there_is_a_failure_and_never_a_denial(farm):
    results, _ = asked("a.example.", _many(50), [("127.0.0.1", free_port())], timeout_ms=800)
    for code, message in results:
        assert code in (-110, -112) and message is None  # ETIMEDOUT, EHOSTDOWN


def test_answer_in_fragments_is_asked_for_over_tcp():
    """All but the first fragment carry nothing that is hard to guess."""
    namespace = ["unshare", "--map-root-user", "--net"]
    if subprocess.run(namespace + ["true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("network namespaces are not allowed here")
    program = os.path.join(repository(), "tests", "testbed", "fragmenting_origin.py")
    run = subprocess.run(namespace + [sys.executable, program, load_program("ask_origin")],
                         capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout)
    assert summary["good"] == 1
    assert summary["servers"][0]["truncated"] == summary["servers"][0]["over_tcp"] == 1
