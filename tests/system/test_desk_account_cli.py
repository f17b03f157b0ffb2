"""`tamis account`: what people do with accounts from the command line, and the client that all such commands use."""

import http.server
import json
import os
import stat
import subprocess
import threading

import pytest

from testbed.accounts import add_second_factor, sign_up, token_of, totp, wait_for_mails
from testbed.desk import PASSWORD
from testbed.process import LOOPBACK, free_port
from testbed.servers import tamis_program


class Person:
    """Somebody at a shell of their own, with a home of their own."""

    def __init__(self, desk, home):
        self.desk, self.home = desk, str(home)
        self.url = "http://%s:%d" % (LOOPBACK, desk.port)
        self.variables = {}

    def run(self, *words, lines=(), check=True):
        environment = {"HOME": self.home, "PATH": os.environ["PATH"], **self.variables}
        result = subprocess.run([tamis_program("tamis"), "account", *words], env=environment, check=False,
                                input="".join(line + "\n" for line in lines), capture_output=True,
                                text=True)
        assert not check or result.returncode == 0, result.stderr
        return result

    def login(self, email, *more):
        return self.run("login", "--desk", self.url, email, lines=(PASSWORD, *more))

    def json(self, *words, lines=()):
        return json.loads(self.run(*words, "--json", lines=lines).stdout)


@pytest.fixture
def person(desk_sqlite, tmp_path):
    return Person(desk_sqlite.start(), tmp_path)


@pytest.fixture
def operator(person):
    person.login(person.desk.add_account("operator"))
    return person


def test_from_sign_up_to_deletion(person):
    person.run("create", "--desk", person.url, "ada@customers.example")
    token = token_of(wait_for_mails(person.desk, "ada@customers.example", 1)[0])
    person.run("confirm", "--desk", person.url, lines=(token, PASSWORD))
    assert "Signed in" in person.login("ada@customers.example").stdout
    assert person.json("show")["email"] == "ada@customers.example"
    shown = person.run("show").stdout
    assert "ada@customers.example" in shown and "customer" in shown
    person.run("export", "--output", person.home + "/mine.json")
    with open(person.home + "/mine.json", encoding="utf-8") as file:
        assert json.load(file)["account"]["email"] == "ada@customers.example"
    assert stat.S_IMODE(os.stat(person.home + "/mine.json").st_mode) == 0o600
    wrong = person.run("delete", lines=("not the password",), check=False)
    assert wrong.returncode == 1 and "do not belong together" in wrong.stderr
    person.run("delete", lines=(PASSWORD,))
    assert person.run("show", check=False).returncode == 1


def test_a_login_keeps_a_token_that_nobody_else_can_read(person):
    sign_up(person.desk, "ada@customers.example")
    person.login("ada@customers.example", )
    folder = person.home + "/.config/tamis/"
    for name in ("desk.yaml", "desk.token"):
        assert stat.S_IMODE(os.stat(folder + name).st_mode) == 0o600
    # The session in which it was made has ended.
    assert person.desk.sql("SELECT COUNT(*) FROM sessions").strip() == "1"
    os.chmod(folder + "desk.token", 0o644)
    refused = person.run("show", check=False)
    assert refused.returncode == 1 and "chmod 600" in refused.stderr
    # It is for the desk that it was made by, and for no other.
    os.chmod(folder + "desk.token", 0o600)
    other = person.run("show", "--desk", "http://localhost:%d" % person.desk.port, check=False)
    assert other.returncode == 1 and "tamis account login" in other.stderr


def test_a_login_asks_for_a_code_where_one_is_needed(person):
    secret, codes = add_second_factor(sign_up(person.desk, "ada@customers.example"))
    without = person.run("login", "--desk", person.url, "ada@customers.example", lines=(PASSWORD,),
                         check=False)
    assert without.returncode == 1 and "code of the authenticator is needed" in without.stderr
    person.login("ada@customers.example", totp(secret, 1))
    person.run("delete", lines=(PASSWORD, codes[0], codes[1]))


def test_staff_finds_suspends_and_gives_roles(operator):
    customer = sign_up(operator.desk, "ada@customers.example").account
    listed = operator.run("list", "--role", "customer").stdout.splitlines()
    assert listed[0].split() == ["ID", "ADDRESS", "ROLE", "STATE", "PLAN", "SINCE"]
    assert listed[1].split()[:2] == [customer, "ada@customers.example"] and len(listed) == 2
    assert operator.json("suspend", customer, "--reason", "phishing")["state"] == "suspended"
    assert operator.json("list", "--state", "suspended")[0]["state_reason"] == "phishing"
    assert operator.json("reinstate", customer)["state"] == "active"
    assert operator.json("plan", customer, "free")["plan"] == "free"
    assert operator.json("role", customer, "analyst")["role"] == "analyst"
    assert operator.json("delete", customer)["state"] == "closed"
    for words, text in [(("role", customer, "analyst"), "no such account"),
                        (("role", "x y?z#%", "analyst"), "no such account"),
                        (("suspend", customer), '/reason: "reason" is missing: add it'),
                        (("role", customer, "king"), '"role" is not a known word')]:
        refused = operator.run(*words, check=False)
        assert refused.returncode == 1 and text in refused.stderr, refused.stderr


def test_all_pages_of_a_list_are_shown(operator):
    operator.desk.sql("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 450) "
                      "INSERT INTO accounts (id, email, role, state, language, created_at, updated_at) "
                      "SELECT 'acc_' || i, i || '@a.example', 'partner', 'active', 'en', 4102444800, 1 FROM n")
    assert len({entry["id"] for entry in operator.json("list", "--role", "partner")}) == 450


def test_tokens_are_made_listed_and_ended(operator):
    made = operator.json("token", "create", "--label", "cron", "--scopes", "account:read", "--days", "2",
                         lines=(PASSWORD,))
    listed = operator.run("token", "list", lines=(PASSWORD,)).stdout
    assert "cron" in listed and made["token"] not in listed
    # As a program has it: from the environment, or from a file.
    other = Person(operator.desk, operator.home + "/elsewhere")
    other.variables = {"TAMIS_DESK": other.url, "TAMIS_DESK_TOKEN": made["token"]}
    assert other.json("show")["role"] == "operator"
    refused = other.run("list", check=False)
    assert refused.returncode == 1 and "the token may not do this" in refused.stderr
    with open(operator.home + "/token", "w", encoding="utf-8",
              opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(made["token"] + "\n")
    other.variables = {"TAMIS_DESK": other.url}
    assert other.json("show", "--token-file", operator.home + "/token")["role"] == "operator"
    operator.run("token", "delete", made["id"], lines=(PASSWORD,))
    ended = other.run("show", "--token-file", operator.home + "/token", check=False)
    assert ended.returncode == 1 and "token is not valid" in ended.stderr


@pytest.mark.parametrize("words,text", [
    (("show",), "no desk is named"),
    (("show", "--desk", "desk.example"), "is no address of a desk"),
    (("show", "--desk", "http://desk.example"), "in the clear"),
    (("show", "--desk", "http://127.0.0.1.desk.example"), "in the clear"),
    (("show", "--desk", "http://[::1].desk.example"), "in the clear"),
    (("show", "--desk", "https://ada@desk.example"), "before the @"),
    (("show", "--desk", "http://127.0.0.1:1"), "cannot be reached"),
    (("show", "--desk", "http://127.0.0.1:1", "--token-file", "/nowhere"), "/nowhere"),
])
def test_what_is_wrong_is_said_with_its_remedy(tmp_path, words, text):
    result = subprocess.run([tamis_program("tamis"), "account", *words], env={"HOME": str(tmp_path)},
                            capture_output=True, text=True, check=False)
    assert result.returncode == 1 and text in result.stderr, result.stderr


@pytest.mark.parametrize("words", [("show", "a", "b"), ("role", "a"), ("show", "--reason", "x"), ("list", "--roll"),
                                   ("token", "create", "--days", "0"), ("token", "create", "--days")])
def test_wrong_use_is_exit_code_two(tmp_path, words):
    result = subprocess.run([tamis_program("tamis"), "account", *words], env={"HOME": str(tmp_path)},
                            capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "--help" in result.stderr


class Strange(http.server.BaseHTTPRequestHandler):
    """A server that is no desk."""

    answers = {
        "/page": (200, "text/html", b"<html>"), "/broken": (200, "application/json", b"{"),
        "/moved": (302, "text/html", b""), "/error": (500, "text/html", b"oops"),
        "/problem": (400, "application/problem+json", b'{"detail": "\\u001b[31mred", "remedy": 1}'),
        "/list": (200, "application/json", b'{"next": "x"}'),
    }

    def do_GET(self):
        place = "/" + self.path.split("/")[1]
        status, kind, body = self.answers[place]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_what_is_no_desk_is_no_harm(tmp_path):
    server = http.server.HTTPServer((LOOPBACK, free_port()), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        for place in Strange.answers:
            for command in ("show", "list"):
                result = subprocess.run(
                    [tamis_program("tamis"), "account", command, "--desk",
                     "http://%s:%d%s" % (LOOPBACK, server.server_port, place)],
                    env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False)
                if (place, command) == ("/list", "show"):
                    continue
                assert result.returncode == 1 and result.stderr.startswith("tamis: "), place
                assert "\x1b" not in result.stdout + result.stderr, place
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
