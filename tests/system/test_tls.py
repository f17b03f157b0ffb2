"""DNS over TLS (RFC 7858): who is served and how, and a certificate that is renewed meanwhile."""

import contextlib
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

import dns.edns
import dns.message
import dns.query
import dns.tsigkeyring

from testbed import wire
from testbed.certificates import Authority, encrypted_key
from testbed.process import LOOPBACK, free_port
from testbed.servers import program, tamis_program

PATIENCE_S = 30.0

PADDING, KEEPALIVE = 12, 11

# An answer of many records that fills several TLS records.
ZONE = """\
$TTL 300
@ SOA ns hm 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.80
""" + "".join("large TXT \"%s\"\n" % (("%03d" % number) * 80) for number in range(200))


class Bed:
    """A server with TLS, and clients of it."""

    def __init__(self, farm, **server):
        self.farm = farm
        self.authority = Authority(os.path.join(farm.directory, "certificates"))
        self.pair = self.authority.issue("ns.example")
        self.port = free_port()
        self.zone = farm.write("a.zone", ZONE)
        self.config = {
            "server": {"tls": {"listen": ["%s@%d" % (LOOPBACK, self.port)],
                               "certificate": self.pair.certificate, "key": self.pair.key},
                       **server},
            "zones": [{"name": "a.example", "primary": {"file": self.zone}}],
        }
        self.server = None

    def start(self):
        self.server = self.farm.tamisd(self.config)
        return self

    def context(self, authority=None):
        context = ssl.create_default_context(cafile=(authority or self.authority).certificate)
        context.set_alpn_protocols(["dot"])
        return context

    def connect(self, context=None, session=None):
        plain = socket.create_connection((LOOPBACK, self.port), timeout=PATIENCE_S)
        # Else the first query waits for the acknowledgement of the handshake's end.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return (context or self.context()).wrap_socket(plain, server_hostname="ns.example",
                                                           session=session)
        except BaseException:
            plain.close()
            raise

    def figures(self):
        return self.server.control("status")["tls"]

    def wait_for(self, condition, what):
        self.server.process.wait_until(lambda: condition(self.figures()), what, PATIENCE_S)


@pytest.fixture
def bed(farm):
    return Bed(farm)


def framed(message):
    return struct.pack("!H", len(message)) + message


def query(message_id=1, name="www.a.example", rrtype="A", **options):
    return wire.query(name, rrtype, message_id, **options)


def receive_exactly(sock, size):
    octets = b""
    while len(octets) < size:
        more = sock.recv(size - len(octets))
        assert more, "closed after %d octets" % len(octets)
        octets += more
    return octets


def receive(sock):
    return receive_exactly(sock, struct.unpack("!H", receive_exactly(sock, 2))[0])


def ask(sock, message_id=1):
    sock.sendall(framed(query(message_id)))
    answer = wire.Message(receive(sock))
    assert (answer.id, answer.rcode, len(answer.answer)) == (message_id, 0, 1)


def is_closed(sock):
    """Whether the server ends the connection: in TLS with its good-bye."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


# ---- Clients that mean well ----

def test_kdig_verifies_the_server_and_gets_a_padded_answer(bed):
    bed.start()
    done = subprocess.run([program("kdig"), "@" + LOOPBACK, "-p", str(bed.port), "+padding",
                           "+tls-ca=" + bed.authority.certificate, "+tls-hostname=ns.example",
                           "www.a.example", "A"],
                          capture_output=True, text=True, timeout=60, check=True)
    assert "TLS session (TLS1.3)" in done.stdout
    assert "192.0.2.80" in done.stdout
    assert "Received 468 B" in done.stdout


def test_dig_verifies_the_server(bed):
    bed.start()
    done = subprocess.run([program("dig"), "@" + LOOPBACK, "-p", str(bed.port), "+short",
                           "+tls-ca=" + bed.authority.certificate, "+tls-hostname=ns.example",
                           "www.a.example", "A"],
                          capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "192.0.2.80\n"


def test_kdig_with_another_authority_refuses_the_server(bed):
    bed.start()
    other = Authority(os.path.join(bed.farm.directory, "other"))
    done = subprocess.run([program("kdig"), "@" + LOOPBACK, "-p", str(bed.port),
                           "+tls-ca=" + other.certificate, "+tls-hostname=ns.example",
                           "www.a.example", "A"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert "192.0.2.80" not in done.stdout


def test_tls_1_2_and_1_3_are_served_and_nothing_older(bed):
    bed.start()
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context = bed.context()
        context.minimum_version = context.maximum_version = version
        with bed.connect(context) as sock:
            assert sock.version() == name
            assert sock.cipher()[0].startswith(("TLS_", "ECDHE-"))
            ask(sock)
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (LOOPBACK, bed.port),
                           "-tls1_1", "-cipher", "ALL@SECLEVEL=0"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert "alert protocol version" in done.stderr


def test_a_transfer_is_refused_over_tls_1_2(bed):
    bed.config["zones"][0]["allow-transfer"] = [LOOPBACK]
    bed.start()
    context = bed.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with bed.connect(context) as old, bed.connect() as new:
        for sock in (old, new):
            sock.sendall(framed(query(1, "a.example", "AXFR")))
        assert wire.rcode(receive(old)) == 5
        assert wire.rcode(receive(new)) == 0


def test_alpn_dot_is_chosen_and_another_protocol_is_refused(bed):
    bed.start()
    with bed.connect() as sock:
        assert sock.selected_alpn_protocol() == "dot"
    context = bed.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
        bed.connect(context)
    without = ssl.create_default_context(cafile=bed.authority.certificate)
    with bed.connect(without) as sock:  # RFC 7858 knows no ALPN
        ask(sock)


def test_padded_queries_get_padded_answers_over_tls_alone(bed):
    bed.start()
    padded = wire.opt(options=wire.option(PADDING, b"\0" * 20))
    with bed.connect() as sock:
        for rrtype, name in (("A", "www.a.example"), ("A", "none.a.example"), ("TXT", "large.a.example")):
            message = bytearray(query(1, name, rrtype) + padded)
            message[11] = 1  # ARCOUNT
            sock.sendall(framed(bytes(message)))
            assert len(receive(sock)) % 468 == 0
        sock.sendall(framed(query(edns=1232)))
        assert len(receive(sock)) < 468
    with socket.create_connection(bed.server.place, timeout=PATIENCE_S) as plain:
        plain.sendall(framed(bytes(message)))
        assert len(receive(plain)) % 468 != 0


def test_a_signed_answer_is_padded_with_its_signature(farm):
    bed = Bed(farm)
    bed.config["keys"] = [{"name": "key", "algorithm": "hmac-sha256", "secret": "c2VjcmV0LXNlY3JldA=="}]
    bed.start()
    message = dns.message.make_query("www.a.example", "A", use_edns=0,
                                     options=[dns.edns.GenericOption(PADDING, b"")])
    message.use_tsig(dns.tsigkeyring.from_text({"key": ("hmac-sha256", "c2VjcmV0LXNlY3JldA==")}))
    with bed.connect() as sock:
        sock.sendall(framed(message.to_wire()))
        answer = receive(sock)
    assert len(answer) == 468
    parsed = dns.message.from_wire(answer, keyring=message.keyring, request_mac=message.mac)
    assert parsed.had_tsig and parsed.answer


def test_the_idle_time_is_told_over_tls(bed):
    bed.config["server"]["tcp-idle-timeout"] = "7s"
    bed.start()
    message = dns.message.make_query("www.a.example", "A", use_edns=0,
                                     options=[dns.edns.GenericOption(KEEPALIVE, b"")])
    with bed.connect() as sock:
        sock.sendall(framed(message.to_wire()))
        options = dns.message.from_wire(receive(sock)).options
    assert [bytes(option.to_wire()) for option in options if option.otype == KEEPALIVE] == \
        [struct.pack("!H", 70)]


def test_octets_may_come_one_a_record_or_many_queries_in_one(bed):
    bed.start()
    with bed.connect() as sock:
        for octet in framed(query(5)):
            sock.sendall(bytes([octet]))
        assert wire.Message(receive(sock)).id == 5
        # 500 queries are 17 KB: more than a record, and more than the server reads in a turn.
        sock.sendall(b"".join(framed(query(number)) for number in range(500)))
        assert {wire.Message(receive(sock)).id for _ in range(500)} == set(range(500))


def test_a_client_that_reads_late_gets_every_answer_whole(bed):
    bed.start()
    count = 400  # of 50 KB each: more than all buffers between
    expected = dns.query.tcp(dns.message.make_query("large.a.example", "TXT"), LOOPBACK,
                             port=bed.server.port, timeout=PATIENCE_S).answer[0]
    with bed.connect() as sock:
        sock.sendall(b"".join(framed(query(number, "large.a.example", "TXT"))
                              for number in range(count)))
        before = -1
        while bed.server.control("stats")["queries"]["tls"] != before:  # until the server waits
            before = bed.server.control("stats")["queries"]["tls"]
            time.sleep(0.2)
        assert before < count
        for number in range(count):
            answer = receive(sock)
            assert struct.unpack("!H", answer[:2])[0] == number
            if number % 50 == 0:
                assert dns.message.from_wire(answer).answer[0] == expected


def test_queries_that_come_with_the_good_bye_are_answered_before_the_end(bed):
    bed.config["server"]["tcp-idle-timeout"] = "600s"
    bed.start()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = bed.context().wrap_bio(incoming, outgoing, server_hostname="ns.example")
    with socket.create_connection((LOOPBACK, bed.port), timeout=PATIENCE_S) as plain:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        for number in range(10):
            session.write(framed(query(number)))
        with pytest.raises(ssl.SSLWantReadError):
            session.unwrap()
        plain.sendall(outgoing.read())  # the end of the handshake, ten queries, the good-bye
        received = 0
        while octets := plain.recv(65536):
            received += len(octets)
    assert received > 10 * len(query())
    assert bed.server.control("status")["queries"]["tls"] == 10


def test_sessions_are_resumed_at_any_worker_and_across_a_reload_without_news(bed):
    bed.start()
    context = bed.context()
    with bed.connect(context) as sock:
        ask(sock)  # with the answer, the ticket has come
        assert not sock.session_reused
        session = sock.session
    bed.server.control("reload")
    for _ in range(8):  # two workers
        with bed.connect(context, session) as sock:
            assert sock.session_reused
            ask(sock)
            session = sock.session
    bed.wait_for(lambda figures: figures["resumed"] == 8, "eight resumptions")


def test_requests_and_handshakes_are_counted(bed):
    bed.config["server"]["metrics"] = "%s@%d" % (LOOPBACK, free_port())
    bed.start()
    with bed.connect() as sock:
        ask(sock)
        ask(sock)
    with socket.create_connection((LOOPBACK, bed.port), timeout=PATIENCE_S) as plain:
        plain.sendall(b"no TLS at all, no TLS at all")
        while not is_closed_or_alert(plain):
            pass
    bed.wait_for(lambda figures: figures["handshake_failures"] == 1, "failure counted")
    assert bed.figures()["connections"] == 1
    assert bed.server.control("status")["queries"] == {"udp": 0, "tcp": 0, "tls": 2}
    done = subprocess.run([tamis_program("tamis"), "ctl", "-s", bed.server.control_socket, "status"],
                          capture_output=True, text=True, timeout=60, check=True)
    assert "2 TLS" in done.stdout
    with socket.create_connection((LOOPBACK, int(bed.config["server"]["metrics"].split("@")[1])),
                                  timeout=PATIENCE_S) as page:
        page.sendall(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: page.recv(65536), b"")).decode()
    assert "tamisd_requests_total{transport=\"tls\"} 2\n" in text
    assert "tamisd_tls_connections_total 1\n" in text
    assert "tamisd_tls_handshake_failures_total 1\n" in text
    assert "tamisd_tls_certificate_expiry_seconds %d\n" % bed.figures()["certificate_expires_at"] in text


# ---- Clients that do not ----

@pytest.mark.parametrize("octets", [
    b"",
    b"\x16",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\xff\xff" + b"\0" * 200,
    b"\x16\x03\x03\x00\x04\x01\xff\xff\xff",
    b"\x17\x03\x03\x00\x20" + b"\xaa" * 32,
    b"\x15\x03\x03\x00\x02\x01\x00" * 400,
    framed(query()),
    os.urandom(3000),
], ids=["nothing", "an octet", "http", "a long record", "a hello of 16 MB", "data", "alerts", "dns in the clear",
        "random"])
def test_garbage_ends_a_connection_and_nothing_else(bed, octets):
    bed.config["server"]["tcp-idle-timeout"] = "500ms"
    bed.start()
    with bed.connect() as good, socket.create_connection((LOOPBACK, bed.port), timeout=PATIENCE_S) as bad:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            bad.sendall(octets)
        while True:
            ask(good)
            bad.settimeout(0.01)
            try:
                if is_closed_or_alert(bad):
                    break
            except socket.timeout:
                continue
    bed.wait_for(lambda figures: figures["handshake_failures"] == 1, "failure counted")


def is_closed_or_alert(sock):
    """Reads what a server may say to garbage, an alert, until it closes."""
    try:
        octets = sock.recv(100)
    except ConnectionResetError:
        return True
    assert octets == b"" or octets[0] == 0x15, octets
    return octets == b""


def test_a_handshake_that_stops_half_way_ends_at_the_idle_time(bed):
    bed.config["server"]["tcp-idle-timeout"] = "500ms"
    bed.start()
    hello = ssl.MemoryBIO()
    session = bed.context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="ns.example")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    octets = hello.read()
    with socket.create_connection((LOOPBACK, bed.port), timeout=PATIENCE_S) as half, \
            socket.create_connection((LOOPBACK, bed.port), timeout=PATIENCE_S) as whole:
        half.sendall(octets[:len(octets) // 2])
        whole.sendall(octets)
        assert whole.recv(5)[0] == 0x16  # the server has done its part
        assert half.recv(1) == b""
        while whole.recv(4096):
            pass
    bed.wait_for(lambda figures: figures["handshake_failures"] == 2, "both counted")
    with bed.connect() as sock:
        ask(sock)


def test_an_idle_connection_ends_with_tlss_good_bye(bed):
    bed.config["server"]["tcp-idle-timeout"] = "300ms"
    bed.start()
    with bed.connect() as sock:
        ask(sock)
        sock.suppress_ragged_eofs = False  # an end without the good-bye raises
        assert sock.recv(1) == b""


def test_hundreds_of_idle_connections_all_stay_usable(bed):
    bed.config["server"].update({"tcp-clients-per-address": 400, "tcp-idle-timeout": "60s"})
    bed.start()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(bed.connect()) for _ in range(300)]
        assert wire.rcode(wire.ask_or_none(bed.server.place, query(), timeout_s=5)) == 0
        for number, sock in enumerate(socks):
            ask(sock, number)


def test_the_longest_idle_connection_gives_way_to_a_new_one(bed):
    bed.config["server"].update({"workers": 1, "tcp-clients": 10, "tcp-clients-per-address": 100,
                                 "tcp-idle-timeout": "60s"})
    bed.start()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(bed.connect()) for _ in range(12)]
        assert is_closed(socks[0]) and is_closed(socks[1])
        for sock in socks[2:]:
            ask(sock)


def test_udp_answers_while_handshakes_rain(bed):
    bed.config["server"].update({"workers": 1, "tcp-clients-per-address": 1000})
    bed.start()
    stopping = threading.Event()
    done = []

    def rain():
        context = bed.context()
        while not stopping.is_set():
            with contextlib.suppress(OSError), bed.connect(context):
                done.append(1)

    threads = [threading.Thread(target=rain) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        bed.wait_for(lambda figures: figures["connections"] > 20, "the rain")
        for _ in range(2000):
            answer = wire.ask_or_none(bed.server.place, query(), timeout_s=5)
            assert answer is not None and wire.rcode(answer) == 0
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert len(done) > 20


def test_a_stop_answers_what_tls_clients_have_sent(bed):
    bed.start()
    with bed.connect() as sock, bed.connect() as silent, \
            socket.create_connection((LOOPBACK, bed.port), timeout=PATIENCE_S):
        sock.sendall(b"".join(framed(query(number)) for number in range(300)))
        silent.suppress_ragged_eofs = False
        stopper = threading.Thread(target=bed.server.stop)
        stopper.start()
        assert {wire.Message(receive(sock)).id for _ in range(300)} == set(range(300))
        assert silent.recv(1) == b""
        stopper.join()


# ---- Clients that must prove who they are ----

def test_with_an_authority_for_clients_only_their_certificates_are_served(farm):
    bed = Bed(farm)
    clients = Authority(os.path.join(farm.directory, "clients"), "client authority")
    bed.config["server"]["tls"]["client-ca"] = clients.certificate
    bed.start()

    good, foreign = bed.context(), bed.context()
    known = clients.issue("edge.example")
    good.load_cert_chain(known.certificate, known.key)
    stranger = bed.authority.issue("edge.example", "stranger")
    foreign.load_cert_chain(stranger.certificate, stranger.key)

    with bed.connect(good) as sock:
        ask(sock)
        session = sock.session
    with bed.connect(good, session) as sock:
        assert sock.session_reused
        ask(sock)
    for context in (foreign, bed.context()):
        # With TLS 1.3 the client is through before the server has judged it.
        with pytest.raises((ssl.SSLError, ConnectionError, BrokenPipeError)), bed.connect(context) as sock:
            sock.sendall(framed(query()))
            sock.recv(1)
    bed.wait_for(lambda figures: figures["handshake_failures"] == 2, "both counted")
    assert bed.server.control("status")["queries"]["tls"] == 2


# ---- Renewal ----

def common_name(sock):
    return dict(entry[0] for entry in sock.getpeercert()["subject"])["commonName"]


def serial_number(sock):
    return sock.getpeercert()["serialNumber"]


@pytest.mark.parametrize("how", ["reload", "SIGHUP"])
def test_a_renewed_certificate_is_shown_to_new_connections_while_old_ones_go_on(bed, how):
    bed.start()
    context = bed.context()
    with bed.connect(context) as old:
        ask(old)
        before, session = serial_number(old), old.session
        bed.pair.replace_by(bed.authority.issue("ns.example", "renewed"))
        if how == "reload":
            assert bed.server.control("reload")["findings"] == []
        else:
            bed.server.hang_up()
            bed.server.process.wait_until(
                lambda: bed.server.process.log().count("TLS: certificate") == 2, "new certificate")
        with bed.connect(context, session) as new:
            assert not new.session_reused  # a ticket of the old certificate lets nobody in
            assert serial_number(new) != before
            ask(new)
        ask(old)


def spoil(bed, how):
    if how == "no PEM":
        with open(bed.pair.certificate, "w", encoding="utf-8") as file:
            file.write("this is no certificate\n")
        return bed.pair.certificate, "no certificate that can be read"
    if how == "no key":
        with open(bed.pair.key, "w", encoding="utf-8") as file:
            file.write("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        return bed.pair.key, "no private key that can be read"
    if how == "mismatch":
        os.replace(bed.authority.issue("ns.example", "other").certificate, bed.pair.certificate)
        return bed.pair.certificate, "not for the key in " + bed.pair.key
    encrypted_key(bed.pair.key)
    return bed.pair.key, "the key is encrypted"


@pytest.mark.parametrize("how", ["no PEM", "no key", "mismatch", "encrypted"])
def test_a_broken_new_pair_is_named_and_the_old_one_stays(bed, how):
    bed.start()
    with bed.connect() as sock:
        before = serial_number(sock)
    path, reason = spoil(bed, how)
    with open(bed.zone, "a", encoding="utf-8") as file:
        file.write("new A 192.0.2.1\n")
    result = bed.server.control("reload")
    finding, = result["findings"]
    assert finding["file"] == path and reason in finding["text"]
    assert "goes on with the certificate that it has" in finding["text"]
    with bed.connect() as sock:
        assert serial_number(sock) == before
        sock.sendall(framed(query(1, "new.a.example")))  # the rest of the reload took place
        assert len(wire.Message(receive(sock)).answer) == 1


def test_a_key_that_is_gone_refuses_the_reload_by_line(bed):
    bed.start()
    os.remove(bed.pair.key)
    done = bed.server.ctl("reload")
    assert done.returncode == 1
    assert "tamisd.yaml:" in done.stderr and "private key" in done.stderr
    with bed.connect() as sock:
        ask(sock)


@pytest.mark.parametrize("how", ["no PEM", "no key", "mismatch", "encrypted"])
def test_a_broken_pair_stops_the_start_and_the_check_with_its_file(bed, how):
    path, reason = spoil(bed, how)
    server = bed.farm.tamisd_unstarted()
    with pytest.raises(AssertionError) as failure:
        server.start(bed.config)
    assert "%s: " % path in str(failure.value) and reason in str(failure.value)
    done = check(server)
    assert done.returncode == 1
    assert "%s: " % path in done.stderr and reason in done.stderr
    server.process = None


def check(server):
    return subprocess.run([tamis_program("tamisd"), "-c", server.path("tamisd.yaml"), "--check"],
                          capture_output=True, text=True, timeout=60, check=False)


def test_a_key_that_everyone_may_read_is_a_warning_at_start_reload_and_check(bed):
    os.chmod(bed.pair.key, 0o644)
    bed.start()
    warning = "%s: every user of this system may read" % bed.pair.key
    assert warning in bed.server.process.log()
    assert warning in check(bed.server).stderr
    note, = bed.server.control("reload")["notes"]
    assert note["file"] == bed.pair.key and "chmod o=" in note["text"]
    os.chmod(bed.pair.key, 0o640)
    assert bed.server.control("reload")["notes"] == []
    assert warning not in check(bed.server).stderr


def test_an_expired_certificate_is_served_with_a_warning(bed):
    bed.pair.replace_by(bed.authority.issue("ns.example", "expired", days=-1))
    bed.start()
    assert "%s: the certificate has expired at " % bed.pair.certificate in bed.server.process.log()
    assert "has expired" in check(bed.server).stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a client that does not look, RFC 7858, 4.1
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with bed.connect(context) as sock:
        ask(sock)
