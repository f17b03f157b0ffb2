"""tamis-sink as a whole: what clients get to see, what is kept of them, what it tells of itself."""

import json
import os
import signal
import socket
import subprocess

import pytest

from testbed.process import LOOPBACK
from testbed.servers import ControlError
from testbed.sink import http_request, njrat_checkin, read_all

ORDER = """\
id: nv-2014-00987
kind: court
authority: "US District Court, D. Nevada, 2:14-cv-00987"
starts: 2014-06-30T12:00:00Z
ends: 2034-07-14T12:00:00Z
action: sinkhole
sinkhole: { a: [192.0.2.66], ttl: 60 }
notice: https://desk.example/orders/nv-2014-00987
names: [listed.dyn.example]
"""


@pytest.fixture
def order(farm):
    return farm.write("nv-2014-00987.yaml", ORDER)


def test_a_browser_gets_a_page_that_says_what_this_is(farm, order):
    sink = farm.sink({"orders": [order]})
    for page in (sink.send(http_request("listed.dyn.example")),
                 sink.send_over_tls(http_request("listed.dyn.example"), "listed.dyn.example")):
        head, _, body = page.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        for text in (b"inkhole", b"nv-2014-00987", b"https://sinkhole.example/"):
            assert text in body, page
    events = sink.wait_for_events(lambda event: event["name"] == "listed.dyn.example" and event["tls"])
    assert events[0]["order"] == "nv-2014-00987" and events[0]["name_source"] == "host"
    assert events[0]["ja4"].startswith("t13") and events[0]["local_port"] == sink.port
    plain = sink.wait_for_events(lambda event: event["kind"].startswith("http") and not event["tls"])
    assert plain[0]["ending"] == "answered"


def proven(sink):
    return sink.control("live")["classes"].get("proven", 0)


def test_a_bot_gets_no_octet_and_is_counted_by_its_id(farm):
    sink = farm.sink()
    for volume in ("1A2B3C4D", "5E6F7A8B"):
        for _ in range(2):
            assert sink.send(njrat_checkin(volume)) == b""
    sink.process.wait_until(lambda: proven(sink) == 2, "two victims")
    live = sink.control("live")
    assert live["kinds"]["check-in"] == 4 and len(live["last"]) == 4
    assert [(row["family"], row["proven"]) for row in live["families"]] == [("njrat", 2)]
    assert all(event["victim"] and event["family"] == "njrat" for event in live["last"])
    by_family = sink.control("cuts", by="family", limit=1)
    assert len(by_family["cuts"]) == 1 and by_family["cuts"][0]["key"] == "njrat"
    points = sink.control("series", step="hour")["points"]
    assert points[-1]["seen"] == 2


def test_nothing_that_names_a_person_or_an_address_is_told_or_written(farm):
    sink = farm.sink()
    sink.send(njrat_checkin("1A2B3C4D", machine="MACHINE-OF-ADA", user="ada-lovelace"))
    sink.wait_for_events(lambda event: event["kind"] == "check-in")
    told = json.dumps([sink.control("live"), sink.control("status"), sink.control("cuts", by="name")])
    sink.end()
    written = [open(os.path.join(folder, name), "rb").read()
               for folder, _, names in os.walk(sink.path("state")) for name in names]
    assert written
    for secret in ("MACHINE-OF-ADA", "ada-lovelace", "1A2B3C4D", "Notepad"):
        assert secret not in told and secret not in sink_log(sink)
        assert not any(secret.encode() in octets for octets in written)
    assert LOOPBACK not in told


def sink_log(sink):
    with open(sink.path("tamis-sink.log"), encoding="utf-8") as log:
        return log.read()


def test_datagrams_and_silent_connections_are_events(farm):
    sink = farm.sink({"sensor": {"idle-seconds-max": 1}})
    sink.send_datagram(b"\0\1\0\0")
    with sink.connect() as silent:
        assert read_all(silent) == b""
    datagram = sink.wait_for_events(lambda event: event["transport"] == "udp")[0]
    assert datagram["ending"] == "datagram" and datagram["octets"] == 4
    nothing = sink.wait_for_events(lambda event: event["kind"] == "nothing")[0]
    assert nothing["ending"] == "timed-out"


@pytest.mark.parametrize("kill", [False, True])
def test_a_restart_forgets_no_victim(farm, kill):
    sink = farm.sink()
    sink.send(njrat_checkin("1A2B3C4D"))
    sink.process.wait_until(lambda: sink.control("status")["census"]["events"] == 1, "event")
    sink.end(kill)
    sink.start_again()
    sink.process.wait_until(lambda: sink.control("status")["census"]["caught_up"], "census")
    assert sink.control("live")["classes"]["likely"] == 1
    sink.send(njrat_checkin("1A2B3C4D"))
    sink.process.wait_until(lambda: proven(sink) == 1, "victim")


def test_ending_records_what_is_open(farm):
    sink = farm.sink()
    with sink.connect() as client:
        client.sendall(njrat_checkin("1A2B3C4D")[:20])
        sink.process.wait_until(lambda: sink.control("status")["sensor"]["octets"] == 20, "octets")
        sink.end()
        assert read_all(client) == b""
    sink.start_again()
    event = sink.wait_for_events(lambda event: event["octets"] == 20)[0]
    assert event["ending"] == "ending"


def test_status_metrics_and_health_agree(farm):
    sink = farm.sink()
    sink.send(http_request("a.example"))
    sink.process.wait_until(lambda: sink.control("status")["log"]["written"] == 1, "event on the disk")
    sink.process.wait_until(lambda: sink.control("status")["census"]["events"] == 1, "event of the census")
    status, metrics = sink.control("status"), sink.metrics()
    assert status["sensor"]["accepted"] == metrics["tamis_sink_connections_total"] == 1
    assert status["kinds"]["http"] == metrics['tamis_sink_flights_total{kind="http"}'] == 1
    assert status["sensor"]["ended"]["answered"] == metrics['tamis_sink_ended_total{how="answered"}'] == 1
    assert metrics["tamis_sink_census_events_total"] == 1 and status["nats"] is None
    assert status["memory"] > 0 and status["uptime_s"] >= 0 and status["version"]
    assert sink.health() == (200, "ok\n")


def test_a_full_disk_is_told_and_loses_nothing_once_there_is_room(farm):
    sink = farm.sink_unstarted()
    sink.before = ["prlimit", "--fsize=2048:unlimited"]
    sink.start()
    for number in range(300):
        sink.send(njrat_checkin("%08X" % (number * 2654435761 % 2**32)))
    sink.process.wait_until(lambda: sink.health()[0] == 503, "health that says so")
    assert "is the disk full?" in sink.health()[1]
    assert sink.control("status")["log"]["waiting"] > 0
    subprocess.run(["prlimit", "--pid", str(sink.pid), "--fsize=unlimited"], check=True)
    sink.process.wait_until(lambda: sink.control("status")["log"]["written"] == 300, "all events on the disk")
    sink.process.wait_until(lambda: sink.health()[0] == 200, "health")
    assert sink.control("status")["log"]["dropped"] == 0


def test_wrong_requests_are_told_what_would_be_right(farm):
    sink = farm.sink()
    for arguments, says in [({"command": "lve"}, 'did you mean "live"'),
                            ({"command": "cuts"}, "write all, order, family"),
                            ({"command": "cuts", "by": "famly"}, 'did you mean "family"'),
                            ({"command": "cuts", "by": "asn", "limit": -1}, "0 to 10000"),
                            ({"command": "live", "events": "many"}, "0 to 64"),
                            ({"command": "series", "step": "week"}, '"day" or "hour"'),
                            ({"command": "series", "order": 5}, "order's id")]:
        with pytest.raises(ControlError, match=says):
            sink.control(**arguments)


def test_check_loads_all_that_a_start_would(farm, order):
    sink = farm.sink_unstarted()
    checked = sink.check({"orders": [order]})
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert not os.path.exists(sink.path("state"))
    broken = farm.write("broken.yaml", ORDER.replace("ends:", "ens:"))
    checked = sink.check({"orders": [broken]})
    assert checked.returncode == 1 and "broken.yaml:5" in checked.stderr
    checked = sink.check({"networks": {"asn": broken}})
    assert checked.returncode == 1 and "broken.yaml" in checked.stderr


def test_a_port_that_is_taken_is_named(farm):
    sink = farm.sink_unstarted()
    with socket.create_server(sink.place):
        with pytest.raises(AssertionError, match="%s@%d" % sink.place):
            sink.start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_sigint_and_sighup_end_it_as_sigterm_does(farm, number):
    sink = farm.sink()
    sink.process.signal(number)
    assert sink.process.process.wait(30) == 0
    sink.process = None
