"""tamis report: what reporters and staff type."""

import json
import os
import subprocess

import pytest

from testbed.reports import ReportsDesk, xarf
from testbed.servers import tamis_program


@pytest.fixture
def reports(desk_sqlite):
    return ReportsDesk(desk_sqlite).start()


def tamis(reports, *words, token=None, code=0):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TAMIS_DESK")}
    environment.update({"TAMIS_DESK": "http://127.0.0.1:%d" % reports.desk.port, "HOME": "/nonexistent"})
    if token:
        environment["TAMIS_DESK_TOKEN"] = token
    done = subprocess.run([tamis_program("tamis"), "report", *words], capture_output=True, text=True,
                          check=False, env=environment, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def token(client, scopes):
    reply = client.post("/v1/tokens", {"label": "tests", "scopes": scopes})
    assert reply.status == 201, reply.text
    return reply.json["token"]


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_report_goes_from_the_reporter_to_the_decision(reports, tmp_path):
    path = write(tmp_path, "report.json", json.dumps(xarf()))
    receipt = json.loads(tamis(reports, "submit", path, "--json"))
    assert "rep_" in tamis(reports, "submit", path)
    analyst = token(reports.desk.signed_in("analyst"), ["reports:read", "reports:write"])
    queue = tamis(reports, "queue", token=analyst)
    assert receipt["id"] in queue and "bad.dyn.example" in queue
    assert "is yours until" in tamis(reports, "claim", receipt["id"], token=analyst)
    assert receipt["id"] in tamis(reports, "queue", "--mine", token=analyst)
    shown = tamis(reports, "show", receipt["id"], token=analyst)
    assert "Asks for passwords of a bank." in shown and "cert@reporter.example" in shown
    decided = json.loads(tamis(reports, "decide", receipt["id"], "suspend-host", "phishing", "--note",
                               "seen", "--json", token=analyst))
    assert decided["action"] == "suspend-host" and decided["act_at"]
    assert json.loads(tamis(reports, "queue", "--json", token=analyst)) == []
    listed = json.loads(tamis(reports, "list", "--state", "noticed", "--json", token=analyst))
    assert [item["id"] for item in listed] == [receipt["id"]]
    assert "seen" in tamis(reports, "show", receipt["id"], token=analyst)


def test_what_is_wrong_is_told_with_cause_and_remedy(reports, tmp_path):
    path = write(tmp_path, "report.json", json.dumps(xarf(url=None)))
    assert "/url" in tamis(reports, "submit", path, code=1)
    analyst = token(reports.desk.signed_in("analyst"), ["reports:read", "reports:write"])
    report = reports.report()["id"]
    assert "no-evidence" in tamis(reports, "decide", report, "dismiss", "phishing", token=analyst, code=1)
    assert "no such report" in tamis(reports, "show", "rep_" + "0" * 20, token=analyst, code=1)
    assert "missing" in tamis(reports, "decide", report, code=2)
    assert "--help" in tamis(reports, "list", "--nonsense", code=2)


def test_bulk_tells_of_wrong_lines(reports, tmp_path):
    reporter = reports.desk.signed_in("reporter")
    reports.desk.signed_in("operator").patch("/v1/reporters/" + reporter.account, {"trusted": True})
    path = write(tmp_path, "many.csv", "name,class\na.dyn.example,spam\nb,spam\n")
    words = ("submit", "--bulk", path, "--json")
    key = token(reporter, ["reports:write"])
    done = subprocess.run([tamis_program("tamis"), "report", *words, "--desk",
                           "http://127.0.0.1:%d" % reports.desk.port], capture_output=True, text=True,
                          check=False, env={**os.environ, "TAMIS_DESK_TOKEN": key})
    assert done.returncode == 1 and json.loads(done.stdout)["taken"] == 1


def test_a_reporter_without_an_account_sees_the_outcome_by_the_receipt(reports, tmp_path):
    path, kept = write(tmp_path, "report.json", json.dumps(xarf())), str(tmp_path / "receipt.json")
    tamis(reports, "submit", path, "--output", kept)
    assert os.stat(kept).st_mode & 0o777 == 0o600
    with open(kept, encoding="utf-8") as file:
        receipt = json.load(file)
    assert "open" in tamis(reports, "show", kept)
    analyst = token(reports.desk.signed_in("analyst"), ["reports:read", "reports:write"])
    tamis(reports, "decide", receipt["id"], "dismiss", "no-abuse", token=analyst)
    shown = json.loads(tamis(reports, "show", kept, "--json"))
    assert shown["id"] == receipt["id"] and shown["outcome"]["reason"] == "no-abuse"
    # The receipt is enough: a token that is none any more does not stand in the way.
    assert receipt["id"] in tamis(reports, "show", kept, token="tms_" + "x" * 43)

    address = "https://desk.example/v1/reports/%s?token%s%s" % (receipt["id"], "%s", receipt["token"])
    for sign in ("=", "=3D"):
        mail = write(tmp_path, "mail", "Thank you.\n\n    %s\n\nBye.\n" % (address % sign))
        assert receipt["id"] in tamis(reports, "show", mail)
    assert "exists" in tamis(reports, "submit", path, "--output", kept, code=1)


@pytest.mark.parametrize("text", ["", "{}", "/v1/reports/", "/v1/reports/rep_1", "/v1/reports/rep_1?token=",
                                  "/v1/reports/" + "x" * 99 + "?token=y"], ids=repr)
def test_what_is_no_receipt_is_told(reports, tmp_path, text):
    assert "is no receipt" in tamis(reports, "show", write(tmp_path, "file", text), code=1)


def test_a_receipt_with_another_token_shows_nothing(reports, tmp_path):
    receipt = {**reports.report(), "token": "x" * 43}
    assert "no such report" in tamis(reports, "show", write(tmp_path, "r.json", json.dumps(receipt)), code=1)
