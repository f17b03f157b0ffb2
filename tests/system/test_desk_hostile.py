"""What somebody tries who knows the desk's rules: rights that outlive their ground, tokens for more than they
are for, requests that two programs read differently, octets that are no text."""

import base64
import socket

import pytest

from testbed.desk import Desk
from testbed.desk_orders import OrderDesk
from testbed.process import LOOPBACK
from testbed.reports import ReportsDesk, controller, letter, xarf


@pytest.fixture
def reports(desk_unstarted):
    return ReportsDesk(desk_unstarted).start()


def account_set(desk, account, changes):
    operator = desk.client().sign_in("chief@staff.example") if desk.sql(
        "SELECT 1 FROM accounts WHERE email = 'chief@staff.example'").strip() else desk.signed_in(
            "operator", "chief@staff.example")
    reply = operator.patch("/v1/accounts/" + account, changes)
    assert reply.status == 200, reply.text


def suspend(desk, client):
    account_set(desk, client.account, {"state": "suspended", "reason": "its password leaked"})


# ---- Rights that end ----

@pytest.mark.parametrize("role", ["analyst", "auditor", "operator", "partner"])
def test_staff_that_is_suspended_reads_nothing_but_its_own(desk_sqlite, role):
    reports = ReportsDesk(desk_sqlite).start()
    receipt = reports.report()
    client = reports.desk.signed_in(role)
    reply = client.post("/v1/tokens", {"label": "all", "scopes": [
        "reports:read", "orders:read", "accounts:read", "interests", "hosts:read"]})
    program = reports.desk.client()
    program.token = reply.json["token"]
    suspend(reports.desk, client)
    for who in (client, program):
        for path in ("/v1/reports", "/v1/queue", "/v1/orders", "/v1/accounts", "/v1/overlaps", "/v1/reporters"):
            reply = who.get(path)
            assert reply.status == 403, path
            assert reply.json["type"] == "/problems/suspended", path
        # A route for everybody, where the role decides how much is shown.
        assert who.get("/v1/reports/" + receipt["id"]).status == 404
    assert client.get("/v1/account").json["state_reason"] == "its password leaked"
    account_set(reports.desk, client.account, {"state": "active"})
    assert client.get("/v1/account").json["role"] == role


def test_an_approval_counts_no_more_once_its_author_may_not_approve(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    made.draft("wide", action="nodata", subtrees=["h1.a.example"])
    made.step("wide", "rehearsals")
    made.step("wide", "notifications", {})

    def approve(number):
        reply = made.step("wide", "approvals", role="approver", number=number)
        return reply["state"], reply["approvals"]["given"]

    for number, changes in enumerate([{"state": "suspended", "reason": "its password leaked"},
                                      {"role": "analyst"}, {"state": "closed"}], 1):
        assert approve(number) == ("notified", 1)
        account_set(made.desk, made.as_("approver", number).account, changes)
        assert made.get("wide")["approvals"] == {"needed": 2, "given": 0}
    assert approve(4) == ("notified", 1)
    assert approve(5) == ("approved", 2)
    # What was approved stays so, and so does who did it.
    account_set(made.desk, made.as_("approver", 5).account, {"role": "analyst"})
    assert made.get("wide")["approvals"]["given"] == 2


def test_a_dismissal_gives_back_what_the_report_took_and_nothing_else(reports):
    ann = reports.host("bad.dyn.example")
    analyst = reports.desk.signed_in("analyst")
    receipt = reports.report(controller())

    def state():
        return reports.desk.sql("SELECT state, state_reason FROM accounts WHERE id = '%s'" % ann.account).strip()

    # Of the operator's own, which stood before the decision.
    suspend(reports.desk, ann)
    reports.decide(analyst, receipt["id"], "suspend-account", "malware-controller")
    assert state() == "suspended|its password leaked"
    reports.decide(analyst, receipt["id"], "dismiss", "no-abuse")
    assert state() == "suspended|its password leaked"
    account_set(reports.desk, ann.account, {"state": "active"})

    # Of the operator's own, which came after it.
    reports.decide(analyst, receipt["id"], "suspend-account", "malware-controller")
    assert state() == "suspended|malware-controller"
    account_set(reports.desk, ann.account, {"state": "active"})
    suspend(reports.desk, ann)
    reports.decide(analyst, receipt["id"], "dismiss", "no-abuse")
    assert state() == "suspended|its password leaked"
    account_set(reports.desk, ann.account, {"state": "active"})

    reports.decide(analyst, receipt["id"], "suspend-account", "malware-controller")
    reports.decide(analyst, receipt["id"], "dismiss", "no-abuse")
    assert state().split("|")[0] == "active"


# ---- Tokens ----

def test_a_token_does_on_public_routes_no_more_than_it_is_for(desk_sqlite):
    reports = ReportsDesk(desk_sqlite).start()
    ann = reports.host("bad.dyn.example")
    reports.decide(reports.desk.signed_in("analyst"), reports.report(controller())["id"], "suspend-host",
                   "malware-controller")
    appeal = ann.post("/v1/appeals", {"name": "bad.dyn.example", "statement": "It was not me."}).json
    reply = ann.post("/v1/tokens", {"label": "lamp", "scopes": ["hosts:read"]})
    lamp = reports.desk.client()
    lamp.token = reply.json["token"]
    path = "/v1/appeals/" + appeal["id"]
    for reply in (lamp.post("/v1/appeals", {"name": "bad.dyn.example", "statement": "Mine."}),
                  lamp.get(path), lamp.post(path + "/proofs", {"method": "dns-txt"}),
                  lamp.post("/v1/appeal-keys", {"name": "bad.dyn.example", "public_key": "A" * 43 + "="}),
                  lamp.post("/v1/reports", xarf())):
        assert reply.status == 403 and reply.json["type"] == "/problems/scope", reply.text
    assert lamp.get("/healthz").status == 200

    analyst = reports.desk.signed_in("analyst", "second@staff.example")
    reply = analyst.post("/v1/tokens", {"label": "x", "scopes": ["orders:read"]})
    program = reports.desk.client()
    program.token = reply.json["token"]
    assert program.get(path).status == 403
    reply = analyst.post("/v1/tokens", {"label": "y", "scopes": ["reports:read"]})
    program.token = reply.json["token"]
    assert program.get(path).json["id"] == appeal["id"]


# ---- Framing ----

BODY = b'{"email":"a@b.example","password":"x"}'
SIZE = b"Content-Length: %d\r\n" % len(BODY)


@pytest.mark.parametrize("fields", [
    SIZE + b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\n" + SIZE,
    SIZE + b"Content-Length: 0\r\n",
    SIZE + SIZE,
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    SIZE + b"Transfer-Encoding : chunked\r\n",
    SIZE + b"Content-Length : 0\r\n",
])
def test_a_body_whose_length_could_be_read_in_two_ways_ends_the_connection(serving, fields):
    """RFC 9112, 6.3: what a proxy takes for a body must not be a request of its own here."""
    second = b"GET /openapi.json HTTP/1.1\r\nHost: desk.example\r\n\r\n"
    with socket.create_connection((LOOPBACK, serving.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: desk.example\r\n"
                           b"Content-Type: application/json\r\n" + fields + b"\r\n" + BODY + second)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass  # what was not read is thrown away with the connection
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    made = Desk(str(tmp_path_factory.mktemp("desk"))).start()
    yield made
    made.stop()


# ---- Octets that are no text ----

def test_an_address_that_is_no_text_is_none(reports):
    """PostgreSQL refuses such text, and then a mail would come again and again, and an update fail."""
    user = base64.b64encode(b"\xff@x.example:password").decode()
    reply = reports.desk.client().get("/nic/update?hostname=bad.dyn.example&myip=192.0.2.1", headers={
        "User-Agent": "Tamis - test - 1", "Authorization": "Basic " + user})
    assert (reply.status, reply.text) == (401, "badauth\n")
    client = reports.lmtp()
    client.connection.sendall(b"LHLO mta.example\r\n")
    client.reply()
    client.connection.sendall(b"MAIL FROM:<\xff\xc0@reporter.example>\r\n")
    client.reply()
    assert client.say("RCPT TO:<abuse@desk.example>").startswith("250")
    assert client.say("DATA").startswith("354")
    mail = letter("See bad.dyn.example.").replace(b"person@reporter.example", b"\xff\xfe@reporter.example")
    client.connection.sendall(mail + b".\r\n")
    assert client.reply().startswith("250")
    client.close()
    assert reports.desk.sql("SELECT name FROM report_names").strip() == "bad.dyn.example"
