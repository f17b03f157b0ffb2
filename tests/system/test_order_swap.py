"""Orders and zones change under a load of 20,000 queries a second: no answer is lost, wrong or late.

Every scenario runs its change in the middle of a load. On a machine that is busy with other things,
an answer can be late because nobody gave the server a processor. So a scenario may be tried three
times, and then as often with the workers and the load put before everything else on the machine (as
real-time threads, when the system allows it): what is late then waited for something in the server.
A loss or a wrong answer is never excused.
"""

import os
import signal
import socket
import time

import pytest

from testbed import wire
from testbed.big_zones import address, write_zone
from testbed.load import LOST, RIGHT, SINKHOLED, WRONG, Load, histogram, latencies_ms
from testbed.orders import SINKHOLE_A, timestamp, write_order

NAMES = 200_000
LISTED = 18_472
DEAD_SHARE = 10  # one listed name in ten is alive, as in 2014
ZONES = ["a.example", "b.example"]
LATE_MS = 5.0
TRIES = 3

# Instrumented code is several times slower: there the load is only as heavy as it can bear, and
# what counts is that nothing is lost or wrong.
SANITIZED = "san" in os.environ.get("TAMIS_BIN", "")
RATE = 4_000 if SANITIZED else 20_000


def listed_names():
    """Names of the order and whether each is alive, spread over both zones."""
    names = []
    for index in range(LISTED):
        zone = ZONES[index % 2]
        number = index // 2 * 10
        names.append(("h%d.%s" % (number, zone), address(number)) if index % DEAD_SHARE == 0
                     else ("dead%d.%s" % (index, zone), "NXDOMAIN"))
    return names


def questions():
    """A third of what is asked is listed, so that the moment of a change is seen to a fraction of a
    millisecond."""
    listed = listed_names()
    others = [("h%d.%s" % (number, zone), address(number)) for number in range(5, NAMES // 2, 10)
              for zone in ZONES]
    mixed = []
    for index in range(0, 30_000):
        mixed += [listed[index * 7 % LISTED], others[index * 11 % len(others)],
                  others[index * 13 % len(others)]]
    return mixed


QUESTIONS = questions()
LISTED_TEXT = "".join(name + "\n" for name, _ in listed_names())
LISTED_NAMES = frozenset(name for name, _ in listed_names())


class Zones:
    """The zone files and the order, made once."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.files = [(zone, write_zone(os.path.join(self.directory, zone + ".zone"), zone,
                                        range(NAMES // 2))) for zone in ZONES]

    def order(self, order_id, **changes):
        return write_order(self.directory, order_id, names_text=LISTED_TEXT, **changes)


@pytest.fixture(scope="module")
def zones(tmp_path_factory):
    return Zones(tmp_path_factory.mktemp("zones"))


@pytest.fixture
def loads():
    """Makes loads and ends those that a failed test left."""
    made = []

    def start(*arguments):
        made.append(Load(*arguments))
        return made[-1]

    yield start
    for load in made:
        load.kill()


def start_load(loads, server, seconds):
    load = loads(server, server.directory, QUESTIONS, RATE, seconds, SINKHOLE_A)
    time.sleep(1.0)  # the baseline, and what the server does for the first time
    return load


def check_answers(records, changed_ns, sinkholed_between):
    """Nothing is lost, nothing wrong, and a sinkholed answer comes only for a listed name, and only
    in answers that came between the two moments."""
    lost = [record for record in records if record[3] == LOST]
    wrong = [record for record in records if record[3] == WRONG]
    assert not lost, "%d of %d lost, the first %.3f s after the change" % (
        len(lost), len(records), (lost[0][0] - changed_ns) / 1e9)
    assert not wrong, "%d wrong, the first for %s" % (len(wrong), QUESTIONS[wrong[0][2] % len(QUESTIONS)][0])
    for _, received, question, outcome in records:
        if outcome == SINKHOLED:
            assert QUESTIONS[question % len(QUESTIONS)][0] in LISTED_NAMES
            assert sinkholed_between[0] <= received <= sinkholed_between[1]


def first_after(records, outcome, from_ns, listed=True):
    """When the first such answer to a query sent after a moment came, in seconds behind it."""
    return min((received - from_ns) / 1e9 for sent, received, question, is_outcome in records
               if is_outcome == outcome and sent >= from_ns
               and (QUESTIONS[question % len(QUESTIONS)][0] in LISTED_NAMES) == listed)


def put_first(server, load):
    """Gives the workers and the load real-time priority; false when that is not allowed."""
    tasks = "/proc/%d/task" % server.process.process.pid
    threads = [load.process.pid]
    for thread in os.listdir(tasks):
        with open(os.path.join(tasks, thread, "comm"), encoding="utf-8") as name:
            if name.read().startswith("dns "):
                threads.append(int(thread))
    try:
        for thread in threads:
            os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


def put_back(server):
    for thread in os.listdir("/proc/%d/task" % server.process.process.pid):
        os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


def latest_ms(what, records, changed_ns):
    before = latencies_ms(records, until_ns=changed_ns - 100_000_000)
    after = latencies_ms(records, changed_ns - 10_000_000)
    print("%s, before: %s" % (what, histogram(before)))
    print("%s, change: %s" % (what, histogram(after)))
    return before[-1], after[-1]


def try_scenario(what, server, start, change):
    """start() makes a load; change(load) makes the change, ends the load and checks its answers, and
    returns (records, moment of the change in ns). Passes when one try has no late answer."""
    latest = []
    for _ in range(TRIES):
        latest.append(latest_ms(what, *change(start())))
        if latest[-1][1] <= LATE_MS or SANITIZED:
            return
    text = "%s: latest answers before and after the change, in ms: %s" % (
        what, ", ".join("%.1f and %.1f" % pair for pair in latest))
    first = []
    for _ in range(TRIES):
        load = start()
        if not put_first(server, load):
            pytest.skip(text + ": the machine is busy, and real-time priority is not allowed")
        before, after = latest_ms(what + ", put first", *change(load))
        put_back(server)
        first.append((before, after))
        # Where answers are late without a change, the machine is: then the change must not be seen.
        if after <= max(LATE_MS, 2 * before):
            return
    pytest.fail("%s; %s even with nothing before the server" % (text, first))


def test_an_order_goes_in_force_and_is_lifted_under_load_without_a_late_answer(farm, zones, loads):
    server = farm.tamisd_unstarted().start_zones(zones.files)
    order = zones.order("swap")

    def change(load):
        activated_ns = time.monotonic_ns()
        result = server.activate(order)
        time.sleep(1.0)
        lifted_ns = time.monotonic_ns()
        lift = server.lift("swap")
        returned_ns = time.monotonic_ns()
        records = load.finish()

        check_answers(records, activated_ns, (activated_ns, returned_ns + 5_000_000))
        active_s = first_after(records, SINKHOLED, activated_ns)
        right_s = first_after([record for record in records if record[1] >= lifted_ns], RIGHT,
                              lifted_ns)
        print("active after %.1f ms (took_ms %.1f), lifted after %.1f ms (took_ms %.1f)"
              % (active_s * 1e3, result["took_ms"], right_s * 1e3, lift["took_ms"]))
        assert (result["names"], result["refused"]) == (LISTED, 0)
        assert right_s < 1.0
        times.append((active_s, result["took_ms"] / 1e3))
        return records, activated_ns

    times = []
    try_scenario("activate and lift", server, lambda: start_load(loads, server, 4.0), change)
    best = min(max(pair) for pair in times)
    assert best <= 0.1 or SANITIZED, "active after %.0f ms at best" % (best * 1e3)


def test_every_listed_name_is_sinkholed_from_the_moment_the_command_returns(farm, zones, loads):
    server = farm.tamisd_unstarted().start_zones(zones.files)
    load = start_load(loads, server, 3.0)
    server.activate(zones.order("whole"))
    returned_ns = time.monotonic_ns()
    records = load.finish()
    after = [outcome for sent, _, question, outcome in records
             if sent > returned_ns and QUESTIONS[question % len(QUESTIONS)][0] in LISTED_NAMES]
    assert len(after) > RATE / 6
    assert set(after) == {SINKHOLED}


def check_ending(server, loads, zones, order_id, silence):
    """An order with its end three seconds away stops by itself. silence(server) is called once it
    is in force: nobody talks to the server from then on."""
    load = start_load(loads, server, 6.0)
    ends_at = int(time.time()) + 3
    order = zones.order(order_id, ends=timestamp(ends_at))
    activated_ns = time.monotonic_ns()
    server.activate(order)
    silence(server)
    ends_ns = activated_ns + int((ends_at - time.time()) * 1e9) + time.monotonic_ns() - activated_ns
    records = load.finish()

    check_answers(records, activated_ns, (activated_ns, ends_ns + 1_200_000_000))
    late = [record for record in records
            if record[0] > ends_ns + 1_200_000_000 and record[3] != RIGHT]
    assert not late
    sinkholed = [record[1] for record in records if record[3] == SINKHOLED]
    assert ends_ns - max(sinkholed) < 1_200_000_000, "it ended too early"


def test_an_order_whose_time_is_up_stops_alone_under_load(farm, zones, loads):
    server = farm.tamisd_unstarted().start_zones(zones.files)
    check_ending(server, loads, zones, "ending", lambda server: None)
    (entry,) = server.control("orders")
    assert entry["state"] == "ended"


def test_an_order_stops_alone_with_its_control_socket_gone_and_busy(farm, zones, loads):
    server = farm.tamisd_unstarted().start_zones(zones.files)
    stalling = []

    def silence(server):
        # Clients that never end their request hold every place there is; then the file goes.
        for _ in range(40):
            sock = socket.socket(socket.AF_UNIX)
            stalling.append(sock)
            sock.setblocking(False)
            try:
                sock.connect(server.control_socket)
            except BlockingIOError:
                break  # its backlog is full, too
            sock.sendall(b'{"command": "sta')
        os.unlink(server.control_socket)

    check_ending(server, loads, zones, "orphan", silence)
    for sock in stalling:
        sock.close()


def test_a_reload_of_all_zones_under_load_without_a_late_answer(farm, zones, loads):
    server = farm.tamisd_unstarted().start_zones(zones.files)
    server.activate(zones.order("stays"))

    def change(load):
        loaded = server.process.log().count(" zones loaded")
        changed_ns = time.monotonic_ns()
        server.process.signal(signal.SIGHUP)
        records = load.finish()
        server.process.wait_until(lambda: server.process.log().count(" zones loaded") > loaded,
                                  "reload")
        check_answers(records, changed_ns, (0, 1 << 62))
        right = [question for _, _, question, outcome in records if outcome == RIGHT
                 and QUESTIONS[question % len(QUESTIONS)][0] in LISTED_NAMES]
        assert not right, "a listed name was answered rightly during the reload"
        return records, changed_ns

    try_scenario("reload", server, lambda: start_load(loads, server, 4.0), change)


def test_a_transfer_of_a_changed_zone_under_load_without_a_late_answer(farm, tmp_path, loads):
    """A secondary takes a new copy of a zone of 100,000 names while it answers, its order kept."""
    files = [(zone, write_zone(str(tmp_path / zone), zone, range(NAMES // 2))) for zone in ZONES]
    origin = farm.knot(files, zone_extra="    zonemd-generate: none")
    server = farm.tamisd({"zones": [
        {"name": zone, "secondary": {"from": ["%s@%d" % origin.place]}} for zone in ZONES]})
    order = write_order(str(tmp_path), "kept", names_text=LISTED_TEXT)
    server.activate(order)
    serial = [1]

    def change(load):
        serial[0] += 1
        zone, path = files[0]
        write_zone(path, zone, range(NAMES // 2), serial=serial[0])
        changed_ns = time.monotonic_ns()
        origin.control("-b", "zone-reload", zone)
        wire.ask_or_none(server.place, wire.query(zone, "SOA", flags=0x2400))
        records = load.finish()
        held = {entry["name"]: entry["serial"] for entry in server.control("zones")}
        assert held[zone] == serial[0], "the new copy did not arrive while the load ran"
        check_answers(records, changed_ns, (0, 1 << 62))
        right = [question for _, _, question, outcome in records if outcome == RIGHT
                 and QUESTIONS[question % len(QUESTIONS)][0] in LISTED_NAMES]
        assert not right, "a listed name was answered rightly during the transfer"
        return records, changed_ns

    try_scenario("transfer", server, lambda: start_load(loads, server, 4.0), change)


def test_wire_records_are_read_as_the_generator_writes_them(farm, zones, loads):
    """The measure itself: answers of a zone without orders are all right ones, in the order of
    sending, and a name that the file says wrong is counted as wrong."""
    server = farm.tamisd_unstarted().start_zones(zones.files)
    load = loads(server, server.directory, [("h1.a.example", address(1)), ("h2.a.example", address(3)),
                                            ("none.a.example", "NXDOMAIN")], 600, 1.0, SINKHOLE_A)
    records = load.finish()
    assert [outcome for _, _, _, outcome in records] == [RIGHT, WRONG, RIGHT] * 200
    assert all(0 < sent < received for sent, received, _, _ in records)
