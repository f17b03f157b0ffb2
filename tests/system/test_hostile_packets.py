"""Millions of mutated packets: the server neither dies, nor leaks, nor stops answering.

TAMIS_PACKETS sets how many (default 200,000; the long run has ten million), of which one in ten goes
over TCP. Run with TAMIS_BIN=build-asan/bin, the sanitizers watch: a report or a leak at exit fails.
"""

import json
import os
import random
import struct
import subprocess

import dns.message
import dns.tsig
import dns.update

from testbed import wire
from testbed.load import load_program
from testbed.orders import write_order

PACKETS = int(os.environ.get("TAMIS_PACKETS", "200000"))
SECRET = "bm90LWEtcmVhbC1zZWNyZXQ="

ZONE = """\
$ORIGIN a.example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
@ NS ns.cut
@ MX 10 mail
ns1 A 192.0.2.1
mail A 192.0.2.2
mail AAAA 2001:db8::2
www CNAME mail
loop1 CNAME loop2
loop2 CNAME loop1
*.wild TXT "any"
cut NS ns.cut
ns.cut A 192.0.2.3
across DNAME b.example.
long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b.example.
big TXT {big}
svc HTTPS 1 mail alpn=h2 ipv4hint=192.0.2.9
_sip._tcp SRV 1 2 5060 mail
odd TYPE65280 \\# 4 01020304
bad A 192.0.2.4
""".format(big=" ".join('"%s"' % (chr(97 + index % 26) * 200) for index in range(20)))

OTHER = "$ORIGIN b.example.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 1209600 60\n@ NS ns\nns A 192.0.2.8\nx A 192.0.2.5\n"

NAMES = ["a.example", "mail.a.example", "www.a.example", "loop1.a.example", "x.wild.a.example",
         "host.cut.a.example", "x.across.a.example", "x.long.a.example", "big.a.example", "svc.a.example",
         "_sip._tcp.a.example", "odd.a.example", "bad.a.example", "dead.a.example", "none.a.example",
         "x.b.example", "elsewhere.test", ".", "version.bind", "id.server",
         ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 51, "a.example"]),
         ".".join(["n"] * 122 + ["a", "example"])]


def seeds():
    """Requests of every kind that a server knows, and some that none does. The first is the question
    that must stay answered."""
    made = [wire.query("mail.a.example", "A")]
    for name in NAMES:
        for rrtype in ("A", "AAAA", "ANY", "MX", "NS", "SOA", "TXT", "DS", "HTTPS", "DNSKEY", "TYPE65280"):
            made += [wire.query(name, rrtype), wire.query(name, rrtype, edns=1232, do=True)]
        made += [wire.query(name, "TXT", rrclass=3), wire.query(name, "AXFR"), wire.query(name, "IXFR")]
    question = wire.question("mail.a.example", "A")
    options = [b"", wire.option(3), wire.option(10, b"12345678"), wire.option(10, b"x" * 40),
               wire.option(8, b"\0\1\x18\0\xc0\0\2"), wire.option(11), wire.option(11, b"\0\x20"),
               wire.option(12, b"\0" * 200), wire.option(15, b"\0\x10x"), wire.option(65001, b"y" * 300),
               wire.option(3) + wire.option(10, b"12345678") + wire.option(11), b"\0\3\xff\xff", b"\0"]
    for data in options:
        for version, size in ((0, 512), (0, 0), (0, 65535), (1, 1232), (255, 4096)):
            made.append(struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 1) + question
                        + wire.opt(size, True, version, 0, data))
    for opcode in range(16):
        made.append(struct.pack("!HHHHHH", 1, opcode << 11, 1, 0, 0, 0) + question)
    made.append(struct.pack("!HHHHHH", 1, 0, 0, 0, 0, 0))
    made.append(struct.pack("!HHHHHH", 1, 0, 2, 0, 0, 0) + question + question)
    made.append(struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 2) + question + wire.opt() + wire.opt())
    soa = dns.message.from_text("id 1\nopcode NOTIFY\n;QUESTION\na.example. IN SOA\n;ANSWER\n"
                                "a.example. 0 IN SOA ns1.a.example. h.a.example. 9 1 1 1 1\n")
    made.append(soa.to_wire())
    keys = {algorithm: dns.tsig.Key("xfr", SECRET, algorithm)
            for algorithm in ("hmac-sha256", "hmac-sha512", "hmac-md5.sig-alg.reg.int")}
    for algorithm, key in keys.items():
        for rrtype in ("A", "AXFR", "SOA"):
            signed = dns.message.make_query("a.example", rrtype, use_edns=0)
            signed.use_tsig(key)
            made.append(signed.to_wire())
        update = dns.update.UpdateMessage("a.example", keyring=key)
        update.add("new", 60, "A", "192.0.2.77")
        update.delete("bad")
        update.present("mail", "A")
        made.append(update.to_wire())
    return made


def write_seeds(path):
    with open(path, "wb") as file:
        for message in seeds():
            file.write(struct.pack("!H", len(message)) + message)
    return path


def memory_kib(server):
    with open("/proc/%d/status" % server.process.process.pid, encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def mutate(server, seeds_path, count, seed):
    run = subprocess.run([load_program("mutate"), server.address, str(server.port), str(count - count // 10),
                          str(count // 10), str(seed), seeds_path], capture_output=True, text=True, check=False)
    server.process.check_alive()
    assert run.returncode == 0, "%s (seed %d)" % (run.stderr, seed)
    return json.loads(run.stdout)


def test_mutated_packets_neither_kill_nor_leak_nor_silence(farm, tmp_path, request):
    key = {"name": "xfr", "algorithm": "hmac-sha256", "secret": SECRET}
    server = farm.tamisd({
        "keys": [key],
        "server": {"nsid": "tamis-test"},
        "zones": [{"name": "a.example", "primary": {"file": farm.write("a.zone", ZONE)}},
                  {"name": "b.example", "primary": {"file": farm.write("b.zone", OTHER)}},
                  {"name": "c.example", "secondary": {"from": ["127.0.0.1@1"], "key": "xfr"}}]},
        env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"})
    server.activate(write_order(str(tmp_path), "listed",
                                names=["bad.a.example", "dead.a.example", "host.cut.a.example"]))
    path = write_seeds(str(tmp_path / "seeds"))
    seed = random.Random(request.config.getoption("--seed")).randrange(1 << 32)
    print("seed %d, %d seeds" % (seed, len(seeds())))

    # The first tenth grows what grows only once. (AddressSanitizer keeps freed memory back, by
    # default 256 MiB of it, which would hide or feign a leak.)
    mutate(server, path, PACKETS // 10, seed + 1)
    before = memory_kib(server)
    totals = mutate(server, path, PACKETS - PACKETS // 10, seed)
    after = memory_kib(server)
    print("%s; memory %d KiB, then %d KiB" % (json.dumps(totals), before, after))

    assert totals["udp_sent"] + totals["tcp_sent"] == PACKETS - PACKETS // 10
    assert totals["udp_answers"] > totals["udp_sent"] // 4
    assert totals["tcp_answers"] > totals["tcp_sent"] // 4
    assert totals["tcp_closed"] == 0, "closed a connection whose messages were only mutated inside"
    # Half again for the allocator; a leak of one octet a packet would show in ten million.
    assert after < before * 1.5 + 32 * 1024
    assert wire.ask(server.place, "mail.a.example", "A").rcode == 0
    assert wire.ask(server.place, "bad.a.example", "A").answer[0][4] == bytes([192, 0, 2, 66])
    assert wire.ask_tcp(server.place, "mail.a.example", "A").rcode == 0
    assert server.stop() == 0
