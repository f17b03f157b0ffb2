"""Deconfliction over HTTP: a partner places interests that the desk cannot read, and talks about overlaps."""

import json
import os

import pytest

from testbed import oprf
from testbed.desk_orders import OrderDesk

NAME = "c2.malware.example"


@pytest.fixture
def partner(desk):
    return desk.signed_in("partner", "cert@partner.example")


def key_of(desk):
    """The desk's secret, made from its file by another program."""
    with open(os.path.join(desk.directory, "state", "interest.key"), encoding="ascii") as file:
        return oprf.derive_key(bytes.fromhex(file.read().strip()))


def evaluate(client, names):
    """What a partner's program does; returns the key's id and an output for each name."""
    blinded = [oprf.blind(name.encode()) for name in names]
    reply = client.post("/v1/interests/evaluations",
                        {"elements": [oprf.text_of(element) for _, element in blinded]})
    assert reply.status == 200, reply.text
    return reply.json["key"], [oprf.finalize(name.encode(), scalar, oprf.octets_of(text)) for
                               name, (scalar, _), text in zip(names, blinded, reply.json["elements"])]


def place(client, name=NAME, relation="name", **more):
    key, (output,) = evaluate(client, [name])
    return client.post("/v1/interests", {"key": key, "tokens": [oprf.text_of(oprf.token(relation, output))], **more})


def overlap(desk, interest, account, number=1, held_until=9999999999):
    """An overlap as orders have it written."""
    name = "ovl_%020d" % number
    desk.sql("INSERT INTO interest_overlaps (id, order_id, interest, account, name, relation, found_at, held_until) "
             "VALUES ('%s', 'ord_%020d', '%s', '%s', '%s', 'name', 1700000000, %d)"
             % (name, number, interest, account, NAME, held_until))
    return name


def test_the_function_in_python_is_the_one_of_the_rfc():
    key = oprf.derive_key(b"\xa3" * 32, b"test key")
    assert key.to_bytes(32, "little").hex() == "5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e"
    assert oprf.output(key, b"\0").hex().startswith("527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3")


def test_evaluated_names_are_those_that_the_desk_would_compute(desk, partner):
    names = [NAME, "malware.example"]
    _, outputs = evaluate(partner, names)
    assert outputs == [oprf.output(key_of(desk), name.encode()) for name in names]


def test_an_interest_is_stored_as_tokens_and_nothing_else(desk, partner):
    reply = place(partner, reference="case 17", days=30)
    assert reply.status == 201 and reply.json["state"] == "active"
    assert reply.header("location") == "/v1/interests/" + reply.json["id"]
    expected = oprf.token("name", oprf.output(key_of(desk), NAME.encode())).hex()
    column = "hex(token)" if desk.postgresql is None else "encode(token, 'hex')"
    assert desk.sql("SELECT %s FROM interest_tokens" % column).strip().lower() == expected
    for table in ("interests", "audit"):
        assert "malware" not in desk.sql("SELECT * FROM " + table)
    assert partner.get("/v1/interests").json["items"] == [reply.json]
    assert desk.signed_in("auditor").get("/v1/interests").json["items"] == [reply.json]
    other = desk.signed_in("partner", "other@partner.example")
    assert other.get("/v1/interests").json["items"] == []
    assert other.delete("/v1/interests/" + reply.json["id"]).status == 404
    assert partner.delete("/v1/interests/" + reply.json["id"]).status == 204
    assert partner.delete("/v1/interests/" + reply.json["id"]).status == 404
    assert desk.sql("SELECT COUNT(*) FROM interest_tokens").strip() == "0"


def test_a_day_has_a_share_of_evaluations(desk_unstarted):
    desk = desk_unstarted.start({"interests": {"evaluations-per-day": 5}})
    partner = desk.signed_in("partner")
    elements = [oprf.text_of(oprf.blind(b"x")[1])] * 3
    assert partner.post("/v1/interests/evaluations", {"elements": elements}).json["remaining"] == 2
    reply = partner.post("/v1/interests/evaluations", {"elements": elements})
    assert reply.status == 429 and "5 names of a day" in reply.text
    assert partner.post("/v1/interests/evaluations", {"elements": elements[:2]}).json["remaining"] == 0
    details = desk.sql("SELECT detail FROM audit WHERE action = 'interest.evaluate' ORDER BY id").split()
    assert [json.loads(detail) for detail in details] == [{"elements": 3}, {"elements": 2}]


def test_interests_of_a_partner_are_bounded(desk_unstarted):
    desk = desk_unstarted.start({"interests": {"interests-max": 2}})
    partner = desk.signed_in("partner")
    first = place(partner).json["id"]
    assert place(partner).status == 201
    assert place(partner).status == 429
    assert partner.delete("/v1/interests/" + first).status == 204
    assert place(partner).status == 201


@pytest.mark.parametrize("elements", [
    [], ["A" * 43], ["_" * 43], ["AQ" + "A" * 41], ["short"], [7], "text", ["A" * 44],
    [oprf.text_of(bytes(31) + b"\x80")]], ids=repr)
def test_what_is_no_element_is_refused(desk_sqlite, elements):
    partner = desk_sqlite.start().signed_in("partner")
    reply = partner.post("/v1/interests/evaluations", {"elements": elements})
    assert reply.status == 400 and reply.json["pointer"] == "/elements", reply.text


def test_tokens_of_a_retired_key_are_told_and_new_ones_refused(desk_sqlite):
    desk = desk_sqlite.start()
    partner = desk.signed_in("partner")
    old = place(partner).json
    desk.stop()
    for name in ("new.key", "newest.key"):
        path = os.path.join(desk.directory, name)
        with open(path, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(os.urandom(32).hex() + "\n")
    desk.start({"interests": {"key-files": ["new.key", "state/interest.key"]}})
    assert partner.get("/v1/interests").json["items"][0]["state"] == "aging"
    reply = partner.post("/v1/interests", {"key": old["key"], "tokens": ["A" * 43]})
    assert reply.status == 400 and reply.json["pointer"] == "/key"
    assert place(partner).json["key"] != old["key"]
    desk.stop()
    desk.start({"interests": {"key-files": ["newest.key"]}})
    assert {item["state"] for item in partner.get("/v1/interests").json["items"]} == {"unmatched"}


def test_two_sides_talk_and_an_approver_overrides_in_public(desk, partner):
    interest = place(partner).json["id"]
    name = overlap(desk, interest, partner.account)
    approver, other = desk.signed_in("approver"), desk.signed_in("partner", "other@partner.example")
    seen = partner.get("/v1/overlaps").json["items"]
    assert [item["id"] for item in seen] == [name] and seen[0]["state"] == "held"
    assert other.get("/v1/overlaps").json["items"] == []
    for path in ("", "/messages", "/overrides"):
        body = {"text": "x"} if path == "/messages" else {"reason": "agreed"}
        reply = other.ask("POST" if path else "GET", "/v1/overlaps/" + name + path, body if path else None)
        assert reply.status == 404

    assert partner.post("/v1/overlaps/%s/messages" % name, {"text": "We watch it.\nWait a day?"}).status == 201
    assert approver.post("/v1/overlaps/%s/messages" % name, {"text": "<b>No</b>"}).status == 201
    mails = desk.sql("SELECT payload FROM outbox WHERE kind = 'mail'")
    assert "cert@partner.example" in mails and name in mails and "<b>" not in mails
    messages = partner.get("/v1/overlaps/" + name).json["messages"]
    assert [(message["side"], message["text"]) for message in messages] == [
        ("partner", "We watch it.\nWait a day?"), ("desk", "<b>No</b>")]
    assert "approver" not in partner.get("/v1/overlaps/" + name).text

    path = "/v1/overlaps/%s/overrides" % name
    assert approver.post(path, {"reason": "because"}).status == 400
    assert desk.signed_in("analyst").post(path, {"reason": "agreed"}).status == 403
    reply = approver.post(path, {"reason": "imminent-harm", "detail": "patients' data"})
    assert reply.status == 200 and reply.json["state"] == "overridden"
    assert approver.post(path, {"reason": "imminent-harm"}).status == 409

    desk.process.wait_until(lambda: desk.sql("SELECT id FROM ledger_entries WHERE kind = "
                                             "'overlap.overridden'").strip() != "", "entry")
    entry_id = desk.sql("SELECT id FROM ledger_entries").strip()
    entry = desk.client().get("/ledger/entries/" + entry_id).json["entry"]
    assert entry["object"] == "ord_%020d" % 1
    assert entry["data"] == {"overlap": name, "reason": "imminent-harm", "held_until": "2286-11-20T17:46:39Z"}
    audit = desk.sql("SELECT role, detail FROM audit WHERE action = 'overlap.override'")
    assert audit.startswith("approver|") and "patients' data" in audit


def test_a_partner_releases_without_a_word_in_public(desk, partner):
    interest = place(partner).json["id"]
    name = overlap(desk, interest, partner.account)
    reply = partner.post("/v1/overlaps/%s/overrides" % name, {"reason": "agreed"})
    assert reply.status == 200 and reply.json["state"] == "released"
    assert desk.sql("SELECT COUNT(*) FROM ledger_queue").strip() == "0"
    assert desk.sql("SELECT role FROM audit WHERE action = 'overlap.release'").strip() == "partner"


def test_what_is_withdrawn_or_runs_out_holds_no_more(desk, partner):
    one, other = place(partner).json["id"], place(partner).json["id"]
    first, second = (overlap(desk, interest, partner.account, number)
                     for number, interest in ((1, one), (2, other)))
    assert partner.delete("/v1/interests/" + one).status == 204
    assert partner.get("/v1/overlaps/" + first).json["state"] == "withdrawn"
    desk.stop()
    desk.sql("UPDATE interests SET expires_at = 1 WHERE id = '%s'; DELETE FROM jobs" % other)
    desk.start()
    desk.process.wait_until(lambda: partner.get("/v1/overlaps/" + second).json["state"] == "withdrawn",
                            "the job that ends interests")
    assert desk.sql("SELECT COUNT(*) FROM interest_tokens").strip() == "0"


def test_a_hold_that_ran_out_is_shown_as_that(desk, partner):
    name = overlap(desk, place(partner).json["id"], partner.account, held_until=1700000001)
    assert partner.get("/v1/overlaps/" + name).json["state"] == "expired"
    assert partner.get("/v1/overlaps/ovl_nothing").status == 404


# ---- With orders ----

def test_an_overlap_holds_an_order_until_both_sides_have_talked(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted, edges=1)
    partner = made.as_("partner")
    assert place(partner, "h1.a.example").status == 201
    assert place(partner, "other.example", "tree").status == 201
    made.draft("t-1", ["h1.a.example", "h2.a.example"])
    (found,) = partner.get("/v1/overlaps").json["items"]
    assert found["name"] == "h1.a.example" and found["relation"] == "name" and found["state"] == "held"
    mails = made.desk.sql("SELECT payload FROM outbox WHERE kind = 'mail'").splitlines()
    assert len([mail for mail in mails if found["id"] in mail]) == 1
    assert "h2.a.example" not in partner.get("/v1/overlaps").text

    # One approval is not enough any more, and two do not end the hold.
    assert made.until_approved("t-1")["state"] == "notified"
    assert made.step("t-1", "approvals", role="approver", number=2)["state"] == "approved"
    refused = made.step("t-1", "activations", status=409)
    assert found["id"] in refused["detail"]
    assert len(partner.get("/v1/overlaps").json["items"]) == 1
    path = "/v1/overlaps/%s/overrides" % found["id"]
    assert made.as_("approver").post(path, {"reason": "imminent-harm"}).status == 200
    made.step("t-1", "activations")
    made.wait_for_block("h1.a.example")


def test_an_interest_that_comes_after_the_approval_still_holds(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted, edges=1)
    partner = made.as_("partner")
    made.draft("t-1", ["h1.a.example"])
    assert made.until_approved("t-1")["state"] == "approved"
    interest = place(partner, "a.example", "tree").json["id"]
    made.step("t-1", "activations", status=409)
    assert made.get("t-1")["state"] == "notified"
    assert partner.get("/v1/overlaps").json["items"][0]["relation"] == "tree"
    assert partner.delete("/v1/interests/" + interest).status == 204
    made.step("t-1", "approvals", role="approver", number=2)
    made.step("t-1", "activations")
