"""Reload: what changed is taken over, what is broken keeps its old state and is named, and answers,
lifts and all else go on meanwhile."""

import json
import socket
import threading
import time

import pytest

from testbed import wire
from testbed.fake_origin import FakeOrigin
from testbed.orders import SINKHOLE_A, write_order
from testbed.process import LOOPBACK, free_port
from testbed.servers import ControlError

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

# Generous: a busy machine under sanitizers is slow, and none of these times is a promise.
PATIENCE_S = 30.0

ZONE = """@ 3600 SOA ns hostmaster {serial} 3600 600 1209600 300
@ 3600 NS ns
ns 3600 A 192.0.2.2
www 3600 A {address}
evil 3600 A 192.0.2.7
"""


def zone_text(serial=1, address="192.0.2.80", more=""):
    return ZONE.format(serial=serial, address=address) + more


def write_zone(farm, name, folder="zones", **changes):
    return farm.write("%s/%s.zone" % (folder, name), zone_text(**changes))


def primary(farm, name, **changes):
    return {"name": name, "primary": {"file": write_zone(farm, name, **changes)}}


def secondary(name, place):
    return {"name": name, "secondary": {"from": ["%s@%d" % place]}}


def ask(server, name, rrtype="A"):
    return wire.ask(server.place, name, rrtype, edns=1232)


def address_of(server, name):
    """The address that an answer gives, or its RCODE."""
    answer = ask(server, name)
    records = [socket.inet_ntoa(record[4]) for record in answer.answer if record[1] == 1]
    return records[0] if records else answer.rcode


def eventually(condition, what, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within %g s: %s" % (timeout_s, what)
        time.sleep(0.02)


def zone_status(server, name):
    return next(zone for zone in server.control("zones") if zone["name"] == name)


class Asker:
    """Asks for names again and again while a test does something; keeps every answer but the right
    ones."""

    def __init__(self, place, wanted):
        """`wanted` maps names to the set of addresses that are right."""
        self.place, self.wanted = place, wanted
        self.answers, self.wrong = 0, []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join()

    def _run(self):
        while not self._stopping.is_set():
            for name, addresses in self.wanted.items():
                reply = wire.ask_or_none(self.place, wire.query(name, "A"), timeout_s=5.0)
                if reply is None:
                    self.wrong.append((name, "no answer"))
                    continue
                self.answers += 1
                message = wire.Message(reply)
                found = {socket.inet_ntoa(record[4]) for record in message.answer}
                if message.rcode != NOERROR or not message.aa or not found or not found <= addresses:
                    self.wrong.append((name, message.rcode, found))


# ---- Zones come, go and change ----


def by_signal(server):
    count = server.process.log().count("reload: ")
    server.write_config()
    server.hang_up()
    eventually(lambda: server.process.log().count("reload: ") > count, "the reload")


def by_command(server):
    server.write_config()
    done = server.ctl("reload")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("reload", [by_signal, by_command])
def test_zones_are_added_removed_and_changed(farm, reload):
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example"), primary(farm, "b.example")]})
    assert address_of(tamisd, "www.c.example.") == REFUSED
    write_zone(farm, "a.example", serial=2, address="198.51.100.1")
    tamisd.config["zones"] = [tamisd.config["zones"][0], primary(farm, "c.example")]
    reload(tamisd)
    assert address_of(tamisd, "www.a.example.") == "198.51.100.1"
    assert address_of(tamisd, "www.b.example.") == REFUSED
    assert address_of(tamisd, "www.c.example.") == "192.0.2.80"
    assert sorted(zone["name"] for zone in tamisd.control("zones")) == ["a.example", "c.example"]


def test_a_broken_zone_keeps_its_old_data_and_is_named_by_file_and_line(farm):
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example"), primary(farm, "b.example")]})
    broken = write_zone(farm, "a.example", serial=2, address="198.51.100.1", more="www A 192.0.2.300\n")
    write_zone(farm, "b.example", serial=2, address="198.51.100.2")
    done = tamisd.ctl("reload")
    assert done.returncode == 1
    assert "%s:6: " % broken in done.stderr
    assert address_of(tamisd, "www.a.example.") == "192.0.2.80"
    assert address_of(tamisd, "www.b.example.") == "198.51.100.2"
    assert zone_status(tamisd, "a.example")["error"] != ""
    assert zone_status(tamisd, "a.example")["serial"] == 1

    result = json.loads(tamisd.ctl("reload", "--json").stdout)
    assert result["zones"]["failed"] == 1 and result["zones"]["loaded"] == 1
    assert (broken, 6) in [(finding["file"], finding["line"]) for finding in result["findings"]]

    # A file that is gone is no empty zone either.
    write_zone(farm, "a.example", serial=3, address="198.51.100.3")
    tamisd.config["zones"][0]["primary"]["file"] = "gone.zone"
    with pytest.raises(ControlError, match="gone.zone"):
        tamisd.reload()
    assert address_of(tamisd, "www.a.example.") == "192.0.2.80"

    tamisd.config["zones"][0]["primary"]["file"] = broken
    assert tamisd.reload()["findings"] == []
    assert address_of(tamisd, "www.a.example.") == "198.51.100.3"
    assert zone_status(tamisd, "a.example")["error"] == ""


@pytest.mark.parametrize("break_it", [
    lambda text: text.replace("zones:", "zonse:"),
    lambda text: text + "zones: [\n",
    lambda text: text.replace("workers: 2", "workers: many"),
    lambda text: "",
], ids=["unknown key", "no YAML", "wrong type", "empty"])
def test_with_a_broken_configuration_everything_stays(farm, break_it):
    order = write_order(farm.directory, "o1", names=["evil.a.example"])
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example"), primary(farm, "b.example")],
                          "orders": {"files": [order]}})
    write_zone(farm, "a.example", serial=2, address="198.51.100.1")
    good = open(tamisd.path("tamisd.yaml"), encoding="utf-8").read()
    tamisd.write("tamisd.yaml", break_it(good))
    done = tamisd.ctl("reload")
    assert done.returncode == 1
    assert "tamisd.yaml" in done.stderr.splitlines()[0]
    assert address_of(tamisd, "www.a.example.") == "192.0.2.80"
    assert address_of(tamisd, "www.b.example.") == "192.0.2.80"
    assert address_of(tamisd, "evil.a.example.") == SINKHOLE_A

    tamisd.write("tamisd.yaml", good)
    assert tamisd.ctl("reload").returncode == 0
    assert address_of(tamisd, "www.a.example.") == "198.51.100.1"


def test_a_zone_between_two_others_comes_and_goes(farm):
    """What a nested zone held, its parent holds again, and orders follow the names."""
    parent = primary(farm, "a.example", more="www.sub 3600 A 192.0.2.81\nevil.sub 3600 A 192.0.2.82\n")
    child = primary(farm, "sub.a.example", address="198.51.100.1")
    order = write_order(farm.directory, "o1", names=["evil.sub.a.example"])
    tamisd = farm.tamisd({"zones": [parent], "orders": {"files": [order]}})
    for zones, www in (([parent], "192.0.2.81"), ([parent, child], "198.51.100.1"), ([parent], "192.0.2.81"),
                       ([child], "198.51.100.1"), ([parent], "192.0.2.81")):
        tamisd.config["zones"] = zones
        assert tamisd.reload()["findings"] == []
        assert address_of(tamisd, "www.sub.a.example.") == www
        assert address_of(tamisd, "evil.sub.a.example.") == SINKHOLE_A
        assert tamisd.control("orders")[0]["marked"] == 1


def test_names_of_a_new_zone_without_data_are_blocked_at_once(farm):
    order = write_order(farm.directory, "o1", names=["evil.dark.example"])
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example")], "orders": {"files": [order]}})
    assert tamisd.control("orders")[0]["marked"] == 0
    tamisd.config["zones"].append(secondary("dark.example", (LOOPBACK, free_port())))
    tamisd.reload()
    assert address_of(tamisd, "evil.dark.example.") == SINKHOLE_A
    assert address_of(tamisd, "www.dark.example.") == SERVFAIL
    assert tamisd.control("orders")[0]["marked"] == 1


# ---- Roles and origins ----


def test_a_primary_that_becomes_a_secondary_serves_on_and_takes_whatever_the_origin_has(farm):
    """Also when the origin's serial is the lower one: another's serial says nothing about ours."""
    knot = farm.knot([("a.example.", write_zone(farm, "a.example", folder="origin", serial=7,
                                               address="198.51.100.7"))])
    for serial in (7, 9000):
        tamisd = farm.tamisd({"zones": [primary(farm, "a.example", serial=serial)]})
        with Asker(tamisd.place, {"www.a.example.": {"192.0.2.80", "198.51.100.7"}}) as asker:
            tamisd.config["zones"] = [secondary("a.example", knot.place)]
            tamisd.reload()
            eventually(lambda: address_of(tamisd, "www.a.example.") == "198.51.100.7", "the transfer")
        assert asker.wrong == [] and asker.answers > 0
        status = zone_status(tamisd, "a.example")
        assert (status["role"], status["serial"], status["error"]) == ("secondary", 7, "")


def test_a_primary_that_becomes_a_secondary_of_a_dead_origin_serves_on(farm):
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example")]})
    tamisd.config["zones"] = [secondary("a.example", (LOOPBACK, free_port()))]
    tamisd.reload()
    eventually(lambda: zone_status(tamisd, "a.example")["transfer_failures"] > 0, "a failed transfer")
    assert address_of(tamisd, "www.a.example.") == "192.0.2.80"
    assert zone_status(tamisd, "a.example")["expires_at"] > time.time()


def test_a_secondary_that_becomes_a_primary_serves_on_until_its_file_can_be_read(farm):
    knot = farm.knot([("a.example.", write_zone(farm, "a.example", folder="origin", serial=7,
                                               address="198.51.100.7"))])
    tamisd = farm.tamisd({"zones": [secondary("a.example", knot.place)]})
    path = farm.write("zones/a.example.zone", "this is not a zone\n")
    with Asker(tamisd.place, {"www.a.example.": {"192.0.2.80", "198.51.100.7"}}) as asker:
        tamisd.config["zones"] = [{"name": "a.example", "primary": {"file": path}}]
        assert tamisd.reload()["zones"]["failed"] == 1
        knot.stop()
        assert address_of(tamisd, "www.a.example.") == "198.51.100.7"
        write_zone(farm, "a.example")
        assert tamisd.reload()["findings"] == []
        assert address_of(tamisd, "www.a.example.") == "192.0.2.80"
    assert asker.wrong == [] and asker.answers > 0
    assert zone_status(tamisd, "a.example")["role"] == "primary"


def test_a_reload_asks_the_origins_of_secondaries(farm):
    path = write_zone(farm, "a.example", folder="origin", address="198.51.100.1")
    knot = farm.knot([("a.example.", path)])
    tamisd = farm.tamisd({"zones": [secondary("a.example", knot.place)]})
    assert address_of(tamisd, "www.a.example.") == "198.51.100.1"
    write_zone(farm, "a.example", folder="origin", serial=2, address="198.51.100.2")
    knot.control("zone-reload", "a.example")
    time.sleep(0.5)
    assert address_of(tamisd, "www.a.example.") == "198.51.100.1"
    tamisd.reload()
    eventually(lambda: address_of(tamisd, "www.a.example.") == "198.51.100.2", "the new serial")


def test_signals_are_heard_while_the_first_transfer_hangs(farm):
    with FakeOrigin(None) as origin:
        tamisd = farm.tamisd({"zones": [primary(farm, "a.example"),
                                        {"name": "dark.example", "secondary": {"from": [origin.text]}}]},
                             wait=False)
        tamisd.wait_for_zones(["a.example."])
        assert "ready" not in tamisd.process.log().splitlines()
        write_zone(farm, "a.example", serial=2, address="198.51.100.1")
        by_signal(tamisd)
        assert address_of(tamisd, "www.a.example.") == "198.51.100.1"
        assert tamisd.stop() == 0


# ---- Nothing waits ----


def test_kept_zones_answer_all_along_however_often_is_reloaded(farm):
    names = ["a.example", "b.example", "c.example"]
    tamisd = farm.tamisd({"zones": [primary(farm, name) for name in names]})
    kept = tamisd.config["zones"][:2]
    wanted = {"www.a.example.": {"192.0.2.80", "198.51.100.1"}, "www.b.example.": {"192.0.2.80"}}
    with Asker(tamisd.place, wanted) as first, Asker(tamisd.place, wanted) as second:
        for round_number in range(12):
            write_zone(farm, "a.example", serial=round_number + 2,
                       address="198.51.100.1" if round_number % 2 else "192.0.2.80")
            tamisd.config["zones"] = kept + ([primary(farm, "c.example")] if round_number % 3 else [])
            if round_number % 2:
                assert tamisd.reload()["findings"] == []
            else:
                by_signal(tamisd)
    assert first.wrong + second.wrong == []
    assert first.answers > 100


def test_reloads_activations_lifts_and_questions_at_once_leave_a_right_state(farm):
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example"), primary(farm, "b.example")]})
    orders = [write_order(farm.directory, "o%d" % number, names=["evil.a.example", "evil.b.example"])
              for number in range(3)]
    until, failures = time.monotonic() + 4, []

    def repeat(action):
        while time.monotonic() < until:
            try:
                action()
            except Exception as error:  # pylint: disable=broad-except
                # A configuration that is replaced while another reload reads it is rightly refused.
                if "changed while it was read" not in str(error):
                    failures.append(repr(error))

    def activate_and_lift(number):
        tamisd.activate(orders[number])
        tamisd.lift("o%d" % number)

    def look():
        for command in ("status", "zones", "orders", "stats"):
            tamisd.control(command)

    def come_and_go():
        tamisd.config["zones"][1:] = [] if len(tamisd.config["zones"]) > 1 else [b_zone]
        tamisd.reload()

    b_zone = tamisd.config["zones"][1]
    actions = [come_and_go, look, lambda: tamisd.control("reload"), lambda: activate_and_lift(0),
               lambda: activate_and_lift(1), lambda: activate_and_lift(2)]
    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    with Asker(tamisd.place, {"www.a.example.": {"192.0.2.80"}}) as asker:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert asker.wrong == [] and failures == []
    tamisd.config["zones"][1:] = [b_zone]
    tamisd.reload()
    assert tamisd.control("orders") == []
    assert address_of(tamisd, "evil.a.example.") == address_of(tamisd, "evil.b.example.") == "192.0.2.7"
    tamisd.activate(orders[0])
    assert address_of(tamisd, "evil.a.example.") == address_of(tamisd, "evil.b.example.") == SINKHOLE_A


def run_beside(action):
    """Runs action() in a thread; returns the thread and a list that gets its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(action()), daemon=True)
    thread.start()
    return thread, results


def lift_and_measure(server, order_id, name):
    """Seconds from the command to the first right answer."""
    started = time.monotonic()
    server.lift(order_id)
    assert address_of(server, name) == "192.0.2.7"
    return time.monotonic() - started


def big_list(pattern, count):
    return "".join(pattern % number for number in range(count))


def test_a_lift_during_the_reload_of_a_big_zone_is_instant(farm):
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example"), primary(farm, "b.example")]})
    tamisd.activate(write_order(farm.directory, "o1", names=["evil.a.example"]))
    write_zone(farm, "b.example", serial=2, more=big_list("h%d A 198.51.100.1\n", 1000000))
    reload, results = run_beside(lambda: tamisd.control("reload"))
    time.sleep(0.2)
    assert lift_and_measure(tamisd, "o1", "evil.a.example.") < 1
    assert reload.is_alive(), "the reload was over before the lift: make the zone bigger"
    assert tamisd.control("orders") == []
    reload.join()
    assert results[0]["zones"]["loaded"] == 2
    assert address_of(tamisd, "h999999.b.example.") == "198.51.100.1"


def test_a_lift_during_the_activation_of_a_big_order_is_instant(farm):
    count, small = 1000000, 20
    tamisd = farm.tamisd({"zones": [primary(farm, "a.example", more=big_list("evil%d A 192.0.2.7\n", small)),
                                    primary(farm, "b.example")]})
    for number in range(small):
        tamisd.activate(write_order(farm.directory, "s%d" % number, names=["evil%d.a.example" % number]))
    big = write_order(farm.directory, "big", names_text=big_list("h%d.b.example\n", count))
    activation, results = run_beside(lambda: tamisd.activate(big))
    lifts_s = []
    for number in range(small):
        time.sleep(0.1)
        if not activation.is_alive():
            break
        lifts_s.append(lift_and_measure(tamisd, "s%d" % number, "evil%d.a.example." % number))
    activation.join()
    assert len(lifts_s) > 1, "the activation was over before the lifts: make the list longer"
    assert max(lifts_s) < 1, lifts_s
    assert results[0]["marked"] == count
    assert address_of(tamisd, "h0.b.example.") == address_of(tamisd, "h999999.b.example.") == SINKHOLE_A

    # What was activated goes as quickly, and the next lift does not wait for its marks to be cleared.
    tamisd.activate(write_order(farm.directory, "last", names=["evil.a.example"]))
    started = time.monotonic()
    tamisd.lift("big")
    assert address_of(tamisd, "h999999.b.example.") == NXDOMAIN
    assert time.monotonic() - started < 1
    time.sleep(1)
    assert lift_and_measure(tamisd, "last", "evil.a.example.") < 1
