"""Appeals: by whose name is blocked, who proves it, to somebody other than who decided; granted, the name
answers again at once."""

import base64
import json
import time

import dns.query
import dns.tsigkeyring
import dns.update
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from testbed.desk_hosts import SECRET
from testbed.desk_orders import OrderDesk
from testbed.orders import SINKHOLE_A
from testbed.process import LOOPBACK
from testbed.smtp import ScriptedMta

NAME = "home.dyn.example"
TRUE_ADDRESS = "198.51.100.1"  # of h1.a.example
SUBMISSION = {"name": NAME, "statement": "It was my neighbour.\nReally."}
GRANT = {"outcome": "granted", "reason": "false-positive", "explanation": "The evidence was of another host."}
DENY = {"outcome": "denied", "reason": "evidence-stands", "explanation": "The host still does it."}


def block(hosts, name=NAME, by="acc_00000000000000000000", since=1700000000):
    """Puts a block into the table as block_put() does, while nothing of the name is cached."""
    hosts.desk.stop()
    hosts.desk.sql("INSERT INTO blocks (name, reason, since, by_account) VALUES ('%s', 'malware-controller', "
                   "%d, '%s')" % (name, since, by))
    hosts.desk.start()


def appealed(client, changes=None):
    reply = client.post("/v1/appeals", {**SUBMISSION, **(changes or {})})
    assert reply.status == 201, reply.text
    return reply.json


def nic(hosts, key, address="192.0.2.7"):
    return hosts.update("hostname=%s&myip=%s" % (NAME, address), NAME, key).text


def mails(desk, address):
    return [mail for mail in (json.loads(row) for row in desk.sql(
        "SELECT payload FROM outbox WHERE kind = 'mail' ORDER BY id").splitlines()) if mail["to"] == address]


def resolver(hosts):
    """The name server that the desk asks about TXT records."""
    return {"appeals": {"resolver": "%s@%d" % (LOOPBACK, hosts.server.port)}}


def publish(hosts, owner, value):
    update = dns.update.Update("dyn.example", keyring=dns.tsigkeyring.from_text({"desk": SECRET}))
    update.add(owner + ".", 60, "TXT", '"%s"' % value)
    assert dns.query.tcp(update, LOOPBACK, port=hosts.server.port, timeout=10).rcode() == 0


@pytest.fixture
def blocked(hosts):
    """A customer whose host is blocked by an analyst, beside two others who were not part of it."""
    ann = hosts.customer()
    hosts.host(ann, NAME)
    ann.key = hosts.key(ann, NAME)
    assert nic(hosts, ann.key) == "good 192.0.2.7\n"
    staff = [hosts.desk.signed_in("analyst", "analyst%d@staff.example" % number) for number in range(3)]
    block(hosts, by=staff[0].account)
    assert nic(hosts, ann.key) == "abuse\n"
    return ann, staff


def test_a_granted_appeal_reaches_another_and_lets_the_host_update_at_once(hosts, blocked):
    ann, (author, *others) = blocked
    appeal = appealed(ann)
    assert (appeal["state"], appeal["against"], appeal["proof"]) == ("open", "block", "account")
    assert "assigned_to" not in appeal and "proofs" not in appeal
    assert author.get("/v1/appeals?queue=mine").json["items"] == []
    mine, = [each for each in others if each.get("/v1/appeals?queue=mine").json["items"]]
    assert mails(hosts.desk, mine.get("/v1/account").json["email"])[0]["subject"].startswith("Appeal apl_")
    path = "/v1/appeals/%s/decisions" % appeal["id"]
    reply = author.post(path, GRANT)
    assert reply.status == 403 and "part in" in reply.json["detail"]
    other, = [each for each in others if each is not mine]
    assert other.post(path, GRANT).status == 403
    assert nic(hosts, ann.key) == "abuse\n"
    assert mine.post(path, GRANT).json["state"] == "granted"
    assert nic(hosts, ann.key) in ("good 192.0.2.7\n", "nochg 192.0.2.7\n")
    assert mine.post(path, DENY).status == 409
    told = mails(hosts.desk, "ann@customers.example")[-1]
    assert "granted" in told["subject"] and GRANT["explanation"] in told["text"]
    entry = hosts.desk.sql("SELECT content FROM ledger_queue WHERE kind = 'appeal.decided'")
    assert json.loads(entry) == {"outcome": "granted", "reason": "false-positive", "names": 1}
    assert NAME not in entry


def test_a_denied_appeal_says_why_and_the_next_goes_to_somebody_else(hosts, blocked):
    ann, (author, *others) = blocked
    deciders = []
    for _ in others:
        appeal = appealed(ann)
        assert ann.post("/v1/appeals", SUBMISSION).status == 409
        mine, = [each for each in others if each.get("/v1/appeals?queue=mine&state=open").json["items"]]
        deciders.append(mine.account)
        assert mine.post("/v1/appeals/%s/decisions" % appeal["id"], DENY).status == 201
        assert ann.get("/v1/appeals/" + appeal["id"]).json["explanation"] == DENY["explanation"]
        assert DENY["explanation"] in mails(hosts.desk, "ann@customers.example")[-1]["text"]
    assert len(set(deciders)) == 2 and author.account not in deciders
    assert nic(hosts, ann.key) == "abuse\n"
    # All analysts had a part in it by now: it waits for one who had none, who gets it by the job.
    appeal = appealed(ann)
    auditor = hosts.desk.signed_in("auditor")
    assert auditor.get("/v1/appeals/" + appeal["id"]).json["assigned_to"] is None
    fresh = hosts.desk.signed_in("analyst", "fresh@staff.example")
    hosts.desk.stop()
    hosts.desk.sql("DELETE FROM jobs WHERE name = 'appeal.look'")
    hosts.desk.start()
    hosts.desk.process.wait_until(lambda: fresh.get("/v1/appeals?queue=mine").json["items"], "appeal")


def test_a_stranger_proves_control_by_a_txt_record(hosts, blocked):
    _, (_, *others) = blocked
    hosts.desk.stop()
    hosts.desk.start(resolver(hosts))
    stranger = hosts.desk.client()
    appeal = appealed(stranger, {"email": "eve@elsewhere.example"})
    assert appeal["state"] == "unproven"
    path, token = "/v1/appeals/" + appeal["id"], appeal["token"]
    proof = {"method": "dns-txt", "token": token}
    # Nobody hears of an appeal that is not proven, least of all the address that it gives.
    assert mails(hosts.desk, "eve@elsewhere.example") == []
    assert all(each.get("/v1/appeals?queue=mine").json["items"] == [] for each in others)
    record = appeal["proofs"]["dns-txt"]
    assert record["owner"] == "_tamis-appeal." + NAME
    publish(hosts, record["owner"], record["value"] + "x")
    assert stranger.post(path + "/proofs", proof).status == 403
    publish(hosts, record["owner"], record["value"])
    assert stranger.post(path + "/proofs", {**proof, "token": "A" * 43}).status == 404
    assert stranger.post(path + "/proofs", {"method": "dns-txt"}).status == 404
    assert stranger.post(path + "/proofs", proof).json["state"] == "open"
    assert stranger.post(path + "/proofs", proof).status == 409
    assert stranger.get(path).status == 404
    assert stranger.get(path + "?token=" + "A" * 43).status == 404
    assert stranger.get(path + "?token=" + token).json["proof"] == "dns-txt"
    assert len(mails(hosts.desk, "eve@elsewhere.example")) == 1


def test_a_stranger_proves_control_by_a_key_that_was_known_before(hosts):
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)).decode()
    hosts.desk.stop()
    hosts.desk.start(resolver(hosts))
    stranger = hosts.desk.client()
    known = {"name": NAME, "public_key": public}
    assert stranger.post("/v1/appeal-keys", known).status == 403
    publish(hosts, "_tamis-appeal." + NAME, "tamis-key=" + public)
    assert stranger.post("/v1/appeal-keys", known).json["proof"] == "dns-txt"

    def prove(since):
        hosts.desk.sql("DELETE FROM blocks")
        block(hosts, since=since)
        appeal = appealed(stranger)
        text = appeal["proofs"]["signature"]["text"].encode()
        wrong = base64.b64encode(key.sign(text + b" ")).decode()
        proof = {"method": "signature", "token": appeal["token"], "signature": wrong}
        path = "/v1/appeals/%s/proofs" % appeal["id"]
        assert stranger.post(path, proof).status == 403
        assert stranger.post(path, {**proof, "signature": "no base64!"}).status == 400
        return stranger.post(path, {**proof, "signature": base64.b64encode(key.sign(text)).decode()})

    # A block that began before the key was made known, and one that began later.
    assert prove(1700000000).status == 403
    assert prove(4000000000).json["proof"] == "signature"


def test_the_update_key_of_a_host_proves_control_without_its_account(hosts, blocked):
    ann, _ = blocked
    stranger = hosts.desk.client()
    appeal = appealed(stranger)
    path = "/v1/appeals/%s/proofs" % appeal["id"]
    proof = {"method": "host-key", "token": appeal["token"], "key": "tmh_" + "A" * 43}
    assert stranger.post(path, proof).status == 403
    assert stranger.post(path, {**proof, "method": "dns-txt"}).status == 400
    assert stranger.post(path, {**proof, "key": ann.key}).json["proof"] == "host-key"


def test_a_suspended_account_appeals_and_is_active_again(hosts):
    ann = hosts.customer()
    assert ann.post("/v1/appeals", {"statement": "Why?"}).status == 404
    assert hosts.desk.client().post("/v1/appeals", {"statement": "Why?"}).status == 400
    operator = hosts.desk.signed_in("operator")
    reply = operator.patch("/v1/accounts/" + ann.account, {"state": "suspended", "reason": "spam"})
    assert reply.status == 200, reply.text
    appeal = ann.post("/v1/appeals", {"statement": "It was not me."}).json
    assert (appeal["against"], appeal["state"]) == ("account", "open")
    path = "/v1/appeals/%s/decisions" % appeal["id"]
    assert operator.post(path, GRANT).status == 403
    other = hosts.desk.signed_in("operator", "other@staff.example")
    assert other.post(path, GRANT).status == 201
    assert ann.get("/v1/account").json["state"] == "active"


def test_nothing_in_force_is_nothing_to_appeal_and_strangers_are_bounded(hosts, blocked):
    hosts.desk.stop()
    hosts.desk.start({"appeals": {"per-address-hourly": 2}})
    stranger = hosts.desk.client()
    assert stranger.post("/v1/appeals", {**SUBMISSION, "name": "free.dyn.example"}).status == 404
    for injected in ("x'; DROP TABLE appeals; --", "a b", "-", "é" * 300):
        assert stranger.post("/v1/appeals", {**SUBMISSION, "name": injected}).status == 400
    assert stranger.post("/v1/appeals", {**SUBMISSION, "email": "a@b.example\r\nBcc: x@y.example"}).status == 400
    # A name below the blocked one is blocked by it; what is lifted is the block.
    below = appealed(stranger, {"name": "www." + NAME})
    assert below["name"] == NAME
    assert stranger.post("/v1/appeals", SUBMISSION).status == 201
    assert stranger.post("/v1/appeals", SUBMISSION).status == 429


def test_what_nobody_proves_lapses_and_what_is_late_is_told(hosts, blocked):
    ann, _ = blocked
    hosts.desk.signed_in("operator")
    stranger = hosts.desk.client()
    lapsing = appealed(stranger)
    late = appealed(ann)
    hosts.desk.stop()
    hosts.desk.sql("UPDATE appeals SET prove_by = 1700000000 WHERE id = '%s'; UPDATE appeals SET decide_by = "
                   "1700000000 WHERE id = '%s'; DELETE FROM jobs WHERE name = 'appeal.look'"
                   % (lapsing["id"], late["id"]))
    hosts.desk.start()
    hosts.desk.process.wait_until(
        lambda: [mail for mail in mails(hosts.desk, "operator@staff.example") if "overdue" in mail["subject"]],
        "mail about what is late")
    assert hosts.desk.sql("SELECT COUNT(*) FROM appeals WHERE id = '%s'" % lapsing["id"]).strip() == "0"


def test_a_decision_that_was_answered_outlives_a_crash(hosts, blocked):
    ann, (_, *others) = blocked
    mta = ScriptedMta()
    try:
        appeal = appealed(ann)
        mine, = [each for each in others if each.get("/v1/appeals?queue=mine").json["items"]]
        assert mine.post("/v1/appeals/%s/decisions" % appeal["id"], GRANT).status == 201
        hosts.desk.kill()
        hosts.desk.sql("UPDATE outbox SET due_at = 0")
        hosts.desk.start({"mail": {"from": "abuse@desk.example", "smtp": mta.url}})
        assert nic(hosts, ann.key) in ("good 192.0.2.7\n", "nochg 192.0.2.7\n")
        mta.wait(lambda mta: any("granted" in mail["subject"] for mail in mta.mails))
    finally:
        mta.stop()


def test_a_granted_appeal_against_an_order_frees_the_name_on_every_server(farm, desk_unstarted):
    made = OrderDesk(farm, desk_unstarted, edges=2)
    desk = made.desk
    approver = made.as_("approver")
    # Whoever drafts and approves is barred; a second analyst is not.
    made.active("t-1", ["h1.a.example", "h2.a.example"])
    made.wait_for_block("h1.a.example")
    other = desk.signed_in("analyst", "other@staff.example")
    resolver = {"appeals": {"resolver": "%s@%d" % made.edges[0].place}}
    desk.stop()
    desk.start(resolver)
    key = Ed25519PrivateKey.generate()
    stranger = desk.client()
    appeal = appealed(stranger, {"name": "h1.a.example"})
    assert (appeal["against"], appeal["state"]) == ("order", "unproven")
    # The edge itself hides the name from the resolver: a record there proves nothing.
    proof = {"method": "dns-txt", "token": appeal["token"]}
    assert stranger.post("/v1/appeals/%s/proofs" % appeal["id"], proof).status == 403
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    desk.sql("INSERT INTO appeal_keys (name, public_key, proof, published_at) VALUES ('h1.a.example', %s, "
             "'dns-txt', 1)" % (("'\\x%s'" if desk.postgresql else "X'%s'") % public.hex()))
    signature = base64.b64encode(key.sign(appeal["proofs"]["signature"]["text"].encode())).decode()
    assert stranger.post("/v1/appeals/%s/proofs" % appeal["id"],
                         {"method": "signature", "signature": signature, "token": appeal["token"]}).status == 200
    path = "/v1/appeals/%s/decisions" % appeal["id"]
    assert made.as_("analyst").post(path, GRANT).status == 403
    assert approver.post(path, GRANT).status == 403
    began = time.monotonic()
    reply = other.post(path, GRANT)
    assert reply.status == 201, reply.text
    print("appeal granted to the first right answer everywhere: %.3f s"
          % made.wait_for("h1.a.example", TRUE_ADDRESS, began))
    assert all(answer == SINKHOLE_A for answer in made.answers("h2.a.example"))
