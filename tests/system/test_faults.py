"""What goes wrong around a server: kills, full disks, broken files, little memory, bad clients, dead
origins. Each test says what must still hold."""

import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from testbed import wire
from testbed.big_zones import address, write_zone
from testbed.fake_origin import FakeOrigin
from testbed.orders import SINKHOLE_A, write_order
from testbed.process import LOOPBACK, free_port
from testbed.servers import ControlError, Tamisd, tamis_program

SANITIZED = "san" in os.environ.get("TAMIS_BIN", "")

ZONE = """\
$ORIGIN a.example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
bad A 192.0.2.4
worse A 192.0.2.5
good A 192.0.2.7
"""


def ask_address(server, name):
    """The address that the server gives for a name, or the RCODE."""
    reply = wire.ask(server.place, name, "A")
    addresses = [socket.inet_ntoa(rdata) for _, rrtype, _, _, rdata in reply.answer if rrtype == 1]
    return addresses[0] if addresses else wire.RCODES[reply.rcode]


def start(farm, text=ZONE, **options):
    return farm.tamisd_unstarted().start_zones([("a.example", farm.write("a.zone", text))], **options)


def kill_and_start(server):
    """kill -9, and the same configuration again."""
    ready = server.process.log().splitlines().count("ready")
    server.process.kill()
    server.run([tamis_program("tamisd"), "-c", server.path("tamisd.yaml")], server.env)
    server.process.wait_until(lambda: server.process.log().splitlines().count("ready") > ready, "ready")


def state_files(server):
    return sorted(os.listdir(server.path("state", "orders")))


def start_failing(farm, config=None, files=()):
    """Starts a server that must not come up; returns its status and what it says."""
    server = Tamisd(os.path.join(farm.directory, "failing-%d" % time.monotonic_ns()))
    for name, text in files:
        server.write(name, text)
    with pytest.raises(AssertionError) as died:
        server.start(config, timeout_s=30)
    server.kill()
    return str(died.value)


# ---- Kills ----


def test_activated_orders_and_lifts_outlive_kill_9(farm, tmp_path):
    configured = write_order(str(tmp_path), "configured", names=["worse.a.example"])
    server = start(farm, config={"orders": {"files": [configured]}})
    server.activate(write_order(str(tmp_path), "kept", names=["bad.a.example"]))
    server.activate(write_order(str(tmp_path), "gone", names=["good.a.example"]))
    server.lift("gone")
    server.lift("configured")
    kill_and_start(server)
    assert ask_address(server, "bad.a.example") == SINKHOLE_A
    assert ask_address(server, "good.a.example") == "192.0.2.7"
    assert ask_address(server, "worse.a.example") == "192.0.2.5"
    assert [order["id"] for order in server.control("orders")] == ["kept"]


def test_a_kill_at_any_moment_of_a_replacement_leaves_one_of_both_orders(farm, tmp_path):
    """The two lists have different names and the same length; a mixture would show both or none."""
    lists = ["".join("%s%d.a.example\n" % (word, number) for number in range(3000))
             for word in ("old", "new")]
    server = start(farm)
    server.activate(write_order(str(tmp_path), "twice", names_text=lists[0], notice="https://a.example/old"))
    for round_number in range(6):
        text, word = lists[(round_number + 1) % 2], ("new", "old")[round_number % 2]
        path = write_order(str(tmp_path), "twice", names_text=text, notice="https://a.example/" + word)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(server.control_socket)
            sock.sendall(b'{"command": "activate", "file": "%s"}\n' % path.encode())
            time.sleep(round_number * 0.004)
            server.process.kill()
        server.process = None
        server.run([tamis_program("tamisd"), "-c", server.path("tamisd.yaml")], server.env)
        server.process.wait_until(lambda: wire.ask_or_none(server.place, wire.query("a.example", "SOA"), 0.2),
                                  "answer")
        server.process.wait_until(lambda: os.path.exists(server.control_socket) and _connects(server), "control")
        (order,) = server.control("orders")
        assert order["names"] == 3000
        blocked = [name for name in ("old7", "new7") if ask_address(server, name + ".a.example") == SINKHOLE_A]
        assert blocked == [order["notice"].rsplit("/", 1)[1] + "7"]


def _connects(server):
    try:
        server.control("status")
        return True
    except OSError:
        return False


# ---- Disks ----


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


def check_a_failed_activation(server, tmp_path, names):
    """An order that cannot be kept is not in force, leaves nothing behind, and an older one of the same
    name stays as it was."""
    server.activate(write_order(str(tmp_path), "kept", names=["bad.a.example"]))
    before = state_files(server)
    for order_id in ("large", "kept"):
        path = write_order(str(tmp_path), order_id, names_text="worse.a.example\n" + names)
        with pytest.raises(ControlError) as refused:
            server.activate(path)
        assert "cannot keep the order" in str(refused.value)
        assert server.path("state", "orders") in refused.value.error["file"]
    assert state_files(server) == before
    assert [order["id"] for order in server.control("orders")] == ["kept"]
    assert ask_address(server, "worse.a.example") == "192.0.2.5"
    assert ask_address(server, "bad.a.example") == SINKHOLE_A
    kill_and_start(server)
    assert ask_address(server, "bad.a.example") == SINKHOLE_A
    assert ask_address(server, "worse.a.example") == "192.0.2.5"


LARGE = "".join("host-with-a-long-name-%d.a.example\n" % number for number in range(40_000))


def test_a_full_disk_refuses_an_order_and_changes_nothing(farm, tmp_path, small_disk):
    server = farm.tamisd_unstarted()
    os.symlink(small_disk, server.path("state"))
    server.start_zones([("a.example", farm.write("a.zone", ZONE))])
    check_a_failed_activation(server, tmp_path, LARGE)
    # Lifting needs no room.
    filler = os.open(os.path.join(small_disk, "filler"), os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError):
        while True:
            os.write(filler, b"x" * 4096)
    os.close(filler)
    server.lift("kept")
    assert ask_address(server, "bad.a.example") == "192.0.2.4"
    kill_and_start(server)
    assert ask_address(server, "bad.a.example") == "192.0.2.4"


def test_a_file_that_may_not_grow_refuses_an_order_and_changes_nothing(farm, tmp_path):
    server = start(farm)
    resource.prlimit(server.process.process.pid, resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))
    check_a_failed_activation(server, tmp_path, LARGE)


def test_damaged_files_among_the_kept_orders_are_named_and_the_rest_comes_up(farm, tmp_path):
    server = start(farm)
    for order_id, name in (("one", "bad"), ("two", "worse"), ("three", "good")):
        server.activate(write_order(str(tmp_path), order_id, names=[name + ".a.example"]))
    folder = server.path("state", "orders")
    with open(os.path.join(folder, "two.yaml"), "r+b") as document:
        document.truncate(os.path.getsize(document.name) // 2)
    for name, content in (("garbage.yaml", os.urandom(4096)), ("empty.yaml", b""), ("left.yaml.new", b"id: x\n"),
                          ("note.txt", b"not ours"), ("list.yaml", b"- a\n- b\n"),
                          ("nolist.yaml", open(os.path.join(folder, "one.yaml"), "rb").read()
                           .replace(b"id: one", b"id: nolist").replace(b"one.", b"missing."))):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    os.mkdir(os.path.join(folder, "folder.yaml"))
    os.mkfifo(os.path.join(folder, "fifo.yaml"))
    kill_and_start(server)

    assert sorted(order["id"] for order in server.control("orders")) == ["one", "three"]
    assert ask_address(server, "bad.a.example") == SINKHOLE_A
    assert ask_address(server, "worse.a.example") == "192.0.2.5"
    complaints = [line for line in server.process.log().splitlines() if folder in line]
    for name in ("two.yaml", "garbage.yaml", "empty.yaml", "list.yaml", "folder.yaml", "fifo.yaml", "missing."):
        assert any(name in line for line in complaints), name
    assert not any("note.txt" in line or ".new" in line for line in complaints)


def test_a_state_folder_that_cannot_be_written_stops_the_start_with_its_path(farm):
    text = start_failing(farm, {"server": {"state": "occupied"}}, [("occupied", "a file\n")])
    assert "occupied" in text and "folder" in text


# ---- Files of orders ----


def test_an_order_that_is_no_file_is_refused_at_once(farm, tmp_path):
    server = start(farm)
    folder, fifo, binary = str(tmp_path / "folder"), str(tmp_path / "fifo"), str(tmp_path / "binary")
    os.mkdir(folder)
    os.mkfifo(fifo)
    with open(binary, "wb") as file:
        file.write(os.urandom(1 << 20))
    for path in (folder, fifo, binary, "/dev/zero", str(tmp_path / "missing")):
        with pytest.raises(ControlError) as refused:
            server.control("activate", file=path)
        assert refused.value.error["file"] == path
    os.mkfifo(str(tmp_path / "listed.txt"))
    with open(write_order(str(tmp_path), "listed", names=["bad.a.example"]), "a", encoding="utf-8") as order:
        order.write("names-file: listed.txt\n")
    with pytest.raises(ControlError):
        server.activate(order.name)
    assert server.control("status")["orders"]["active"] == 0


def test_a_list_that_changes_while_it_is_read_is_refused_or_whole(farm, tmp_path):
    server = start(farm)
    names = "".join("h%06d.a.example\n" % number for number in range(100_000))
    path = write_order(str(tmp_path), "moving", names_text=names)
    # Takes the last line away and puts it back, as quickly as can be.
    writer = subprocess.Popen([sys.executable, "-c", """
import os, sys
fd, size, line = os.open(sys.argv[1], os.O_RDWR), int(sys.argv[2]), int(sys.argv[3])
last = os.pread(fd, line, size - line)
while True:
    os.ftruncate(fd, size - line)
    os.pwrite(fd, last, size - line)
""", str(tmp_path / "moving.txt"), str(len(names)), str(len("h000000.a.example\n"))])
    refused = 0
    try:
        for _ in range(25):
            try:
                assert server.activate(path)["names"] in (99_999, 100_000)
                server.lift("moving")
            except ControlError as error:
                refused += 1
                assert "changed while it was read" in str(error)
    finally:
        writer.kill()
        writer.wait()
    assert refused > 0
    (tmp_path / "moving.txt").write_text(names)
    assert server.activate(path)["names"] == 100_000


# ---- Reloads ----


def test_a_zone_file_cut_short_while_it_is_read_does_no_harm(farm):
    """A mapped file that shrinks would end the process by SIGBUS."""
    path = write_zone(farm.write("a.zone", ""), "a.example", range(200_000))
    size = os.path.getsize(path)
    server = farm.tamisd_unstarted().start_zones([("a.example", path)])
    with open(path, "rb") as file:
        whole = file.read()
    for delay_ms in (0, 5, 20, 50, 100, 200):
        with open(path, "wb") as file:
            file.write(whole)
        server.hang_up()
        time.sleep(delay_ms / 1000)
        os.truncate(path, size // 3)
        time.sleep(0.3)
        server.process.check_alive()
        assert ask_address(server, "h66.a.example") == address(66)
    server.process.check_alive()


@pytest.mark.parametrize("broken, reason", [
    ("$ORIGIN a.example.\n@ SOA ns1 h 8 1 1 1 1\n@ NS ns1\nns1 A 300.0.0.1\n", "a.zone"),
    ("", "empty"),
    ("$ORIGIN a.example.\nns1 A 192.0.2.1\n", "SOA"),
    ("\0\1\2\3" * 1000, "a.zone"),
    ("$INCLUDE a.zone\n", "a.zone"),
])
def test_a_broken_zone_file_keeps_the_old_zone_and_says_why(farm, broken, reason):
    server = start(farm)
    path = farm.write("a.zone", broken)
    result = server.reload()
    assert (result["zones"]["failed"], result["zones"]["loaded"]) == (1, 0)
    print(result)
    assert any(path in finding["file"] and (reason in finding["text"] or reason in finding["file"])
               for finding in result["findings"])
    assert ask_address(server, "good.a.example") == "192.0.2.7"
    (zone,) = server.control("zones")
    assert zone["serial"] == 7 and zone["error"] != ""
    farm.write("a.zone", ZONE.replace("192.0.2.7", "192.0.2.9"))
    assert server.reload()["zones"]["failed"] == 0
    assert ask_address(server, "good.a.example") == "192.0.2.9"


def test_a_missing_zone_file_on_reload_changes_nothing_and_is_named(farm):
    server = start(farm)
    path = farm.write("a.zone", "")
    os.unlink(path)
    with pytest.raises(ControlError) as refused:
        server.reload()
    assert path in str(refused.value)
    assert ask_address(server, "good.a.example") == "192.0.2.7"


@pytest.mark.parametrize("text", ["zones: [", "zones:\n  - { name: a.example, primry: { file: x } }\n", "",
                                  "\0\0\0", "server: { listen: [] }\n"])
def test_a_broken_configuration_on_reload_changes_nothing(farm, text):
    server = start(farm)
    server.write("tamisd.yaml", text)
    with pytest.raises(ControlError) as refused:
        server.control("reload")
    assert refused.value.error["file"].endswith("tamisd.yaml")
    server.hang_up()
    server.process.wait_until(lambda: "everything stays as it was" in server.process.log(), "complaint")
    assert ask_address(server, "good.a.example") == "192.0.2.7"


def test_a_zone_that_a_reload_adds_below_an_order_is_marked(farm, tmp_path):
    """Names of an order count in zones that come later, whatever their kind, and in the zone above when
    one goes."""
    nested = ZONE.replace("$ORIGIN a.example.", "$ORIGIN sub.a.example.")
    server = start(farm)
    listed = ["bad.a.example", "bad.sub.a.example", "bad.c.example", "bad.d.example"]
    server.activate(write_order(str(tmp_path), "early", names=listed))
    alone = server.config["zones"]
    server.config["zones"] = alone + [
        {"name": "sub.a.example", "primary": {"file": farm.write("sub.zone", nested)}},
        {"name": "c.example", "forward": {"to": ["127.0.0.1@1"]}},
        {"name": "d.example", "secondary": {"from": ["127.0.0.1@1"]}}]
    server.reload()
    assert [ask_address(server, name) for name in listed] == [SINKHOLE_A] * 4
    assert ask_address(server, "good.sub.a.example") == "192.0.2.7"
    server.config["zones"] = alone
    server.reload()
    assert ask_address(server, "bad.sub.a.example") == SINKHOLE_A
    assert ask_address(server, "bad.c.example") == "REFUSED"


# ---- Starts ----


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_in_use_stops_the_start_and_names_it(farm, kind):
    with socket.socket(socket.AF_INET, kind) as taken:
        port = free_port()
        taken.bind((LOOPBACK, port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        text = start_failing(farm, {"server": {"listen": ["%s@%d" % (LOOPBACK, port)]}})
    assert "%s@%d" % (LOOPBACK, port) in text and "in use" in text


def test_a_second_server_on_the_same_port_or_socket_is_told_and_the_first_goes_on(farm):
    server = start(farm)
    assert "%s@%d" % server.place in start_failing(farm, {"server": {"listen": ["%s@%d" % server.place]}})
    text = start_failing(farm, {"server": {"control": server.control_socket}})
    assert "another tamisd listens on this control socket" in text
    assert server.control("status")["zones"]["serving"] == 1
    assert ask_address(server, "good.a.example") == "192.0.2.7"


# ---- Memory ----


def limit_memory(server, more_mib):
    """Lets the process grow by so much and no more."""
    with open("/proc/%d/statm" % server.process.process.pid, encoding="utf-8") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    bound = size + more_mib * 1024 * 1024
    resource.prlimit(server.process.process.pid, resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))


@pytest.mark.skipif(SANITIZED, reason="sanitizers reserve the whole address space")
@pytest.mark.parametrize("more_mib", [0, 1, 2, 5, 10, 20, 35])
def test_a_reload_without_memory_keeps_what_is_served(farm, more_mib):
    path = write_zone(farm.write("a.zone", ""), "a.example", range(100))
    server = farm.tamisd_unstarted().start_zones([("a.example", path)])
    write_zone(path, "a.example", range(400_000), serial=2)
    limit_memory(server, more_mib)
    try:
        result = server.control("reload")
        assert (result["zones"]["failed"], result["zones"]["loaded"]) == (1, 0)
        assert any("memory" in finding["text"] for finding in result["findings"])
    except ControlError as error:
        assert "memory" in str(error) or "no thread" in str(error)
    assert ask_address(server, "h66.a.example") == address(66)
    assert ask_address(server, "h101.a.example") == "NXDOMAIN"
    resource.prlimit(server.process.process.pid, resource.RLIMIT_AS,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert server.control("reload")["zones"]["loaded"] == 1
    assert ask_address(server, "h101.a.example") == address(101)


@pytest.mark.skipif(SANITIZED, reason="sanitizers reserve the whole address space")
@pytest.mark.parametrize("more_mib", [0, 1, 2, 5, 10, 20, 40])
def test_an_order_without_memory_is_refused_and_leaves_nothing(farm, tmp_path, more_mib):
    server = start(farm)
    server.activate(write_order(str(tmp_path), "small", names=["bad.a.example"]))
    before = state_files(server)
    huge = write_order(str(tmp_path), "huge", names_text="worse.a.example\n" + "".join(
        "h%d.a.example\n" % number for number in range(1_000_000)))
    limit_memory(server, more_mib)
    try:
        server.activate(huge)
        assert more_mib >= 5, "a million names took no memory"
        assert ask_address(server, "worse.a.example") == SINKHOLE_A
        server.lift("huge")
    except ControlError as refused:
        assert "memory" in str(refused)
    assert state_files(server) == before
    assert ask_address(server, "worse.a.example") == "192.0.2.5"
    assert ask_address(server, "bad.a.example") == SINKHOLE_A
    resource.prlimit(server.process.process.pid, resource.RLIMIT_AS,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert server.activate(huge)["names"] == 1_000_001
    assert ask_address(server, "worse.a.example") == SINKHOLE_A
    server.lift("small")
    assert ask_address(server, "bad.a.example") == "192.0.2.4"


# ---- Clients ----


def latest_udp_ms(server, questions=300):
    """The median time of an answer: bad clients must not slow it; single ones may wait for a
    processor."""
    times = []
    for _ in range(questions):
        began = time.monotonic()
        assert ask_address(server, "good.a.example") == "192.0.2.7"
        times.append((time.monotonic() - began) * 1e3)
    return sorted(times)[len(times) // 2]


def test_idle_slow_and_deaf_tcp_clients_do_not_hold_up_others(farm):
    big = ZONE + "big TXT %s\n" % " ".join('"%s"' % ("x" * 250) for _ in range(200))
    server = start(farm, big, config={"server": {"tcp-clients": 4000, "tcp-clients-per-address": 4000}})
    resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    before_ms = latest_udp_ms(server)
    clients = []
    question = wire.query("big.a.example", "TXT")
    framed = struct.pack("!H", len(question)) + question
    try:
        for number in range(3000):
            sock = socket.create_connection(server.place, 5)
            clients.append(sock)
            if number % 3 == 1:
                sock.sendall(framed[:1 + number % 20])  # the rest never comes
            elif number % 3 == 2:
                sock.setblocking(False)  # asks on and on and never reads
                try:
                    sock.sendall(framed * 50)
                except BlockingIOError:
                    pass
        assert latest_udp_ms(server) < before_ms * 4 + 5
        reply = wire.ask_tcp(server.place, "good.a.example", "A")
        assert reply.rcode == 0
        with open("/proc/%d/status" % server.process.process.pid, encoding="utf-8") as status:
            rss_mib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) // 1024
        assert rss_mib < (1500 if SANITIZED else 400), "%d MiB" % rss_mib
    finally:
        for sock in clients:
            sock.close()
    assert wire.ask_tcp(server.place, "good.a.example", "A").rcode == 0


# ---- Origins ----


class BadOrigin(FakeOrigin):
    """Answers a SOA question and then misbehaves on a transfer: 'close' ends the connection after the
    first message, 'drip' sends one octet a while, 'endless' sends the same records for ever."""

    def __init__(self, fault, port=None):
        self.fault = fault
        super().__init__(0, port)

    def _answer(self, query):
        self.questions += 1
        at = 12
        while query[at]:
            at += query[at] + 1
        question = query[12:at + 5]
        soa = b"\xc0\x0c\0\6\0\1\0\0\1\x2c\0\x18\0\0" + struct.pack("!IIIII", 9, 2, 2, 1000, 60)
        soa = soa[:10] + struct.pack("!H", len(soa) - 12) + soa[12:]
        return query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + question + soa

    def _serve_tcp(self):
        while not self._stopping.is_set():
            try:
                connection, _ = self._tcp.accept()
            except socket.timeout:
                continue
            threading.Thread(target=self._misbehave, args=(connection,), daemon=True).start()

    def _misbehave(self, connection):
        with connection:
            connection.settimeout(2)
            try:
                stream = connection.makefile("rb")
                answer = self._answer(stream.read(struct.unpack("!H", stream.read(2))[0]))
                framed = struct.pack("!H", len(answer)) + answer
                if self.fault == "close":
                    connection.sendall(framed)
                elif self.fault == "drip":
                    for octet in framed:
                        connection.sendall(bytes([octet]))
                        if self._stopping.wait(0.5):
                            return
                else:

                    more = answer[:2] + b"\x84\0\0\0\0\1\0\0\0\0\1x\1a\7example\0\0\1\0\1\0\0\0\1\0\4\1\2\3\4"

                    connection.sendall(framed)
                    while not self._stopping.is_set():
                        connection.sendall((struct.pack("!H", len(more)) + more) * 100)
            except (OSError, struct.error):
                pass


@pytest.mark.parametrize("fault", ["close", "drip", "endless"])
def test_an_origin_that_fails_in_a_transfer_holds_up_nothing_else(farm, fault):
    good = farm.write("b.zone", ZONE.replace("a.example", "b.example"))
    origin = farm.knot([("b.example", good)])
    with BadOrigin(fault) as bad:
        server = farm.tamisd({"zones": [
            {"name": "a.example", "secondary": {"from": [bad.text]}},
            {"name": "b.example", "secondary": {"from": ["%s@%d" % origin.place]}}]}, wait=False)
        server.process.wait_until(
            lambda: wire.ask_or_none(server.place, wire.query("b.example", "SOA"), 0.3) is not None
            and wire.ask(server.place, "b.example", "SOA").rcode == 0, "the good zone", 30)
        assert ask_address(server, "good.b.example") == "192.0.2.7"
        reply = wire.ask(server.place, "x.a.example", "A")
        assert wire.RCODES[reply.rcode] == "SERVFAIL"
        server.process.wait_until(lambda: bad.questions > 0, "question to the bad origin")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5


def test_a_server_whose_origins_say_nothing_still_ends_and_reloads_at_once(farm):
    with FakeOrigin(None) as silent:
        server = farm.tamisd({"zones": [
            {"name": "z%d.example" % number, "secondary": {"from": [silent.text]}} for number in range(30)]},
            wait=False)
        server.process.wait_until(lambda: wire.ask_or_none(server.place, wire.query("z1.example", "SOA"), 0.3),
                                  "answer")
        began = time.monotonic()
        server.hang_up()
        server.process.wait_until(lambda: "30 unchanged" in server.process.log(), "reload", 5)
        assert server.stop() == 0
        assert time.monotonic() - began < 5


def test_a_zone_goes_on_when_its_origin_dies_and_comes_back_changed(farm):
    soa = "@ SOA ns1 hostmaster %d 1 1 1000 60"
    text = ZONE.replace("@ SOA ns1 hostmaster 7 3600 600 1209600 60", soa)
    path = farm.write("a.zone", text % 7)
    origin = farm.knot([("a.example", path)])
    server = farm.tamisd({"zones": [{"name": "a.example", "secondary": {"from": ["%s@%d" % origin.place]}}]})
    origin.process.kill()
    time.sleep(1.5)
    assert ask_address(server, "good.a.example") == "192.0.2.7"
    farm.write("a.zone", (text % 8).replace("192.0.2.7", "192.0.2.9"))
    origin.run(origin.process.process.args)
    server.process.wait_until(lambda: ask_address(server, "good.a.example") == "192.0.2.9", "new copy", 90)
