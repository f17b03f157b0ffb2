"""The desk's updater against real name servers: ours, and those of others."""

import json
import signal
import subprocess
import threading

import pytest

from testbed import wire
from testbed.load import load_program
from testbed.process import free_port
from testbed.servers import Bind, Knot, Tamisd

SECRET = "bm90LWEtcmVhbC1zZWNyZXQ="
ZONE = """\
$ORIGIN dyn.example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
"""


def start_tamisd(farm, file, **options):
    zone = {"name": "dyn.example", "primary": {"file": file}, **(options or {"allow-update": ["desk"]})}
    return farm.tamisd({"keys": [{"name": "desk", "algorithm": "hmac-sha256", "secret": SECRET}],
                        "zones": [zone]})


def start_knot(farm, file):
    extra = "\n".join(["key:", "  - id: desk", "    algorithm: hmac-sha256", "    secret: " + SECRET,
                       "acl:", "  - id: updates", "    key: desk", "    action: update"])
    return farm.knot([("dyn.example.", file)], extra=extra, allow_transfer=False,
                     zone_extra="    acl: updates")


def start_bind(farm, file):
    # Ends the clause of options and begins one of its own, which is ended in its stead.
    key = '}; key "desk" { algorithm hmac-sha256; secret "%s";' % SECRET
    return farm.bind([("dyn.example.", file)], zone_extra="allow-update { key desk; };", options=key)


SERVERS = {Tamisd.name: start_tamisd, Knot.name: start_knot, Bind.name: start_bind}


class Updater:
    """tests/load/desk_updates; each command gets a number, by which its outcome is asked for."""

    def __init__(self, server, key="desk", secret=SECRET):
        credentials = [key, "hmac-sha256", secret] if key else []
        self.process = subprocess.Popen(
            [load_program("desk_updates"), "%s@%d" % server.place, "dyn.example", *credentials],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.count = 0
        self.outcomes = {}
        self.change = threading.Condition()
        self.log = []
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._listen, self._keep_log)]
        for thread in self.threads:
            thread.start()

    def _listen(self):
        for line in self.process.stdout:
            number, what = line.rstrip("\n").split(" ", 1)
            with self.change:
                self.outcomes[int(number)] = what
                self.change.notify_all()

    def _keep_log(self):
        for line in self.process.stderr:
            with self.change:
                self.log.append(line)
                self.change.notify_all()

    def submit(self, command):
        self.count += 1
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.count

    def outcome(self, number, timeout_s=60):
        with self.change:
            assert self.change.wait_for(lambda: number in self.outcomes, timeout_s), "no outcome"
            return self.outcomes[number]

    def do(self, command):
        return self.outcome(self.submit(command))

    def do_until(self, command, wanted):
        """Again and again, as a customer's client would."""
        while self.do(command) != wanted:
            pass

    def await_log(self, text, timeout_s=60):
        with self.change:
            assert self.change.wait_for(lambda: any(text in line for line in self.log), timeout_s), self.log

    def figures(self):
        return json.loads(self.do("figures"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            assert self.process.wait(60) == 0, "".join(self.log)
        finally:
            self.process.kill()
        for thread in self.threads:
            thread.join()
        assert not any("Sanitizer" in line or "runtime error" in line for line in self.log), "".join(self.log)


def records(server, name, kind):
    reply = wire.ask(server.place, name + ".dyn.example", kind)
    number = wire.TYPES[kind]
    return sorted(wire.rdata_text(number, one[4]) if kind == "A" else one[4]
                  for one in reply.answer if one[1] == number)


@pytest.fixture(params=sorted(SERVERS))
def server(request, farm):
    return SERVERS[request.param](farm, farm.write("dyn.zone", ZONE))


def test_hosts_are_set_asked_for_and_removed(server):
    with Updater(server) as updater:
        assert updater.do("ask home") == "done - -"
        assert updater.do("set home A 192.0.2.7") == "done"
        assert updater.do("set home AAAA 2001:db8::7") == "done"
        assert updater.do("acme home proof") == "done"
        assert updater.do("ask home") == "done 192.0.2.7 2001:db8::7"
        assert records(server, "home", "A") == ["192.0.2.7"]
        assert records(server, "_acme-challenge.home", "TXT") == [b"\5proof"]

        assert updater.do("set home A 192.0.2.8") == "done"
        assert records(server, "home", "A") == ["192.0.2.8"]
        assert updater.do("set home A") == "done"
        assert updater.do("ask home") == "done - 2001:db8::7"
        assert updater.do("remove home") == "done"
        assert updater.do("ask home") == "done - -"
        assert records(server, "_acme-challenge.home", "TXT") == []


def test_many_hosts_share_messages_and_the_last_change_of_each_stands(server):
    with Updater(server) as updater:
        load = json.loads(updater.do("load 2000 500 300"))
        assert load["done"] == 2000
        figures = updater.figures()
        assert figures["done"] == 2000 and figures["connects"] >= 1
        assert figures["messages"] < 1000
        last = {number * 7919 % 300: number for number in range(2000)}
        for host, number in list(last.items())[:50]:
            assert records(server, "h%d" % host, "A") == ["203.0.113.%d" % ((number // 300 + number) % 256)]


def test_a_wrong_key_fails_all_and_says_which(server):
    with Updater(server, secret="YW5vdGhlci1zZWNyZXQhISE=") as updater:
        assert updater.do("set home A 192.0.2.7") == "not-reached"
        assert updater.do("set home A 192.0.2.7") == "EIO"
        updater.await_log("key desk")
        assert records(server, "home", "A") == []


def test_without_a_key_the_server_refuses(server):
    with Updater(server, key=None) as updater:
        assert updater.do("set home A 192.0.2.7") in ("refused 5", "refused 9")  # NOTAUTH of Knot
        assert not updater.figures()["is_down"]


def test_a_change_the_server_may_not_make_fails_alone(farm):
    rule = {"key": "desk", "names": ["home.dyn.example"], "types": ["A", "AAAA"]}
    server = start_tamisd(farm, farm.write("dyn.zone", ZONE), **{"update-policy": [rule]})
    with Updater(server) as updater:
        numbers = [updater.submit("set %s A 192.0.2.9" % host) for host in ("home", "other", "home", "third")]
        assert [updater.outcome(number) for number in numbers] == ["done", "refused 5", "done", "refused 5"]
        assert records(server, "home", "A") == ["192.0.2.9"]


def test_a_server_that_restarts_is_found_again(farm):
    server = start_tamisd(farm, farm.write("dyn.zone", ZONE))
    with Updater(server) as updater:
        assert updater.do("set home A 192.0.2.1") == "done"
        server.end(kill=True)
        number = updater.submit("set home A 192.0.2.2")
        server.start_again()
        # In time or not, it works again without help; and nothing acknowledged is lost.
        if updater.outcome(number) != "done":
            updater.do_until("set home A 192.0.2.2", "done")
        assert records(server, "home", "A") == ["192.0.2.2"]


def test_a_server_that_stays_away_or_hangs_is_told_at_once(farm):
    server = start_tamisd(farm, farm.write("dyn.zone", ZONE))
    with Updater(server) as updater:
        assert updater.do("set home A 192.0.2.1") == "done"
        server.process.signal(signal.SIGSTOP)
        assert updater.do("set home A 192.0.2.2") == "not-reached"
        assert updater.do("set home A 192.0.2.2") == "EIO"
        server.process.signal(signal.SIGCONT)
        updater.do_until("set home A 192.0.2.3", "done")
        assert records(server, "home", "A") == ["192.0.2.3"]

        server.end()
        assert updater.do("set home A 192.0.2.4") == "not-reached"
        updater.await_log("Connection refused")
        server.start_again()
        updater.do_until("set home A 192.0.2.5", "done")


def test_what_must_go_goes_when_the_server_is_back(farm, desk_unstarted):
    """The outbox, on each of the databases: a removal and a change that were put there."""
    server = start_tamisd(farm, farm.write("dyn.zone", ZONE + "gone A 192.0.2.9\n*.gone A 192.0.2.9\n"))
    server.end()
    desk = desk_unstarted
    desk.run("migrate")
    desk.write_config({
        "keys": [{"name": "desk", "algorithm": "hmac-sha256", "secret": SECRET}],
        "servers": [{"name": "ns1", "address": "%s@%d" % server.place, "key": "desk", "update": True}]})
    change = {"type": 1, "ttl": 60, "values": ["c0000207"]}
    for number, payload in enumerate([
            {"host": "gone.dyn.example", "zone": "dyn.example", "remove": True, "sets": []},
            {"host": "came.dyn.example", "zone": "dyn.example", "remove": False, "sets": [change]},
            {"host": "odd.other.example", "zone": "dyn.example", "remove": True, "sets": []}]):
        desk.sql("INSERT INTO outbox (id, kind, payload, state, due_at, attempts, created_at) VALUES "
                 "('out_%d', 'dns', '%s', 'waiting', 0, 0, 0)" % (number, json.dumps(payload)))
    desk.start()
    desk.process.wait_until(lambda: "they fail until it answers" in desk.process.log(), "line of the failure")
    server.start_again()
    desk.process.wait_until(lambda: desk.sql("SELECT id, state FROM outbox").split() == ["out_2|failed"],
                            "delivery")
    assert records(server, "gone", "A") == [] and records(server, "x.gone", "A") == []
    assert records(server, "came", "A") == ["192.0.2.7"]
    metrics = desk.client().get("/metrics").text
    assert 'tamis_desk_dns_changes_total{result="done"} 2' in metrics
