"""What attackers of accounts try: finding out who has one, guessing, replaying, forging, flooding."""

import statistics
import threading
import time

import pytest

from testbed.accounts import add_second_factor, mails, sign_up, totp, wait_for_mails
from testbed.desk import PASSWORD
from testbed.process import LOOPBACK

HOSTILE = "x'; DROP TABLE accounts; -- \" ` % _ $1 \\ <script>alert(1)</script>"


def guess(desk, email, password="a wrong password", address="192.0.2.1", **more):
    return desk.client().post("/v1/sessions", {"email": email, "password": password, **more},
                              headers={"X-Forwarded-For": address})


@pytest.fixture
def proxied(desk_sqlite):
    """A desk whose clients come from the address that they say."""
    return desk_sqlite.start({"http": {"trusted-proxies": [LOOPBACK]}})


def shown(reply):
    """All that a client sees, without what is of the moment."""
    return reply.status, reply.body, sorted((key.lower(), value) for key, value in reply.headers
                                            if key.lower() != "date")


# ---- Enumeration ----

def test_no_answer_tells_who_has_an_account(proxied):
    sign_up(proxied, "ada@customers.example")
    proxied.client().post("/v1/accounts", {"email": "waits@customers.example"})
    wait_for_mails(proxied, "waits@customers.example", 1)
    for path in ("/v1/accounts", "/v1/password-resets"):
        replies = [proxied.client().post(path, {"email": name + "@customers.example"})
                   for name in ("ada", "waits", "nobody")]
        assert replies[0].status == 202
        assert len({str(shown(reply)) for reply in replies}) == 1
    replies = [guess(proxied, name + "@customers.example", address="192.0.2.%d" % i)
               for i, name in enumerate(("ada", "waits", "nobody"))]
    assert replies[0].status == 401 and len({str(shown(reply)) for reply in replies}) == 1


def test_an_address_without_an_account_gets_no_mail_but_the_one_to_sign_up(desk):
    sign_up(desk, "ada@customers.example")
    desk.client().post("/v1/password-resets", {"email": "nobody@customers.example"})
    desk.client().post("/v1/accounts", {"email": "ada@customers.example"})
    told = wait_for_mails(desk, "ada@customers.example", 2)[-1]
    assert told["subject"] == "You have an account already"
    assert mails(desk, "nobody@customers.example") == []


@pytest.mark.timed
def test_the_time_of_a_sign_in_does_not_tell_who_has_an_account(proxied):
    """A reset looks nothing up before it answers; a sign-in has to."""
    sign_up(proxied, "ada@customers.example")
    times = {"ada": [], "nobody": []}
    for i in range(9):
        for name, taken in times.items():
            begun = time.monotonic()
            reply = guess(proxied, name + "@customers.example", address="192.0.2.%d" % i)
            taken.append(time.monotonic() - begun)
            assert reply.status == 401
    # Without the work for nobody one would be fifty times as fast as the other.
    assert 1 / 3 < statistics.median(times["ada"]) / statistics.median(times["nobody"]) < 3


def test_mails_to_one_address_are_bounded_and_nobody_is_told(proxied):
    for i in range(8):
        reply = proxied.client().post("/v1/accounts", {"email": "ada@customers.example"},
                                      headers={"X-Forwarded-For": "192.0.2.%d" % i})
        assert reply.status == 202
    wait_for_mails(proxied, "ada@customers.example", 3)
    proxied.process.wait_until(
        lambda: proxied.sql("SELECT COUNT(*) FROM outbox WHERE kind = 'account'").strip() == "0", "done")
    assert len(mails(proxied, "ada@customers.example")) == 3


def test_mails_that_one_client_causes_are_bounded(proxied):
    statuses = [proxied.client().post("/v1/accounts", {"email": "n%d@customers.example" % i},
                                      headers={"X-Forwarded-For": "192.0.2.1"}).status
                for i in range(22)]
    assert statuses.count(202) == 20 and statuses[-1] == 429


# ---- Guessing ----

def test_guesses_at_an_account_are_bounded_whether_or_not_there_is_one(proxied):
    sign_up(proxied, "ada@customers.example")
    for email in ("ada@customers.example", "nobody@customers.example"):
        statuses = [guess(proxied, email).status for _ in range(11)]
        assert statuses == [401] * 10 + [429]
    reply = guess(proxied, "ada@customers.example", PASSWORD)
    assert reply.status == 429 and int(reply.header("retry-after")) > 0
    # Its owner, elsewhere, is not kept out.
    assert guess(proxied, "ada@customers.example", PASSWORD, "198.51.100.1").status == 201


def test_who_knows_the_password_is_never_counted(proxied):
    sign_up(proxied, "ada@customers.example")
    for _ in range(12):
        assert guess(proxied, "ada@customers.example", PASSWORD).status == 201


def test_an_ipv6_prefix_is_one_client(proxied):
    statuses = [guess(proxied, "ada@customers.example", address="2001:db8::%x" % i).status
                for i in range(1, 12)]
    assert statuses[-1] == 429
    assert guess(proxied, "ada@customers.example", address="2001:db8:0:1::1").status == 401


def test_guesses_at_once_are_all_counted(desk_sqlite):
    proxied = desk_sqlite.start({"http": {"trusted-proxies": [LOOPBACK], "workers": 32}})
    sign_up(proxied, "ada@customers.example")
    statuses = []
    threads = [threading.Thread(
        target=lambda: statuses.append(guess(proxied, "ada@customers.example").status)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 10 + [429] * 10


def test_codes_are_bounded_for_who_has_the_password(proxied):
    secret, _ = add_second_factor(sign_up(proxied, "ada@customers.example"))
    wrong = "%06d" % ((int(totp(secret)) + 500000) % 1000000)
    statuses = [guess(proxied, "ada@customers.example", PASSWORD, "192.0.2.%d" % i, code=wrong).status
                for i in range(6)]
    assert statuses == [401] * 5 + [429]
    right = guess(proxied, "ada@customers.example", PASSWORD, "192.0.2.9", code=totp(secret, 1))
    assert right.status == 429


def test_guesses_in_a_stolen_session_are_bounded(desk_sqlite):
    client = sign_up(desk_sqlite.start(), "ada@customers.example")
    statuses = [client.put("/v1/account/password", {"current": "a wrong one", "password": PASSWORD}).status
                for _ in range(11)]
    assert statuses == [403] * 10 + [429]


def peak_kib(desk):
    with open("/proc/%d/status" % desk.process.process.pid, encoding="utf-8") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1])


def test_a_flood_of_sign_ins_takes_neither_the_memory_nor_the_workers(desk_sqlite):
    desk = desk_sqlite.start({"http": {"trusted-proxies": [LOOPBACK], "workers": 16, "queue-max": 500}})
    desk.description()
    before, statuses = peak_kib(desk), []
    threads = [threading.Thread(target=lambda i=i: statuses.append(
        guess(desk, "n%d@customers.example" % i, address="192.0.2.%d" % i).status)) for i in range(48)]
    for thread in threads:
        thread.start()
    assert desk.client().get("/healthz").status == 200
    for thread in threads:
        thread.join()
    assert set(statuses) <= {401, 503} and 401 in statuses
    # Sixteen at once would be a gibibyte; half of the workers are the most that hash.
    assert peak_kib(desk) - before < 10 * 65536


# ---- Forging ----

def test_no_change_of_an_account_is_made_without_the_csrf_token(desk_sqlite):
    desk = desk_sqlite.start()
    client = desk.signed_in("operator")
    client.csrf = ""
    paths = [route for route in desk.routes() if route["method"] != "GET" and
             route["path"].startswith(("/v1/account", "/v1/sessions", "/v1/tokens", "/v1/password"))]
    assert len(paths) > 12
    for route in paths:
        reply = client.ask(route["method"], route["path"].replace("{id}", "x"),
                           {} if route["body_max"] else None)
        assert reply.status == 403 and reply.json["type"] == "/problems/csrf", route
    assert client.get("/v1/account").status == 200


def test_the_cookie_is_kept_from_scripts_and_other_sites(desk_sqlite):
    desk = desk_sqlite.start()
    email = desk.add_account("customer")
    cookie = desk.client().post("/v1/sessions", {"email": email, "password": PASSWORD}).header("set-cookie")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Domain" not in cookie
    desk.stop()
    desk.start({"http": {"insecure-cookies": False}})
    cookie = desk.client().post("/v1/sessions", {"email": email, "password": PASSWORD}).header("set-cookie")
    assert cookie.startswith("__Host-tamis=") and "Secure" in cookie and "Path=/" in cookie


# ---- What is sent ----

def test_sql_and_markup_in_any_place_are_texts(desk):
    operator = desk.signed_in("operator")
    hostile_email = "o'brien\"%_$1@customers.example"
    places = [
        ("POST", "/v1/accounts", {"email": HOSTILE}, 400),
        ("POST", "/v1/accounts", {"email": "a@a.example", "language": HOSTILE}, 400),
        ("POST", "/v1/accounts/confirmations", {"token": HOSTILE[:44], "password": HOSTILE}, 403),
        ("POST", "/v1/password-resets", {"email": HOSTILE}, 400),
        ("POST", "/v1/sessions", {"email": HOSTILE, "password": HOSTILE}, 401),
        ("POST", "/v1/sessions", {"email": "operator@staff.example' --", "password": PASSWORD}, 401),
        ("POST", "/v1/tokens", {"label": HOSTILE, "scopes": [HOSTILE]}, 400),
        ("POST", "/v1/tokens", {"label": HOSTILE, "scopes": ["account:read"]}, 201),
        ("PATCH", "/v1/account", {"language": HOSTILE}, 400),
        ("PUT", "/v1/account/password", {"current": HOSTILE, "password": HOSTILE}, 403),
        ("DELETE", "/v1/tokens/x'%20OR%20'1'='1", None, 404),
        ("DELETE", "/v1/sessions/x'%20OR%20'1'='1", None, 404),
        ("GET", "/v1/accounts/x'%20OR%20'1'='1", None, 404),
        ("GET", "/v1/accounts?role=x'%20OR%20'1'='1", None, 200),
        ("GET", "/v1/accounts?cursor=x'%20OR%20'1'='1", None, 200),
        ("PATCH", "/v1/accounts/x'%20OR%20'1'='1", {"plan": "free"}, 404),
    ]
    for method, path, body, status in places:
        reply = operator.ask(method, path, body)
        assert reply.status == status, "%s %s: %s" % (method, path, reply.text)
    assert operator.get("/v1/tokens").json["items"][0]["label"] == HOSTILE
    # An address may hold what SQL would take for its own.
    client = sign_up(desk, hostile_email.replace('"', ""), password=HOSTILE)
    assert client.get("/v1/account").json["email"] == hostile_email.replace('"', "")
    assert operator.get("/v1/account").status == 200


@pytest.mark.parametrize("path,body,status", [
    ("/v1/sessions", {"email": "a@a.example", "password": "x" * 1001}, 400),
    ("/v1/sessions", {"email": "x" * 255, "password": "x"}, 400),
    ("/v1/sessions", {"email": "a@a.example", "password": "x", "code": "1" * 33}, 400),
    ("/v1/sessions", {"email": "a@a.example", "password": "x" * 5000}, 413),
    ("/v1/accounts", {"email": "x" * 65 + "@a.example"}, 400),
    ("/v1/accounts", {"email": "a@a.example\r\nBcc: b@b.example"}, 400),
    ("/v1/accounts", {"email": "a@a.example", "language": "x" * 36}, 400),
    ("/v1/accounts", {"email": ["a@a.example"]}, 400),
    ("/v1/accounts/confirmations", {"token": "x" * 45, "password": PASSWORD}, 400),
    ("/v1/password-resets", {"email": {"a": {"b": {}}}}, 400),
])
def test_what_is_too_long_or_of_another_kind_is_refused(serving_once, path, body, status):
    assert serving_once.client().post(path, body).status == status


@pytest.fixture(scope="module")
def serving_once(tmp_path_factory):
    """One for all of what is refused before it does anything."""
    from testbed.desk import Desk
    made = Desk(str(tmp_path_factory.mktemp("once") / "desk"))
    yield made.start()
    made.stop()


def test_sign_ins_are_counted_by_what_came_of_them(proxied):
    client = sign_up(proxied, "ada@customers.example")
    secret, _ = add_second_factor(client)

    def counted():
        lines = proxied.client().get("/metrics").text.splitlines()
        return {line.split('"')[1]: int(line.split()[1]) for line in lines
                if line.startswith("tamis_desk_sign_ins_total")}

    before = counted()
    guess(proxied, "ada@customers.example")
    guess(proxied, "nobody@customers.example")
    guess(proxied, "ada@customers.example", PASSWORD)
    guess(proxied, "ada@customers.example", PASSWORD, code="%06d" % ((int(totp(secret)) + 500000) % 1000000))
    assert guess(proxied, "ada@customers.example", PASSWORD, code=totp(secret, 1)).status == 201
    after = counted()
    assert {key: after[key] - before[key] for key in after} == {
        "done": 1, "code-asked": 1, "wrong-password": 2, "wrong-code": 1, "limited": 0}
    limited = 0
    while limited == 0:
        limited = guess(proxied, "ada@customers.example").status == 429
    assert counted()["limited"] == 1
