"""Orders from draft to their end: what has to be passed, who may, and what servers then answer."""

import hashlib
import http.client
import json
import random
import threading
import time

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import pytest
import yaml

from testbed import orders
from testbed.desk_orders import CATALOG, DESK_KEYS, KEYRING, OrderDesk
from testbed.order_answers import active, address, ask, eventually

TRUE_ADDRESS = "198.51.100.1"  # of h1.a.example


def blocked_by(edge, name):
    """The extended error's text of an answer."""
    reply = ask(edge, name)
    return [option.text for option in reply.options if option.otype == 15]


def entries(desk, kind):
    return [json.loads(line) for line in
            desk.sql("SELECT content FROM ledger_queue WHERE kind = '%s' ORDER BY id" % kind).splitlines()]


def test_an_order_lives_from_draft_to_lift_on_two_servers(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted, edges=2)
    row = made.draft("t-1", ["h1.a.example", "nothing.a.example"])
    assert row["state"] == "draft" and row["names"] == 2
    figures = made.step("t-1", "rehearsals")["rehearsal"]
    assert figures["listed"]["states"]["live"] == 1 and figures["listed"]["states"]["dead"] == 1
    assert figures["zones"]["server"] == "ns1"
    assert made.step("t-1", "notifications", {})["state"] == "notified"
    assert made.step("t-1", "approvals", role="approver")["state"] == "approved"
    assert made.answers("h1.a.example") == [TRUE_ADDRESS] * 2

    began = time.monotonic()
    made.step("t-1", "activations")
    to_block = made.wait_for_block("h1.a.example", began)
    assert blocked_by(made.edges[0], "h1.a.example") == ["t-1 https://desk.example/orders/t-1"]
    assert made.answers("h2.a.example") == ["198.51.100.2"] * 2

    servers = made.as_("auditor").get("/v1/orders/t-1/servers").json["items"]
    assert [one["server"] for one in servers] == ["ns1", "ns2"]
    for one in servers:
        assert one["state"] == "current" and one["sample"]["blocked"], one
        assert one["sample"]["addresses"] == [orders.SINKHOLE_A]

    made.as_("analyst", 2)
    began = time.monotonic()
    made.lift("t-1", role="analyst", number=2)
    to_lift = made.wait_for("h1.a.example", TRUE_ADDRESS, began)
    print("activation to the first sinkholed answer %.3f s, lift to the first right answer %.3f s"
          % (to_block, to_lift))
    # The order is out of force first, its zone goes then.
    eventually(lambda: [one["state"] for one in
                        made.as_("auditor").get("/v1/orders/t-1/servers").json["items"]] == ["absent"] * 2,
               "the zone gone")
    actions = [event["action"] for event in made.get("t-1")["events"]]
    assert actions == ["order." + word for word in
                       ["drafted", "rehearsed", "notified", "approved", "activated", "lifted"]]
    assert made.desk.sql("SELECT COUNT(*) FROM audit WHERE object = '%s'" % row["id"]).strip() == "6"


def test_no_step_can_be_skipped_and_none_twice(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    made.draft("t-1", ["h1.a.example"])
    made.step("t-1", "activations", status=409)
    made.step("t-1", "approvals", role="approver", status=409)
    made.step("t-1", "notifications", {}, status=409)
    made.step("t-1", "rehearsals")
    made.step("t-1", "approvals", role="approver", status=409)
    made.step("t-1", "activations", status=409)
    made.step("t-1", "notifications", {})
    made.step("t-1", "notifications", {}, status=409)
    made.step("t-1", "activations", status=409)
    made.step("t-1", "approvals", role="approver")
    made.step("t-1", "approvals", role="approver", number=2, status=409)
    made.step("t-1", "rehearsals", status=409)
    made.step("t-1", "activations")
    made.step("t-1", "activations", status=409)
    made.lift("t-1")
    made.lift("t-1", status=409)
    made.step("t-1", "activations", status=409)
    assert made.get("t-1")["state"] == "lifted"


def test_another_document_begins_anew(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    made.draft("t-1", ["h1.a.example"])
    made.step("t-1", "rehearsals")
    assert made.as_("analyst").patch("/v1/orders/t-1", {"contacts": ["a@provider.example"]}).status == 200
    assert made.as_("analyst").patch("/v1/orders/t-1", {"contacts": ["nobody"]}).status == 400
    made.step("t-1", "notifications", {})
    assert made.as_("analyst").patch("/v1/orders/t-1", {"contacts": []}).status == 409
    reply = made.as_("analyst").patch("/v1/orders/t-1", {
        "document": {**orders.order("t-1"), "names": ["h2.a.example", "h3.a.example"]}})
    assert reply.status == 200 and reply.json["state"] == "draft" and reply.json["version"] == 2
    assert reply.json["rehearsal"] is None
    made.step("t-1", "approvals", role="approver", status=409)
    names = made.as_("analyst").get("/v1/orders/t-1/names").json["items"]
    assert [one["name"] for one in names] == ["h2.a.example", "h3.a.example"]
    made.until_approved("t-1")
    reply = made.as_("analyst").patch("/v1/orders/t-1", {"contacts": []})
    assert reply.status == 409
    reply = made.as_("analyst").patch("/v1/orders/t-1", {
        "document": {**orders.order("other"), "names": ["h2.a.example"]}})
    assert reply.status in (400, 409)


def test_an_order_that_nobody_would_be_told_of_goes_no_further(farm, desk_sqlite):
    made = OrderDesk(farm, desk_sqlite, contacts=[])
    made.draft("t-1", ["h1.a.example"])
    made.step("t-1", "rehearsals")
    made.step("t-1", "notifications", {}, status=409)
    assert made.as_("analyst").patch("/v1/orders/t-1", {"contacts": ["a@provider.example"]}).status == 200
    made.step("t-1", "notifications", {})
    assert made.desk.sql("SELECT COUNT(*) FROM outbox WHERE kind = 'mail'").strip() == "1"


def test_whoever_drafts_does_not_approve_alone(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    author = made.as_("approver")
    reply = author.post("/v1/orders", {"document": {**orders.order("t-1"), "names": ["h1.a.example"]}})
    assert reply.status == 201
    made.step("t-1", "rehearsals")
    made.step("t-1", "notifications", {})
    assert author.post("/v1/orders/t-1/approvals").status == 403
    assert made.get("t-1")["approvals"]["given"] == 0
    assert made.step("t-1", "approvals", role="approver", number=2)["state"] == "approved"


def test_two_people_approve_subtrees_collateral_and_what_others_watch(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted, **{"collateral-budget": {"live": 1}})
    made.draft("wide", action="nodata", subtrees=["h1.a.example"])
    made.draft("many", ["h2.a.example", "h3.a.example"])
    made.draft("watched", ["h4.a.example"])
    made.draft("plain", ["h5.a.example"])
    watched = made.get("watched")["id"]
    # As the part that matches interests does it.
    made.desk.sql("INSERT INTO order_holds (order_id, reference, until_at) VALUES ('%s', 'ovl_1', %d)"
                  % (watched, time.time() + 3600))
    for order_id in ["wide", "many", "watched", "plain"]:
        state = made.until_approved(order_id)
        assert state["approvals"]["needed"] == (1 if order_id == "plain" else 2)
        if order_id == "plain":
            assert state["state"] == "approved"
            continue
        assert state["state"] == "notified"
        made.step(order_id, "approvals", role="approver", status=409)
        assert made.step(order_id, "approvals", role="approver", number=2)["state"] == "approved"
    assert made.get("many")["exceeds_desk_budget"]
    reply = made.as_("analyst").post("/v1/orders/watched/activations")
    assert reply.status == 409 and "interest" in reply.json["detail"]
    made.desk.sql("UPDATE order_holds SET ended_at = 1")
    made.step("watched", "activations")


def test_an_order_over_its_own_budget_is_never_approved(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    made.draft("t-1", ["h1.a.example", "h2.a.example"], budget={"live": 1})
    row = made.step("t-1", "rehearsals")
    assert row["exceeds_own_budget"] and row["rehearsal"]["budget"]["live"] == {
        "value": 2, "bound": 1, "exceeded": True}
    made.step("t-1", "notifications", {})
    made.step("t-1", "approvals", role="approver", status=409)


def test_a_rehearsal_says_when_there_are_no_zones(farm, desk_sqlite):
    made = OrderDesk(farm, desk_sqlite)
    made.draft("t-1", ["h1.a.example"])
    made.edges[0].end()
    reply = made.as_("analyst").post("/v1/orders/t-1/rehearsals")
    assert reply.status == 503 and "a.example cannot be had" in reply.json["detail"]
    made.edges[0].start_again()
    assert made.step("t-1", "rehearsals")["state"] == "rehearsed"


@pytest.mark.parametrize("document, problem", [
    ("id: [", "line 1"),
    ({"id": "x", "names-file": "/etc/passwd"}, "names-file"),
    ({"id": "x", "names": ["h1.a.example"], "ends": "2014-07-14T12:00:00Z",
      "starts": "2014-07-01T12:00:00Z"}, "ended"),
    ({"id": "desk-exemptions", "names": ["h1.a.example"]}, "own"),
    ({"id": "x", "names": ["h1.a.example"], "colour": "red"}, "colour"),
    ({"id": "x"}, "lists nothing"),
    (7, "no order"),
])
def test_a_document_that_is_no_order_is_refused_with_its_place(desk_sqlite, document, problem):
    desk = desk_sqlite.start()
    analyst = desk.signed_in("analyst")
    if isinstance(document, dict):
        document = {**orders.order("x"), **document}
    reply = analyst.post("/v1/orders", {"document": document})
    assert reply.status == 400 and reply.json["pointer"] == "/document"
    assert problem in reply.json["detail"] + reply.json.get("remedy", ""), reply.text
    assert analyst.get("/v1/orders").json["items"] == []


def test_the_document_is_kept_as_it_was_sent(desk):
    analyst = desk.signed_in("analyst")
    text = "# of the court\n" + yaml.safe_dump({**orders.order("T-1"), "names": ["B\u00fccher.example"]},
                                             allow_unicode=True)
    row = analyst.post("/v1/orders", {"document": text}).json
    assert row["order"] == "t-1"
    assert row["document_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert analyst.get("/v1/orders/T-1/document").text == text
    assert [one["name"] for one in analyst.get("/v1/orders/t-1/names").json["items"]] == [
        "xn--bcher-kva.example"]
    assert analyst.post("/v1/orders", {"document": text}).status == 409


def test_an_exemption_lets_a_name_go_everywhere(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted, edges=2)
    made.active("t-1", ["h1.a.example", "h2.a.example"])
    made.active("t-2", ["h1.a.example"], action="nxdomain")
    made.wait_for_block("h1.a.example")
    made.wait_for_block("h2.a.example")
    eventually(lambda: all("t-2" in active(edge) for edge in made.edges), "the second order")

    began = time.monotonic()
    reply = made.as_("analyst").post("/v1/names/H1.a.example/exemptions",
                                     {"reason": "The appeal was granted.", "reference": "apl_1"})
    assert reply.status == 200 and reply.json["orders"] == 2
    print("exemption to the first right answer %.3f s" % made.wait_for("h1.a.example", TRUE_ADDRESS, began))
    assert made.answers("h2.a.example") == [orders.SINKHOLE_A] * 2
    again = made.as_("analyst").post("/v1/names/h1.a.example/exemptions", {"reason": "Again."})
    assert again.json["orders"] == 0
    assert made.members() == ["desk-exemptions.orders.example.", "t-1.orders.example.",
                              "t-2.orders.example."]

    # Orders that are lifted take their exemptions along.
    made.lift("t-1")
    made.lift("t-2")
    eventually(lambda: made.members() == [], "an empty catalog")
    made.active("t-3", ["h1.a.example"])
    made.wait_for_block("h1.a.example")


def test_an_amendment_only_takes_back(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    made.active("t-1", ["h1.a.example", "h2.a.example", "h3.a.example"])
    made.wait_for_block("h1.a.example")
    before = made.get("t-1")
    document = yaml.safe_load(made.as_("analyst").get("/v1/orders/t-1/document").text)

    for change in [{"names": document["names"] + ["h4.a.example"]}, {"ends": orders.timestamp(time.time() + 9e5)},
                   {"sinkhole": {"a": ["192.0.2.1"]}}, {"subtrees": ["h9.a.example"]}, {"authority": "Me"}]:
        reply = made.as_("analyst").post("/v1/orders/t-1/amendments",
                                         {"reason": "More.", "document": {**document, **change}})
        assert reply.status == 409, change
    made.step("t-1", "amendments", {"reason": "A mistake.",
                                    "document": {**document, "names": ["h2.a.example", "h3.a.example"]}})
    made.wait_for("h1.a.example", TRUE_ADDRESS)
    made.step("t-1", "amendments", {"reason": "Another.", "exempt": ["h2.a.example"]})
    made.wait_for("h2.a.example", "198.51.100.2")
    made.step("t-1", "amendments", {"reason": "No such.", "exempt": ["h50.a.example"]}, status=409)
    assert made.answers("h3.a.example") == [orders.SINKHOLE_A]
    after = made.get("t-1")
    assert after["state"] == "active" and after["serial"] > before["serial"] and after["version"] == 2


def test_a_signed_document_stays_as_it_was_signed(farm, desk_unstarted):
    folder = farm.directory
    signers = [orders.make_signer(folder, name) for name in ("ann", "bob")]
    path = orders.write_order(folder, "t-1", subtrees=["h1.a.example"], names=["h2.a.example"])
    for name in ("ann", "bob"):
        orders.sign(folder, name, path)
    keyring = farm.write("keyring.yaml", yaml.safe_dump(signers))
    with open(path, encoding="utf-8") as file:
        text = file.read()
    made = OrderDesk(farm, desk_unstarted, edges=0, keyring=keyring)
    edge = farm.tamisd({**made.edge_config(), "orders": {"catalog": CATALOG, "keyring": signers}})
    made.edges.append(edge)
    made.desk.stop()
    made.desk.start({"servers": [{"name": "ns1", "address": "%s@%d" % edge.place, "key": "xfr"}],
                     "orders": {"notify": ["%s@%d" % edge.place]}})
    analyst = made.as_("analyst")
    assert analyst.post("/v1/orders", {"document": text.replace("Test Court", "Our Court")}).status == 400
    assert analyst.post("/v1/orders", {"document": text}).status == 201
    made.until_approved("t-1", approvers=2)
    made.step("t-1", "activations")
    made.wait_for_block("h1.a.example")
    made.wait_for_block("h2.a.example")
    made.step("t-1", "amendments", {"reason": "An appeal.", "exempt": ["h2.a.example"]})
    made.wait_for("h2.a.example", "198.51.100.2")
    assert made.answers("h1.a.example") == [orders.SINKHOLE_A]


def test_a_sealed_order_shows_its_hash_until_it_opens(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    until = time.time() + 3600
    row = made.draft("t-1", ["h1.a.example", "h2.a.example"],
                     {"sealed_until": orders.timestamp(until), "contacts": ["Abuse@provider.example"]})
    made.step("t-1", "rehearsals")
    made.step("t-1", "notifications", {"delay_until": orders.timestamp(until + 60)}, status=409)
    notified = made.step("t-1", "notifications", {"delay_until": orders.timestamp(until - 60)})
    assert notified["notice_due_at"] == orders.timestamp(until - 60)
    due = made.desk.sql("SELECT DISTINCT due_at FROM outbox WHERE kind = 'mail'").strip()
    assert [event["detail"]["contacts"] for event in notified["events"] if event["detail"]
            and "contacts" in event["detail"]] == [2]
    assert orders.timestamp(int(due)) == notified["notice_due_at"]
    made.step("t-1", "approvals", role="approver")
    made.step("t-1", "activations")
    stranger = made.desk.client()
    notice = stranger.get("/orders/t-1").json
    assert notice["sealed"] and notice["authority"] is None and "listed" not in notice
    block = stranger.get("/names/h1.a.example").json["blocks"][0]
    assert block["order"] == "t-1" and block["reason"] is None
    for entry in entries(made.desk, "order.activated"):
        assert set(entry) == {"order", "commitment", "version", "by"}
        assert entry["commitment"] == notice["commitment"]

    made.desk.sql("UPDATE orders SET sealed_until = 1")
    eventually(lambda: entries(made.desk, "order.opened"), "the opening")
    opened = entries(made.desk, "order.opened")[0]
    document = made.as_("auditor").get("/v1/orders/t-1/document").body
    digest = hashlib.sha256(document).digest()
    assert opened["document_sha256"] == digest.hex() and opened["order"] == row["id"]
    assert hashlib.sha256(bytes.fromhex(opened["salt"]) + digest).hexdigest() == notice["commitment"]
    assert opened["authority"] == "Test Court, 1:23-cv-00001"
    assert stranger.get("/orders/t-1").json["listed"] == ["h1.a.example", "h2.a.example"]


def test_a_look_up_tells_why_and_how_to_appeal_and_no_more(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    stranger = made.desk.client()
    made.draft("t-1", ["h1.a.example", "h2.a.example"], authority="<Court> & \"Sons\"")
    assert stranger.get("/names/h1.a.example").json == {
        "name": "h1.a.example", "blocked": False, "blocks": [], "appeal": None}
    assert stranger.get("/orders/t-1").status == 404
    made.until_approved("t-1")
    made.step("t-1", "activations")
    found = stranger.get("/names/H1.A.example.").json
    assert found["blocked"] and found["appeal"]["url"].endswith("/v1/appeals")
    block = found["blocks"][0]
    assert block["by"] == "order" and block["order"] == "t-1" and block["kind"] == "court"
    assert block["reason"] == "<Court> & \"Sons\"" and block["until"] == made.get("t-1")["ends"]
    assert "h2.a.example" not in json.dumps(found) and "staff.example" not in json.dumps(found)
    page = stranger.get("/names/h1.a.example", headers={"Accept": "text/html"})
    assert page.header("content-type").startswith("text/html")
    assert "&lt;Court&gt; &amp; &quot;Sons&quot;" in page.text and "<Court>" not in page.text
    assert "<title>Order t-1</title>" in stranger.get("/orders/t-1", headers={"Accept": "text/html"}).text
    assert stranger.get("/names/%20").status == 400

    made.desk.sql("INSERT INTO blocks (name, reason, since) VALUES ('h9.a.example', 'malware-controller', 1)")
    provider = stranger.get("/names/www.h9.a.example").json["blocks"]
    assert provider == [{"by": "provider", "name": "h9.a.example", "reason": "malware-controller",
                         "since": "1970-01-01T00:00:01Z", "until": None, "ledger": []}]
    known = made.as_("auditor").get("/v1/names/h1.a.example").json
    assert known["orders"][0]["decision"] == "blocked" and known["orders"][0]["state"] == "live"
    assert known["orders"][0]["seen_at"]


def test_an_order_whose_time_is_up_stops_with_the_desk_and_without(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    ends = time.time() + 5
    made.active("t-1", ["h1.a.example"], ends=orders.timestamp(ends))
    made.active("t-2", ["h2.a.example"])
    made.wait_for_block("h1.a.example")
    made.wait_for_block("h2.a.example")
    made.desk.kill()
    made.wait_for("h1.a.example", TRUE_ADDRESS)
    assert time.time() >= int(ends)
    assert made.answers("h2.a.example") == [orders.SINKHOLE_A]
    made.desk.start()
    eventually(lambda: made.get("t-1")["state"] == "expired", "the expiry")
    eventually(lambda: made.members() == ["t-2.orders.example."], "the catalog without it")
    made.lift("t-2")
    made.wait_for("h2.a.example", "198.51.100.2")


def test_a_crash_at_any_step_loses_and_doubles_nothing(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)

    def crash():
        made.desk.kill()
        made.desk.start()

    made.draft("t-1", ["h1.a.example"])
    crash()
    for step, body, role in [("rehearsals", None, "analyst"), ("notifications", {}, "analyst"),
                             ("approvals", None, "approver")]:
        made.step("t-1", step, body, role)
        crash()
    made.step("t-1", "activations")
    crash()
    made.wait_for_block("h1.a.example")
    serials = made.serial(CATALOG), made.serial("t-1.orders.example.")
    crash()
    eventually(lambda: made.dns("t-1.orders.example.").rcode() == dns.rcode.NOERROR, "the zone")
    assert (made.serial(CATALOG), made.serial("t-1.orders.example.")) == serials
    made.lift("t-1")
    crash()
    made.wait_for("h1.a.example", TRUE_ADDRESS)
    actions = [event["action"] for event in made.get("t-1")["events"]]
    assert len(actions) == len(set(actions)) == 6
    assert made.desk.sql("SELECT COUNT(*) FROM ledger_queue").strip() == "6"


def test_zones_are_given_to_the_key_alone(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted, edges=1)
    made.active("t-1", ["h1.a.example"])
    made.wait_for_block("h1.a.example")
    zone = "t-1.orders.example."
    other = dns.tsigkeyring.from_text({"xfr": ("hmac-sha256", "b3RoZXI=")})
    unknown = dns.tsigkeyring.from_text({"unknown": ("hmac-sha256", "b3RoZXI=")})
    for rdtype in ["SOA", "AXFR"]:
        reply = made.dns(zone, rdtype, key=None, tcp=rdtype == "AXFR")
        assert reply.rcode() == dns.rcode.REFUSED
        for key in [other, unknown]:
            with pytest.raises((dns.tsig.PeerError, dns.tsig.BadSignature)):
                made.dns(zone, rdtype, key=key, tcp=rdtype == "AXFR")
    assert made.dns(zone, "A").rcode() == dns.rcode.REFUSED
    assert made.dns("other.example.").rcode() == dns.rcode.NOTAUTH
    assert made.dns(zone, "AXFR").rcode() == dns.rcode.NOTIMP
    whole = made.dns(zone, "AXFR", tcp=True)
    assert whole.had_tsig and len(whole.answer) > 4
    now = dns.message.make_query(zone, "IXFR")
    now.authority.append(dns.rrset.from_text(zone, 0, "IN", "SOA", "invalid. invalid. %d 1 1 1 1"
                                             % made.serial(zone)))
    now.use_tsig(KEYRING)
    reply = dns.query.tcp(now, *made.place[:1], port=made.place[1], timeout=10)
    assert [rrset.rdtype for rrset in reply.answer] == [6]


def test_other_peoples_secondary_follows_the_catalog(farm, desk_sqlite):
    knot = farm.knot_unstarted()
    made = OrderDesk(farm, desk_sqlite, others=[knot])
    made.active("t-1", ["h1.a.example"])
    knot.run(["knotd", "-c", knot.write("catalog.conf", """\
server:
    listen: %s@%d
    rundir: %s
log:
  - target: stderr
    any: info
control:
    listen: %s
database:
    storage: %s
key:
  - id: xfr
    algorithm: hmac-sha256
    secret: bm90LWEtcmVhbC1zZWNyZXQ=
remote:
  - id: desk
    address: %s@%d
    key: xfr
acl:
  - id: told
    key: xfr
    action: notify
  - id: all
    address: 127.0.0.0/8
    action: transfer
template:
  - id: default
    storage: %s
    zonefile-sync: -1
  - id: member
    storage: %s
    zonefile-sync: -1
    master: desk
    acl: [told, all]
zone:
  - domain: catalog.orders.example
    master: desk
    acl: [told, all]
    catalog-role: interpret
    catalog-template: member
""" % (*knot.place, knot.directory, knot.path("knot.sock"), knot.directory, *made.place,
       knot.directory, knot.directory))])

    def has(zone):
        try:
            return ask(knot, zone, "SOA").rcode() == dns.rcode.NOERROR
        except dns.exception.Timeout:
            return False

    eventually(lambda: has("t-1.orders.example."), "the first order at Knot")
    made.active("t-2", ["h2.a.example"])
    eventually(lambda: has("t-2.orders.example."), "the second order at Knot")
    made.lift("t-1")
    eventually(lambda: not has("t-1.orders.example."), "the lift at Knot")
    reply = ask(knot, "h2.a.example.t-2.orders.example.")
    assert [one.address for one in reply.answer[0]] == [orders.SINKHOLE_A]


def test_the_desk_ends_in_order_while_it_makes_a_long_zone(farm, desk_sqlite):
    made = OrderDesk(farm, desk_sqlite)
    made.active("t-1", ["n%d.a.example" % number for number in range(18472)])
    assert made.desk.process.stop() == 0
    made.desk.start()
    made.wait_for("n18471.a.example", orders.SINKHOLE_A)
    names = made.as_("analyst").get("/v1/orders/t-1/names?limit=200").json
    assert len(names["items"]) == 200 and names["next"] == names["items"][-1]["name"]
    assert made.get("t-1")["names"] == 18472


def test_a_lift_does_not_wait_for_a_zone_that_is_made(farm, desk_sqlite):
    made = OrderDesk(farm, desk_sqlite)
    made.active("short", ["h1.a.example"])
    made.wait_for_block("h1.a.example")
    made.draft("long", ["n%d.a.example" % number for number in range(18472)])
    made.until_approved("long")
    made.step("long", "activations")
    made.lift("short")
    made.wait_for("h1.a.example", TRUE_ADDRESS)
    made.wait_for("n1.a.example", orders.SINKHOLE_A)


def test_a_kill_in_the_middle_of_a_step_leaves_it_done_or_not_done(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted)
    seed = random.SystemRandom().randrange(2 ** 32)
    print("seed", seed)
    chance = random.Random(seed)

    def kill_during(order_id, step, body, before, after, event):
        """Kills the desk while it takes a step; has it taken in the end."""
        seen = []

        def ask_once():
            try:
                seen.append(made.as_("analyst").post("/v1/orders/%s/%s" % (order_id, step), body).status)
            except (OSError, http.client.HTTPException):
                pass  # the desk died before it answered

        asking = threading.Thread(target=ask_once)
        asking.start()
        asking.join(chance.random() * 0.03)
        made.desk.kill()
        asking.join()
        made.desk.start()
        row = made.get(order_id)
        done = row["state"] == after
        assert done or (row["state"] == before and not seen)
        assert len([one for one in row["events"] if one["action"] == event]) == done
        if not done:
            made.step(order_id, step, body)

    for number in range(3):
        order_id = "t-%d" % number
        made.draft(order_id, ["h1.a.example"])
        made.until_approved(order_id)
        assert made.get(order_id)["state"] == "approved"
        kill_during(order_id, "activations", None, "approved", "active", "order.activated")
        made.wait_for_block("h1.a.example")
        kill_during(order_id, "lifts", {"reason": "Over."}, "active", "lifted",
                    "order.lifted")
        made.wait_for("h1.a.example", TRUE_ADDRESS)


@pytest.mark.parametrize("changes, problem", [
    ({"key": None}, "add catalog, suffix and key"),
    ({"key": "nothing"}, "there is no key nothing"),
    ({"catalog": "a..b"}, "no domain name"),
    ({"notify": ["192.0.2.1@53 key nothing"]}, "there is no key nothing"),
    ({"rehearse": {"server": "ns9"}}, "there is no server ns9"),
    ({"keyring": "missing.yaml"}, "missing.yaml"),
    ({"contacts": ["nobody"]}, "no mail address"),
    ({"lsiten": []}, "listen"),
])
def test_a_wrong_section_of_the_configuration_is_named_by_line(desk_sqlite, changes, problem):
    section = {"listen": ["127.0.0.1@5354"], "catalog": CATALOG, "suffix": "orders.example", "key": "xfr",
               **changes}
    desk_sqlite.write_config({"keys": DESK_KEYS,
                              "orders": {key: value for key, value in section.items() if value is not None}})
    result = desk_sqlite.run("--check", check=False)
    assert result.returncode == 1 and problem in result.stderr, result.stderr
    assert "tamis-desk.yaml:" in result.stderr


# ---- Who is told ----

def mails(desk, to):
    """Subjects and texts of what waits for an address, in the order of their making."""
    rows = desk.sql("SELECT payload FROM outbox WHERE kind = 'mail' ORDER BY id").splitlines()
    return [(mail["subject"], mail["text"]) for mail in map(json.loads, rows) if mail["to"] == to]


def add_host(desk, name, account):
    desk.sql("INSERT INTO hosts (id, name, account, zone, state, wildcard, created_at, updated_at, seen_at, clean) "
             "VALUES ('hst_%020d', '%s', '%s', 'a.example', 'active', 0, 0, 0, 0, 1)"
             % (random.randrange(10 ** 18), name, account))


@pytest.fixture
def told(farm, desk_unstarted):
    """An order with contacts, customers with hosts, and one whom it does not concern."""
    made = OrderDesk(farm, desk_unstarted, edges=1)
    for customer, names in (("ann", ["h1.a.example", "h2.a.example"]), ("ben", ["x.sub.a.example"]),
                            ("eve", ["h3.a.example", "notsub.a.example"])):
        client = made.desk.signed_in("customer", customer + "@customers.example")
        for name in names:
            add_host(made.desk, name, client.account)
    return made


def test_customers_and_contacts_are_told_of_begin_amendment_and_end(told):
    ann, ben, eve, noc, own = (name + ".example" for name in (
        "ann@customers", "ben@customers", "eve@customers", "noc@provider", "abuse@provider"))
    told.draft("t-1", ["h1.a.example", "h2.a.example", "h4.a.example"], {"contacts": [own]},
               subtrees=["sub.a.example"])
    told.until_approved("t-1", 2)
    assert mails(told.desk, ann) == []
    told.step("t-1", "activations")
    (subject, text), = mails(told.desk, ann)
    assert subject == "2 of your hosts: blocked by the order t-1"
    assert "    h1.a.example\n    h2.a.example\n" in text and "x.sub" not in text and "/v1/appeals" in text
    assert [subject for subject, _ in mails(told.desk, ben)] == ["x.sub.a.example: blocked by the order t-1"]

    told.step("t-1", "amendments", {"reason": "A mistake.", "exempt": ["h1.a.example", "h4.a.example"]})
    assert [subject for subject, _ in mails(told.desk, ann)][1:] == [
        "h1.a.example: no longer blocked by the order t-1"]
    for contact in (noc, own):
        notice, (subject, text) = mails(told.desk, contact)
        assert subject == "Order t-1 is amended" and "2 names are exempt" in text and "A mistake." in text
    assert told.as_("analyst").post("/v1/names/x.sub.a.example/exemptions", {"reason": "An appeal."}).status == 200
    assert len(mails(told.desk, noc)) == 3
    assert [subject for subject, _ in mails(told.desk, ben)][1:] == [
        "x.sub.a.example: no longer blocked by the order t-1"]

    told.lift("t-1")
    assert [subject for subject, _ in mails(told.desk, ann)][2:] == [
        "h2.a.example: no longer blocked by the order t-1"]
    assert len(mails(told.desk, ben)) == 2 and mails(told.desk, eve) == []
    subject, text = mails(told.desk, own)[-1]
    assert subject == "Order t-1 is lifted" and "No longer needed." in text
    assert told.desk.sql("SELECT COUNT(*) FROM order_customers").strip() == "0"


def test_an_expiry_and_a_narrower_document_are_told_too(told):
    document = {"ends": orders.timestamp(time.time() + 4)}
    told.active("t-1", ["h1.a.example", "h3.a.example"], **document)
    told.step("t-1", "amendments", {"reason": "One less.", "document": {
        **orders.order("t-1", **document), **told_document(told, "t-1"), "names": ["h3.a.example"]}})
    assert [subject for subject, _ in mails(told.desk, "ann@customers.example")] == [
        "h1.a.example: blocked by the order t-1", "h1.a.example: no longer blocked by the order t-1"]
    assert "its document blocks less" in mails(told.desk, "noc@provider.example")[-1][1]
    eventually(lambda: told.get("t-1")["state"] == "expired", "the order's end")
    assert [subject for subject, _ in mails(told.desk, "eve@customers.example")] == [
        "h3.a.example: blocked by the order t-1", "h3.a.example: no longer blocked by the order t-1"]
    assert mails(told.desk, "noc@provider.example")[-1][0] == "Order t-1 has expired"


def told_document(made, order_id):
    """What an amendment may not change of a document."""
    document = yaml.safe_load(made.desk.sql("SELECT document FROM orders WHERE name = '%s'" % order_id))
    return {key: document[key] for key in ("starts", "ends")}


def test_nobody_is_told_of_what_was_never_noticed_or_only_observes(told):
    told.draft("t-1", ["h1.a.example"])
    told.lift("t-1")
    assert mails(told.desk, "noc@provider.example") == []
    document = {"action": "observe"}
    told.draft("t-2", ["h1.a.example"], **document)
    told.until_approved("t-2")
    told.step("t-2", "activations")
    told.lift("t-2")
    assert mails(told.desk, "ann@customers.example") == []
    assert mails(told.desk, "noc@provider.example")[-1][0] == "Order t-2 is lifted"


def test_a_sealed_orders_mails_wait_with_its_notice(told):
    until = int(time.time()) + 3600
    told.draft("t-1", ["h1.a.example"], {"sealed_until": orders.timestamp(until)})
    told.step("t-1", "rehearsals")
    told.step("t-1", "notifications", {"delay_until": orders.timestamp(until)})
    told.step("t-1", "approvals", role="approver")
    told.step("t-1", "activations")
    told.lift("t-1")
    due = told.desk.sql("SELECT due_at FROM outbox WHERE kind = 'mail'").split()
    assert len(due) == 4 and len(set(due)) == 1 and int(due[0]) >= until
    # A closed account is told nothing any more.
    told.active("t-2", ["h3.a.example"])
    eve = told.desk.client()
    eve.sign_in("eve@customers.example")
    data = eve.get("/v1/account/export").json
    assert [(row["order"], row["name"]) for row in data["orders"]] == [("t-2", "h3.a.example")]
