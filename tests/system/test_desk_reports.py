"""Reports of abuse over HTTP: taken in, counted once, claimed, decided, and what follows."""

import json
import os
import threading
from urllib.parse import urlencode

import pytest

from testbed.reports import ReportsDesk, controller, evidence, xarf, xarf3

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CSV = {"Content-Type": "text/csv"}


@pytest.fixture
def reports(desk_unstarted):
    return ReportsDesk(desk_unstarted).start()


@pytest.fixture
def reports_sqlite(desk_sqlite):
    return ReportsDesk(desk_sqlite).start()


# ---- Intake ----

def test_a_report_is_acknowledged_at_once_and_its_token_shows_it(reports):
    receipt = reports.report(xarf("www.bad.dyn.example"))
    assert receipt["state"] == "open" and receipt["class"] == "phishing" and receipt["decide_by"]
    assert receipt["names"] == [{"name": "www.bad.dyn.example", "ours": True}]
    stranger = reports.desk.client()
    path = "/v1/reports/%s" % receipt["id"]
    assert stranger.get(path).status == 404
    assert stranger.get(path + "?token=" + "A" * 43).status == 404
    shown = stranger.get(path + "?token=" + receipt["token"])
    assert shown.status == 200 and shown.json["state"] == "open" and shown.json["outcome"] is None
    full = reports.desk.signed_in("analyst").get(path).json
    assert full["xarf_type"] == "content/phishing" and full["observed_at"] == "2026-11-20T10:00:00Z"
    assert full["names"][0]["host_name"] == "bad.dyn.example"
    assert full["reporter"]["kind"] == "mail" and full["reporter"]["label"] == "cert@reporter.example"


def test_a_report_is_linked_to_host_account_and_earlier_reports(reports):
    customer = reports.host("bad.dyn.example")
    customer.post("/v1/hosts", {"name": "other.dyn.example"})
    first = reports.report(xarf("bad.dyn.example"))
    second = reports.report(xarf("other.dyn.example"))
    full = reports.desk.signed_in("auditor").get("/v1/reports/" + second["id"]).json
    name = full["names"][0]
    assert name["account"] == customer.account and name["host"].startswith("hst_")
    assert [other["id"] for other in full["related"]] == [first["id"]]


def test_names_that_are_not_ours_are_answered_so(reports_sqlite):
    receipt = reports_sqlite.report(xarf("shop.elsewhere.example"))
    assert receipt["state"] == "not-ours" and receipt["decide_by"] is None
    assert receipt["names"] == [{"name": "shop.elsewhere.example", "ours": False}]
    analyst = reports_sqlite.desk.signed_in("analyst")
    assert analyst.get("/v1/queue").json["items"] == []
    reports_sqlite.decide(analyst, receipt["id"], "dismiss", "no-abuse", status=409)


def test_the_same_report_counts_on_the_first(reports):
    first = reports.report(xarf())
    again = reports.report(xarf())
    assert again["state"] == "duplicate" and again["first"] == first["id"] and again["id"] != first["id"]
    # Another class, another name and another reporter are reports of their own.
    other = {"org": "Other", "contact": "cert@other.example", "domain": "other.example"}
    assert reports.report(controller())["state"] == "open"
    assert reports.report(xarf("new.dyn.example"))["state"] == "open"
    assert reports.report(xarf(reporter=other, sender=other))["state"] == "open"
    analyst = reports.desk.signed_in("analyst")
    shown = analyst.get("/v1/reports/" + first["id"]).json
    assert shown["seen"] == 2
    # Once it is decided, the same again is a new one: somebody has to look.
    reports.decide(analyst, first["id"], "dismiss", "no-evidence")
    assert len(reports.mails("cert@reporter.example")) == 1
    assert reports.report(xarf())["state"] == "open"
    token = reports.desk.client().get("/v1/reports/%s?token=%s" % (again["id"], again["token"])).json
    assert token["outcome"]["action"] == "dismiss"


def test_beyond_the_window_the_same_is_a_new_report(reports_sqlite):
    first = reports_sqlite.report(xarf())
    reports_sqlite.desk.sql("UPDATE reports SET received_at = received_at - 169 * 3600")
    again = reports_sqlite.report(xarf())
    assert again["state"] == "open" and again["first"] is None and again["id"] != first["id"]


@pytest.mark.parametrize("changes,pointer", [
    ({"xarf_version": "5.0.0"}, "/xarf_version"), ({"report_id": "1"}, "/report_id"),
    ({"timestamp": "yesterday"}, "/timestamp"), ({"reporter": None}, "/reporter"),
    ({"sender": {"org": "x", "contact": "no address", "domain": "x.example"}}, "/sender/contact"),
    ({"sender": {"org": "x", "contact": "a@x.example"}}, "/sender/domain"),
    ({"sender": {"org": "x", "contact": "a@x.example", "domain": "x.example", "more": 1}}, "/sender/more"),
    ({"category": "nonsense"}, "/category"), ({"type": "nonsense"}, "/type"),
    ({"category": "connection", "type": "ddos"}, "/type"), ({"url": None}, "/url"),
    ({"url": "no address"}, "/url"), ({"domain": "a b"}, "/domain"),
    ({"verification_method": "guess"}, "/verification_method"), ({"asn": 0}, "/asn"),
    ({"country_code": "de"}, "/country_code"), ({"confidence": 2}, "/confidence"),
    ({"tags": ["no tag"]}, "/tags"), ({"lure_type": "x"}, "/lure_type"),
    ({"detection_evasion": ["x"]}, "/detection_evasion"), ({"source_port": 70000}, "/source_port"),
    ({"type": "fraud"}, "/fraud_type"), ({"type": "csam"}, "/classification"),
    ({"category": "messaging", "type": "spam", "protocol": "smtp"}, "/smtp_from"),
    ({"category": "infrastructure", "type": "botnet"}, "/compromise_evidence"),
    ({"category": "copyright", "type": "link_site", "infringing_url": "http://a.dyn.example/"}, "/site_name"),
    ({"evidence": [{"content_type": "text/plain"}]}, "/evidence/0/payload"),
    ({"evidence": [{"content_type": "text/plain", "payload": "%%%"}]}, "/evidence/0/payload"),
    ({"evidence": [{"content_type": "text/plain", "payload": "eA==", "x": 1}]}, "/evidence/0/x"),
    ({"evidence": [evidence(b"one", hash="sha256:" + "0" * 64)]}, "/evidence/0/hash"),
    ({"evidence": [evidence(b"x")] * 51}, "/evidence"),
    ({"dns_response": {"response_code": "MAYBE"}}, "/dns_response/response_code"),
], ids=str)
def test_xarf_that_does_not_fit_its_schema_is_refused_with_the_place(schema_desk, changes, pointer):
    reply = schema_desk.desk.client().post("/v1/reports", xarf(**changes))
    assert reply.status == 400 and reply.json["pointer"] == pointer, reply.text


@pytest.fixture(scope="module")
def schema_desk(tmp_path_factory):
    from testbed.desk import Desk
    made = Desk(str(tmp_path_factory.mktemp("schema") / "desk"))
    yield ReportsDesk(made).start()
    made.stop()


@pytest.mark.parametrize("body,wanted", [
    (xarf(), "phishing"), (xarf(type="malware"), "malware"),
    (xarf(type="fraud", fraud_type="shopping"), "phishing"),
    (xarf(type="csam", classification="A1", detection_method="hash_match"), "csam"),
    (xarf(type="remote_compromise", compromise_type="webshell"), "malware"),
    (xarf(type="remote_compromise", compromise_type="c2_server"), "malware-controller"),
    (xarf(type="brand_infringement", infringement_type="lookalike",
          legitimate_site="https://brand.example/"), "copyright"),
    (controller(), "malware-controller"),
    (xarf(tags=["botnet:command-and-control"]), "malware-controller"),
    (xarf("unused", category="reputation", type="threat_intelligence", url=None,
          source_identifier="bad.dyn.example", threat_type="malware_c2"), "malware-controller"),
    (xarf(category="copyright", type="copyright", url=None,
          infringing_url="http://bad.dyn.example/film"), "copyright"),
    (xarf(category="messaging", type="spam", url=None, protocol="smtp", smtp_from="a@b.example",
          source_port=25, spam_indicators={"suspicious_links": ["http://bad.dyn.example/"]}), "spam"),
    (xarf3(), "phishing"), (xarf3(ReportType="Malware"), "malware"),
    (xarf3(ReportType="Botnet", Url=None, Source={"IP": "192.0.2.1", "Type": "ip"},
           AdditionalInfo={"C2Server": "bad.dyn.example"}), "malware-controller"),
    (xarf3(ReportType="Spam", Source={"Type": "uri", "URL": "http://bad.dyn.example/"}, SourceIp=None,
           Url=None), "spam"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_types_of_xarf_become_classes_and_their_hosts_are_found(schema_desk, body, wanted):
    receipt = schema_desk.report(body)
    assert receipt["class"] == wanted
    assert {"name": "bad.dyn.example", "ours": True} in receipt["names"]


def test_evidence_is_kept_by_hash_and_served_as_an_attachment_to_staff(reports):
    page = b"<script>alert(1)</script>" + bytes(range(256))
    receipt = reports.report(xarf(evidence=[evidence(page, "text/html", description="<b>the page</b>")]))
    reports.report(xarf("b.dyn.example", evidence=[evidence(page, "text/html")]))
    analyst = reports.desk.signed_in("analyst")
    piece = analyst.get("/v1/reports/" + receipt["id"]).json["evidence"][0]
    assert piece["type"] == "text/html" and piece["size"] == len(page)
    folder = os.path.join(reports.desk.directory, "state", "evidence")
    assert os.listdir(folder) == [piece["hash"]]
    assert os.stat(os.path.join(folder, piece["hash"])).st_mode & 0o777 == 0o600
    assert os.stat(folder).st_mode & 0o777 == 0o700
    reply = analyst.get("/v1/evidence/" + piece["hash"])
    assert reply.body == page and reply.header("content-type") == "application/octet-stream"
    assert reply.header("content-disposition").startswith("attachment")
    assert reports.desk.client().get("/v1/evidence/" + piece["hash"]).status == 401
    for path in ["..%2f..%2fdesk.db", "0" * 64, "tamis-desk.yaml"]:
        assert analyst.get("/v1/evidence/" + path).status in (400, 404)


def test_evidence_beyond_the_bounds_is_named_and_not_kept(desk_sqlite):
    reports = ReportsDesk(desk_sqlite).start({"reports": {"evidence-item-kib-max": 1}})
    receipt = reports.report(xarf(evidence=[evidence(b"x" * 1024), evidence(b"y" * 1025)]))
    pieces = reports.desk.signed_in("analyst").get("/v1/reports/" + receipt["id"]).json["evidence"]
    assert [piece["hash"] is not None for piece in pieces] == [True, False]
    assert pieces[1]["size"] == 1025


def test_a_flood_of_one_address_is_bounded(desk_sqlite):
    reports = ReportsDesk(desk_sqlite).start({"reports": {"per-address-hourly": 2}})
    for name in ["a.dyn.example", "b.dyn.example"]:
        reports.report(xarf(name))
    assert reports.desk.client().post("/v1/reports", xarf("c.dyn.example")).status == 429
    assert reports.report(xarf("c.dyn.example"), reports.desk.signed_in("reporter"))["state"] == "open"
    form = urlencode({"names": "d.dyn.example", "class": "spam"})
    assert reports.desk.client().post("/report", body=form, headers=FORM).status == 429
    # What is refused leaves nothing behind.
    assert reports.desk.client().post("/v1/reports", xarf("e.dyn.example", evidence=[evidence(b"x")])).status == 429
    assert os.listdir(os.path.join(reports.desk.directory, "state", "evidence")) == []


def test_who_has_signed_in_uses_the_form_like_everybody(reports_sqlite):
    client = reports_sqlite.desk.signed_in("customer")
    client.csrf = ""
    body = urlencode({"names": "bad.dyn.example", "class": "spam"})
    assert client.post("/report", body=body, headers=FORM).status == 201


# ---- The form ----

def test_the_form_has_no_script_and_takes_a_report(reports_sqlite):
    client = reports_sqlite.desk.client()
    page = client.get("/report")
    assert page.status == 200 and b"<script" not in page.body and b"style" not in page.body
    assert "default-src 'none'" in page.header("content-security-policy")
    body = urlencode({"names": "hxxps://user@bad[.]dyn[.]example:8443/x\r\nother.free.example",
                      "class": "malware", "contact": "Person@Reporter.example",
                      "description": "<script>alert('x')</script>\r\n' OR 1=1; DROP TABLE reports; --"})
    reply = client.post("/report", body=body, headers=FORM)
    assert reply.status == 201 and b"<script" not in reply.body
    report = json.loads(reports_sqlite.desk.signed_in("analyst").get("/v1/reports").body)["items"][0]
    full = reports_sqlite.desk.signed_in("auditor").get("/v1/reports/" + report["id"]).json
    assert [name["name"] for name in full["names"]] == ["bad.dyn.example", "other.free.example"]
    assert full["description"] == "<script>alert('x')</script>\n' OR 1=1; DROP TABLE reports; --"
    assert full["class"] == "malware" and full["channel"] == "form"
    assert len(reports_sqlite.mails("person@reporter.example")) == 1


def test_what_the_form_sends_back_is_escaped(reports_sqlite):
    client = reports_sqlite.desk.client()
    reply = client.post("/report", body=urlencode({"names": "<script>alert(1)</script>"}), headers=FORM)
    assert reply.status == 400 and b"<script" not in reply.body
    reply = client.post("/report", body=urlencode({"names": 'a.dyn.example', "contact": '"><script>'}),
                        headers=FORM)
    assert reply.status == 400 and b"<script" not in reply.body


# ---- Bulk ----

def test_trusted_reporters_report_in_bulk(reports):
    reporter = reports.desk.signed_in("reporter")
    table = ("name,class,description,observed_at\n"
             "bad.dyn.example,phishing,\"a, quoted\",2026-11-20T10:00:00Z\n"
             "http://worse.dyn.example/x,malware,,\n"
             "not a name,malware,,\n"
             "c.dyn.example,nonsense,,\n"
             "elsewhere.example.net,spam,,\n"
             "bad.dyn.example,phishing,again,\n")
    assert reporter.post("/v1/reports/bulk", body=table, headers=CSV).status == 403
    operator = reports.desk.signed_in("operator")
    assert operator.patch("/v1/reporters/" + reporter.account, {"trusted": True}).json["trusted"]
    reply = reporter.post("/v1/reports/bulk", body=table, headers=CSV)
    assert reply.status == 200 and reply.json["taken"] == 4, reply.text
    assert [item.get("state") for item in reply.json["items"]] == [
        "open", "open", None, None, "not-ours", "duplicate"]
    assert [item["line"] for item in reply.json["items"]] == [2, 3, 4, 5, 6, 7]
    assert len(reporter.get("/v1/reports").json["items"]) == 4
    for wrong in ["", "nom,class\n", "name\nx\n", "name,class\n\"a", "name,class\n" + "a.dyn.example,spam\n" * 1001]:
        assert reporter.post("/v1/reports/bulk", body=wrong, headers=CSV).status in (400, 413)
    operator.patch("/v1/reporters/" + reporter.account, {"trusted": False})
    assert reporter.post("/v1/reports/bulk", body=table, headers=CSV).status == 403


def test_no_sender_of_a_mail_can_be_trusted(reports_sqlite):
    reports_sqlite.report(xarf())
    operator = reports_sqlite.desk.signed_in("operator")
    reporter = operator.get("/v1/reporters").json["items"][0]
    assert reporter["kind"] == "mail"
    assert operator.patch("/v1/reporters/" + reporter["id"], {"trusted": True}).status == 404


# ---- The queue ----

def test_the_queue_has_the_most_urgent_first_and_pages(reports):
    ids = {name: reports.report(body)["id"] for name, body in [
        ("late", xarf("a.dyn.example", category="copyright", type="copyright", url=None,
                      infringing_url="http://a.dyn.example/")),
        ("soon", xarf("b.dyn.example")), ("now", controller("c.dyn.example"))]}
    analyst = reports.desk.signed_in("analyst")
    assert [item["id"] for item in analyst.get("/v1/queue").json["items"]] == [
        ids["now"], ids["soon"], ids["late"]]
    seen, cursor = [], ""
    while cursor is not None:
        page = analyst.get("/v1/queue?limit=1&cursor=" + cursor).json
        seen += [item["id"] for item in page["items"]]
        cursor = page.get("next")
    assert seen == [ids["now"], ids["soon"], ids["late"]]
    assert [item["id"] for item in analyst.get("/v1/queue?class=phishing").json["items"]] == [ids["soon"]]
    reports.desk.sql("UPDATE reports SET decide_by = 1 WHERE id = '%s'" % ids["late"])
    first = analyst.get("/v1/queue").json["items"][0]
    assert first["id"] == ids["late"] and first["overdue"]
    assert analyst.get("/v1/queue?cursor=x").status == 400


def test_a_claim_keeps_others_away_until_it_ends(reports):
    report = reports.report()["id"]
    one, other = reports.desk.signed_in("analyst", "one@staff.example"), reports.desk.signed_in(
        "analyst", "two@staff.example")
    path = "/v1/reports/%s/claims" % report
    assert one.post(path).status == 201 and one.post(path).status == 201
    assert other.post(path).status == 409
    reports.decide(other, report, "dismiss", "no-abuse", status=409)
    assert len(one.get("/v1/queue?mine=1").json["items"]) == 1
    assert other.get("/v1/queue?mine=1").json["items"] == []
    assert other.delete(path).status == 409 and one.delete(path).status == 204
    assert other.post(path).status == 201
    reports.desk.sql("UPDATE reports SET claimed_until = 1")
    assert one.post(path).status == 201
    assert one.post("/v1/reports/rep_00000000000000000000/claims").status == 404


def test_of_many_who_claim_at_once_one_gets_it(reports):
    report = reports.report()["id"]
    clients = [reports.desk.signed_in("analyst", "a%d@staff.example" % i) for i in range(4)]
    statuses = []

    def claim(client):
        statuses.append(client.post("/v1/reports/%s/claims" % report).status)

    threads = [threading.Thread(target=claim, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(201) == 1 and set(statuses) <= {201, 409, 503}


# ---- Decisions ----

def test_a_controller_is_blocked_together_with_the_notice(reports):
    reports.host("bad.dyn.example")
    receipt = reports.report(controller("x.bad.dyn.example"))
    analyst = reports.desk.signed_in("analyst")
    decision = reports.decide(analyst, receipt["id"], "suspend-host", "malware-controller", note="seen it")
    assert decision["act_at"] is None
    assert reports.desk.sql("SELECT name, reason, report FROM blocks").strip() == (
        "bad.dyn.example|malware-controller|" + receipt["id"])
    assert len(reports.mails("ann@customers.example")) == 1
    assert len(reports.mails("cert@reporter.example")) == 1
    shown = reports.desk.client().get("/v1/reports/%s?token=%s" % (receipt["id"], receipt["token"])).json
    assert shown["state"] == "decided" and shown["outcome"]["action"] == "suspend-host"
    kinds = reports.desk.sql("SELECT kind FROM ledger_queue ORDER BY id").split()
    assert sorted(kinds) == ["report.blocked", "report.decided"]
    assert "seen it" not in reports.desk.sql("SELECT content FROM ledger_queue")


def test_other_customers_are_told_first_and_blocked_when_their_time_is_up(reports):
    reports.host("bad.dyn.example")
    receipt = reports.report()
    analyst = reports.desk.signed_in("analyst")
    decision = reports.decide(analyst, receipt["id"], "suspend-host", "phishing")
    assert decision["act_at"] is not None
    assert reports.desk.sql("SELECT COUNT(*) FROM blocks").strip() == "0"
    assert len(reports.mails("ann@customers.example")) == 1
    assert "bad.dyn.example" not in reports.desk.sql("SELECT content FROM ledger_queue")
    reports.desk.sql("UPDATE decisions SET act_at = 1")
    reports.desk.process.wait_until(
        lambda: reports.desk.sql("SELECT name FROM blocks").strip() == "bad.dyn.example", "block")
    shown = analyst.get("/v1/reports/" + receipt["id"]).json
    assert shown["state"] == "decided" and shown["acted_at"] and shown["decisions"][0]["state"] == "done"
    assert shown["names"][0]["blocked_reason"] == "phishing"
    assert len(reports.mails("ann@customers.example")) == 2
    assert len(reports.mails("cert@reporter.example")) == 2


def test_a_later_decision_takes_the_place_of_one_that_waits(reports):
    reports.host("bad.dyn.example")
    receipt = reports.report()
    analyst = reports.desk.signed_in("analyst")
    reports.decide(analyst, receipt["id"], "suspend-host", "phishing")
    reports.decide(analyst, receipt["id"], "dismiss", "resolved")
    states = [d["state"] for d in analyst.get("/v1/reports/" + receipt["id"]).json["decisions"]]
    assert states == ["withdrawn", "done"]
    reports.desk.sql("UPDATE decisions SET act_at = 1")
    reports.desk.sql("UPDATE jobs SET last_run_at = 0")
    reports.desk.process.wait_until(
        lambda: reports.desk.sql("SELECT last_run_at FROM jobs WHERE name = 'report.act'").strip() > "0", "job")
    assert reports.desk.sql("SELECT COUNT(*) FROM blocks").strip() == "0"


def test_a_dismissal_lifts_what_the_report_has_blocked(reports):
    receipt = reports.report(controller())
    analyst = reports.desk.signed_in("analyst")
    reports.decide(analyst, receipt["id"], "suspend-host", "malware-controller")
    assert reports.desk.sql("SELECT COUNT(*) FROM blocks").strip() == "1"
    reports.decide(analyst, receipt["id"], "dismiss", "no-abuse")
    assert reports.desk.sql("SELECT COUNT(*) FROM blocks").strip() == "0"
    reporter = analyst.get("/v1/reports/" + receipt["id"]).json["reporter"]
    assert (reporter["upheld"], reporter["dismissed"], reporter["share_upheld"]) == (0, 1, 0)


def test_the_block_outlives_the_host_and_its_account(reports):
    ann = reports.host("bad.dyn.example")
    receipt = reports.report(controller())
    reports.decide(reports.desk.signed_in("analyst"), receipt["id"], "suspend-host", "malware-controller")
    assert ann.delete("/v1/hosts/bad.dyn.example").status in (204, 403, 409)
    bob = reports.desk.signed_in("customer", "bob@customers.example")
    assert bob.post("/v1/hosts", {"name": "bad.dyn.example"}).status in (403, 409)
    assert reports.desk.sql("SELECT name FROM blocks").strip() == "bad.dyn.example"


def test_what_was_warned_of_comes_back_when_the_time_is_up(reports):
    reports.host("bad.dyn.example")
    receipt = reports.report()
    analyst = reports.desk.signed_in("analyst")
    assert reports.decide(analyst, receipt["id"], "warn", "phishing")["act_at"]
    assert analyst.get("/v1/queue").json["items"] == []
    reports.desk.sql("UPDATE decisions SET act_at = 1")
    reports.desk.process.wait_until(lambda: analyst.get("/v1/queue").json["items"] != [], "report again")
    assert reports.desk.sql("SELECT COUNT(*) FROM blocks").strip() == "0"


def test_an_account_is_suspended_with_the_host(reports):
    ann = reports.host("bad.dyn.example")
    receipt = reports.report(controller())
    reports.decide(reports.desk.signed_in("analyst"), receipt["id"], "suspend-account", "malware-controller")
    assert reports.desk.sql("SELECT state FROM accounts WHERE id = '%s'" % ann.account).strip() == "suspended"
    assert reports.desk.sql("SELECT name FROM blocks").strip() == "bad.dyn.example"
    assert ann.post("/v1/hosts", {"name": "next.dyn.example"}).status == 403


def test_an_escalation_names_the_order(reports_sqlite):
    receipt = reports_sqlite.report()
    analyst = reports_sqlite.desk.signed_in("analyst")
    reports_sqlite.decide(analyst, receipt["id"], "escalate", "order-needed", order="nonsense", status=400)
    reports_sqlite.decide(analyst, receipt["id"], "escalate", "order-needed", order="ord_" + "0" * 20)
    assert analyst.get("/v1/reports/" + receipt["id"]).json["decisions"][0]["order"] == "ord_" + "0" * 20


@pytest.mark.parametrize("body,pointer", [
    ({"action": "dismiss"}, "/reason"), ({"action": "nothing", "reason": "no-abuse"}, "/action"),
    ({"action": "dismiss", "reason": "phishing"}, "/reason"),
    ({"action": "suspend-host", "reason": "no-abuse"}, "/reason"),
    ({"action": "dismiss", "reason": "no-abuse", "order": "ord_" + "0" * 20}, "/order"),
    ({"action": "dismiss", "reason": "no-abuse", "more": 1}, "/more")], ids=str)
def test_a_decision_that_is_wrong_is_refused_with_the_place(schema_desk, body, pointer):
    report = schema_desk.report(xarf("d%d.dyn.example" % hash(str(body))))["id"]
    if not hasattr(schema_desk, "analyst"):
        schema_desk.analyst = schema_desk.desk.signed_in("analyst")
    reply = schema_desk.analyst.post("/v1/reports/%s/decisions" % report, body)
    assert reply.status == 400 and reply.json["pointer"] == pointer, reply.text


def test_metacharacters_stay_text_everywhere(reports):
    nasty = "'; DROP TABLE reports; -- \\ %s ${x} <img src=x onerror=alert(1)> \u202e"
    receipt = reports.report(xarf(description=nasty, target_brand=nasty, source_identifier=nasty,
                                  evidence=[evidence(b"x", nasty, description=nasty)]))
    analyst = reports.desk.signed_in("analyst")
    full = analyst.get("/v1/reports/" + receipt["id"]).json
    assert full["description"] == nasty and full["evidence"][0]["label"] == nasty
    reports.decide(analyst, receipt["id"], "dismiss", "no-abuse", note=nasty)
    assert analyst.get("/v1/reports/" + receipt["id"]).json["decisions"][0]["note"] == nasty
    for query in ["?name=%27%20OR%201%3D1", "?state=x'", "?cursor='%3B--", "?account=%25", "?reporter=x"]:
        assert analyst.get("/v1/reports" + query).json["items"] == []


# ---- Retention ----

def test_evidence_and_addresses_go_when_their_time_is_over(reports):
    receipt = reports.report(xarf(evidence=[evidence(b"old")]))
    kept = reports.report(xarf("b.dyn.example", evidence=[evidence(b"new")]))
    analyst = reports.desk.signed_in("analyst")
    reports.decide(analyst, receipt["id"], "dismiss", "no-abuse")
    folder = os.path.join(reports.desk.directory, "state", "evidence")
    for name in os.listdir(folder):
        os.utime(os.path.join(folder, name), (1, 1))
    with open(os.path.join(folder, "0" * 64 + ".half"), "wb") as file:
        file.write(b"what a crash left")
    os.utime(os.path.join(folder, "0" * 64 + ".half"), (1, 1))
    reports.desk.sql("UPDATE reports SET decided_at = 1, acted_at = NULL WHERE id = '%s'" % receipt["id"])
    reports.desk.sql("UPDATE jobs SET last_run_at = 0 WHERE name = 'report.retention'")
    reports.desk.process.wait_until(lambda: len(os.listdir(folder)) == 1, "evidence to go")
    assert analyst.get("/v1/reports/" + kept["id"]).json["evidence"][0]["hash"] == os.listdir(folder)[0]
    gone = analyst.get("/v1/reports/" + receipt["id"]).json
    assert gone["evidence"] == [] and gone["description"] == ""
    assert reports.desk.sql("SELECT COUNT(*) FROM reports WHERE answer_to IS NOT NULL").strip() == "1"


# ---- Crashes ----

def test_no_report_that_was_acknowledged_is_lost_to_a_kill(reports):
    acknowledged, stop = [], threading.Event()

    def send(lane):
        number = 0
        client = reports.desk.client()
        while not stop.is_set():
            number += 1
            name = "n%d-%d.dyn.example" % (lane, number)
            try:
                reply = client.post("/v1/reports", xarf(name, evidence=[evidence(name.encode())]),
                                    check=False)
            except OSError:
                return
            if reply.status == 201:
                acknowledged.append((reply.json["id"], reply.json["token"], name))

    threads = [threading.Thread(target=send, args=(lane,)) for lane in range(3)]
    for thread in threads:
        thread.start()
    reports.desk.process.wait_until(lambda: len(acknowledged) >= 20, "20 reports")
    reports.desk.kill()
    stop.set()
    for thread in threads:
        thread.join()
    reports.start()
    analyst = reports.desk.signed_in("analyst")
    for report, token, name in acknowledged:
        assert reports.desk.client().get("/v1/reports/%s?token=%s" % (report, token), check=False).status == 200
        full = analyst.get("/v1/reports/" + report, check=False).json
        assert [entry["name"] for entry in full["names"]] == [name]
        kept = analyst.get("/v1/evidence/" + full["evidence"][0]["hash"], check=False)
        assert kept.body == name.encode()
