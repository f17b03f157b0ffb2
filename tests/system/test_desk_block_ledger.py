"""A block is in the public ledger for ever, its name only as long as it is blocked."""

import hashlib
import os

import pytest

from testbed.desk import PASSWORD
from testbed.reports import ReportsDesk, controller

NAME = "bad.dyn.example"


@pytest.fixture
def blocked(desk_unstarted):
    """A desk with a blocked host of ann's, who blocked it, and the report's receipt."""
    reports = ReportsDesk(desk_unstarted).start()
    reports.host(NAME)
    receipt = reports.report(controller("x." + NAME))
    analyst = reports.desk.signed_in("analyst")
    reports.decide(analyst, receipt["id"], "suspend-host", "malware-controller")
    return reports, analyst, receipt


def look_up(reports):
    return reports.desk.client().get("/names/" + NAME).json


def entry_of(reports, entry_id):
    client, found = reports.desk.client(), []

    def is_there():
        reply = client.get("/ledger/entries/" + entry_id, check=False)
        if reply.status == 200:
            found.append(reply.json["entry"])
        return bool(found)

    reports.desk.process.wait_until(is_there, "the entry in the ledger")
    return found[0]


def ledger_octets(reports):
    folder = os.path.join(reports.desk.directory, "state", "ledger")
    texts = []
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                texts.append(file.read())
    return b"".join(texts)


def test_everybody_can_check_the_entry_of_a_block_that_stands(blocked):
    reports, _, receipt = blocked
    (block,) = look_up(reports)["blocks"]
    (opening,) = block["ledger"]
    entry = entry_of(reports, opening["entry"])
    assert entry["kind"] == "report.blocked" and entry["object"] == receipt["id"]
    assert entry["data"]["names"] == [
        hashlib.sha256(bytes.fromhex(opening["salt"]) + NAME.encode()).hexdigest()]
    octets = ledger_octets(reports)
    assert b"report.blocked" in octets and NAME.encode() not in octets and opening["salt"].encode() not in octets
    page = reports.desk.client().get("/names/" + NAME, headers={"Accept": "text/html"}).text
    assert opening["entry"] in page and opening["salt"] in page


def test_the_owner_has_it_in_the_export_until_the_account_is_closed(blocked):
    reports, *_ = blocked
    (opening,) = look_up(reports)["blocks"][0]["ledger"]
    ann = reports.desk.client().sign_in("ann@customers.example")
    measures = ann.get("/v1/account/export").json["measures"]
    assert [(measure["entry"], measure["salt"]) for measure in measures] == [(opening["entry"], opening["salt"])]
    assert ann.delete("/v1/account", json_body={"password": PASSWORD}).status == 204
    # The block outlives the account; what ties the entry to the name does not.
    assert look_up(reports)["blocks"][0]["ledger"] == []
    assert reports.desk.sql("SELECT COUNT(*) FROM block_openings").strip() == "0"


def test_nothing_tells_the_name_once_the_block_is_lifted(blocked):
    reports, analyst, receipt = blocked
    (opening,) = look_up(reports)["blocks"][0]["ledger"]
    reports.decide(analyst, receipt["id"], "dismiss", "no-abuse")
    assert look_up(reports)["blocked"] is False
    assert reports.desk.sql("SELECT COUNT(*) FROM block_openings").strip() == "0"
    entry = entry_of(reports, opening["entry"])
    assert NAME not in str(entry) and entry["data"]["reason"] == "malware-controller"
