"""What a reload and a restart do to orders: those of the configuration follow it, those of people
stay, and a lift holds until a person takes it back."""

import os
import socket
import time

import pytest

from testbed import wire
from testbed.orders import SINKHOLE_A, make_signer, sign, timestamp, write_order
from testbed.servers import ControlError

OWN = "192.0.2.7"  # of every name in the zone

ZONE = """@ 3600 SOA ns hostmaster 1 3600 600 1209600 300
@ 3600 NS ns
ns 3600 A 192.0.2.2
* 3600 A {own}
""".format(own=OWN)

NAMES = ["one.a.example", "two.a.example"]


def start(farm, *orders):
    zone = {"name": "a.example", "primary": {"file": farm.write("zones/a.example.zone", ZONE)}}
    return farm.tamisd({"zones": [zone], "orders": {"files": list(orders)}})


def blocked(server, *names):
    """Which of the names are sinkholed; every other one has its own address."""
    found = []
    for name in names:
        answer = wire.ask(server.place, name + ".", "A", edns=1232)
        address = socket.inet_ntoa(answer.answer[0][4])
        assert address in (SINKHOLE_A, OWN)
        if address == SINKHOLE_A:
            found.append(name)
    return found


def hits(server, order_id):
    return next(order for order in server.control("orders") if order["id"] == order_id)["hits"]


def test_orders_of_the_configuration_are_added_removed_and_changed(farm):
    one = write_order(farm.directory, "one", names=[NAMES[0]])
    two = write_order(farm.directory, "two", names=[NAMES[1]])
    tamisd = start(farm, one)
    assert blocked(tamisd, *NAMES) == NAMES[:1]

    tamisd.config["orders"]["files"] = [one, two]
    result = tamisd.reload()
    assert (result["orders"], result["findings"]) == ({"active": 2, "failed": 0}, [])
    assert blocked(tamisd, *NAMES) == NAMES

    tamisd.config["orders"]["files"] = [two]
    tamisd.reload()
    assert blocked(tamisd, *NAMES) == NAMES[1:]

    write_order(farm.directory, "two", names=["three.a.example"])
    tamisd.reload()
    assert blocked(tamisd, *NAMES, "three.a.example") == ["three.a.example"]

    tamisd.config["orders"]["files"] = []
    tamisd.reload()
    assert blocked(tamisd, *NAMES, "three.a.example") == []
    tamisd.restart()
    assert blocked(tamisd, *NAMES, "three.a.example") == []


def test_an_unchanged_order_goes_on_with_its_counters_and_a_changed_one_begins_anew(farm):
    one = write_order(farm.directory, "one", names=[NAMES[0]])
    tamisd = start(farm, one)
    for _ in range(5):
        blocked(tamisd, *NAMES)
    for _ in range(3):
        tamisd.reload()
        assert hits(tamisd, "one") == 5
    # Another name for the same file, and a comment in it, change nothing about the order.
    renamed = one.replace("one.yaml", "renamed.yaml")
    os.rename(one, renamed)
    with open(renamed, "a", encoding="utf-8") as file:
        file.write("# kept by the abuse desk\n")
    tamisd.config["orders"]["files"] = [renamed]
    tamisd.reload()
    tamisd.reload()
    assert (blocked(tamisd, *NAMES), hits(tamisd, "one")) == (NAMES[:1], 6)

    os.unlink(renamed)
    tamisd.config["orders"]["files"] = [write_order(farm.directory, "one", names=NAMES)]
    tamisd.reload()
    assert hits(tamisd, "one") == 0
    assert blocked(tamisd, *NAMES) == NAMES


def test_a_broken_order_keeps_its_old_state_and_is_named(farm):
    one = write_order(farm.directory, "one", names=[NAMES[0]])
    tamisd = start(farm, one)
    good = open(one, encoding="utf-8").read()
    with open(one, "w", encoding="utf-8") as file:
        file.write("nonsense: 1\n" + good)
    done = tamisd.ctl("reload")
    assert done.returncode == 1
    assert "%s:1: " % one in done.stderr
    assert blocked(tamisd, *NAMES) == NAMES[:1]


def test_a_file_that_holds_another_order_ends_the_one_it_held_before(farm):
    one = write_order(farm.directory, "one", names=[NAMES[0]])
    tamisd = start(farm, one)
    os.replace(write_order(farm.directory, "two", names=[NAMES[1]]), one)
    tamisd.reload()
    assert [order["id"] for order in tamisd.control("orders")] == ["two"]
    assert blocked(tamisd, *NAMES) == NAMES[1:]


def test_an_end_moved_into_the_past_ends_the_order(farm):
    one = write_order(farm.directory, "one", names=[NAMES[0]])
    tamisd = start(farm, one)
    write_order(farm.directory, "one", names=[NAMES[0]], ends=timestamp(time.time() - 60))
    done = tamisd.ctl("reload")
    assert done.returncode == 0, done.stderr
    assert "ended" in done.stdout
    assert blocked(tamisd, *NAMES) == []


@pytest.mark.parametrize("again", ["reload", "restart", "crash"])
def test_a_lifted_order_of_the_configuration_stays_lifted_until_it_is_activated(farm, again):
    def repeat():
        if again == "reload":
            tamisd.reload()
        else:
            tamisd.restart(kill=again == "crash")

    one = write_order(farm.directory, "one", names=[NAMES[0]])
    tamisd = start(farm, one)
    tamisd.lift("one")
    for _ in range(2):
        assert blocked(tamisd, *NAMES) == []
        repeat()
    assert blocked(tamisd, *NAMES) == []
    done = tamisd.ctl("reload")
    assert done.returncode == 0, done.stderr
    assert "tamis ctl activate" in done.stdout

    tamisd.activate(one)
    for _ in range(2):
        assert blocked(tamisd, *NAMES) == NAMES[:1]
        repeat()
    assert blocked(tamisd, *NAMES) == NAMES[:1]


@pytest.mark.parametrize("again", ["reload", "restart", "crash"])
def test_an_order_of_a_person_stays_until_it_is_lifted(farm, again):
    def repeat():
        if again == "reload":
            tamisd.reload()
        else:
            tamisd.restart(kill=again == "crash")

    tamisd = start(farm)
    one = write_order(farm.directory, "one", names=[NAMES[0]])
    tamisd.activate(one)
    os.unlink(one)  # it is kept by tamisd
    for _ in range(2):
        repeat()
        assert blocked(tamisd, *NAMES) == NAMES[:1]
    assert tamisd.control("orders")[0]["source"] == "command"
    tamisd.lift("one")
    for _ in range(2):
        repeat()
        assert blocked(tamisd, *NAMES) == []


def test_an_order_of_a_person_that_the_configuration_takes_over_goes_with_it(farm):
    tamisd = start(farm)
    one = write_order(farm.directory, "one", names=[NAMES[0]])
    tamisd.activate(one)
    blocked(tamisd, *NAMES)
    tamisd.config["orders"]["files"] = [write_order(farm.directory + "/orders", "one", names=[NAMES[0]])]
    # The times are in whole seconds: only the very same order goes on.
    os.replace(one, tamisd.config["orders"]["files"][0])
    for _ in range(2):
        tamisd.reload()
        assert blocked(tamisd, *NAMES) == NAMES[:1]
    assert tamisd.control("orders")[0]["source"] == "configuration"
    assert hits(tamisd, "one") == 3
    tamisd.config["orders"]["files"] = []
    tamisd.reload()
    assert blocked(tamisd, *NAMES) == []
    tamisd.restart()
    assert blocked(tamisd, *NAMES) == []


def test_signatures_are_checked_by_the_keyring_of_the_last_reload(farm):
    """An order in force goes on when its signer is gone: only a sound file takes its place. A new order
    of that signer is refused."""
    alice, bob = (make_signer(farm.directory, name) for name in ("alice", "bob"))
    one, two = (write_order(farm.directory, order_id, names=[name]) for order_id, name in zip(("one", "two"), NAMES))
    sign(farm.directory, "alice", one)
    sign(farm.directory, "alice", two)
    tamisd = start(farm, one)
    tamisd.config["orders"].update({"keyring": [alice], "signatures-min": 1})
    assert tamisd.reload()["findings"] == []
    assert blocked(tamisd, *NAMES) == NAMES[:1]

    tamisd.config["orders"].update({"keyring": [bob]})
    result = tamisd.reload()
    assert result["orders"] == {"active": 1, "failed": 1}
    assert [finding["file"] for finding in result["findings"]] == [one]
    assert blocked(tamisd, *NAMES) == NAMES[:1]
    with pytest.raises(ControlError):
        tamisd.activate(two)

    tamisd.config["orders"].update({"keyring": [bob, alice]})
    assert tamisd.reload()["findings"] == []
    tamisd.activate(two)
    assert blocked(tamisd, *NAMES) == NAMES
