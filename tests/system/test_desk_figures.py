"""How fast the desk answers: figures that are exact, and months that are published, signed and final."""

import base64
import calendar
import hashlib
import json
import math
import os
import random
import subprocess
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from testbed.servers import tamis_program

ORIGIN = "desk.example/ledger"
CLASSES = ["phishing", "spam", "malware-controller"]


def month_of(text):
    return calendar.timegm(time.strptime(text, "%Y-%m"))


def rank(values, share):
    """Nearest rank: the smallest value that so large a share does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def expected(reports, key, since, until):
    """The figures as they are defined, from the same reports."""
    figures = {}
    for report in reports:
        of_key = figures.setdefault(report[key] if key else "all", {})
        if since <= report["received"] < until:
            of_key["received"] = of_key.get("received", 0) + 1
        for measure, at in (("acknowledge", report["acknowledged"]), ("decide", report["decided"]),
                            ("act", report["acted"])):
            if at is not None and since <= at < until:
                of_key.setdefault(measure, []).append(at - report["received"])
    return {name: {measure: value if isinstance(value, int) else {
        "count": len(value), "median": rank(value, 0.5), "p95": rank(value, 0.95)}
        for measure, value in of_key.items()} for name, of_key in figures.items() if of_key}


def make_reports(desk, first, days, count, seed):
    """Puts reports into the tables; returns them as plain values."""
    chance = random.Random(seed)
    print("seed", seed)
    reports, rows = [], []
    for number in range(count):
        received = first + chance.randrange(days * 86400)
        acknowledged = received + chance.randrange(3)
        decided = received + chance.randrange(1, 5 * 86400) if chance.random() < 0.9 else None
        acted = decided + chance.randrange(600) if decided and chance.random() < 0.7 else None
        report = {"class": chance.choice(CLASSES), "reporter": "rpr_%d" % chance.randrange(3),
                  "received": received, "acknowledged": acknowledged, "decided": decided, "acted": acted}
        reports.append(report)
        rows.append("('rep_%d', %s, 'json', '%s', '%s', 'x', %d, %d, 'open', %d, %s, %s)" % (
            number, "X'%02x'" % (number % 256) if desk.postgresql is None else "'\\x%02x'" % (number % 256),
            report["class"], report["reporter"], received, acknowledged, received,
            decided or "NULL", acted or "NULL"))
    desk.sql("INSERT INTO reporters (id, kind, identity, label, created_at) VALUES " + ", ".join(
        "('rpr_%d', 'anonymous', 'x%d', 'x', 0)" % (number, number) for number in range(3)))
    desk.sql("INSERT INTO reports (id, capability, channel, class, reporter, description, received_at, "
             "acknowledged_at, state, seen_at, decided_at, acted_at) VALUES " + ", ".join(rows))
    return reports


def test_figures_are_those_of_the_tables(desk, request):
    analyst = desk.signed_in("analyst")
    reports = make_reports(desk, month_of("2025-01"), 90, 400, request.config.getoption("--seed"))
    for since, until in (("2025-01", "2025-01"), ("2025-02", "2025-03")):
        begin, end = month_of(since), month_of("2025-%02d" % (int(until[5:]) + 1))
        for by, key in (("all", None), ("class", "class"), ("reporter", "reporter")):
            reply = analyst.get("/v1/figures?by=%s&from=%s&to=%s" % (by, since, until))
            assert reply.json["figures"] == expected(reports, key, begin, end), by
    months = analyst.get("/v1/figures?by=month&from=2025-01&to=2025-03").json["figures"]
    assert list(months) == ["2025-01", "2025-02", "2025-03"]
    assert months["2025-02"] == expected(reports, None, month_of("2025-02"), month_of("2025-03"))["all"]
    assert analyst.get("/v1/figures?by=class&from=2020-01").json["figures"] == {}
    for wrong in ("by=nothing", "from=2025-13", "from=2025-3", "from=2025-03&to=2025-01", "from=x'--"):
        assert analyst.get("/v1/figures?" + wrong).status == 400
    # Who reported is nobody else's business.
    assert desk.signed_in("customer").get("/v1/figures").status == 403
    assert desk.client().get("/v1/figures").status == 401


@pytest.fixture
def signed_desk(desk_unstarted):
    """A desk with the key of its ledger, and the key that verifies."""
    desk = desk_unstarted
    os.makedirs(desk.directory, exist_ok=True)
    made = json.loads(subprocess.run(
        [tamis_program("tamis"), "ledger", "key", "--json", "--output",
         os.path.join(desk.directory, "ledger.key"), ORIGIN], check=True, capture_output=True).stdout)
    desk.config["ledger"] = {"origin": ORIGIN, "key-file": "ledger.key"}
    desk.verifier = base64.b64decode(made["verifier"].split("+", 2)[2])[1:]
    return desk


def signature_of(note):
    text, _, line = note.rpartition("\n\n")
    dash, name, data = line.strip().split(" ")
    assert (dash, name) == ("\u2014", ORIGIN)
    return (text + "\n").encode(), base64.b64decode(data)[4:]


def test_a_month_that_is_over_is_published_once_signed_and_in_the_ledger(signed_desk, request):
    desk = signed_desk.start()
    now = time.gmtime()
    last = "%04d-%02d" % (now.tm_year - (now.tm_mon == 1), (now.tm_mon - 2) % 12 + 1)
    reports = make_reports(desk, month_of(last), 25, 100, request.config.getoption("--seed"))
    nobody = desk.client()
    assert nobody.get("/figures/" + last).status == 404

    def publish():
        desk.stop()
        desk.sql("DELETE FROM jobs WHERE name = 'figures.publish'")
        desk.start()
        desk.process.wait_until(
            lambda: desk.sql("SELECT COUNT(*) FROM jobs WHERE name = 'figures.publish'").strip() == "1", "run")

    publish()
    published = nobody.get("/figures/" + last).json
    figures = json.loads(published["document"])
    assert figures == published["figures"]
    present = calendar.timegm((now.tm_year, now.tm_mon, 1, 0, 0, 0))
    assert figures["classes"] == expected(reports, "class", month_of(last), present)
    assert "rpr_" not in published["document"]
    assert hashlib.sha256(published["document"].encode()).hexdigest() == published["sha256"]
    text, signature = signature_of(published["note"])
    Ed25519PublicKey.from_public_bytes(desk.verifier).verify(signature, text)
    assert text.decode() == "%s\nfigures %s\nsha256 %s\n" % (ORIGIN, last, published["sha256"])
    assert json.loads(desk.sql("SELECT content FROM ledger_queue WHERE kind = 'figures.published'")) == {
        "month": last, "document": published["sha256"]}
    # What is known later changes nothing of it, and no month is published before it is over.
    desk.sql("UPDATE reports SET decided_at = received_at + 1")
    publish()
    assert nobody.get("/figures/" + last).json == published
    assert nobody.get("/figures/%04d-%02d" % (now.tm_year, now.tm_mon)).status == 404
    assert desk.sql("SELECT COUNT(*) FROM ledger_queue WHERE kind = 'figures.published'").strip() == "1"
