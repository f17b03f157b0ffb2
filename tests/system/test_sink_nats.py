"""The sinkhole's events get to JetStream: all of them, once, in order, whatever happens to the servers meanwhile. They
are real servers of NATS; what arrives is read back from the stream by the page of the format alone."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.certificates import Authority
from testbed.nats import NatsClient, NatsServer, Operator
from testbed.process import LOOPBACK
from testbed.sink_events import segments
from testbed.sink_outbox import (STREAM, SUBJECT, Outbox, arrived, check_all_arrived_once_in_order, events_of, place_of,
                                 running)  # noqa: F401


@pytest.fixture
def server(tmp_path, running):
    return running(NatsServer(str(tmp_path)))


# ---- One server ----

def test_blocks_arrive_as_they_lie_in_the_log(tmp_path, server, running):
    server.start()
    outbox = running(Outbox(tmp_path, [server])).start(3000)
    outbox.wait_until_sent(server)
    outbox.stop()
    check_all_arrived_once_in_order(server, 3000)
    files = {int(path.name.split("-")[0]): path.read_bytes() for path in segments(outbox.events)}
    with NatsClient(server) as client:
        config = client.stream(STREAM)["config"]
        for name, octets in client.messages(STREAM):
            segment, octet = place_of(name)
            assert files[segment][octet - len(octets):octet] == octets
            assert name.startswith("%016x-" % int.from_bytes(files[segment][16:24], "little"))
    assert len(files) > 1
    assert (config["storage"], config["num_replicas"], config["subjects"]) == ("file", 1, [SUBJECT])
    assert config["duplicate_window"] == 3600 * 10**9


def test_a_new_start_goes_on_at_its_place(tmp_path, server, running):
    server.start()
    outbox = running(Outbox(tmp_path, [server]))
    for _ in range(3):
        outbox.start(1000).wait_until_sent(server)
        sent = outbox.figures()["sent"]
        outbox.stop()
    ids, _ = arrived(server)
    assert sent < len(ids) / 2  # the last run did not send again what was sent
    check_all_arrived_once_in_order(server, 3000)


def test_a_killed_sender_loses_and_doubles_nothing(tmp_path, server, running):
    server.start()
    outbox = running(Outbox(tmp_path, [server])).start(20000)
    outbox.wait_sending(5)
    outbox.process.kill()
    outbox.start(1000).wait_until_sent(server)  # what the first run did not write is no event
    outbox.stop()
    ids, numbers = arrived(server)
    durable = numbers.index(20000)
    assert numbers == list(range(durable)) + list(range(20000, 21000)) and 0 < durable < 20000
    assert len(set(ids)) == len(ids)


def test_a_server_that_is_away_at_the_start_is_waited_for(tmp_path, server, running):
    outbox = running(Outbox(tmp_path, [server])).start(2000)
    outbox.wait(lambda told: told["written"] == 2000 and told["failures"] > 0 and told["behind"] > 0, "failure")
    assert outbox.figures()["sent"] == 0 and not outbox.figures()["connected"]
    server.start()
    outbox.wait_until_sent(server)
    outbox.stop()
    check_all_arrived_once_in_order(server, 2000)


def test_restarts_and_kills_of_the_server_lose_and_double_nothing(tmp_path, server, running):
    server.start()
    outbox = running(Outbox(tmp_path, [server])).start(20000)
    for end in (server.stop, server.kill):
        outbox.wait_sending(3)
        end()
        outbox.wait(lambda told: not told["connected"], "end of the connection")
        server.start()
    outbox.wait_until_sent(server)
    outbox.wait(lambda told: told["reconnects"] >= 2 and told["behind"] == 0, "nothing is behind")
    outbox.stop()
    check_all_arrived_once_in_order(server, 20000)


def test_a_stop_while_the_server_hangs_is_bounded_and_loses_nothing(tmp_path, server, running):
    server.start()
    outbox = running(Outbox(tmp_path, [server])).start(20000)
    outbox.wait_sending(3)
    server.process.signal(19)  # SIGSTOP
    outbox.process.wait_until(lambda: outbox.figures()["written"] == 20000, "all is written")
    outbox.stop()
    server.process.signal(18)  # SIGCONT
    outbox.start(100).wait_until_sent(server)
    outbox.stop()
    check_all_arrived_once_in_order(server, 20100)


def test_a_stream_that_is_deleted_is_made_again(tmp_path, server, running):
    server.start()
    outbox = running(Outbox(tmp_path, [server])).start(20000)
    outbox.wait_sending(3)
    with NatsClient(server) as client:
        assert client.api("STREAM.DELETE." + STREAM)["success"]
    outbox.wait_until_sent(server)
    outbox.stop()
    _, numbers = arrived(server)
    assert numbers == list(range(numbers[0], 20000)) and numbers[0] < 20000


def test_a_stream_of_others_keeps_its_settings_and_its_order_for_each(tmp_path, server, running):
    """Two senders and one stream: messages cross, and yet none overtakes one of its own sender."""
    server.start()
    with NatsClient(server) as client:
        client.api("STREAM.CREATE." + STREAM, name=STREAM, subjects=["sink.>"], storage="file", max_age=3600 * 10**9)
    outboxes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        outboxes.append(running(Outbox(tmp_path / name, [server], replicas=1)).start(4000))
    for outbox in outboxes:
        outbox.process.wait_until(lambda: len(arrived(server)[1]) == 8000, "all is sent")
        outbox.wait_failing("finds duplicates for 120 s only")
        outbox.stop()
    assert any("has other senders" in outbox.process.log() for outbox in outboxes)
    ids, _ = arrived(server)
    by_node = {node: [place_of(name) for name in names] for node, names in
               itertools.groupby(sorted(ids, key=lambda name: name.split("-")[0]), lambda name: name.split("-")[0])}
    assert len(by_node) == 2
    for places in by_node.values():  # the sort above is stable: this is the order of the stream
        assert places == sorted(set(places))
    with NatsClient(server) as client:
        numbers = sorted(event["received"] for _, octets in client.messages(STREAM) for event in events_of(octets))
        assert client.stream(STREAM)["config"]["max_age"] == 3600 * 10**9
    assert numbers == sorted(2 * list(range(4000)))


# ---- Refusals ----

def test_a_server_that_takes_no_large_messages_is_not_used(tmp_path, server, running):
    server.settings = "max_payload: 100000"
    server.start()
    outbox = running(Outbox(tmp_path, [server])).start(1000)
    outbox.wait_failing("raise its max_payload")
    assert outbox.figures()["sent"] == 0
    server.stop()
    server.settings = ""
    server.start()
    outbox.wait_until_sent(server)
    outbox.stop()
    check_all_arrived_once_in_order(server, 1000)


def test_a_refused_password_is_told_without_telling_it_and_tried_again(tmp_path, server, running):
    server.settings = 'authorization { user: sink, password: "right" }'
    server.start()
    outbox = running(Outbox(tmp_path, ["nats://sink:wrong@%s:%d" % (LOOPBACK, server.port)])).start(1000)
    outbox.wait_failing("Authorization Violation")
    outbox.wait(lambda told: told["failures"] >= 3, "three failures")
    assert outbox.process.log().count("Authorization Violation") == 1
    assert "wrong@" not in outbox.process.log()
    server.stop()
    server.settings = 'authorization { user: sink, password: "wrong" }'
    server.start()
    outbox.wait_sending()
    outbox.stop()


def test_credentials_are_taken_and_those_of_strangers_refused(tmp_path, server, running):
    ours, theirs = Operator(), Operator()
    path = tmp_path / "sink.creds"
    path.write_text(theirs.credentials(), encoding="utf-8")
    server.settings = ours.settings()
    server.start()
    outbox = running(Outbox(tmp_path, [server], credentials=path)).start(1000)
    outbox.wait_failing("Authorization Violation")
    path.write_text(ours.credentials(), encoding="utf-8")  # it is read anew for each connection
    outbox.wait_sending()
    outbox.stop()


def test_tls_trusts_the_authority_and_the_name_alone(tmp_path, server, running):
    authority, other = (Authority(str(tmp_path / name), name) for name in ("ours", "other"))
    pairs = [authority.issue("localhost"), other.issue("localhost"), authority.issue("another.example")]
    outbox = running(Outbox(tmp_path, ["tls://localhost:%d" % server.port], ca=authority.certificate)).start(1000)

    def present(pair):
        server.settings = "tls { cert_file: %s, key_file: %s }" % (pair.certificate, pair.key)
        server.start()

    for pair in pairs[1:]:
        present(pair)
        failures = outbox.figures()["failures"]
        outbox.wait(lambda told, before=failures: told["failures"] >= before + 2, "failures")
        assert not outbox.figures()["connected"] and outbox.figures()["sent"] == 0
        server.stop()
    server.settings = ""
    server.start()  # without TLS
    outbox.wait_failing("Secure Connection not available")
    assert outbox.figures()["sent"] == 0
    server.stop()
    present(pairs[0])
    outbox.wait_sending()
    outbox.stop()


# ---- Retention ----

def test_what_is_deleted_before_it_was_sent_is_told(tmp_path, server, running):
    outbox = running(Outbox(tmp_path, [server])).start(8000)
    outbox.wait(lambda told: told["written"] == 8000 and told["behind"] > 0, "all is written")
    outbox.process.wait_until(lambda: len(segments(outbox.events)) > 3, "segments")
    time_before = outbox.figures()["behind"]
    gone = segments(outbox.events)[:2]
    octets = sum(path.stat().st_size - 64 for path in gone)
    assert time_before >= octets
    for path in gone:
        path.unlink()
    outbox.wait(lambda told: told["lost"] > 0, "loss")
    outbox.wait_failing("were deleted as too old")
    server.start()
    outbox.wait_until_sent(server)
    assert outbox.figures()["lost"] == octets
    outbox.stop()
    _, numbers = arrived(server)
    assert 0 < numbers[0] and numbers == list(range(numbers[0], 8000))


# ---- The page ----

def test_the_reader_on_the_page_reads_what_was_sent(tmp_path, server, running):
    server.start()
    outbox = running(Outbox(tmp_path, [server])).start(1000)
    outbox.wait_until_sent(server)
    outbox.stop()
    page = (Path(__file__).parents[2] / "doc" / "sink-events.md").read_text(encoding="utf-8")
    program = re.search(r"\n(    # A reader.*\n(?:    .*\n|\n)*)", page).group(1)
    script = tmp_path / "reader.py"
    script.write_text(re.sub("^    ", "", program, flags=re.M), encoding="utf-8")
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]))
    for expected in (1000, 0):  # what was acknowledged does not come again
        output = subprocess.run([sys.executable, str(script), LOOPBACK, str(server.port), STREAM], env=environment,
                                check=True, capture_output=True, text=True, timeout=60).stdout
        assert sum(int(line.split()[1]) for line in output.splitlines()) == expected
