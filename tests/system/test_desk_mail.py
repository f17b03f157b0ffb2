"""Mail: what is in the outbox reaches the MTA, with one Message-ID however often that takes, whatever the
MTA, the database or the desk does meanwhile."""

import email
import email.policy
import itertools
import json
import threading
import time

import pytest

from testbed.certificates import Authority
from testbed.process import free_port
from testbed.smtp import Exim, ScriptedMta

COUNTER = itertools.count()


def mail_section(mta, **more):
    return {"mail": {"from": "abuse@desk.example", "name": "Das Büro", "smtp": mta.url, "timeout": 20,
                     **more}}


def sql_text(text):
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def queue(desk, to, subject="A notice", text="Something happened.\n", topic=None):
    """Puts a mail into the outbox as mail_put() does; returns its id."""
    number, now = next(COUNTER), int(time.time())
    mail, row = "mai_%020d.%043d" % (number, number), "out_%020d" % number
    payload = json.dumps({"id": mail, "to": to, "subject": subject, "text": text,
                          "object": "apl_%020d" % number, "reply_to": None, "topic": topic})
    desk.sql("INSERT INTO mails (id, outbox, address, subject, topic, state, created_at) VALUES "
             "('%s', '%s', %s, %s, %s, 'waiting', %d); "
             "INSERT INTO outbox (id, kind, payload, state, due_at, attempts, created_at) VALUES "
             "('%s', 'mail', %s, 'waiting', 0, 0, %d)"
             % (mail, row, sql_text(to), sql_text(subject), sql_text(topic), now, row,
                sql_text(payload), now))
    return mail


def state(desk, mail):
    return desk.sql("SELECT state FROM mails WHERE id = '%s'" % mail).strip()


def wait_state(desk, mail, wanted):
    desk.process.wait_until(lambda: state(desk, mail) == wanted, "mail that is " + wanted)


def wait_later(desk):
    """Waits until an attempt has failed for now; then has the next one made at once."""
    desk.process.wait_until(
        lambda: desk.sql("SELECT COUNT(*) FROM outbox WHERE attempts > 0 AND due_at > 0").strip() != "0",
        "attempt that failed")
    desk.sql("UPDATE outbox SET due_at = 0 WHERE attempts > 0")


@pytest.fixture
def mta():
    made = []

    def make(**options):
        made.append(ScriptedMta(**options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def exim():
    made = []

    def make(**options):
        made.append(Exim(**options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_a_mail_arrives_whole_by_debians_mta(desk_unstarted, exim):
    server = exim()
    desk = desk_unstarted.start(mail_section(server))
    words = "Grüße, and a line that is far longer than what a mail may have on one line of its own. " * 2
    text = words.strip() + "\n\n.\n From the start\n>quoted\n\n    https://desk.example/v1/x?y=z\n"
    mail = queue(desk, "carol@customer.example", "Sperre von dyn.example: ein Grund, der länger ist als "
                 "ein Wort fasst", text)
    received = email.message_from_bytes(server.wait_box("carol")[0], policy=email.policy.default)
    assert received["subject"] == ("Sperre von dyn.example: ein Grund, der länger ist als ein Wort fasst")
    assert received["from"].addresses[0].display_name == "Das Büro"
    assert received["from"].addresses[0].addr_spec == "abuse@desk.example"
    assert received["message-id"] == "<%s@desk.example>" % mail
    assert received["auto-submitted"] == "auto-generated"
    assert received["return-path"] == "<abuse@desk.example>"
    assert unflow(received.get_content()) == text
    wait_state(desk, mail, "sent")
    assert desk.sql("SELECT COUNT(*) FROM outbox").strip() == "0"


def unflow(text):
    """RFC 3676, 4.1: what a reader sees."""
    lines, whole = [], ""
    for line in text.split("\n"):
        line = line[1:] if line.startswith(" ") else line
        whole += line
        if not line.endswith(" "):
            lines.append(whole)
            whole = ""
    return "\n".join(lines)


def test_no_text_adds_a_header_or_ends_the_mail(desk_sqlite, mta):
    server = mta()
    desk = desk_sqlite.start(mail_section(server))
    queue(desk, "carol@customer.example", "=?utf-8?q?x?= \r\nBcc: eve@example.org\r\n\r\nHello",
          "\r\n.\r\nMAIL FROM:<eve@example.org>\r\n.\n..\nend\n")
    received = server.wait_mails(1)[0]
    assert received["bcc"] is None and "eve" not in [key.lower() for key in received.keys()]
    assert "Bcc: eve" in received["subject"].replace("\r\n", " ")
    assert unflow(received.get_content().replace("\r\n", "\n")) == (
        "\n.\nMAIL FROM:<eve@example.org>\n.\n..\nend\n")
    assert [line for line in server.commands if line.startswith("MAIL")] == [
        "MAIL FROM:<abuse@desk.example>"]


def test_a_greylisting_mta_gets_the_same_mail_again(desk, mta):
    refused = []

    def greylist(line):
        if len(refused) < 2:
            refused.append(line)
            return "451 4.7.1 come back later"
        return None

    server = mta(script={"RCPT": greylist})
    desk.stop()
    desk.start(mail_section(server))
    mail = queue(desk, "carol@customer.example")
    wait_later(desk)
    wait_later(desk)
    assert server.wait_mails(1)[0]["message-id"] == "<%s@desk.example>" % mail
    wait_state(desk, mail, "sent")
    assert len(refused) == 2


def test_an_address_that_is_none_gets_nothing_more(desk_unstarted, exim):
    server = exim()
    desk = desk_unstarted.start(mail_section(server))
    first = queue(desk, "nobody-here@customer.example")
    wait_state(desk, first, "refused")
    second = queue(desk, "nobody-here@customer.example")
    wait_state(desk, second, "withheld")
    operator = desk.signed_in("operator")
    items = operator.get("/v1/suppressions").json["items"]
    assert [(item["address"], item["reason"]) for item in items] == [
        ("nobody-here@customer.example", "bounced")]
    assert "5.1.1" in items[0]["status"]
    assert operator.delete("/v1/suppressions/nobody-here@customer.example").status == 204
    assert operator.get("/v1/suppressions").json["items"] == []
    assert operator.delete("/v1/suppressions/nobody-here@customer.example").status == 404


def test_a_bounce_of_debians_mta_is_noted_and_no_report(desk_sqlite, exim):
    port = free_port()
    server = exim(lmtp=port)
    desk = desk_sqlite.start({**mail_section(server), "reports": {"lmtp": "127.0.0.1@%d" % port}})
    mail = queue(desk, "nobody-here@customer.example")
    wait_state(desk, mail, "bounced")
    # Exim says "5.0.0" alone of an address that it had taken: such a bounce counts, one is not enough.
    assert desk.sql("SELECT status FROM mails WHERE id = '%s'" % mail).strip() == "5.0.0"
    assert desk.sql("SELECT COUNT(*) FROM suppressions").strip() == "0"
    assert desk.sql("SELECT COUNT(*) FROM reports").strip() == "0"


def test_a_refusal_of_the_sender_is_no_ones_fault_but_the_desks(desk_sqlite, mta):
    answers = ["550 5.7.1 not from you"]
    server = mta(script={"MAIL": lambda _: answers[0] if answers else None})
    desk = desk_sqlite.start(mail_section(server))
    mail = queue(desk, "carol@customer.example")
    desk.process.wait_until(lambda: "5.7.1" in desk.sql("SELECT last_error FROM outbox"), "refusal")
    assert state(desk, mail) == "waiting"
    answers.clear()
    wait_later(desk)
    server.wait_mails(1)


def by_name(server):
    """The certificate of the tests is for a name."""
    return server.url.replace("127.0.0.1", "localhost")


def test_mail_goes_by_tls_and_with_a_password_or_not_at_all(desk_sqlite, mta, tmp_path):
    authority = Authority(str(tmp_path / "ca"))
    pair = authority.issue("localhost")
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "password").chmod(0o600)
    server = mta(certificate=(pair.certificate, pair.key), password="hunter2")
    plain = mta()
    section = {"tls": True, "ca-file": authority.certificate, "user": "desk",
               "password-file": str(tmp_path / "password")}
    desk = desk_sqlite.start(mail_section(server, **{**section, "smtp": by_name(server)}))
    queue(desk, "carol@customer.example")
    server.wait_mails(1)
    assert "STARTTLS" in server.commands
    assert any(line.startswith("AUTH PLAIN") for line in server.commands)
    # An MTA that has no TLS (or somebody who takes the word STARTTLS out) gets no mail.
    desk.stop()
    desk.start(mail_section(plain, **section))
    queue(desk, "carol@customer.example")
    desk.process.wait_until(lambda: desk.sql("SELECT last_error FROM outbox").strip() != "", "failure")
    assert plain.mails == [] and not any(line.startswith("AUTH") for line in plain.commands)


def test_a_crash_after_the_mta_took_it_sends_the_same_id_again(desk_unstarted, mta):
    taken, goes_on = threading.Event(), threading.Event()

    def hold(_):
        if not taken.is_set():
            taken.set()
            goes_on.wait(60)
        return None

    server = mta(script={"END": hold})
    desk = desk_unstarted.start(mail_section(server))
    mails = [queue(desk, "carol@customer.example", "Number %d" % number) for number in range(3)]
    assert taken.wait(60)
    # The MTA has the mail, the desk has no reply: it dies now.
    desk.kill()
    goes_on.set()
    desk.start()
    for mail in mails:
        wait_state(desk, mail, "sent")
    ids = [received["message-id"] for received in server.mails]
    assert set(ids) == {"<%s@desk.example>" % mail for mail in mails}
    assert len(ids) <= len(mails) + 1
    assert desk.sql("SELECT COUNT(*) FROM outbox").strip() == "0"


def test_what_is_noted_as_sent_is_not_sent_again(desk_sqlite, mta):
    server = mta()
    desk = desk_sqlite.start(mail_section(server))
    desk.stop()
    mail = queue(desk, "carol@customer.example")
    desk.sql("UPDATE mails SET state = 'sent' WHERE id = '%s'" % mail)
    desk.start()
    desk.process.wait_until(lambda: desk.sql("SELECT COUNT(*) FROM outbox").strip() == "0", "empty outbox")
    assert server.commands == []


def test_an_mta_that_says_nothing_holds_up_neither_the_end_nor_requests(desk_sqlite, mta):
    silent, goes_on = threading.Event(), threading.Event()

    def hold(_):
        silent.set()
        goes_on.wait(120)
        return None

    server = mta(script={"CONNECT": hold})
    desk = desk_sqlite.start(mail_section(server, timeout=300))
    mail = queue(desk, "carol@customer.example")
    assert silent.wait(60)
    assert desk.client().get("/healthz").status == 200
    desk.stop()
    goes_on.set()
    desk.start()
    desk.sql("UPDATE outbox SET due_at = 0")
    wait_state(desk, mail, "sent")


def test_mail_goes_on_after_postgresql_was_restarted(postgresql, tmp_path, mta):
    from testbed.desk import Desk
    server = mta()
    desk = Desk(str(tmp_path / "desk"), postgresql).start(mail_section(server))
    try:
        queue(desk, "carol@customer.example")
        server.wait_mails(1)
        postgresql.stop()
        postgresql.start()
        mail = queue(desk, "carol@customer.example", "Afterwards")
        server.wait(lambda mta: any(each["subject"] == "Afterwards" for each in mta.mails))
        wait_state(desk, mail, "sent")
    finally:
        desk.stop()


def test_one_click_unsubscribes_from_a_topic_and_looking_does_not(desk, mta):
    server = mta()
    desk.stop()
    desk.start(mail_section(server))
    queue(desk, "bob@reporter.example", topic="reports")
    received = server.wait_mails(1)[0]
    assert received["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    path = "/mail/" + received["list-unsubscribe"].strip("<>").split("/mail/")[1]
    nobody = desk.client()
    assert b"<form" in nobody.get(path).body
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert nobody.post("/mail/mai_none.x/unsubscribe", body="List-Unsubscribe=One-Click",
                       headers=form).status == 404
    queue(desk, "bob@reporter.example", "Still", topic="reports")
    server.wait_mails(2)
    assert nobody.post(path, body="List-Unsubscribe=One-Click", headers=form).status == 200
    withheld = queue(desk, "bob@reporter.example", topic="reports")
    wait_state(desk, withheld, "withheld")
    queue(desk, "bob@reporter.example", "Must be sent")
    assert server.wait_mails(3)[2]["subject"] == "Must be sent"


def test_what_was_sent_is_forgotten_after_its_time(desk_unstarted, mta):
    desk = desk_unstarted.start(mail_section(mta()))
    mail = queue(desk, "carol@customer.example")
    wait_state(desk, mail, "sent")
    desk.stop()
    desk.sql("UPDATE mails SET created_at = 1; DELETE FROM jobs WHERE name = 'mail.forget'")
    desk.start()
    desk.process.wait_until(lambda: desk.sql("SELECT COUNT(*) FROM mails").strip() == "0", "empty table")
