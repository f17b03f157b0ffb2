"""What clients may do to the desk's HTTP: bounds, wrong requests, proxies, and an end in order."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from testbed.certificates import Authority
from testbed.desk import PASSWORD
from testbed.process import LOOPBACK

ALWAYS = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'",
          "x-content-type-options": "nosniff", "cache-control": "no-store",
          "referrer-policy": "no-referrer"}


@pytest.fixture
def serving(desk_sqlite):
    return desk_sqlite.start()


def connect(desk):
    return socket.create_connection((LOOPBACK, desk.port), timeout=60)


def read_all(connection):
    octets = b""
    while True:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return octets
        if not more:
            return octets
        octets += more


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/v1/account", "/nowhere"])
def test_every_answer_bears_the_headers_that_keep_a_browser_quiet(serving, path):
    reply = serving.client().get(path)
    for name, value in ALWAYS.items():
        assert reply.header(name) == value


def test_methods_that_a_path_does_not_take_are_named(serving):
    client = serving.client()
    reply = client.ask("PUT", "/v1/account", check=False)
    assert reply.status == 405 and reply.header("allow") == "DELETE, GET, HEAD, PATCH, OPTIONS"
    reply = client.ask("OPTIONS", "/v1/password-resets", check=False)
    assert reply.status == 204 and reply.header("allow") == "POST, OPTIONS"
    reply = client.ask("HEAD", "/healthz")
    assert reply.status == 200 and reply.body == b""


def test_a_body_beyond_the_bound_of_its_route_is_refused(serving):
    client = serving.client()
    long = json.dumps({"email": "a@a.example", "password": "x" * 100000})
    reply = client.post("/v1/sessions", body=long, headers={"Content-Type": "application/json"})
    assert reply.status == 413
    # Without a length it shows only on the way.
    reply = client.post("/v1/sessions", body=iter([long.encode()]),
                        headers={"Content-Type": "application/json"})
    assert reply.status == 413


def test_a_header_beyond_the_bound_is_refused(serving):
    with connect(serving) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 100000)
        assert read_all(connection).split(b" ")[1] in (b"400", b"413", b"431")
    assert serving.client().get("/healthz").status == 200


@pytest.mark.parametrize("body,pointer", [
    ("[" * 10000, ""), ('{"a":' * 40 + "1" + "}" * 40, ""), ("{", ""), ('{"email":"a","email":"b"}', ""),
    ("[]", ""), ("", ""), ('{"email":"a@a.example","password":"a\\u0000b"}', ""),
    ('{"email":1,"password":"x"}', "/email"), ('{"email":"a\\u0007@a.example"}', "/email"),
    ('{"email":"a@a.example"}', "/password"),
    ('{"email":"a@a.example","password":"x","passwort":"x"}', "/passwort"),
], ids=lambda value: value[:20] if value else "empty")
def test_json_that_is_wrong_is_refused_with_the_place(serving, body, pointer):
    body = body[:4096]
    reply = serving.client().post("/v1/sessions", body=body,
                                  headers={"Content-Type": "application/json"})
    assert reply.status == 400 and reply.json["pointer"] == pointer, reply.text


def test_a_body_of_another_type_is_refused(serving):
    reply = serving.client().post("/v1/sessions", body="{}", headers={"Content-Type": "text/plain"})
    assert reply.status == 415


@pytest.mark.parametrize("path", ["/v1/%2e%2e/account", "/v1/../healthz", "//healthz", "/healthz/",
                                  "/%00", "/healthz%00", "/.well-known/../../etc/passwd"])
def test_a_path_leads_nowhere_but_to_its_route(serving, path):
    reply = serving.client().get(path, check=False)
    assert reply.status in (400, 404)


def test_a_client_that_says_nothing_or_an_octet_at_a_time_is_cut_off(desk_sqlite):
    desk = desk_sqlite.start({"http": {"timeout": 1}})
    with connect(desk) as silent, connect(desk) as slow:
        ended = threading.Event()

        def drip():
            slow.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            try:
                while not ended.wait(0.2):
                    slow.sendall(b"x")
            except OSError:
                pass

        thread = threading.Thread(target=drip)
        thread.start()
        read_all(silent)
        read_all(slow)
        ended.set()
        thread.join()
    assert desk.client().get("/healthz").status == 200


def test_connections_of_one_address_are_bounded(desk_sqlite):
    desk = desk_sqlite.start({"http": {"connections-per-address-max": 3}})
    kept = [connect(desk) for _ in range(3)]
    for connection in kept:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    with connect(desk) as beyond:
        try:
            beyond.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_all(beyond) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass
    for connection in kept:
        connection.close()


def client_seen(desk, headers):
    """The address that the audit trail has of a sign-in."""
    email = "seen@customers.example"
    if not desk.sql("SELECT id FROM accounts"):
        desk.add_account("customer", email)
    reply = desk.client().post("/v1/sessions", {"email": email, "password": PASSWORD}, headers=headers)
    assert reply.status == 201
    return desk.sql("SELECT client FROM audit WHERE action = 'session.create' "
                    "ORDER BY at DESC, id DESC LIMIT 1").strip()


def test_a_proxy_is_believed_only_when_it_is_trusted(desk_sqlite):
    desk = desk_sqlite.start()
    assert client_seen(desk, {"X-Forwarded-For": "192.0.2.1"}) == LOOPBACK
    desk.stop()
    desk.start({"http": {"trusted-proxies": ["127.0.0.1", "198.51.100.0/24"]}})
    for headers, seen in [
            ({"X-Forwarded-For": "192.0.2.1"}, "192.0.2.1"),
            # What stands before the first that is not trusted anybody may have written.
            ({"X-Forwarded-For": "203.0.113.9, 192.0.2.1, 198.51.100.7"}, "192.0.2.1"),
            ({"X-Forwarded-For": "192.0.2.1, nonsense"}, LOOPBACK),
            ({"Forwarded": 'proto=https;for="[2001:db8::1]:4711"'}, "2001:db8::1"),
            ({"Forwarded": "for=192.0.2.3;by=192.0.2.4"}, "192.0.2.3")]:
        assert client_seen(desk, headers) == seen, headers


def test_a_post_with_a_key_is_done_once(desk):
    client = desk.client()
    email = desk.add_account("customer")
    sessions = "SELECT COUNT(*) FROM sessions"
    body = {"email": email, "password": PASSWORD}
    assert client.post("/v1/sessions", body, headers={"Idempotency-Key": "k"}).status == 201
    again = client.post("/v1/sessions", body, headers={"Idempotency-Key": "k"})
    # A cookie is never kept to be told again.
    assert again.status == 409 and again.json["type"] == "/problems/already-done"
    assert desk.sql(sessions).strip() == "1"
    assert client.post("/v1/sessions", body, headers={"Idempotency-Key": "other"}).status == 201
    assert desk.sql(sessions).strip() == "2"


def test_an_end_answers_what_was_asked(serving):
    email = serving.add_account("customer")
    serving.description()
    connection = http.client.HTTPConnection(LOOPBACK, serving.port, timeout=60)
    # Its head has arrived, its body not: the request is open when the end begins.
    connection.putrequest("POST", "/v1/sessions")
    body = json.dumps({"email": email, "password": PASSWORD}).encode()
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    figure = "tamis_desk_connections 2"
    serving.process.wait_until(lambda: figure in serving.client().get("/metrics").text, figure)
    serving.process.signal(signal.SIGTERM)
    serving.process.wait_until(lambda: "ending" in serving.process.log(), "end")
    connection.send(body[10:])
    assert connection.getresponse().status == 201
    assert serving.process.process.wait(30) == 0


def test_many_at_once_are_all_answered(desk_sqlite):
    desk = desk_sqlite.start({"http": {"workers": 2, "queue-max": 4}})
    desk.description()
    replies = []

    def ask():
        for _ in range(10):
            replies.append(desk.client().get("/healthz").status)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 200 and set(replies) <= {200, 503} and 200 in replies


@pytest.mark.parametrize("path", ["/nic/update", "/v1/account"])
@pytest.mark.parametrize("count", [127, 128, 129, 256])
def test_requests_that_arrive_all_at_once_are_all_answered(serving, path, count):
    """The library hands out 128 events at a time; a full batch must not wait for one more."""
    connections = [connect(serving) for _ in range(count)]
    request = b"GET %s HTTP/1.1\r\nHost: desk.example\r\n\r\n" % path.encode()
    for _ in range(5):
        os.kill(serving.process.process.pid, signal.SIGSTOP)
        for connection in connections:
            connection.sendall(request)
        os.kill(serving.process.process.pid, signal.SIGCONT)
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 4"), "closed without an answer"
    for connection in connections:
        connection.close()


# ---- TLS ----

@pytest.fixture
def encrypted(desk_sqlite, tmp_path):
    authority = Authority(str(tmp_path))
    pair = authority.issue("desk.example")
    desk = desk_sqlite.start({"http": {"tls": {"certificate": pair.certificate, "key": pair.key}, "timeout": 60,
                                       "base": "https://desk.example"}})
    return desk, ssl.create_default_context(cafile=authority.certificate)


def tls_connect(desk, context):
    return context.wrap_socket(connect(desk), server_hostname="desk.example")


def test_requests_over_tls_are_kept_alive_and_told_to_stay_encrypted(encrypted):
    with tls_connect(*encrypted) as connection:
        for _ in range(3):
            connection.sendall(b"GET /v1/account HTTP/1.1\r\nHost: desk.example\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 401 and answer.read()
            assert answer.getheader("Strict-Transport-Security") == "max-age=31536000"


def test_many_requests_over_tls_at_once_are_all_answered(encrypted):
    connections = [tls_connect(*encrypted) for _ in range(128)]
    pid = encrypted[0].process.process.pid
    os.kill(pid, signal.SIGSTOP)
    for connection in connections:
        connection.sendall(b"GET /v1/account HTTP/1.1\r\nHost: desk.example\r\n\r\n")
    os.kill(pid, signal.SIGCONT)
    for connection in connections:
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")
        connection.close()


def test_who_does_not_speak_tls_gets_no_answer_and_keeps_nobody_out(encrypted):
    desk, context = encrypted
    desk.stop()
    desk.start({"http": {"timeout": 2}})
    with connect(desk) as plain, connect(desk) as silent:
        plain.sendall(b"GET /v1/account HTTP/1.1\r\nHost: desk.example\r\n\r\n")
        assert b"HTTP" not in read_all(plain)
        assert b"HTTP" not in read_all(silent)
    old = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (LOOPBACK, desk.port), "-tls1_1", "-cipher",
                          "ALL@SECLEVEL=0"], stdin=subprocess.DEVNULL, check=False, capture_output=True, timeout=60)
    assert old.returncode != 0 and b"Cipher is (NONE)" in old.stdout
    with tls_connect(desk, context) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: desk.example\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_certificate_that_does_not_fit_its_key_is_an_error(desk_sqlite, tmp_path):
    authority = Authority(str(tmp_path))
    one, other = authority.issue("desk.example"), authority.issue("other.example")
    path = desk_sqlite.write_config({"http": {"tls": {"certificate": one.certificate, "key": other.key}}})
    done = subprocess.run([*desk_sqlite.program, "-c", path], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "certificate" in done.stderr and "key" in done.stderr


# ---- Large bodies ----

MIB = 1 << 20


def figure(desk, name):
    return int(dict(line.split() for line in desk.client().get("/metrics").text.splitlines()
                    if not line.startswith("#"))[name])


def begin(desk, path, size, sent, *headers, content_type="application/json"):
    """Sends the head of a request and a part of its body."""
    connection = connect(desk)
    head = ["POST %s HTTP/1.1" % path, "Host: x", "Content-Type: " + content_type, "Content-Length: %d" % size,
            *headers]
    connection.sendall("\r\n".join(head + ["", ""]).encode() + b" " * sent)
    return connection


def status_of(connection):
    return int(read_all(connection).split()[1])


def test_a_large_body_of_a_stranger_is_not_read_where_one_has_to_sign_in(serving):
    with begin(serving, "/v1/reports/bulk", 4 * MIB, 0, content_type="text/csv") as connection:
        assert status_of(connection) == 401
    # In chunks its size is not known before; what is beyond 64 KiB is dropped.
    client = http.client.HTTPConnection(LOOPBACK, serving.port, timeout=60)
    client.request("POST", "/v1/reports/bulk", iter([b" " * 65536] * 16), {"Content-Type": "text/csv"},
                   encode_chunked=True)
    assert client.getresponse().status == 401


def test_a_token_is_checked_before_a_large_body_is_held(serving):
    connections = [begin(serving, "/v1/reports/bulk", 4 * MIB, 4 * MIB - 1, "Authorization: Bearer tms_" + "x" * 43,
                         "Connection: close", content_type="text/csv") for _ in range(10)]
    serving.process.wait_until(lambda: figure(serving, "tamis_desk_large_body_octets") == 0, "nothing held")
    assert figure(serving, "tamis_desk_answers_total{class=\"4xx\"}") == 0  # all of them are still at it
    for connection in connections:
        with connection:
            connection.sendall(b" ")
            assert status_of(connection) == 401


def test_large_bodies_of_strangers_are_bounded_and_keep_nobody_else_out(desk_sqlite):
    desk = desk_sqlite.start({"http": {"bodies-mib-max": 34}})
    reporter = desk.signed_in("reporter")
    desk.signed_in("operator").patch("/v1/reporters/" + reporter.account, {"trusted": True})
    first = begin(desk, "/v1/reports", 12 * MIB, 12 * MIB - 1, "Connection: close")
    desk.process.wait_until(lambda: figure(desk, "tamis_desk_large_body_octets") >= 12 * MIB, "the first body")
    with begin(desk, "/v1/reports", 12 * MIB, 12 * MIB, "Connection: close") as second:
        answer = read_all(second)
        assert int(answer.split()[1]) == 503 and b"Retry-After" in answer
    assert figure(desk, "tamis_desk_refused_bodies_full_total") == 1
    lines = b"name,class\n" + b"".join(b"h%d.dyn.example,spam,%s\n" % (number, b"x" * 1000) for number in range(900))
    reply = reporter.ask("POST", "/v1/reports/bulk", body=lines.replace(b"name,class", b"name,class,description"),
                         headers={"Content-Type": "text/csv"})
    assert reply.status == 200 and reply.json["taken"] == 900, reply.text
    with first:
        first.sendall(b" ")
        assert status_of(first) == 400
    desk.process.wait_until(lambda: figure(desk, "tamis_desk_large_body_octets") == 0, "all let go")
