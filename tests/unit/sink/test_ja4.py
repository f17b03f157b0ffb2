"""JA4 against an implementation of its own, written here from FoxIO's specification, with the hellos of real
clients and of generated ones.

Usage: test_ja4.py HELLO_READ"""

import hashlib
import os
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

READER = sys.argv.pop(1)
GREASE = {0x0A0A + 0x1010 * step for step in range(16)}
VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2", 0xfeff: "d1", 0xfefd: "d2", 0xfefc: "d3"}


def codes(octets):
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets), 2)]


def message(octets):
    """The handshake message out of its records."""
    joined = b""
    while octets:
        size = int.from_bytes(octets[3:5], "big")
        joined += octets[5 : 5 + size]
        octets = octets[5 + size :]
    return joined[4 : 4 + int.from_bytes(joined[1:4], "big")]


def parse(octets):
    body = message(octets)
    version = int.from_bytes(body[:2], "big")
    at = 34 + 1 + body[34]
    size = int.from_bytes(body[at : at + 2], "big")
    ciphers = codes(body[at + 2 : at + 2 + size])
    at += 2 + size
    at += 1 + body[at] + 2
    extensions = []
    while at < len(body):
        size = int.from_bytes(body[at + 2 : at + 4], "big")
        extensions.append((int.from_bytes(body[at : at + 2], "big"), body[at + 4 : at + 4 + size]))
        at += 4 + size
    return version, ciphers, extensions


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def ja4(octets):
    version, ciphers, extensions = parse(octets)
    values = dict(reversed(extensions))
    if 43 in values:
        version = max([v for v in codes(values[43][1:]) if v not in GREASE], default=0)
    ciphers = [cipher for cipher in ciphers if cipher not in GREASE]
    types = [kind for kind, _ in extensions if kind not in GREASE]
    alpn = "00"
    if 16 in values and values[16][2]:
        first = values[16][3 : 3 + values[16][2]]
        ends = chr(first[0]) + chr(first[-1])
        alpn = ends if ends.isascii() and ends.isalnum() else first.hex()[0] + first.hex()[-1]
    signatures = [s for s in codes(values.get(13, b"")[2:]) if s not in GREASE]
    kept = sorted("%04x" % kind for kind in types if kind not in (0, 16))
    tail = ",".join(kept) + ("_" + ",".join("%04x" % s for s in signatures) if kept and signatures else "")
    return "t%s%s%02d%02d%s_%s_%s" % (
        VERSIONS.get(version, "00"), "d" if 0 in types else "i", min(99, len(ciphers)), min(99, len(types)), alpn,
        hashed(",".join(sorted("%04x" % cipher for cipher in ciphers))), hashed(tail))


def vector(octets, width=2):
    return len(octets).to_bytes(width, "big") + octets


def packed(numbers):
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def records(body, size):
    whole = b"\1" + vector(body, 3)
    return b"".join(b"\x16\3\1" + vector(whole[at : at + size]) for at in range(0, len(whole), size))


def generated(rng):
    some = lambda most: [rng.choice([rng.randrange(65536), rng.choice(sorted(GREASE))]) for _ in range(rng.randrange(most))]
    kinds = [kind for kind in dict.fromkeys(some(130)) if kind not in (0, 13, 16, 43, 57)]
    extensions = [(kind, rng.randbytes(rng.randrange(9))) for kind in kinds]
    protocol = rng.choice([b"h2", b"http/1.1", b"x", b"\xab", b"\x30\x31\xab\xcd", rng.randbytes(5)])
    extensions += rng.sample(
        [(0, vector(b"\0" + vector(b"a.example"))), (13, vector(packed(some(20)))),
         (16, vector(vector(protocol, 1) + vector(b"h3", 1))), (43, vector(packed(some(9) + [0x0303]), 1))],
        rng.randrange(5))
    rng.shuffle(extensions)
    body = packed([rng.choice([0x0300, 0x0301, 0x0303])]) + rng.randbytes(32) + vector(rng.randbytes(8), 1)
    body += vector(packed(some(150))) + vector(b"\0", 1)
    if extensions or rng.random() < 0.5:
        body += vector(b"".join(packed([kind]) + vector(value) for kind, value in extensions))
    return records(body, rng.choice([1, 7, 100, 16384]))


def read(hellos):
    """What the program reads of each."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, hello in enumerate(hellos):
            paths.append(os.path.join(folder, str(number)))
            with open(paths[-1], "wb") as file:
                file.write(hello)
        lines = subprocess.run([READER] + paths, capture_output=True, check=True, text=True).stdout.splitlines()
    return [line.split(";") for line in lines]


def sent_by(command):
    """The hello of a client that is given the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        port = str(server.getsockname()[1])
        client = subprocess.Popen([word.replace("PORT", port) for word in command], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(30)
            octets = b""
            while len(octets) < 5 or len(octets) < 5 + int.from_bytes(octets[3:5], "big"):
                octets += connection.recv(65536)
        client.wait()
    return octets


def sent_by_python(**settings):
    context = ssl.create_default_context()
    for name, value in settings.items():
        setattr(context, name, value)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="python.example")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


OPENSSL = ["openssl", "s_client", "-connect", "127.0.0.1:PORT"]


class Ja4(unittest.TestCase):
    def check(self, hello, name, protocol, begin):
        got = read([hello])[0]
        self.assertEqual(got, ["0 " + got[0][2:7] + name, protocol, ja4(hello)])
        self.assertTrue(got[2].startswith(begin), got[2])

    def test_openssl_with_tls_1_3(self):
        hello = sent_by(OPENSSL + ["-servername", "WWW.Example", "-alpn", "h2,http/1.1"])
        self.check(hello, "www.example", "h2", "t13d")

    def test_openssl_with_tls_1_2_alone_and_no_name(self):
        self.check(sent_by(OPENSSL + ["-noservername", "-tls1_2"]), "", "", "t12i")

    def test_openssl_with_tls_1_0(self):
        hello = sent_by(OPENSSL + ["-servername", "old.example", "-tls1", "-cipher", "ALL:@SECLEVEL=0"])
        self.check(hello, "old.example", "", "t10d")

    def test_openssl_with_an_address_for_a_name(self):
        self.check(sent_by(OPENSSL + ["-servername", "192.0.2.1"]), "", "", "t13d")

    def test_curl(self):
        command = ["curl", "-k", "--resolve", "a.example:PORT:127.0.0.1", "https://a.example:PORT/"]
        self.check(sent_by(command), "a.example", "h2", "t13d")

    def test_curl_with_http_1_1(self):
        command = ["curl", "-k", "--http1.1", "--tls-max", "1.2", "https://127.0.0.1:PORT/"]
        self.check(sent_by(command), "", "http/1.1", "t12i")

    def test_python(self):
        self.check(sent_by_python(), "python.example", "", "t13d")
        self.check(sent_by_python(maximum_version=ssl.TLSVersion.TLSv1_2), "python.example", "", "t12d")

    def test_thousand_generated_ones(self):
        seed = random.randrange(1 << 32)
        print("seed", seed)
        rng = random.Random(seed)
        hellos = [generated(rng) for _ in range(1000)]
        for hello, got in zip(hellos, read(hellos)):
            self.assertEqual(got[-1], ja4(hello), hello.hex())  # a protocol may have a ";"


unittest.main(verbosity=2)
