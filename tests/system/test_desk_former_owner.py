"""A block outlives its host, and so does the right to appeal against it."""

import random

import pytest

from testbed.desk_orders import OrderDesk
from testbed.reports import ReportsDesk, controller

NAME = "bad.dyn.example"
STATEMENT = {"name": NAME, "statement": "It was my neighbour."}


@pytest.fixture
def reports(desk_unstarted):
    return ReportsDesk(desk_unstarted).start()


def decide(reports, receipt):
    analyst = reports.desk.signed_in("analyst")
    reports.decide(analyst, receipt["id"], "suspend-host", "malware-controller")
    return analyst


def sign_in(desk, email):
    return desk.client().sign_in(email)


def test_who_deleted_a_blocked_host_appeals_by_the_account(reports):
    reports.host(NAME)
    receipt = reports.report(controller(NAME))
    analyst = decide(reports, receipt)
    ann, eve = sign_in(reports.desk, "ann@customers.example"), reports.desk.signed_in("customer", "eve@customers.example")
    assert ann.delete("/v1/hosts/" + NAME).status == 204
    appeal = ann.post("/v1/appeals", STATEMENT).json
    assert (appeal["state"], appeal["proof"]) == ("open", "account")
    # To everybody else the name is a stranger's.
    assert eve.post("/v1/appeals", STATEMENT).json["state"] == "unproven"
    assert ann.account in reports.desk.sql("SELECT account FROM block_owners")
    analyst.post("/v1/reports/%s/decisions" % receipt["id"], {"action": "dismiss", "reason": "no-abuse"})
    assert reports.desk.sql("SELECT COUNT(*) FROM block_owners").strip() == "0"


def test_who_deleted_a_host_between_report_and_block_appeals_too(reports):
    reports.host(NAME)
    receipt = reports.report(controller(NAME))
    ann = sign_in(reports.desk, "ann@customers.example")
    assert ann.delete("/v1/hosts/" + NAME).status == 204
    decide(reports, receipt)
    assert ann.post("/v1/appeals", STATEMENT).json["state"] == "open"


def test_whose_host_an_order_blocks_appeals_after_its_deletion(farm, desk_sqlite):
    made = OrderDesk(farm, desk_sqlite, edges=1)
    ann, eve = (made.desk.signed_in("customer", name + "@customers.example") for name in ("ann", "eve"))
    made.desk.sql("INSERT INTO hosts (id, name, account, zone, state, wildcard, created_at, updated_at, seen_at, clean) "
                  "VALUES ('hst_%020d', 'h1.a.example', '%s', 'a.example', 'active', 0, 0, 0, 0, 1)"
                  % (random.randrange(10 ** 18), ann.account))
    made.active("t-1", ["h1.a.example"])
    made.desk.sql("DELETE FROM hosts")
    states = [client.post("/v1/appeals", {**STATEMENT, "name": "h1.a.example"}).json["state"] for client in (ann, eve)]
    assert states == ["open", "unproven"]
