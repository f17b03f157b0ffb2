"""Snapshots of zones: used when they say what the source says, passed over with a reason when not, and
never in the way of an answer."""

import os
import random
import resource
import subprocess
import time

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from testbed.orders import SINKHOLE_A, write_order
from testbed.process import free_port
from testbed.servers import repository, tamis_program

PATIENCE_S = 60.0

ZONE = "a.example"
HEAD = """\
$ORIGIN %(zone)s.
$TTL 300
@ SOA ns1 hostmaster ( %(serial)d %(refresh)d %(retry)d %(expire)d 60 )
@ NS ns1
ns1 A 192.0.2.1
*.wild TXT "wild"
sub NS ns.sub
ns.sub A 192.0.2.54
alias CNAME ns1
serial TXT "%(serial)d"
"""


def zone_text(serial=1, hosts=10, zone=ZONE, refresh=3600, retry=600, expire=86400):
    return HEAD % {"zone": zone, "serial": serial, "refresh": refresh, "retry": retry, "expire": expire} + "".join(
        "host-%d A 198.51.100.%d\n" % (number, number % 250) for number in range(hosts))


def write_settled(path, text):
    """As an editor does; and old enough that its time of change tells it from what comes after it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
    time.sleep(0.1)


def start(farm, text, config=None, **options):
    path = os.path.join(farm.directory, "a.zone")
    write_settled(path, text)
    server = farm.tamisd_unstarted().start_zones([(ZONE, path)], config, **options)
    server.zone_path = path
    return server


def snapshot_path(server, zone=ZONE):
    return server.path("state", "zones", zone + ".snapshot")


def lines(server, *parts):
    """How many lines of the log have all of these parts."""
    return sum(all(part in line for part in parts) for line in server.process.log().splitlines())


def wait_for_lines(server, count, *parts):
    server.process.wait_until(lambda: lines(server, *parts) >= count, "%d lines with %s" % (count, parts), PATIENCE_S)


def wait_for_write(server, serial, zone=ZONE):
    wait_for_lines(server, 1, snapshot_path(server, zone), "serial %d," % serial, "octets in")


def was_restored(server, times=1, zone=ZONE):
    return lines(server, "zone %s: from its snapshot" % zone) == times


def ask(server, name, rdtype="A", dnssec=False):
    query = dns.message.make_query(name, rdtype, use_edns=0, want_dnssec=dnssec, payload=4096)
    return dns.query.udp(query, server.address, port=server.port, timeout=5)


def told_serial(server):
    reply = ask(server, "serial." + ZONE, "TXT")
    return int(reply.answer[0][0].strings[0]) if reply.answer else None


def zone_status(server):
    return server.control("zones")[0]


def restart_after(server, change, kill=False):
    """Restarts the server with something done while it is down."""
    if kill:
        server.process.kill()
    else:
        server.process.stop()
    ready = lines(server, "ready")
    change()
    server.run([tamis_program("tamisd"), "-c", server.path("tamisd.yaml")], server.env)
    server.process.wait_until(lambda: lines(server, "ready") > ready, "ready", PATIENCE_S)


def eventually(condition, what, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within %g s: %s" % (timeout_s, what)
        time.sleep(0.05)


# ---- Primary zones ----


def test_a_restart_serves_from_the_snapshot_and_writes_nothing(farm):
    server = start(farm, zone_text(hosts=2000))
    questions = [("host-7", "A"), ("alias", "A"), ("x.wild", "TXT"), ("x.sub", "A"), ("missing", "A"),
                 ("", "SOA"), ("", "NS"), ("ns1", "AAAA")]

    def answers():
        replies = [ask(server, (name + "." + ZONE).lstrip("."), rdtype) for name, rdtype in questions]
        return [(reply.rcode(), reply.flags, sorted(map(str, reply.answer + reply.authority + reply.additional)))
                for reply in replies]

    before, status = answers(), zone_status(server)
    wait_for_write(server, 1)
    written = os.stat(snapshot_path(server))
    assert written.st_mode & 0o777 == 0o600
    assert os.stat(server.path("state", "hash-key")).st_mode & 0o777 == 0o600
    for times in (1, 2):
        server.restart(kill=times == 2)
        assert was_restored(server, times)
        assert answers() == before
        after = zone_status(server)
        assert [after[key] for key in ("serial", "names", "records")] == \
            [status[key] for key in ("serial", "names", "records")]
    server.restart()
    now = os.stat(snapshot_path(server))
    assert (now.st_ino, now.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


@pytest.mark.parametrize("change", ["newer", "same size and time"])
def test_a_changed_zone_file_counts_and_makes_a_new_snapshot(farm, change):
    server = start(farm, zone_text(serial=1))
    wait_for_write(server, 1)
    times = os.stat(server.zone_path)
    write_settled(server.zone_path, zone_text(serial=2))
    if change != "newer":
        os.utime(server.zone_path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert os.stat(server.zone_path).st_size == times.st_size
        time.sleep(0.1)
    server.restart()
    assert told_serial(server) == 2
    assert lines(server, "older than the zone file", snapshot_path(server)) == 1
    wait_for_write(server, 2)
    server.restart()
    assert was_restored(server)
    assert told_serial(server) == 2


def test_a_reload_renews_the_snapshot_and_one_of_the_same_file_does_not(farm):
    server = start(farm, zone_text(serial=1))
    wait_for_write(server, 1)
    server.reload()
    write_settled(server.zone_path, zone_text(serial=2))
    server.reload()
    wait_for_write(server, 2)
    assert lines(server, snapshot_path(server), "octets in") == 2
    server.restart(kill=True)
    assert was_restored(server) and told_serial(server) == 2


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "header", "entries", "slots", "version", "folder"])
def test_a_damaged_snapshot_is_named_and_the_zone_file_read(farm, damage):
    server = start(farm, zone_text(hosts=500))
    wait_for_write(server, 1)
    path = snapshot_path(server)
    size = os.path.getsize(path)

    def do_damage():
        with open(path, "r+b") as file:
            if damage in ("empty", "cut"):
                file.truncate(0 if damage == "empty" else size - 1)
            elif damage == "text":
                file.write(b"$ORIGIN a.example.\n")
            else:
                offset = {"header": 100, "entries": 5000, "slots": size - 9, "version": 12, "folder": 0}[damage]
                file.seek(offset)
                octet = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([octet ^ 0x40]))
        if damage == "folder":
            os.unlink(path)
            os.mkdir(path)

    restart_after(server, do_damage, kill=True)
    assert told_serial(server) == 1
    assert ask(server, "host-499.a.example").answer
    reason = {"version": "of version", "folder": "not a regular file", "text": "not a snapshot"}.get(damage, "damaged")
    assert lines(server, "zone a.example: snapshot " + path, reason, "the zone file is read instead") == 1
    if damage == "folder":
        wait_for_lines(server, 1, "warning", path, "cannot be written")
        return
    wait_for_lines(server, 2, path, "octets in")
    server.restart()
    assert was_restored(server)


def test_a_damaged_hash_key_is_named_and_everything_read_anew(farm):
    server = start(farm, zone_text())
    wait_for_write(server, 1)
    with open(server.path("state", "hash-key"), "ab") as file:
        file.write(b"x")
    server.restart()
    assert lines(server, "hash-key", "is damaged") == 1
    assert lines(server, "another key", snapshot_path(server)) == 1
    assert told_serial(server) == 1
    assert os.path.getsize(server.path("state", "hash-key")) == 16
    wait_for_lines(server, 2, snapshot_path(server), "octets in")
    server.restart()
    assert was_restored(server)


def test_listed_names_stay_blocked_from_a_snapshot(farm, tmp_path):
    listed = ["host-3.a.example", "dead.a.example", "x.wild.a.example"]
    order = write_order(str(tmp_path), "listed", names=listed)
    server = start(farm, zone_text(), {"orders": {"files": [order]}})
    wait_for_write(server, 1)
    server.restart()
    assert was_restored(server)
    for name in listed:
        assert ask(server, name).answer[0][0].address == SINKHOLE_A
    assert ask(server, "host-4.a.example").answer[0][0].address == "198.51.100.4"


@pytest.mark.parametrize("zone", ["signed.example", "signed3.example"])
def test_a_signed_zone_proves_the_same_from_its_snapshot(farm, zone):
    with open(os.path.join(repository(), "fuzz", "fixtures", zone + ".zone"), encoding="utf-8") as file:
        text = file.read()
    path = os.path.join(farm.directory, zone)
    write_settled(path, text)
    server = farm.tamisd_unstarted().start_zones([(zone, path)])

    def answers():
        replies = [ask(server, (name + "." + zone).lstrip("."), rdtype, dnssec=True)
                   for name in ("", "host", "missing", "x.missing", "cut", "x.cut", "empty.non", "x.old", "zzz", "0")
                   for rdtype in ("A", "DS", "TXT", "NSEC")]
        return [(reply.rcode(), sorted(map(str, reply.answer + reply.authority))) for reply in replies]

    before = answers()
    assert any("NSEC" in text for _, records in before for text in records)
    wait_for_write(server, 1, zone)
    server.restart()
    assert was_restored(server, zone=zone)
    assert answers() == before


def test_a_zone_of_several_files_is_always_read_from_them(farm):
    included = os.path.join(farm.directory, "included")
    write_settled(included, "inner A 192.0.2.7\n")
    server = start(farm, zone_text() + "$INCLUDE %s\n" % included)
    write_settled(included, "inner A 192.0.2.8\n")
    server.restart()
    assert ask(server, "inner.a.example").answer[0][0].address == "192.0.2.8"
    assert not os.path.exists(snapshot_path(server))


def test_names_that_no_file_could_have_are_kept(farm):
    zones = ["0/25.2.0.192.in-addr.arpa", ".".join(["x" * 60] * 4 + ["y"]), "."]
    listed = []
    for number, zone in enumerate(zones):
        path = os.path.join(farm.directory, "zone-%d" % number)
        write_settled(path, "$TTL 60\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n")
        listed.append((zone, path))
    server = farm.tamisd_unstarted().start_zones(listed)
    wait_for_lines(server, 3, "octets in")
    server.restart()
    assert lines(server, "from its snapshot") == 3
    for zone in zones:
        assert ask(server, zone, "SOA").answer


# ---- Secondary zones ----


def start_secondary(farm, text):
    """A secondary with its data; returns it, its origin, and the path of the origin's zone."""
    path = farm.write("origin.zone", text)
    origin = farm.knot([(ZONE + ".", path)])
    server = farm.tamisd({"zones": [{"name": ZONE, "secondary": {"from": ["%s@%d" % origin.place]}}]})
    wait_for_write(server, 1)
    return server, origin, path


@pytest.mark.parametrize("kill", [False, True])
def test_a_secondary_serves_at_once_though_its_origin_is_dead(farm, kill):
    server, origin, _ = start_secondary(farm, zone_text())
    before = zone_status(server)
    origin.stop()
    server.restart(kill=kill)
    assert was_restored(server)
    assert told_serial(server) == 1
    after = zone_status(server)
    assert after["status"] == "serving"
    assert after["checked_at"] == before["checked_at"]
    assert after["expires_at"] == before["checked_at"] + 86400
    # Its origin was asked at once, though its SOA's refresh time is an hour away.
    eventually(lambda: zone_status(server)["transfer_failures"] > 0, "a failed check")
    assert told_serial(server) == 1


def test_a_secondary_asks_its_origin_at_once_for_what_it_missed(farm):
    server, origin, path = start_secondary(farm, zone_text())

    def change_origin():
        with open(path, "w", encoding="utf-8") as file:
            file.write(zone_text(serial=2))
        origin.control("zone-reload", ZONE)

    restart_after(server, change_origin)
    eventually(lambda: told_serial(server) == 2, "serial 2")
    assert was_restored(server)
    wait_for_write(server, 2)


def test_an_expired_snapshot_is_not_served(farm):
    server, origin, _ = start_secondary(farm, zone_text(refresh=600, retry=600, expire=3))
    origin.stop()
    restart_after(server, lambda: time.sleep(3.5))
    assert lines(server, "snapshot " + snapshot_path(server), "expired", "the zone is transferred instead") == 1
    reply = ask(server, "host-1." + ZONE)
    assert reply.rcode() == dns.rcode.SERVFAIL and not reply.answer
    assert [int(option.code) for option in reply.options if option.otype == dns.edns.EDE] == [24]
    assert zone_status(server)["status"] == "expired"


def test_expiry_goes_on_over_a_restart(farm):
    server, origin, _ = start_secondary(farm, zone_text(refresh=600, retry=600, expire=15))
    expires_at = zone_status(server)["expires_at"]
    origin.stop()
    server.restart()
    assert zone_status(server)["expires_at"] == expires_at
    assert told_serial(server) == 1
    eventually(lambda: ask(server, "host-1." + ZONE).rcode() == dns.rcode.SERVFAIL, "expiry")
    assert abs(time.time() - expires_at) < 5


def test_later_checks_are_remembered_over_a_crash(farm):
    server, origin, _ = start_secondary(farm, zone_text(refresh=1, retry=1, expire=3600))
    first = zone_status(server)["checked_at"]
    eventually(lambda: zone_status(server)["checked_at"] >= first + 8, "checks")
    inode = os.stat(snapshot_path(server)).st_ino
    origin.stop()
    server.restart(kill=True)
    after = zone_status(server)
    assert after["checked_at"] > first
    assert after["expires_at"] == after["checked_at"] + 3600
    assert os.stat(snapshot_path(server)).st_ino == inode  # not written anew for it


def test_a_primarys_snapshot_is_none_of_a_secondary(farm):
    server = start(farm, zone_text())
    wait_for_write(server, 1)
    server.config["zones"] = [{"name": ZONE, "secondary": {"from": ["127.0.0.1@%d" % free_port()]}}]
    server.restart()
    assert lines(server, "of the zone as a primary", "the zone is transferred instead") == 1
    assert ask(server, "host-1." + ZONE).rcode() == dns.rcode.SERVFAIL


# ---- Crashes and disks ----


def test_kill_9_at_any_moment_leaves_a_zone_that_is_right(farm, request):
    chooser = random.Random(request.config.getoption("--seed"))
    server = start(farm, zone_text(serial=1, hosts=20000))
    for serial in range(2, 10):
        write_settled(server.zone_path, zone_text(serial=serial, hosts=20000))
        with open(server.zone_path, encoding="utf-8") as file:
            assert "( %d " % serial in file.read()
        server.restart(kill=True)
        assert told_serial(server) == serial
        assert ask(server, "host-19999.a.example").answer
        time.sleep(chooser.uniform(0, 0.25))  # into the write of the snapshot, or after it
    server.restart(kill=True)
    assert told_serial(server) == 9
    leftovers = set(os.listdir(server.path("state", "zones"))) - {"a.example.snapshot", "a.example.snapshot.new"}
    assert not leftovers


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    path = str(tmp_path / "disk")
    os.mkdir(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def check_no_room(server):
    """The zone has grown past what there is room for."""
    before = os.stat(snapshot_path(server))
    for serial in (2, 3):
        write_settled(server.zone_path, zone_text(serial=serial, hosts=40000))
        server.reload()
        assert told_serial(server) == serial
        wait_for_lines(server, 1, "warning", snapshot_path(server), "cannot be written")
    time.sleep(0.5)
    assert lines(server, "cannot be written") == 1
    now = os.stat(snapshot_path(server))
    assert (now.st_ino, now.st_size) == (before.st_ino, before.st_size)
    assert os.listdir(server.path("state", "zones")) == ["a.example.snapshot"]
    server.restart(kill=True)
    assert told_serial(server) == 3


def test_a_full_disk_is_told_once_and_costs_no_answer(farm, small_disk):
    server = farm.tamisd_unstarted()
    os.symlink(small_disk, server.path("state"))
    server.zone_path = os.path.join(farm.directory, "a.zone")
    write_settled(server.zone_path, zone_text(serial=1))
    server.start_zones([(ZONE, server.zone_path)])
    wait_for_write(server, 1)
    check_no_room(server)


def test_a_limit_on_file_sizes_is_told_once_and_costs_no_answer(farm):
    server = start(farm, zone_text(serial=1))
    wait_for_write(server, 1)
    resource.prlimit(server.process.process.pid, resource.RLIMIT_FSIZE, (100 * 1024, 100 * 1024))
    check_no_room(server)


def test_a_state_folder_that_takes_no_files_costs_only_the_snapshot(farm):
    server = farm.tamisd_unstarted()
    os.makedirs(server.path("state"))
    server.write("state/zones", "in the way of the folder\n")
    server.zone_path = os.path.join(farm.directory, "a.zone")
    write_settled(server.zone_path, zone_text(serial=1))
    server.start_zones([(ZONE, server.zone_path)])
    wait_for_lines(server, 1, "warning", snapshot_path(server), "cannot be written")
    assert told_serial(server) == 1


def test_a_clean_stop_finishes_what_is_pending(farm):
    server = start(farm, zone_text(serial=1, hosts=30000))
    server.restart()  # right after "ready"
    assert was_restored(server)
