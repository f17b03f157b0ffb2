"""What is kept is kept as long as doc/privacy.md says, and then a job deletes it."""

import os
import re
import time

import pytest

DAY = 24 * 3600
ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def documented():
    """The keys of `retention` in doc/privacy.md with their default, in days."""
    with open(os.path.join(ROOT, "doc", "privacy.md"), encoding="utf-8") as file:
        return {key: int(days) for key, days in
                re.findall(r"`retention: ([a-z-]+)-days`, ([0-9]+)", file.read())}


def account(i, created, confirmed="NULL"):
    return ("INSERT INTO accounts (id, email, email_confirmed_at, role, state, language, created_at, "
            "updated_at) VALUES ('acc_%s', '%s@a.example', %s, 'customer', 'active', 'en', %d, %d)"
            % (i, i, confirmed, created, created))


def audit(i, at):
    return ("INSERT INTO audit (id, at, role, client, action) VALUES ('aud_%s', %d, 'desk', '192.0.2.1', 't')"
            % (i, at * 1000))


# For each rule: how a row comes to be at a time, and what counts those that are left.
RULES = {
    "unconfirmed": (account, "SELECT COUNT(*) FROM accounts WHERE id LIKE 'acc_%'"),
    "expired-tokens": (
        lambda i, at: "INSERT INTO api_tokens (id, account, hash, scopes, label, created_at, expires_at) "
                      "SELECT 'tok_%s', id, CAST('%d' AS BYTEA), 'hosts:read', 'x', 1, %d FROM accounts"
                      % (i, at, at), "SELECT COUNT(*) FROM api_tokens"),
    "failed-outbox": (
        lambda i, at: "INSERT INTO outbox (id, kind, payload, state, due_at, attempts, created_at) "
                      "VALUES ('out_%s', 'mail', '{}', 'failed', 1, 1, %d)" % (i, at),
        "SELECT COUNT(*) FROM outbox"),
    "audit-addresses": (audit, "SELECT COUNT(*) FROM audit WHERE action = 't' AND client IS NOT NULL"),
    "audit": (audit, "SELECT COUNT(*) FROM audit WHERE action = 't'"),
}


def test_the_description_names_every_rule_and_its_days(desk_sqlite):
    with open(os.path.join(ROOT, "src", "desk", "retention.c"), encoding="utf-8") as file:
        rules = set(re.findall(r'RULE\("([a-z-]+)"', file.read()))
    assert set(documented()) == rules == set(RULES)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_deletes_what_is_older_and_nothing_else(desk_unstarted, rule):
    desk = desk_unstarted
    desk.run("migrate")
    put, left = RULES[rule]
    days, now = documented()[rule], int(time.time())
    if rule == "expired-tokens":
        desk.sql(account("owner", now, now))
    desk.sql(put("old", now - days * DAY - 60))
    desk.sql(put("young", now - days * DAY + 3600))
    assert desk.sql(left).strip() == "2"
    desk.start()
    applied = "SELECT COUNT(*) FROM audit WHERE action = 'retention.apply' AND object = '%s'" % rule
    desk.process.wait_until(lambda: desk.sql(applied).strip() == "1", "run of the job")
    assert desk.sql(left).strip() == "1"


def test_a_rule_with_more_than_a_batch_goes_on_to_the_end(desk_sqlite):
    desk_sqlite.run("migrate")
    desk_sqlite.sql("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
                    "INSERT INTO audit (id, at, role, action) SELECT 'aud_' || i, i, 'desk', 't' FROM n")
    desk_sqlite.start()
    desk_sqlite.process.wait_until(
        lambda: desk_sqlite.sql("SELECT COUNT(*) FROM audit WHERE action = 't'").strip() == "0", "end")


def test_zero_days_keep_for_ever(desk_sqlite):
    desk_sqlite.run("migrate")
    desk_sqlite.sql(audit("old", 1))
    desk_sqlite.sql(account("old", 1))
    desk_sqlite.start({"retention": {"audit-days": 0, "audit-addresses-days": 0}})
    desk_sqlite.process.wait_until(
        lambda: desk_sqlite.sql("SELECT COUNT(*) FROM accounts").strip() == "0", "run of the job")
    assert desk_sqlite.sql("SELECT client FROM audit WHERE id = 'aud_old'").strip() == "192.0.2.1"


def test_sessions_and_confirmations_that_ended_are_deleted(desk_unstarted):
    desk = desk_unstarted
    desk.run("migrate")
    desk.sql(account("a", int(time.time()), 1))
    for i, seen, expires in [(1, 1, 4102444800), (2, 4102444800, 1), (3, 4102444800, 4102444800)]:
        desk.sql("INSERT INTO sessions (id_hash, account, csrf_hash, created_at, seen_at, expires_at) VALUES "
                 "(CAST('%d' AS BYTEA), 'acc_a', CAST('x' AS BYTEA), 1, %d, %d)" % (i, seen, expires))
        desk.sql("INSERT INTO confirmations (hash, account, purpose, created_at, expires_at) VALUES "
                 "(CAST('%d' AS BYTEA), 'acc_a', 'password', 1, %d)" % (i, expires))
    desk.start()
    desk.process.wait_until(
        lambda: desk.sql("SELECT COUNT(*) FROM sessions").strip() == "1" and
        desk.sql("SELECT COUNT(*) FROM confirmations").strip() == "2", "run of the job")


def test_a_number_of_days_is_checked(desk_sqlite):
    desk_sqlite.write_config({"retention": {"audit-days": 36501}})
    result = desk_sqlite.run(check=False)
    assert result.returncode == 1 and "36501 is out of bounds" in result.stderr
