"""Reports of abuse by mail: through Debian's MTA, by LMTP and by a pipe, well-meant and hostile."""

import grp
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile

import pytest

from testbed.desk import Desk
from testbed.reports import EximToDesk, ReportsDesk, arf, letter, xarf
from testbed.servers import tamis_program


@pytest.fixture
def reports(desk_unstarted):
    return ReportsDesk(desk_unstarted).start()


@pytest.fixture
def reports_sqlite(desk_sqlite):
    return ReportsDesk(desk_sqlite).start()


def listed(reports):
    """Reports as staff see them, the oldest first."""
    if not hasattr(reports, "analyst"):
        reports.analyst = reports.desk.signed_in("analyst")
    items = reports.analyst.get("/v1/reports").json["items"]
    return [reports.analyst.get("/v1/reports/" + item["id"]).json for item in reversed(items)]


def only(reports):
    found = listed(reports)
    assert len(found) == 1
    return found[0]


def names(report):
    return [name["name"] for name in report["names"]]


def pipe(desk, octets, *words):
    """What an MTA's pipe does; returns the exit code."""
    return subprocess.run([tamis_program("tamis-desk"), "-c", desk.write_config(), "deliver", *words],
                          input=octets, capture_output=True, check=False, timeout=60)


# ---- A real MTA ----

@pytest.fixture
def mta_desk(request):
    """A desk that runs as the MTA's own user, since both the desk and the MTA's pipe write to its database."""
    user = "Debian-exim" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    group = user if os.getuid() == 0 else grp.getgrgid(os.getgid()).gr_name
    folder = tempfile.mkdtemp(prefix="tamis-mta-", dir="/tmp")
    program = shutil.copy(tamis_program("tamis-desk"), folder)
    os.chmod(program, 0o755)
    made = Desk(os.path.join(folder, "desk"))
    for each in (folder, made.directory):
        shutil.chown(each, user, group)
        os.chmod(each, 0o755)
    if os.getuid() == 0:
        entry = pwd.getpwnam(user)
        made.program = ["setpriv", "--reuid=%d" % entry.pw_uid, "--regid=%d" % entry.pw_gid,
                        "--clear-groups", program]
    reports = ReportsDesk(made).start()
    mta = EximToDesk(folder, user, group, program, os.path.join(made.directory, "tamis-desk.yaml"),
                     reports.lmtp_port)
    yield reports, mta
    mta.stop()
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_debians_mta_hands_reports_in_by_pipe_and_by_lmtp(mta_desk):
    reports, mta = mta_desk
    for number, to in enumerate(["pipe@desk.example", "lmtp@desk.example"]):
        mta.send(to, arf("n%d.dyn.example" % number))
        mta.process.wait_until(lambda: len(listed(reports)) == number + 1, "report")
    one, other = listed(reports)
    assert (names(one), names(other)) == (["n0.dyn.example"], ["n1.dyn.example"])
    assert one["channel"] == other["channel"] == "mail" and one["class"] == "phishing"
    assert one["reporter"]["label"] == "fbl@reporter.example"
    assert len(reports.mails("fbl@reporter.example")) == 2


def test_the_mta_keeps_what_the_desk_could_not_take(mta_desk):
    reports, mta = mta_desk
    reports.desk.stop()
    os.rename(reports.desk.directory + "/desk.db", reports.desk.directory + "/away.db")
    os.mkdir(reports.desk.directory + "/desk.db")
    mta.send("pipe@desk.example", arf("a.dyn.example"))
    mta.send("lmtp@desk.example", arf("b.dyn.example"))
    log = os.path.join(mta.folder, "mainlog")

    def deferred():
        with open(log, encoding="utf-8") as file:
            text = file.read()
        return "defer" in text and text.count("==") >= 2

    mta.process.wait_until(deferred, "two mails put off")
    os.rmdir(reports.desk.directory + "/desk.db")
    os.rename(reports.desk.directory + "/away.db", reports.desk.directory + "/desk.db")
    reports.start()
    mta.process.wait_until(lambda: len(listed(reports)) == 2, "both reports")


# ---- What mails say ----

def test_a_feedback_report_is_read(reports):
    reply = reports.deliver(arf("www.bad.dyn.example", kind="virus"))
    assert reply.startswith("250 ")
    report = only(reports)
    assert report["id"] in reply
    assert names(report) == ["www.bad.dyn.example"] and report["class"] == "malware"
    assert report["observed_at"] == "2026-11-19T09:00:00Z"
    assert report["description"].startswith("FW: a report\n\nThis is a report about a host.")
    assert [piece["type"] for piece in report["evidence"]] == ["message/rfc822"]


def test_a_mail_with_xarf_is_read_as_xarf(reports_sqlite):
    reports = reports_sqlite
    body = json.dumps(xarf("bad.dyn.example", type="malware"))
    mail = ("From: a@reporter.example\r\nSubject: report\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
            "Dear friends of other.dyn.example, see the report.\r\n--b\r\n"
            'Content-Type: application/json; name="xarf.json"\r\n\r\n%s\r\n--b--\r\n' % body)
    reports.deliver(mail.encode())
    report = only(reports)
    assert report["xarf_type"] == "content/malware" and names(report) == ["bad.dyn.example"]
    assert report["description"] == "Asks for passwords of a bank."


def test_a_letter_is_searched_for_our_names_alone(reports):
    reports.deliver(letter(
        "Look at hxxp://www[.]bad[.]dyn[.]example/login and BAD2.free.example.\r\n"
        "Your bank, http://bank.example/, is copied. dyn.example itself is fine, so is xdyn.example.\r\n"
        "b\u00fccher.dyn.example too.\r\n-- \r\nThe team of reporter.example",
        headers="Content-Type: text/plain; charset=utf-8\r\n"))
    report = only(reports)
    assert names(report) == ["bad2.free.example", "www.bad.dyn.example", "xn--bcher-kva.dyn.example"]
    assert report["class"] == "phishing"


def test_a_letter_without_our_names_is_answered_so(reports):
    reports.deliver(letter("Somebody at elsewhere.example sends spam."))
    report = only(reports)
    assert report["state"] == "not-ours" and report["names"] == []
    assert len(reports.mails("person@reporter.example")) == 1


def test_a_mail_that_is_delivered_again_is_taken_once(reports):
    mail = arf()
    first, again = reports.deliver(mail), reports.deliver(mail)
    assert first == again and first.startswith("250 ")
    assert pipe(reports.desk, mail.replace(b"\r\n", b"\r\n")).returncode == 0
    assert only(reports)["seen"] == 1
    assert len(reports.mails("fbl@reporter.example")) == 1


@pytest.mark.parametrize("sender,headers", [
    ("", ""), ("a@reporter.example", "Auto-Submitted: auto-generated\r\n"),
    ("a@reporter.example", "Precedence: bulk\r\n"), ("a@reporter.example", "List-Id: <l.example>\r\n")],
    ids=["null-sender", "auto-submitted", "bulk", "list"])
def test_nothing_is_mailed_back_to_what_a_program_sent(reports_sqlite, sender, headers):
    reports_sqlite.deliver(arf(headers=headers), sender=sender)
    assert only(reports_sqlite)["state"] == "open"
    assert reports_sqlite.mails() == []


def test_an_address_is_not_flooded_in_the_name_of_its_owner(desk_sqlite):
    reports = ReportsDesk(desk_sqlite).start({"reports": {"answers-daily": 2}})
    for number in range(4):
        reports.deliver(arf("n%d.dyn.example" % number, sender="victim@other.example"))
    assert len(reports.mails("victim@other.example")) == 2


# ---- Hostile mails ----

def deep(depth):
    head = "From: a@b.example\r\nMIME-Version: 1.0\r\n"
    for level in range(depth):
        head += 'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
    return (head + "Content-Type: text/plain\r\n\r\nhttp://bad.dyn.example/\r\n").encode()


def nested(depth):
    return (b"From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\n" * depth
            + b"Subject: http://bad.dyn.example/\r\n\r\nx\r\n")


HOSTILE = {
    "deep-50": deep(50), "deep-20000": deep(20000), "nested-100": nested(100), "nested-20000": nested(20000),
    "large": letter("http://bad.dyn.example/ " + "a.b.c " * 1000 + "\r\n" + "x" * 76 + "\r\n" * 1)
             + (b"y" * 998 + b"\r\n") * 10400,
    "charset": letter("http://bad.dyn.example/ \u20ac", headers="Content-Type: text/plain; charset=nonsense-8\r\n"),
    "utf-16": letter("x", headers="Content-Type: text/plain; charset=utf-16\r\n") + b"\xff\xfe\x00\xd8" * 100
              + b"http://bad.dyn.example/\r\n",
    "bad-base64": letter("@@@@====\x00\xff bad.dyn.example", headers="Content-Transfer-Encoding: base64\r\n"),
    "octets": bytes(range(256)) * 100, "no-header": b"\r\n\r\nbad.dyn.example\r\n",
    "no-colon": b"this is no header bad.dyn.example\r\n" * 100, "one-octet": b"x",
    "header-10000": b"".join(b"X-%d: bad.dyn.example\r\n" % i for i in range(10000)) + b"\r\nbad.dyn.example\r\n",
    "long-line": b"Subject: " + b"a" * 1000000 + b"\r\n\r\nbad.dyn.example\r\n",
    "boundary": b"Content-Type: multipart/mixed; boundary=\"" + b"-" * 5000 + b"\"\r\n\r\n--" + b"-" * 5000,
    "injection": b"From: \"x\r\n Bcc: evil@evil.example\" <a@b.example>\r\n"
                 b"Subject: =?utf-8?q?a=0d=0aBcc:_evil@evil.example?=\r\n\r\nbad.dyn.example\r\n",
    "from": b"From: a@b.example\r\n\tBcc: <evil@evil.example>, \"\x00\"@x\r\nReply-To: @@@\r\n\r\nbad.dyn.example",
    "script": letter("<script>alert(1)</script> bad.dyn.example", subject="<img src=x onerror=alert(1)>"),
    "feedback": arf("a b; DROP TABLE reports").replace(b"Version: 1", b"Version: 1\r\n" + b"Reported-Domain: "
                                                       b"bad.dyn.example\r\n" * 500),
    "json": letter("{" * 100000, headers="Content-Type: application/json\r\n"),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_mail_is_taken_and_harms_nothing(hostile_desk, name):
    reports = hostile_desk
    before = len(listed(reports))
    reply = reports.deliver(HOSTILE[name])
    assert reply.startswith("250 "), reply
    found = listed(reports)
    assert len(found) == before + 1
    evidence = found[-1]["evidence"][-1]
    assert evidence["type"] == "message/rfc822"
    kept = reports.analyst.get("/v1/evidence/" + evidence["hash"])
    assert kept.body.rstrip(b"\r\n") == HOSTILE[name].rstrip(b"\r\n")
    assert "evil" not in reports.desk.sql("SELECT address FROM mails")
    # It is still served.
    assert reports.desk.client().get("/healthz").status == 200


@pytest.fixture(scope="module")
def hostile_desk(tmp_path_factory):
    made = Desk(str(tmp_path_factory.mktemp("hostile") / "desk"))
    yield ReportsDesk(made).start({"reports": {"duplicate-hours": 1}})
    made.stop()


def test_names_in_hostile_mails_are_found_where_they_can_be(hostile_desk):
    for name in ["deep-50", "nested-100", "charset", "large", "script", "feedback"]:
        reply = hostile_desk.deliver(HOSTILE[name] + b"\r\n")
        shown = listed(hostile_desk)
        report = [entry for entry in shown if entry["id"] in reply][0]
        assert names(report) == ["bad.dyn.example"], name


def test_a_mail_beyond_the_bound_is_refused(desk_sqlite):
    reports = ReportsDesk(desk_sqlite).start({"reports": {"mail-kib-max": 16}})
    large = letter("x" * 17000)
    assert reports.deliver(large).startswith("552 ")
    assert pipe(reports.desk, large).returncode == 65
    assert pipe(reports.desk, b"").returncode == 65
    assert listed(reports) == []


# ---- LMTP ----

def test_each_recipient_is_answered_and_the_report_is_one(reports_sqlite):
    client = reports_sqlite.lmtp()
    client.begin(recipients=("a@desk.example", "b@desk.example"))
    client.connection.sendall(arf() + b".\r\n")
    assert client.reply().startswith("250 ") and client.reply().startswith("250 ")
    assert client.say("QUIT").startswith("221")
    client.close()
    assert only(reports_sqlite)["seen"] == 1


def test_commands_out_of_order_and_nonsense_are_refused(reports_sqlite):
    client = reports_sqlite.lmtp()
    for line, code in [("DATA", "503"), ("RCPT TO:<a@b.example>", "503"), ("HELO x", "500"), ("FOO", "500"),
                       ("x" * 5000, "500"), ("MAIL FROM: nothing", "501"), ("NOOP", "250"), ("VRFY a", "252"),
                       ("MAIL FROM:<a@b.example>", "250"), ("MAIL FROM:<a@b.example>", "503"),
                       ("RSET", "250"), ("RCPT TO:<a@b.example>", "503")]:
        assert client.say(line).startswith(code), line
    client.close()


def test_only_the_one_true_end_ends_a_message(reports_sqlite):
    client = reports_sqlite.lmtp()
    client.begin()
    smuggled = (b"From: a@b.example\r\n\r\nbad.dyn.example\n.\nMAIL FROM:<evil@evil.example>\n.\r\n"
                b"\r.\rx\r\n..dot\r\n")
    client.connection.sendall(smuggled + b".\r\n")
    assert client.reply().startswith("250 ")
    assert client.say("NOOP").startswith("250 ")
    client.close()
    report = only(reports_sqlite)
    kept = reports_sqlite.analyst.get("/v1/evidence/" + report["evidence"][0]["hash"]).body
    assert kept == smuggled.replace(b"\r\n..dot", b"\r\n.dot")


def test_a_message_that_is_cut_off_was_not_taken(reports_sqlite):
    client = reports_sqlite.lmtp()
    client.begin()
    client.connection.sendall(arf()[:200])
    client.connection.shutdown(socket.SHUT_WR)
    assert client.stream.read() == b""
    client.close()
    assert listed(reports_sqlite) == []


def test_an_end_in_order_waits_for_no_idle_mta(reports_sqlite):
    clients = [reports_sqlite.lmtp() for _ in range(4)]
    reports_sqlite.desk.stop()
    for client in clients:
        client.close()


def test_no_mail_that_was_acknowledged_is_lost_to_a_kill(reports):
    taken = []
    client = reports.lmtp()
    while len(taken) < 10:
        reply = client.send(arf("n%d.dyn.example" % len(taken)))
        assert reply.startswith("250 ")
        taken.append(reply.split()[4])
    client.begin()
    client.connection.sendall(arf("last.dyn.example") + b".\r\n")
    reports.desk.kill()
    client.close()
    reports.start()
    # The MTA, which has no answer to the last one, hands it in again.
    reports.deliver(arf("last.dyn.example"))
    found = listed(reports)
    assert set(taken) <= {report["id"] for report in found}
    assert "last.dyn.example" in names(found[-1])
