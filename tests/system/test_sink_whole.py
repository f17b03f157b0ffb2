"""From the name server's answer to the count of victims, all real: tamisd tells which listed names were asked for,
tamis-sink takes whoever connects, its events are read as their page tells, and the reports open what may be opened."""

import base64
import collections
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import dns.message
import dns.query
import pytest
import zstandard

from testbed import mmdb, sink_events, sink_traffic
from testbed.orders import write_order
from testbed.servers import repository, tamis_program
from testbed.sink import http_request, njrat_checkin, read_all
from testbed.sink_traffic import HUNTER, PLAYED, VICTIM, Bot, Population

SINKHOLE = "127.0.0.66"
NAMES = ["bot.a.example", "web.a.example", "tls.a.example"]
ZONE = """\
$ORIGIN a.example.
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
bot A 192.0.2.5
"""
ORDER = "whole-1"
RULES = os.path.join(repository(), "rules")
NAME_SOURCES = ["none", "host", "sni", "answer", "window", "address"]


def start_sink(farm, config=None, before=()):
    """A sinkhole at an address of its own, with an order whose names lead there."""
    sink = farm.sink_unstarted()
    sink.address, sink.before = SINKHOLE, list(before)
    order = write_order(sink.directory, ORDER, names=NAMES, sinkhole={"a": [SINKHOLE], "ttl": 60})
    sink.answers = os.path.join(sink.socket_folder, "answers")
    return sink.start({"orders": [order], "answers": {"listen": sink.answers}, "rules": RULES, **(config or {})}), order


def start_name_server(farm, sink, order):
    server = farm.tamisd_unstarted()
    server.write("a.zone", ZONE)
    return server.start({"zones": [{"name": "a.example", "primary": {"file": server.path("a.zone")}}],
                         "orders": {"files": [order], "dnstap": sink.answers}})


def connect(sink, source):
    client = socket.socket()
    client.settimeout(30)
    client.bind((source, 0))
    client.connect(sink.place)
    return client


def send(sink, source, octets):
    with connect(sink, source) as client:
        client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def kept(sink):
    """All events on the disk, as doc/sink-events.md tells to read them."""
    return [event for path in sink_events.segments(sink.path("state", "events"))
            for event in sink_events.read_events(path.read_bytes())]


def wait_for_count(sink, count):
    sink.process.wait_until(lambda: sink.control("status")["census"]["events"] >= count, "%d events" % count)


def insecure_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def report(sink, *arguments):
    command = [tamis_program("tamis"), "sink", "report", "--json", "-c", sink.path("tamis-sink.yaml"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- Which name brought them ----

def test_each_client_is_known_by_the_surest_name_that_it_gives(farm):
    sink, order = start_sink(farm)
    server = start_name_server(farm, sink, order)
    for count, name in enumerate(NAMES[1:] + NAMES[:1], 1):
        query = dns.message.make_query(name, "A")
        # A resolver of the same network as the machine that connects then.
        reply = dns.query.udp(query, server.address, port=server.port, source="127.9.1.53", timeout=10)
        assert reply.answer[0][0].address == SINKHOLE
        sink.process.wait_until(lambda: sink.control("status")["answers"]["listed"] == count, "answer")

    checkin = njrat_checkin("1A2B3C4D")
    send(sink, "127.9.1.5", checkin)  # by the answer to its resolver
    send(sink, "127.9.2.5", checkin)  # nobody of its network asked, and there were answers for several names
    send(sink, "127.9.2.5", http_request("web.a.example"))
    with insecure_tls().wrap_socket(connect(sink, "127.9.2.5"), server_hostname="tls.a.example") as client:
        client.sendall(checkin)
    wait_for_count(sink, 4)

    events = sink.events()
    assert sorted((event["name"], event["name_source"], event["kind"]) for event in events) == [
        ("", "none", "check-in"), ("bot.a.example", "answer", "check-in"), ("tls.a.example", "sni", "check-in"),
        ("web.a.example", "host", "http")]
    assert {event["order"] for event in events} == {ORDER}
    assert [event["ja4"][:3] for event in events if event["tls"]] == ["t13"]
    on_disk = kept(sink)
    assert sorted((event["name"].decode(), NAME_SOURCES[event["name_source"]]) for event in on_disk) == sorted(
        (event["name"], event["name_source"]) for event in events)
    assert {event["order"] for event in on_disk} == {ORDER.encode()}
    # One id is one victim, whichever way it came.
    assert sink.control("live")["classes"]["proven"] == 1


# ---- Who is counted ----

def test_the_played_population_is_counted_as_it_is(farm):
    population = Population(sink_traffic.PLAYED_SEED, PLAYED)
    networks = mmdb.write(os.path.join(farm.directory, "networks.mmdb"), sink_traffic.networks(population))
    # A day is a second here, and ten of them are one day.
    sink, _ = start_sink(farm, {"census": {"persistence-seconds": 1, "checkins-min": 3, "networks-max": 20},
                                "networks": {"asn": networks, "country": networks}})
    sent = sink_traffic.play(population, sink.place, 10)
    wait_for_count(sink, len(sent))
    events = kept(sink)
    assert len(events) == len(sent)
    ids = {event["victim"] for event in events if event["victim"]}
    assert len(ids) == len({id(event.bot) for event in sent if event.bot})

    sink_traffic.as_played(population)
    last = {id(event.bot): event for event in sent if event.bot}
    true = collections.Counter((event.family, event.address, *event.country) for event in
                               (last[id(bot)] for bot in population.provable(1, 3)))
    proven = collections.Counter((row["family"], row["address"], row["country"], row["asn"])
                                 for row in report(sink, "--all"))
    assert proven - true == collections.Counter(), "no victims"
    assert true - proven == collections.Counter(), "missed"
    assert sink.control("live")["classes"]["proven"] == true.total() > 30
    hunters = collections.Counter((row["family"], row["address"]) for row in report(sink, "--all", "--class", "hunter"))
    wanted = collections.Counter((last[id(bot)].family, last[id(bot)].address) for bot in population.bots
                                 if bot.truth == HUNTER and bot.kind in ("constant", "fake", "retrying"))
    assert wanted - hunters == collections.Counter() and wanted.total() == 6


# ---- What survives ----

class Bots(threading.Thread):
    """Infected machines that check in, twice each, one after the other until they are told to stop."""

    def __init__(self, sink):
        super().__init__(daemon=True)
        self.sink = sink
        self.done = []  # the client's port and number of each whose connection the sinkhole has ended
        self.stopped = threading.Event()

    def run(self):
        number = 0
        while not self.stopped.is_set():
            try:
                with connect(self.sink, "127.0.0.1") as client:
                    port = client.getsockname()[1]
                    client.sendall(njrat_checkin("%08X" % (number // 2 * 2654435761 % 2**32)))
                    client.shutdown(socket.SHUT_WR)
                    client.recv(1)
            except OSError:
                return
            self.done.append((port, number))
            number += 1


def test_a_kill_loses_no_event_that_was_flushed_and_the_census_goes_on(farm):
    sink, _ = start_sink(farm)
    bots = Bots(sink)
    bots.start()
    sink.process.wait_until(lambda: len(bots.done) >= 300, "check-ins")
    flushed = bots.done[:]
    sink.process.wait_until(lambda: sink.control("status")["log"]["written"] >= len(flushed), "flush")
    written = sink.control("status")["log"]["written"]
    sink.end(kill=True)
    bots.stopped.set()
    bots.join(30)
    events = kept(sink)
    assert len(events) >= written
    ports = {event["client_port"] for event in events}
    assert [number for port, number in flushed if port not in ports] == []

    sink.start_again()
    sink.process.wait_until(lambda: sink.control("status")["census"]["caught_up"], "census")
    assert sink.control("status")["census"]["damaged"] == 0
    times = collections.Counter(event["victim"] for event in events)
    proven = sum(count >= 2 for count in times.values())
    assert sink.control("live")["classes"]["proven"] == proven
    once = [number for port, number in bots.done if port in ports][-1] // 2 + 1
    for _ in range(2):
        send(sink, "127.0.0.1", njrat_checkin("%08X" % ((once + 1000) * 2654435761 % 2**32)))
    sink.process.wait_until(lambda: sink.control("live")["classes"]["proven"] == proven + 1, "one more")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_told_and_once_there_is_room_all_is_there(farm, small_disk):
    sink, _ = start_sink(farm, {"events": {"folder": str(small_disk / "events"), "flush-ms": 50}})
    send(sink, "127.0.0.1", njrat_checkin("00000001"))
    wait_for_count(sink, 1)
    with open(small_disk / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    for number in range(2, 402):
        send(sink, "127.0.0.1", njrat_checkin("%08X" % (number * 2654435761 % 2**32)))
    sink.process.wait_until(lambda: sink.health()[0] == 503, "health that says so")
    assert "is the disk full?" in sink.health()[1]
    # It goes on answering, and counting what came before.
    assert b"This is a sinkhole" in send(sink, "127.0.0.1", http_request("web.a.example"))
    assert sink.control("live")["classes"]["likely"] >= 1
    (small_disk / "filler").unlink()
    sink.process.wait_until(lambda: sink.control("status")["log"]["written"] == 402, "all events on the disk")
    sink.process.wait_until(lambda: sink.health()[0] == 200, "health")
    wait_for_count(sink, 402)
    assert sink.control("status")["log"]["dropped"] == 0
    assert sum(sum(1 for _ in sink_events.read_events(path.read_bytes()))
               for path in sink_events.segments(small_disk / "events")) == 402


# ---- What is kept of people ----

SECRETS = ["Zebrafinch", "Quokka-Machine", "Wombat-Campaign", "Narwhal-Title", "Axolotl-Agent", "Okapi-Path",
           "Pangolin-Body", "Tapir-Cookie", "numbat-sni", "dugong-host", "Kakapo-Datagram", "C0FFEE5E"]
SOURCE = "127.99.88.77"


def secret_forms(text):
    """The ways in which a text may lie somewhere."""
    octets = text.encode()
    yield from (octets, octets.lower(), octets.upper(), text.encode("utf-16-le"), octets.hex().encode(), octets[::-1])
    # Within base64 it begins at one of three places; the ends depend on what stands beside it.
    for lead in range(3):
        inner = base64.b64encode(bytes(lead) + octets)[4 if lead else 0:-4]
        if len(inner) >= 8:  # a shorter one may be in a key by chance
            yield inner


def everything_kept(sink):
    """Name and octets of every file of the program, with what is compressed in it."""
    for folder, _, names in os.walk(sink.directory):
        for name in names:
            if name == "tamis-sink.yaml":
                continue
            octets = Path(folder, name).read_bytes()
            yield name, octets
            at = octets.find(b"\x28\xb5\x2f\xfd")
            while at >= 0:  # a frame of zstd
                yield name + " (zstd)", zstandard.ZstdDecompressor().decompressobj().decompress(octets[at:])
                at = octets.find(b"\x28\xb5\x2f\xfd", at + 1)


def test_nothing_of_a_person_is_kept_or_told_anywhere(farm):
    sink, order = start_sink(farm)
    server = start_name_server(farm, sink, order)
    dns.query.udp(dns.message.make_query(NAMES[0], "A"), server.address, port=server.port, source=SOURCE, timeout=10)
    bot = Bot(VICTIM, "", "Wombat-Campaign_C0FFEE5E", "Quokka-Machine", "Zebrafinch", "secret")
    window = base64.b64encode(b"Narwhal-Title\0")
    njrat = sink_traffic.njrat_checkin(bot).replace(base64.b64encode(b"Program Manager\0"), window)
    body = njrat.partition(b"\0")[2]
    messages = [b"%d\0%s" % (len(body), body),
                sink_traffic.njw0rm_checkin(bot).replace(b"Program Manager", b"Narwhal-Title"),
                sink_traffic.hworm_checkin(bot, "dugong-host.example"),
                b"POST /Okapi-Path?q=Zebrafinch HTTP/1.1\r\nHost: dugong-host.example\r\nUser-Agent: Axolotl-Agent\r\n"
                b"Cookie: id=Tapir-Cookie\r\nContent-Length: 13\r\n\r\nPangolin-Body",
                b"GET /Okapi-Path HTTP/1.1\r\nHost: web.a.example\r\nReferer: http://dugong-host.example/\r\n\r\n",
                b"Pangolin-Body of no protocol, from Zebrafinch\n"]
    for message in messages * 40:
        send(sink, SOURCE, message)
    with insecure_tls().wrap_socket(connect(sink, SOURCE), server_hostname="numbat-sni.example") as client:
        client.sendall(messages[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((SOURCE, 0))
        client.sendto(b"Kakapo-Datagram", sink.place)
    wait_for_count(sink, 40 * len(messages) + 2)
    told = json.dumps([sink.control("live", events=64), sink.control("status"), sink.control("series", step="hour"),
                       *(sink.control("cuts", by=by) for by in ("all", "order", "family", "asn", "country", "name")),
                       sink.metrics(), sink.health()]).encode()
    assert b"njrat" in told and b"web.a.example" in told
    sink.end()
    found = [("told", told), *everything_kept(sink)]
    assert any(name.endswith("(zstd)") and b"njrat" in octets for name, octets in found), "events, compressed"
    assert any(name == "tamis-sink.log" for name, _ in found)
    address = socket.inet_aton(SOURCE)
    needles = [form for text in [*SECRETS, SOURCE] for form in secret_forms(text)] + [address, address[::-1]]
    assert [(name, needle) for name, octets in found for needle in needles if needle in octets] == []
    sink.start_again()  # and yet the victim's place is there, for who runs the network
    assert {row["address"] for row in report(sink, "--all")} == {SOURCE}


# ---- Who would keep others out ----

def test_a_flood_of_one_source_keeps_no_other_out(farm):
    sink, _ = start_sink(farm, {"sensor": {"connections-max": 64}})
    flood = [connect(sink, "127.50.0.1") for _ in range(200)]
    try:
        sink.process.wait_until(lambda: sink.control("status")["sensor"]["accepted"] == 200, "flood")
        assert sink.control("status")["sensor"]["open"] <= 64
        for number in range(20):
            source = "127.60.0.%d" % (number + 1)
            assert b"This is a sinkhole" in send(sink, source, http_request("web.a.example"))
            send(sink, source, njrat_checkin("%08X" % number))
        wait_for_count(sink, 200 - 64 + 40)
        assert sink.control("live")["kinds"]["check-in"] == 20
        assert sink.control("status")["sensor"]["ended"]["shed"] >= 200 - 64
        assert {event["ending"] for event in sink.events() if event["kind"] == "check-in"} == {"closed"}
    finally:
        for client in flood:
            client.close()


def test_slow_clients_end_garbage_is_nobody_and_pipelines_get_one_page(farm):
    sink, _ = start_sink(farm, {"sensor": {"seconds-max": 1}})
    with connect(sink, "127.61.0.1") as slow:
        octets = njrat_checkin("1A2B3C4D")
        try:
            for octet in octets:  # longer than it may take, however fast the machine is
                slow.sendall(bytes([octet]))
                time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            pass
    slow_event = sink.wait_for_events(lambda event: event["ending"] == "timed-out")[0]
    assert 0 < slow_event["octets"] < len(octets)

    chooser = random.Random("garbage")
    for _ in range(200):
        send(sink, "127.61.0.2", chooser.randbytes(chooser.randrange(1, 3000)))
    for octets in (b"\0" * 4000, b"\xff" * 4000, b"A" * 100, b"99999999999999999999\0ll|'|'|", b"POST " * 500,
                   b"\x16\3\1\xff\xff"):
        send(sink, "127.61.0.2", octets)
    page = send(sink, "127.61.0.3", http_request("web.a.example") * 5 + njrat_checkin("5E6F7A8B"))
    assert page.count(b"HTTP/1.1 ") == 1 and page.count(b"This is a sinkhole</h1>") == 1
    wait_for_count(sink, 208)
    live = sink.control("live")
    assert live["kinds"]["http"] == 1 and live["kinds"]["check-in"] == 0
    assert not any(live["classes"][name] for name in ("proven", "likely", "hunter"))


def test_sigterm_records_all_that_is_open(farm):
    sink, _ = start_sink(farm)
    hello = sink_traffic.PROBES["tls"]
    clients = [connect(sink, "127.62.0.%d" % number) for number in range(1, 6)]
    halves = [b"", njrat_checkin("1A2B3C4D")[:25], njrat_checkin("1A2B3C4D"), hello[:100], b"GET / HTTP/1.1\r\nHost: web"]
    for client, octets in zip(clients, halves):
        client.sendall(octets)
    size = sum(map(len, halves))
    sink.process.wait_until(lambda: sink.control("status")["sensor"]["octets"] == size, "octets")
    sink.process.wait_until(lambda: sink.control("status")["sensor"]["accepted"] == len(clients), "clients")
    sink.end()
    for client in clients:
        read_all(client)
        client.close()
    events = kept(sink)
    assert sorted(event["received"] for event in events) == sorted(map(len, halves))
    assert len({event["ending"] for event in events}) == 1
    sink.start_again()
    assert {event["ending"] for event in sink.wait_for_events(lambda event: True)} == {"ending"}
