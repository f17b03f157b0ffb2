"""tamis-sink under those who mean it ill: floods, garbage, and what a person may do to it by mistake."""

import random
import socket
import ssl
import subprocess

from testbed.process import LOOPBACK, free_port
from testbed.servers import tamis_program
from testbed.sink import http_request, njrat_checkin, read_all

# Payloads of the flood of garbage.
PAYLOADS = 600


def client_hello(server_name):
    """The first flight of a client that says nothing more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=server_name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def shed(sink):
    return sink.control("status")["sensor"]["ended"]["shed"]


def test_a_flood_of_handshakes_of_one_address_leaves_others_theirs(farm):
    sink = farm.sink({"sensor": {"threads": 1}})
    hello = client_hello("flood.example")
    for _ in range(400):
        flood = [socket.create_connection(sink.place, source_address=("127.0.0.9", 0)) for _ in range(50)]
        for sock in flood:
            sock.sendall(hello)
        for sock in flood:
            sock.recv(1)
            sock.close()
        if shed(sink) > 0:
            break
    assert shed(sink) > 0
    assert b"inkhole" in sink.send_over_tls(http_request("a.example"), "a.example")
    assert sink.wait_for_events(lambda event: event["ending"] == "shed" and event["ja4"].startswith("t13d"))


def garbage(chance, hello):
    """What may look like the beginning of something, and is none."""
    return chance.choice([
        lambda: chance.randbytes(chance.randrange(1, 3000)),
        lambda: hello[:chance.randrange(1, len(hello))],
        lambda: hello[:5] + chance.randbytes(len(hello) - 5),
        lambda: b"\x16\x03\x01\x00\x01\x01" * chance.randrange(1, 500),
        lambda: b"\x16\x03\x01\x40\x01\x01\x00\x40\x00" + bytes(200),
        lambda: b"GET / HTTP/1.1\xff" + chance.randbytes(100),
        lambda: b"GET /" + b"x" * 9000,
        lambda: b"%d\0ll" % chance.randrange(1 << 40) + b"|'|'|" * 500,
        lambda: njrat_checkin("%08X" % chance.randrange(1 << 32))[:chance.randrange(5, 100)],
        lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(50),
    ])()


def test_garbage_gets_no_octet_but_an_alert_and_no_more_memory(farm):
    sink = farm.sink()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    hello = client_hello("garbage.example")
    for number in range(PAYLOADS):
        octets = garbage(chance, hello)
        source = "127.%d.%d.%d" % (chance.randrange(1, 255), chance.randrange(255), chance.randrange(1, 255))
        with socket.create_connection(sink.place, source_address=(source, 0), timeout=30) as sock:
            try:
                sock.sendall(octets)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            answer = read_all(sock)
        # A broken handshake is told (RFC 8446, 6), else there is silence.
        assert answer == b"" or (octets[0] == 22 and answer[:1] in (b"\x15", b"\x16")), (number, octets, answer)
    sink.process.wait_until(lambda: sink.control("status")["sensor"]["open"] == 0, "end of all connections")
    assert sink.control("status")["sensor"]["memory"] == 0


def test_a_datagram_is_never_answered(farm):
    sink = farm.sink()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(sink.place)
        for octets in (b"", b"\0", http_request("a.example"), njrat_checkin("AAAA1111"), bytes(60000),
                       b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\xff\x00\x01"):
            sock.send(octets)
        sink.process.wait_until(lambda: sink.control("status")["sensor"]["datagrams"] == 6, "datagram")
        sock.setblocking(False)
        try:
            assert sock.recv(1) is None
        except BlockingIOError:
            pass


def test_no_core_file_has_room(farm):
    sink = farm.sink()
    if not sink.control("status")["filtered"]:
        return  # with sanitizers, whose search for leaks needs what is forbidden
    with open("/proc/%d/limits" % sink.pid, encoding="utf-8") as file:
        limits = [line.split() for line in file if line.startswith("Max core file size")]
    assert limits[0][4:6] == ["0", "0"]


def test_two_programs_with_one_state_do_not_write_over_each_other(farm):
    sink = farm.sink()
    path = sink.configure({"sensor": {"listen": ["%s@%d" % (LOOPBACK, free_port())]}, "control": sink.config["control"] + "2",
                           "metrics": "%s@%d" % (LOOPBACK, free_port())})
    ended = subprocess.run([tamis_program("tamis-sink"), "-c", path], capture_output=True, text=True, timeout=60,
                           check=False)
    assert ended.returncode == 1 and "another process writes events there" in ended.stderr, ended.stderr
