"""Accounts: sign-up, passwords, sessions, second factor, API tokens, staff, export and deletion."""

import time

import pytest

from testbed.accounts import add_second_factor, dump, mails, sign_up, token_of, totp, wait_for_mails
from testbed.desk import PASSWORD

OTHER = "another password of tests"


def sign_in(desk, email, password=PASSWORD, **more):
    return desk.client().post("/v1/sessions", {"email": email, "password": password, **more})


# ---- Sign-up ----

def test_who_signs_up_is_in_after_the_address_is_confirmed(desk):
    client = desk.client()
    assert client.post("/v1/accounts", {"email": "Ada@Customers.Example", "language": "de"}).status == 202
    mail = wait_for_mails(desk, "ada@customers.example", 1)[0]
    assert sign_in(desk, "ada@customers.example").status == 401
    token = token_of(mail)
    short = client.post("/v1/accounts/confirmations", {"token": token, "password": "short"})
    assert short.status == 400 and short.json["pointer"] == "/password"
    # What was wrong used nothing up.
    missing = client.post("/v1/accounts/confirmations", {"token": token})
    assert missing.status == 400 and missing.json["pointer"] == "/password"
    done = client.post("/v1/accounts/confirmations", {"token": token, "password": PASSWORD})
    assert done.status == 204
    again = client.post("/v1/accounts/confirmations", {"token": token, "password": OTHER})
    assert again.status == 403 and again.json["pointer"] == "/token"
    account = client.sign_in("ada@customers.example").get("/v1/account").json
    assert account["role"] == "customer" and account["state"] == "active" and account["language"] == "de"
    assert account["email_confirmed_at"]


def test_the_password_is_chosen_by_who_reads_the_mail(desk):
    client = desk.client()
    for _ in range(2):
        client.post("/v1/accounts", {"email": "ada@customers.example"})
    first, second = [token_of(mail) for mail in wait_for_mails(desk, "ada@customers.example", 2)]
    assert client.post("/v1/accounts/confirmations",
                       {"token": second, "password": PASSWORD}).status == 204
    # The other token would let its holder take the account over.
    assert client.post("/v1/accounts/confirmations",
                       {"token": first, "password": OTHER}).status == 403
    assert sign_in(desk, "ada@customers.example").status == 201


def test_a_sign_up_that_is_cut_off_ends_in_one_mail(desk):
    desk.client().post("/v1/accounts", {"email": "ada@customers.example"})
    desk.kill()
    desk.start()
    wait_for_mails(desk, "ada@customers.example", 1)
    desk.process.wait_until(
        lambda: desk.sql("SELECT COUNT(*) FROM outbox WHERE kind = 'account'").strip() == "0", "done")
    assert len(mails(desk, "ada@customers.example")) == 1
    assert desk.sql("SELECT COUNT(*) FROM accounts").strip() == "1"


# ---- Passwords ----

def test_a_changed_password_ends_all_sessions(desk):
    client = sign_up(desk, "ada@customers.example")
    other = desk.client().sign_in("ada@customers.example")
    wrong = client.put("/v1/account/password", {"current": OTHER, "password": OTHER})
    assert wrong.status == 403 and wrong.json["type"] == "/problems/password"
    assert client.put("/v1/account/password", {"current": PASSWORD, "password": OTHER}).status == 204
    assert client.get("/v1/account").status == 401 and other.get("/v1/account").status == 401
    assert sign_in(desk, "ada@customers.example").status == 401
    assert sign_in(desk, "ada@customers.example", OTHER).status == 201
    assert mails(desk, "ada@customers.example")[-1]["subject"] == "Your password was changed"


def test_a_forgotten_password_is_set_anew_by_mail(desk):
    client = sign_up(desk, "ada@customers.example")
    before = len(mails(desk, "ada@customers.example"))
    assert desk.client().post("/v1/password-resets", {"email": "ADA@customers.example"}).status == 202
    token = token_of(wait_for_mails(desk, "ada@customers.example", before + 1)[-1])
    reply = desk.client().post("/v1/password-resets/confirmations", {"token": token, "password": OTHER})
    assert reply.status == 204
    assert client.get("/v1/account").status == 401
    assert sign_in(desk, "ada@customers.example", OTHER).status == 201
    assert mails(desk, "ada@customers.example")[-1]["subject"] == "Your password was changed"


def test_a_token_that_is_too_old_is_none(desk):
    desk.client().post("/v1/accounts", {"email": "ada@customers.example"})
    token = token_of(wait_for_mails(desk, "ada@customers.example", 1)[0])
    desk.sql("UPDATE confirmations SET expires_at = 1")
    reply = desk.client().post("/v1/accounts/confirmations", {"token": token, "password": PASSWORD})
    assert reply.status == 403


def test_an_address_changes_once_the_new_one_is_confirmed(desk):
    client = sign_up(desk, "ada@customers.example")
    new = {"email": "ada@elsewhere.example"}
    assert client.patch("/v1/account", new).json["pointer"] == "/password"
    assert client.patch("/v1/account", {**new, "password": OTHER}).status == 403
    reply = client.patch("/v1/account", {**new, "password": PASSWORD, "language": "de-AT"})
    assert reply.status == 200 and reply.json["email"] == "ada@customers.example"
    assert reply.json["language"] == "de-AT"
    token = token_of(wait_for_mails(desk, "ada@elsewhere.example", 1)[0])
    assert desk.client().post("/v1/accounts/confirmations", {"token": token}).status == 204
    assert client.get("/v1/account").json["email"] == "ada@elsewhere.example"
    assert mails(desk, "ada@customers.example")[-1]["subject"] == "Your account has a new address"


def test_a_change_of_address_that_waits_ends_with_a_new_password(desk):
    client = sign_up(desk, "ada@customers.example")
    reply = client.patch("/v1/account", {"email": "thief@elsewhere.example", "password": PASSWORD})
    assert reply.status == 200
    token = token_of(wait_for_mails(desk, "thief@elsewhere.example", 1)[0])
    assert client.put("/v1/account/password", {"current": PASSWORD, "password": OTHER}).status == 204
    assert desk.client().post("/v1/accounts/confirmations", {"token": token}).status == 403


# ---- Sessions ----

def test_sessions_are_listed_and_ended(desk):
    client = sign_up(desk, "ada@customers.example")
    other = desk.client()
    other.ask("POST", "/v1/sessions", {"email": "ada@customers.example", "password": PASSWORD},
              headers={"User-Agent": "a phone"})
    items = client.get("/v1/sessions").json["items"]
    assert len(items) == 2 and [item["current"] for item in items].count(True) == 1
    phone = next(item for item in items if item["agent"] == "a phone")
    assert phone["client"] == "127.0.0.1"
    stranger = sign_up(desk, "eve@customers.example")
    assert stranger.delete("/v1/sessions/" + phone["id"]).status == 404
    assert client.delete("/v1/sessions/" + phone["id"]).status == 204
    assert client.delete("/v1/sessions/" + phone["id"]).status == 404
    assert client.delete("/v1/sessions/zz").status == 404
    assert len(client.get("/v1/sessions").json["items"]) == 1
    assert client.delete("/v1/sessions").status == 204
    assert client.get("/v1/account").status == 401 and stranger.get("/v1/account").status == 200


@pytest.mark.parametrize("column,past", [("expires_at", "1"), ("seen_at", "1")])
def test_a_session_ends_by_itself(desk, column, past):
    client = sign_up(desk, "ada@customers.example")
    desk.sql("UPDATE sessions SET %s = %s" % (column, past))
    assert client.get("/v1/account").status == 401


# ---- Second factor ----

def test_a_second_factor_is_needed_from_its_first_code_on(desk):
    client = sign_up(desk, "ada@customers.example")
    assert client.post("/v1/account/totp", {"password": OTHER}).status == 403
    assert client.post("/v1/account/totp", {"code": "123456"}).status == 409
    secret = client.post("/v1/account/totp", {"password": PASSWORD}).json["secret"]
    # Until a code was shown, nobody is locked out.
    assert sign_in(desk, "ada@customers.example").status == 201
    reply = client.post("/v1/account/totp", {"code": totp(secret)})
    assert reply.status == 200 and len(set(reply.json["recovery_codes"])) == 10
    assert client.get("/v1/account").json["second_factor"] is True
    needs = sign_in(desk, "ada@customers.example")
    assert needs.status == 401 and needs.json["type"] == "/problems/second-factor"
    # Without the right password nothing tells that there is a second factor.
    wrong = sign_in(desk, "ada@customers.example", OTHER, code="123456")
    assert wrong.status == 401 and wrong.json["type"] == "/problems/sign-in"
    assert sign_in(desk, "ada@customers.example", code=totp(secret, 1)).status == 201


def test_a_code_counts_once(desk):
    client = sign_up(desk, "ada@customers.example")
    secret, _ = add_second_factor(client)
    # Its first code was used to set it up.
    used = sign_in(desk, "ada@customers.example", code=totp(secret))
    assert used.status == 401 and used.json["pointer"] == "/code"
    code = totp(secret, 1)
    assert sign_in(desk, "ada@customers.example", code=code).status == 201
    assert sign_in(desk, "ada@customers.example", code=code).status == 401
    # One step back is within the window, and before what was accepted.
    assert sign_in(desk, "ada@customers.example", code=totp(secret, -1)).status == 401
    desk.stop()
    desk.start()
    assert sign_in(desk, "ada@customers.example", code=code).status == 401


def test_a_recovery_code_stands_in_once(desk):
    client = sign_up(desk, "ada@customers.example")
    _, codes = add_second_factor(client)
    assert sign_in(desk, "ada@customers.example", code=codes[3].upper().replace("-", " ")).status == 201
    assert sign_in(desk, "ada@customers.example", code=codes[3]).status == 401
    assert mails(desk, "ada@customers.example")[-1]["subject"] == "A recovery code was used"
    reply = client.delete("/v1/account/totp", json_body={"password": PASSWORD, "code": codes[4]})
    assert reply.status == 204
    assert sign_in(desk, "ada@customers.example").status == 201
    # They went with it.
    assert desk.sql("SELECT COUNT(*) FROM recovery_codes").strip() == "0"


# ---- API tokens ----

def test_a_token_does_what_its_scopes_say(desk):
    client = sign_up(desk, "ada@customers.example")
    made = client.post("/v1/tokens", {"label": "cron", "scopes": ["account:read"]})
    assert made.status == 201
    by_token = desk.client()
    by_token.token = made.json["token"]
    assert by_token.get("/v1/account").status == 200
    assert by_token.get("/v1/tokens").status == 403
    assert by_token.post("/v1/tokens", {"label": "more", "scopes": ["account:read"]}).status == 403
    for method, path in [("PUT", "/v1/account/password"), ("DELETE", "/v1/account"),
                         ("POST", "/v1/account/totp"), ("DELETE", "/v1/sessions")]:
        reply = by_token.ask(method, path, {} if method != "DELETE" else None)
        assert reply.status == 403 and reply.json["type"] == "/problems/scope", path
    listed = client.get("/v1/tokens").json["items"]
    assert [item["label"] for item in listed] == ["cron"] and listed[0]["last_used_at"]
    assert made.json["token"] not in dump(desk, "api_tokens")
    assert sign_up(desk, "eve@customers.example").delete("/v1/tokens/" + made.json["id"]).status == 404
    assert client.delete("/v1/tokens/" + made.json["id"]).status == 204
    assert by_token.get("/v1/account").status == 401


@pytest.mark.parametrize("change", [
    {"scopes": []}, {"scopes": ["everything"]}, {"scopes": ["account:read hosts:read"]}, {"scopes": [1]},
    {"label": ""}, {"label": "x" * 101}, {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "soon"}])
def test_a_token_that_cannot_be_is_refused_with_the_place(desk_sqlite, change):
    client = sign_up(desk_sqlite.start(), "ada@customers.example")
    reply = client.post("/v1/tokens", {"label": "x", "scopes": ["account:read"], **change})
    assert reply.status == 400 and reply.json["pointer"] == "/" + next(iter(change))


def test_a_token_ends_at_its_time(desk):
    client = sign_up(desk, "ada@customers.example")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    made = client.post("/v1/tokens", {"label": "x", "scopes": ["account:read"], "expires_at": soon})
    by_token = desk.client()
    by_token.token = made.json["token"]
    assert by_token.get("/v1/account").status == 200
    desk.sql("UPDATE api_tokens SET expires_at = 1")
    assert by_token.get("/v1/account").status == 401


# ---- Staff ----

def test_an_operator_gives_roles_and_nobody_else_does(desk):
    customer = sign_up(desk, "ada@customers.example")
    operator, auditor = desk.signed_in("operator"), desk.signed_in("auditor")
    path = "/v1/accounts/" + customer.account
    assert customer.patch(path, {"role": "operator"}).status == 403
    assert auditor.patch(path, {"role": "analyst"}).status == 403
    assert auditor.get(path).json["role"] == "customer"
    assert operator.patch(path, {"role": "king"}).json["pointer"] == "/role"
    assert operator.patch(path, {"role": "public"}).json["pointer"] == "/role"
    reply = operator.patch(path, {"role": "analyst"})
    assert reply.status == 200 and reply.json["role"] == "analyst"
    # What it had open was the customer's.
    assert customer.get("/v1/account").status == 401
    own = operator.patch("/v1/accounts/" + operator.account, {"role": "customer"})
    assert own.status == 403 and own.json["type"] == "/problems/own-account"
    assert operator.patch("/v1/accounts/acc_nobody", {"role": "analyst"}).status == 404
    trail = desk.sql("SELECT account, object, detail FROM audit WHERE action = 'account.set_role'")
    assert trail.strip() == '%s|%s|{"role":"analyst"}' % (operator.account, customer.account)


def test_staff_finds_accounts_page_by_page(desk):
    operator = desk.signed_in("operator")
    for i in range(3):
        desk.run("staff", "add", "n%d@staff.example" % i, "--role", "analyst")
    found = operator.get("/v1/accounts?email=N1@staff.example").json["items"]
    assert [item["email"] for item in found] == ["n1@staff.example"]
    first = operator.get("/v1/accounts?role=analyst&limit=2").json
    second = operator.get("/v1/accounts?role=analyst&limit=2&cursor=" + first["next"]).json
    assert len(first["items"]) == 2 and len(second["items"]) == 1 and second["next"] is None
    assert operator.get("/v1/accounts?state=closed").json["items"] == []
    assert operator.get("/v1/accounts?email=x'%20OR%20'1'='1").status == 400


def test_a_plan_is_one_of_the_configuration(desk_sqlite):
    desk_sqlite.start({"plans": [{"name": "free"}, {"name": "large", "hosts-max": 1000}]})
    customer, operator = sign_up(desk_sqlite, "ada@customers.example"), desk_sqlite.signed_in("operator")
    path = "/v1/accounts/" + customer.account
    assert operator.patch(path, {"plan": "huge"}).json["pointer"] == "/plan"
    assert operator.patch(path, {"plan": "large"}).json["plan"] == "large"
    assert customer.get("/v1/account").json["plan"] == "large"


def test_a_suspended_account_can_look_and_is_told_why(desk):
    customer, operator = sign_up(desk, "ada@customers.example"), desk.signed_in("operator")
    path = "/v1/accounts/" + customer.account
    assert operator.patch(path, {"state": "suspended"}).json["pointer"] == "/reason"
    reply = operator.patch(path, {"state": "suspended", "reason": "100% phishing <b>kits</b>"})
    assert reply.status == 200 and reply.json["state"] == "suspended"
    own = desk.client().sign_in("ada@customers.example").get("/v1/account").json
    assert own["state"] == "suspended" and own["state_reason"] == "100% phishing <b>kits</b>"
    assert "100% phishing" in mails(desk, "ada@customers.example")[-1]["text"]
    suspended = desk.client().sign_in("ada@customers.example")
    refused = suspended.post("/v1/tokens", {"label": "x", "scopes": ["account:read"]})
    assert refused.status == 403 and refused.json["type"] == "/problems/suspended"
    assert suspended.get("/v1/account/export").status == 200
    assert suspended.delete("/v1/sessions").status == 204
    reply = operator.patch(path, {"state": "active"})
    assert reply.json["state"] == "active" and reply.json["state_reason"] is None


# ---- Export and deletion ----

def test_an_export_holds_all_that_is_kept(desk):
    client = sign_up(desk, "ada@customers.example")
    made = client.post("/v1/tokens", {"label": "cron", "scopes": ["account:read", "hosts:read"]})
    by_token = desk.client()
    by_token.token = made.json["token"]
    export = by_token.get("/v1/account/export")
    assert export.header("content-disposition").startswith("attachment")
    data = export.json
    assert data["account"]["email"] == "ada@customers.example"
    assert len(data["sessions"]) == 1 and data["sessions"][0]["client"] == "127.0.0.1"
    assert [token["scopes"] for token in data["tokens"]] == ["account:read hosts:read"]
    actions = [entry["action"] for entry in data["audit"]]
    assert actions == ["account.create", "account.confirm", "session.create", "token.create"]
    # Nothing in it opens anything.
    for secret in (made.json["token"], client.cookie.split("=")[1], "argon2"):
        assert secret not in export.text


def test_a_deleted_account_leaves_nothing_of_its_owner(desk):
    client = sign_up(desk, "lovelace@customers.example")
    client.post("/v1/tokens", {"label": "lovelace's own", "scopes": ["account:read"]})
    assert client.delete("/v1/account", json_body={"password": OTHER}).status == 403
    assert client.delete("/v1/account", json_body={"password": PASSWORD}).status == 204
    assert client.get("/v1/account").status == 401
    assert sign_in(desk, "lovelace@customers.example").status == 401
    last = mails(desk, "lovelace@customers.example")[-1]
    assert last["subject"] == "Your account is deleted"
    # It is the only one; mails are gone once they are sent, and that they were some time later.
    assert len(mails(desk, "lovelace@customers.example")) == 1
    for table in ("outbox", "mails"):
        desk.sql("DELETE FROM %s" % table)
    tables = ["accounts", "sessions", "api_tokens", "confirmations", "recovery_codes", "audit", "outbox",
              "ledger_queue"]
    for table in tables:
        rows = dump(desk, table)
        # A word with letters that no identifier and no hash has.
        assert "lovelace" not in rows and "argon2" not in rows, table
        assert "127.0.0.1" not in rows, table
    entry = desk.sql("SELECT kind, content FROM ledger_queue").strip()
    assert entry.startswith("privacy.deleted|") and client.account not in entry
    # The address is free again, for another account.
    assert sign_up(desk, "lovelace@customers.example").account != client.account


def test_a_deletion_needs_the_second_factor_where_there_is_one(desk):
    client = sign_up(desk, "ada@customers.example")
    secret, _ = add_second_factor(client)
    reply = client.delete("/v1/account", json_body={"password": PASSWORD})
    assert reply.status == 403 and reply.json["pointer"] == "/code"
    reply = client.delete("/v1/account", json_body={"password": PASSWORD, "code": totp(secret, 1)})
    assert reply.status == 204


def test_the_last_operator_stays(desk):
    operator = desk.signed_in("operator")
    reply = operator.delete("/v1/account", json_body={"password": PASSWORD})
    assert reply.status == 409 and reply.json["type"] == "/problems/last-operator"
    other = desk.signed_in("operator", "second@staff.example")
    assert operator.delete("/v1/account", json_body={"password": PASSWORD}).status == 204
    assert other.delete("/v1/account", json_body={"password": PASSWORD}).status == 409


def test_an_operator_closes_an_account(desk):
    customer, operator = sign_up(desk, "ada@customers.example"), desk.signed_in("operator")
    reply = operator.patch("/v1/accounts/" + customer.account, {"state": "closed"})
    assert reply.status == 200 and reply.json["email"] == "closed:" + customer.account
    assert customer.get("/v1/account").status == 401
    assert operator.patch("/v1/accounts/" + customer.account, {"state": "active"}).status == 404
