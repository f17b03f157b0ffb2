"""orders.dnstap: what orders decide is told to who takes it, and nothing else is told of anybody."""

import subprocess
import time

import pytest

from test_metrics import figures
from testbed.dnstap import Receiver
from testbed.order_answers import ask, eventually
from testbed.orders import SINKHOLE_A, SINKHOLE_AAAA, write_order
from testbed.process import LOOPBACK, free_port
from testbed.servers import tamis_program

ZONE = """\
$ORIGIN a.example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
good A 192.0.2.10
bad A 192.0.2.11
alias CNAME bad
"""
AUTH_RESPONSE, UDP, TCP = 2, 1, 2


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "answers.sock")


def serve(farm, path, zone=None):
    server = farm.tamisd_unstarted()
    server.write("a.zone", ZONE)
    order = write_order(server.directory, "ord-1", names=["bad.a.example", "gone.a.example"])
    return server.start({
        "server": {"metrics": "%s@%d" % (LOOPBACK, free_port())},
        "zones": [{"name": "a.example", **(zone or {"primary": {"file": server.path("a.zone")}})}],
        "orders": {"files": [order], "dnstap": path}})


def taken(receiver, count):
    eventually(lambda: len(receiver.events) >= count, "events")
    return receiver.events


def addresses(event):
    return [record.to_text() for rrset in event.response.answer for record in rrset]


def test_answers_that_an_order_decided_are_told_and_no_others(farm, path):
    receiver = Receiver(path)
    server = serve(farm, path)
    before = time.time()
    for name, kind, tcp in [("good", "A", False), ("bad", "A", False), ("missing", "A", False), ("bad", "AAAA", True),
                            ("gone", "TXT", False), ("alias", "A", False)]:
        ask(server, name + ".a.example", kind, tcp)
    events = sorted(taken(receiver, 4), key=lambda event: event.seconds)  # each thread has a ring
    assert [(str(event.response.question[0].name), event.protocol) for event in events] == [
        ("bad.a.example.", UDP), ("bad.a.example.", TCP), ("gone.a.example.", UDP), ("alias.a.example.", UDP)]
    assert [addresses(event) for event in events] == [[SINKHOLE_A], [SINKHOLE_AAAA], [],
                                                      ["bad.a.example.", SINKHOLE_A]]
    assert {event.kind for event in events} == {AUTH_RESPONSE}
    assert {event.address for event in events} == {"127.0.0.1"} and all(event.port for event in events)
    assert all(before - 1 <= event.seconds <= time.time() for event in events)
    server.stop()
    assert receiver.ends == 1 and len(receiver.events) == 4
    receiver.close()


def test_forwarded_zones_tell_of_their_listed_names_too(farm, path):
    receiver = Receiver(path)
    origin = farm.tamisd_unstarted()
    origin.write("a.zone", ZONE)
    origin.start({"zones": [{"name": "a.example", "primary": {"file": origin.path("a.zone")}}]})
    server = serve(farm, path, {"forward": {"to": ["127.0.0.1@%d" % origin.port]}})
    for name in ("good", "bad", "alias", "good"):
        ask(server, name + ".a.example")
    events = taken(receiver, 2)
    assert sorted(str(event.response.question[0].name) for event in events) == ["alias.a.example.", "bad.a.example."]
    receiver.close()


def told(server, result):
    return figures(server)['tamisd_listed_answers_total{result="%s"}' % result]


def test_nobody_waits_for_who_takes_them_or_does_not(farm, path):
    server = serve(farm, path)
    ask(server, "bad.a.example")
    eventually(lambda: told(server, "dropped") == 1, "an answer that nobody took")
    for _ in range(2):  # once somebody takes them, and after a break
        receiver = Receiver(path)
        eventually(lambda: ask(server, "bad.a.example") and receiver.events, "events")
        receiver.close()
    # Who takes them says nothing at all: answers go on, and so does the end.
    with Receiver.silent(path):
        for _ in range(100):
            ask(server, "bad.a.example")
        server.stop()


def test_a_path_that_no_socket_can_have_is_refused(farm):
    server = farm.tamisd_unstarted()
    server.write("a.zone", ZONE)
    path = server.write("tamisd.yaml", """server: { listen: ["127.0.0.1@5300"] }
zones: [{ name: a.example, primary: { file: a.zone } }]
orders:
  dnstap: %s
""" % ("x" * 120))
    done = subprocess.run([tamis_program("tamisd"), "-c", path, "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 1 and ":4: the socket's path" in done.stderr
