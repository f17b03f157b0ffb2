"""tamis takeover shadow and copy with queries as they come: from an interface, and as the dnstap events of
Knot, Unbound and dnsdist."""

import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import tempfile

import pytest

from test_takeover import Takeover
from testbed import wire
from testbed.orders import write_order
from testbed.process import free_port
from testbed.servers import Server, Unbound, program, tamis_program

# Clients have addresses of their own: what comes from ours and the front's is passed over.
CLIENT = "127.0.0.2"

ASKED = [("www.a.example", "A"), ("mail.a.example", "AAAA"), ("none.b.example", "A"), ("bad.b.example", "A"),
         ("www.c.example", "A"), ("deep.none.c.example", "TXT")]


def ask(place, name, rrtype="A", client=CLIENT, over_tcp=False):
    """Asks as a client, and waits for the answer."""
    message = wire.query(name, rrtype, message_id=7, flags=wire.RD)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM) as asker:
        asker.settimeout(20)
        asker.bind((client, 0))
        asker.connect(place)
        if not over_tcp:
            asker.send(message)
            return asker.recv(4096)
        framed = struct.pack("!H", len(message)) + message
        asker.sendall(framed[:5])
        asker.sendall(framed[5:])
        return asker.recv(4096)


class LiveRun:
    """A step that reads live queries; it is reading when this returns."""

    def __init__(self, takeover, step, *arguments, stderr=subprocess.PIPE):
        self.process = subprocess.Popen(takeover.command(step, *arguments, "--json"), stdout=subprocess.PIPE,
                                        stderr=stderr, text=True)
        if stderr == subprocess.PIPE:
            self.said = self.process.stderr.readline()
            assert self.said.startswith("tamis: reading queries from"), self.said + self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def results(self, code=0):
        out, err = self.process.communicate(timeout=90)
        assert self.process.returncode == code, out + (err or "")
        self.output = out + (err or "")
        return {one["domain"]: one for one in json.loads(out)}


@pytest.fixture
def folder():
    """For sockets, whose paths have at most 107 octets."""
    with tempfile.TemporaryDirectory(prefix="tamis-") as path:
        yield path


def copied(farm, domains=("a.example", "b.example", "c.example")):
    takeover = Takeover(farm, domains=list(domains))
    takeover.run("plan")
    takeover.run("copy")
    return takeover


def state_files(farm):
    folder = farm.directory + "/takeover"
    return "".join(open(os.path.join(folder, name), encoding="latin-1").read() for name in os.listdir(folder))


def test_queries_on_an_interface_are_asked_of_both_each_for_its_domain(farm):
    takeover = copied(farm)
    with LiveRun(takeover, "shadow", "--live", "lo", "--port", str(takeover.origin.port),
                 "--queries", str(len(ASKED))) as run:
        reader = open("/proc/%d/task/%d/children" % (run.process.pid, run.process.pid), encoding="ascii").read()
        with open("/proc/%s/status" % reader.split()[0], encoding="ascii") as file:
            status = file.read()
        assert re.search(r"^CapEff:\t0+$", status, re.M) and not re.search(r"^Uid:.*\b0\b", status, re.M)

        ask(takeover.origin.place, "www.elsewhere.example")
        ask(takeover.origin.place, "mail.a.example", client="127.0.0.1")
        for index, (name, rrtype) in enumerate(ASKED):
            ask(takeover.origin.place, name, rrtype, over_tcp=index % 2 == 1)
        results = run.results()
    assert [results[domain]["live"] for domain in takeover.domains] == [{"queries": 2, "dropped": 0}] * 3
    assert [results[domain]["questions"] for domain in takeover.domains] == [2, 2, 2]
    assert results["b.example"]["blocked"] == 1
    traffic = results["a.example"]["traffic"]
    # One was our own, those that the shadow asked of the origin are too.
    assert traffic["outside"] == 1 and traffic["own"] >= 1
    assert takeover.state("a.example")["clean"] == 2
    assert CLIENT not in run.output + state_files(farm)


def test_a_difference_that_live_queries_meet_stays_open_until_it_is_gone(farm):
    takeover = copied(farm, ["a.example"])
    # The front keeps its serial, and so its old data.
    farm.write("a.example.zone", Takeover.zone("a.example", www="192.0.2.99"))
    takeover.origin.control("-b", "zone-reload", "a.example")
    arguments = ("shadow", "--live", "lo", "--port", str(takeover.origin.port), "--queries", "1")
    with LiveRun(takeover, *arguments) as run:
        ask(takeover.origin.place, "www.a.example")
        assert list(run.results(code=1)["a.example"]["different"]) == ["www.a.example. A"]
    farm.write("a.example.zone", Takeover.zone("a.example"))
    takeover.origin.control("-b", "zone-reload", "a.example")
    with LiveRun(takeover, *arguments) as run:
        ask(takeover.origin.place, "mail.a.example")
        result = run.results()["a.example"]
    assert result["different"] == {} and result["questions"] == 2


def test_findings_shut_an_open_gate_while_the_shadow_goes_on_and_outlive_a_kill(farm):
    takeover = copied(farm, ["a.example"])
    takeover.run("shadow")
    takeover.run("gate")
    assert takeover.steps() == {"a.example": "gate open"}
    with LiveRun(takeover, "shadow", "--live", "lo", "--port", str(takeover.origin.port)) as run:
        before = takeover.state("a.example")["clean"]
        ask(takeover.origin.place, "mail.a.example")
        takeover.front.process.wait_until(lambda: takeover.state("a.example")["clean"] == before + 1, "note")
        assert takeover.steps() == {"a.example": "gate open"}
        farm.write("a.example.zone", Takeover.zone("a.example", www="192.0.2.99"))
        takeover.origin.control("-b", "zone-reload", "a.example")
        ask(takeover.origin.place, "www.a.example")
        takeover.front.process.wait_until(lambda: takeover.state("a.example")["different"], "difference")
        run.process.kill()
        run.process.wait()
    assert takeover.steps() == {"a.example": "shadowed"}
    assert takeover.state("a.example")["clean"] == 0
    assert "www.a.example. A differs" in takeover.run("gate", code=1)


def test_what_finds_no_room_is_dropped_and_counted_and_an_interrupt_ends_it(farm):
    takeover = copied(farm, ["a.example"])
    master, slave = pty.openpty()
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    port = sink.getsockname()[1]
    with LiveRun(takeover, "shadow", "--live", "lo", "--port", str(port), "--rate", "5", stderr=slave) as run:
        shown = ""
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asker.bind((CLIENT, 0))
        # The progress on the terminal tells when the queue has run over.
        while not re.search(r"[1-9][0-9,]* dropped", shown):
            if "reading queries" in shown:
                for number in range(1000):
                    asker.sendto(wire.query("www.a.example", "A", message_id=number), ("127.0.0.1", port))
            shown += os.read(master, 65536).decode()
        run.process.send_signal(signal.SIGINT)
        result = run.results()["a.example"]
    os.close(slave)
    os.close(master)
    sink.close()
    asker.close()
    assert "queries a second" in shown and "0 different" in shown
    assert result["live"]["dropped"] > 4000 and 0 < result["questions"] < 4096
    assert takeover.state("a.example")["clean"] == result["questions"]


# ---- dnstap, from those who write it ----

def knot_producer(farm, takeover, sink):
    return farm.knot([(domain + ".", takeover.files[domain + "."]) for domain in takeover.domains],
                     extra="mod-dnstap:\n  - id: tap\n    sink: %s\n    log-queries: on\n    log-responses: on\n" % sink,
                     zone_extra="    global-module: mod-dnstap/tap")


class TappedUnbound(Unbound):
    """Tells a dnstap socket what its clients ask."""

    tap = None

    def write(self, name, text):
        return super().write(name, text + "\n".join([
            "server:", "    access-control: 127.0.0.0/8 allow",
            "dnstap:", "    dnstap-enable: yes", "    dnstap-bidirectional: yes",
            "    dnstap-socket-path: \"%s\"" % self.tap,
            "    dnstap-log-client-query-messages: yes", "    dnstap-log-resolver-query-messages: yes", ""]))


def unbound_producer(farm, takeover, sink):
    server = farm.add(TappedUnbound)
    server.tap = sink
    return server.start([domain + "." for domain in takeover.domains], [], takeover.origin.place)


class Dnsdist(Server):
    """In front of another server; tells a dnstap socket over TCP what its clients ask."""

    name = "dnsdist"

    def start(self, origin, sink):
        config = self.write("dnsdist.conf", "\n".join([
            "setLocal(\"%s:%d\")" % self.place, "newServer({address=\"%s:%d\", healthCheckMode=\"up\"})" % origin,
            "logger = newFrameStreamTcpLogger(\"%s\")" % sink.replace("@", ":"),
            "addAction(AllRule(), DnstapLogAction(\"dist\", logger))"]))
        self.run([program("dnsdist"), "-C", config, "--supervised", "--disable-syslog"])
        self.process.wait_until(lambda: wire.ask_or_none(self.place, wire.query("a.example", "SOA"), timeout_s=0.3)
                                is not None, "answer", 25.0)
        return self


def dnsdist_producer(farm, takeover, sink):
    return farm.add(Dnsdist).start(takeover.origin.place, sink)


@pytest.mark.parametrize("producer, over_tcp", [(knot_producer, False), (unbound_producer, False),
                                                (dnsdist_producer, True)], ids=["knot", "unbound", "dnsdist"])
def test_dnstap_events_of_other_servers_are_asked_of_both(farm, folder, producer, over_tcp):
    takeover = copied(farm)
    place = "127.0.0.1@%d" % free_port() if over_tcp else folder + "/tap"
    with LiveRun(takeover, "shadow", "--dnstap", place, "--queries", str(len(ASKED))) as run:
        if not over_tcp:
            os.chmod(place, 0o777)  # servers may have left root behind
        server = producer(farm, takeover, ("unix:" if producer == knot_producer else "") + place)
        ask(server.place, "www.elsewhere.example")
        for name, rrtype in ASKED:
            ask(server.place, name, rrtype)
        results = run.results()
    assert [results[domain]["live"] for domain in takeover.domains] == [{"queries": 2, "dropped": 0}] * 3
    assert [results[domain]["questions"] for domain in takeover.domains] == [2, 2, 2]
    traffic = results["a.example"]["traffic"]
    assert traffic["malformed"] == 0 and traffic["queries"] >= len(ASKED)
    assert CLIENT not in run.output + state_files(farm)
    assert not os.path.exists(place)


def test_copy_warms_the_forwarding_cache_with_live_queries(farm, folder):
    takeover = Takeover(farm, domains=["a.example"])
    front = farm.tamisd({"zones": [{"name": "a.example", "forward": {"to": ["%s@%d" % takeover.origin.place]}}]})
    takeover.plan["front"] = {"address": "%s@%d" % front.place, "control": front.control_socket}
    takeover.plan["domains"][0]["mode"] = "forward"
    takeover.plan["domains"][0]["names"] = farm.write("few.names", "www.a.example\n")
    takeover.run("plan")
    place = folder + "/tap"
    with LiveRun(takeover, "copy", "--dnstap", place, "--queries", "1") as run:
        os.chmod(place, 0o777)
        server = knot_producer(farm, takeover, "unix:" + place)
        ask(server.place, "ns1.a.example")
        result = run.results()["a.example"]
    assert result["live"]["queries"] == 1 and result["failed"] == 0
    assert takeover.steps() == {"a.example": "copied"}
    takeover.origin.stop()
    for name in ("www.a.example", "ns1.a.example"):
        assert wire.rcode(ask(front.place, name)) == 0
    assert wire.rcode(ask(front.place, "never-asked.a.example")) == 2


def test_an_interrupted_copy_is_not_complete_and_keeps_to_its_rate(farm, folder):
    takeover = Takeover(farm, domains=["a.example"])
    front = farm.tamisd({"zones": [{"name": "a.example", "forward": {"to": ["%s@%d" % takeover.origin.place]}}]})
    takeover.plan["front"] = {"address": "%s@%d" % front.place, "control": front.control_socket}
    takeover.plan["domains"][0]["mode"] = "forward"
    takeover.run("plan")
    with LiveRun(takeover, "copy", "--dnstap", folder + "/tap", "--rate", "1") as run:
        run.process.send_signal(signal.SIGINT)
        result = run.results(code=1)["a.example"]
    assert result["questions"] < 10
    assert takeover.steps() == {"a.example": "planned"}


def test_a_dnstap_file_is_traffic_like_a_capture(farm):
    takeover = copied(farm, ["a.example"])
    path = farm.directory + "/queries.tap"
    server = knot_producer(farm, takeover, path)
    for name, rrtype in ASKED[:2] + ASKED[:1]:
        ask(server.place, name, rrtype)
    ask(server.place, "bad.a.example", client="127.0.0.3")
    server.stop()
    result = takeover.json("shadow", "--traffic", path)[0]
    assert result["traffic_queries"] >= 4 and result["blocked"] == 1
    done = subprocess.run(
        [tamis_program("tamis"), "order", "rehearse", "--json", write_order(farm.directory, "nv-z", names=["bad.a.example"]),
         "--zone", "a.example=" + takeover.files["a.example."], "--traffic", path],
        capture_output=True, text=True, timeout=60, check=True)
    traffic = json.loads(done.stdout)["traffic"]
    assert traffic["kind"] == "dnstap"
    assert traffic["queries"]["touched"] == 1 and traffic["clients"]["touched"] == 1
    assert traffic["clients"]["all"] >= 2


@pytest.mark.parametrize("arguments, code, text", [
    (["--live", "none0"], 1, "no interface 'none0'"),
    (["--dnstap", "/nowhere/tap"], 1, "cannot listen for dnstap on /nowhere/tap"),
    (["--live", "lo", "--dnstap", "tap"], 2, "only one may be given"),
    (["--seconds", "5"], 2, "--live or --dnstap"),
], ids=["interface", "socket", "both", "neither"])
def test_what_cannot_be_read_is_said(farm, arguments, code, text):
    takeover = Takeover(farm, domains=["a.example"])
    if code == 1:
        takeover.run("plan")
        takeover.run("copy")
    done = subprocess.run(takeover.command("shadow", *arguments), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code and text in done.stderr
