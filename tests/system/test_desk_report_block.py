"""A block by a report, as the name server and the customer's client see it."""

from testbed.reports import controller, xarf


def report(hosts, body):
    reply = hosts.desk.client().post("/v1/reports", body)
    assert reply.status == 201, reply.text
    return reply.json["id"]


def decide(client, report_id, action, reason):
    reply = client.post("/v1/reports/%s/decisions" % report_id, {"action": action, "reason": reason})
    assert reply.status == 201, reply.text


def update(hosts, name, key, address="192.0.2.7"):
    return hosts.update("hostname=%s&myip=%s" % (name, address), name, key).text.split()[0]


def test_a_block_removes_the_records_at_once_and_outlives_host_and_account(hosts):
    ann = hosts.customer()
    hosts.host(ann, "bad.dyn.example")
    key = hosts.key(ann, "bad.dyn.example")
    assert update(hosts, "bad.dyn.example", key) == "good"
    analyst = hosts.desk.signed_in("analyst")
    number = report(hosts, controller())
    decide(analyst, number, "suspend-host", "malware-controller")
    hosts.wait_for("bad.dyn.example", "A", [])
    reply = hosts.update("hostname=bad.dyn.example&myip=192.0.2.8", "bad.dyn.example", key)
    assert reply.text.startswith("abuse") and reply.header("X-Tamis-Reason").endswith(
        "malware-controller")
    shown = ann.get("/v1/hosts/bad.dyn.example").json
    assert shown["block"]["reason"] == "malware-controller" and shown["block"]["report"] == number
    # Neither its deletion nor another account brings the name back.
    assert ann.delete("/v1/hosts/bad.dyn.example").status == 204
    bob = hosts.customer("bob@customers.example")
    again = bob.post("/v1/hosts", {"name": "bad.dyn.example"})
    if again.status == 201:
        other = hosts.key(bob, "bad.dyn.example")
        assert update(hosts, "bad.dyn.example", other) == "abuse"
    assert hosts.records("bad.dyn.example") == []
    # A dismissal lifts it.
    decide(analyst, number, "dismiss", "no-abuse")
    if again.status != 201:
        assert bob.post("/v1/hosts", {"name": "bad.dyn.example"}).status == 201
        other = hosts.key(bob, "bad.dyn.example")
    assert update(hosts, "bad.dyn.example", other) == "good"
    assert hosts.records("bad.dyn.example") == ["192.0.2.7"]


def test_a_host_serves_until_the_notice_is_over(hosts):
    ann = hosts.customer()
    hosts.host(ann, "bad.dyn.example")
    key = hosts.key(ann, "bad.dyn.example")
    assert update(hosts, "bad.dyn.example", key) == "good"
    decide(hosts.desk.signed_in("analyst"), report(hosts, xarf()), "suspend-host", "phishing")
    assert update(hosts, "bad.dyn.example", key, "192.0.2.9") == "good"
    assert hosts.records("bad.dyn.example") == ["192.0.2.9"]
    hosts.desk.sql("UPDATE decisions SET act_at = 1")
    hosts.wait_for("bad.dyn.example", "A", [])
    assert update(hosts, "bad.dyn.example", key) == "abuse"


def test_what_an_account_reported_is_exported_and_forgotten_with_it(hosts):
    reporter = hosts.desk.signed_in("reporter", "rita@reporters.example")
    reply = reporter.post("/v1/reports", xarf())
    assert reply.status == 201
    exported = reporter.get("/v1/account/export").json["reports"]
    assert [entry["id"] for entry in exported] == [reply.json["id"]]
    account = reporter.account
    operator = hosts.desk.signed_in("operator")
    assert operator.patch("/v1/accounts/" + account, {"state": "closed"}).status == 200
    assert hosts.desk.sql("SELECT label FROM reporters").strip() == account
    assert hosts.desk.sql("SELECT COUNT(*) FROM reports WHERE answer_to IS NOT NULL").strip() == "0"
