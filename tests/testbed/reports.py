"""Reports of abuse as reporters send them, and a desk whose zone they are about."""

import base64
import copy
import hashlib
import os
import smtplib
import socket
import tempfile
import uuid

from testbed.process import LOOPBACK, ServerProcess, free_port

ZONES = [{"name": "dyn.example", "ttl": 60}, {"name": "free.example", "ttl": 60}]

CONTACT = {"org": "Example CERT", "contact": "cert@reporter.example", "domain": "reporter.example"}


def xarf(name="bad.dyn.example", **changes):
    """A report of phishing as XARF 4."""
    report = {
        "xarf_version": "4.0.0", "report_id": str(uuid.uuid4()), "timestamp": "2026-11-20T10:00:00Z",
        "reporter": dict(CONTACT), "sender": dict(CONTACT), "source_identifier": "192.0.2.45",
        "category": "content", "type": "phishing", "url": "https://%s/login" % name,
        "evidence_source": "crawler", "description": "Asks for passwords of a bank."}
    report.update(changes)
    return {key: value for key, value in report.items() if value is not None}


def controller(name="bad.dyn.example", **changes):
    """A report of a name that malware asks for orders."""
    return xarf(name, category="infrastructure", type="botnet", url=None, c2_server=name,
                compromise_evidence="A sample connects to it.", **changes)


def evidence(octets, content_type="text/plain", **changes):
    return {"content_type": content_type, "payload": base64.b64encode(octets).decode(),
            "hash": "sha256:" + hashlib.sha256(octets).hexdigest(), "size": len(octets), **changes}


XARF3 = {
    "Version": "3", "ReporterInfo": {"ReporterOrg": "Example Security",
                                     "ReporterOrgEmail": "abuse@reporter.example"},
    "Report": {"ReportClass": "Activity", "ReportType": "Phishing", "Date": "2026-11-20T10:00:00Z",
               "Url": "http://bad.dyn.example/bank/", "SourceIp": "192.0.2.9",
               "AttackDescription": "A copy of a bank's page.",
               "Samples": [{"ContentType": "text/html", "Description": "the page",
                            "Payload": base64.b64encode(b"<html>bank</html>").decode()}]}}


def xarf3(**report):
    changed = copy.deepcopy(XARF3)
    changed["Report"].update(report)
    changed["Report"] = {key: value for key, value in changed["Report"].items() if value is not None}
    return changed


def arf(name="bad.dyn.example", sender="fbl@reporter.example", kind="fraud", message_id=None,
        headers=""):
    """A feedback report (RFC 5965)."""
    return (
        "From: Reporter <%(sender)s>\r\nTo: abuse@desk.example\r\nSubject: FW: a report\r\n"
        "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%(id)s@reporter.example>\r\n%(headers)s"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b1"\r\n\r\n'
        "--b1\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        "This is a report about a host.\r\n\r\n"
        "--b1\r\nContent-Type: message/feedback-report\r\n\r\n"
        "Feedback-Type: %(kind)s\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n"
        "Reported-Domain: %(name)s\r\nReported-URI: http://%(name)s/earn.html\r\n"
        "Source-IP: 192.0.2.1\r\nArrival-Date: Thu, 19 Nov 2026 09:00:00 +0000\r\n\r\n"
        "--b1\r\nContent-Type: message/rfc822\r\n\r\n"
        "From: <somespammer@example.net>\r\nReceived: from mailserver.example.net\r\n"
        "Subject: Earn money\r\n\r\nSpam spam http://%(name)s/earn.html\r\n--b1--\r\n"
        % {"sender": sender, "id": message_id or uuid.uuid4(), "kind": kind, "name": name,
           "headers": headers}).encode()


def letter(text, sender="person@reporter.example", subject="phishing on your network", headers=""):
    return ("From: %s\r\nTo: abuse@desk.example\r\nSubject: %s\r\nMessage-ID: <%s@reporter.example>\r\n"
            "%s\r\n%s\r\n" % (sender, subject, uuid.uuid4(), headers, text)).encode()


class Lmtp:
    """A client of LMTP that says what it is told, octet by octet."""

    def __init__(self, port):
        self.connection = socket.create_connection((LOOPBACK, port), timeout=60)
        self.stream = self.connection.makefile("rb")
        assert self.reply().startswith("220")

    def reply(self):
        lines = []
        while True:
            line = self.stream.readline().decode()
            if not line:
                raise ConnectionError("closed after %r" % lines)
            lines.append(line)
            if line[3:4] != "-":
                return "".join(lines)

    def say(self, line):
        self.connection.sendall(line.encode() + b"\r\n")
        return self.reply()

    def begin(self, sender="fbl@reporter.example", recipients=("abuse@desk.example",)):
        assert self.say("LHLO mta.example").startswith("250")
        assert self.say("MAIL FROM:<%s>" % sender).startswith("250")
        for recipient in recipients:
            assert self.say("RCPT TO:<%s>" % recipient).startswith("250")
        assert self.say("DATA").startswith("354")

    def send(self, octets, **options):
        self.begin(**options)
        text = octets.replace(b"\r\n.", b"\r\n..")
        self.connection.sendall(text + (b"" if text.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.reply()

    def close(self):
        self.stream.close()
        self.connection.close()


class ReportsDesk:
    """A desk with zones and an LMTP port, and what tests ask of it again and again."""

    def __init__(self, desk):
        self.desk = desk
        self.lmtp_port = free_port()
        desk.config.update({"zones": ZONES, "reports": {"lmtp": "%s@%d" % (LOOPBACK, self.lmtp_port),
                                                        "per-address-hourly": 1000}})

    def start(self, changes=None):
        self.desk.start(changes)
        return self

    def lmtp(self):
        return Lmtp(self.lmtp_port)

    def deliver(self, octets, **options):
        client = self.lmtp()
        try:
            return client.send(octets, **options)
        finally:
            client.close()

    def report(self, body=None, client=None, status=201):
        reply = (client or self.desk.client()).post("/v1/reports", body or xarf())
        assert reply.status == status, reply.text
        return reply.json

    def decide(self, analyst, report, action, reason, status=201, **more):
        reply = analyst.post("/v1/reports/%s/decisions" % report,
                             {"action": action, "reason": reason, **more})
        assert reply.status == status, reply.text
        return reply.json

    def mails(self, to=None):
        """(to, subject) of the mails that wait."""
        rows = [row.split("|") for row in
                self.desk.sql("SELECT address, subject FROM mails ORDER BY id").splitlines()]
        return [row for row in rows if to is None or row[0] == to]

    def host(self, name, email="ann@customers.example"):
        """A customer with a host; returns the customer's client."""
        client = self.desk.signed_in("customer", email)
        reply = client.post("/v1/hosts", {"name": name})
        assert reply.status == 201, reply.text
        return client


EXIM = """
exim_user = %(user)s
exim_group = %(group)s
spool_directory = %(folder)s/spool
log_file_path = %(folder)s/%%slog
pid_file_path = %(folder)s/exim.pid
primary_hostname = mta.example
local_interfaces = 127.0.0.1.%(port)d
daemon_smtp_ports = %(port)d
acl_smtp_rcpt = check_rcpt
never_users =
keep_environment =
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
message_size_limit = 50M
begin acl
check_rcpt:
  accept domains = desk.example
  deny   message = 5.7.1 relaying denied
begin routers
by_pipe:
  driver = accept
  local_parts = pipe
  transport = pipe
by_lmtp:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = lmtp
begin transports
pipe:
  driver = pipe
  command = %(program)s -c %(config)s deliver
  user = %(user)s
  group = %(group)s
  temp_errors = 75
  return_fail_output
lmtp:
  driver = smtp
  protocol = lmtp
  port = %(lmtp)d
  allow_localhost
begin retry
* * F,1h,1s
begin rewrite
begin authenticators
"""


class EximToDesk:
    """Debian's MTA, unprivileged, that hands in what comes for pipe@ and lmtp@desk.example."""

    def __init__(self, folder, user, group, program, config, lmtp_port):
        self.folder = folder
        self.port = free_port()
        self.config = os.path.join(folder, "exim.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(EXIM % {"folder": folder, "port": self.port, "user": user, "group": group,
                               "program": program, "config": config, "lmtp": lmtp_port})
        os.chmod(self.config, 0o644)
        self.process = ServerProcess("exim4", ["/usr/sbin/exim4", "-C", self.config, "-bdf", "-q1s"],
                                     tempfile.mkdtemp(prefix="tamis-exim-log-"))
        self.process.wait_until(self._answers, "greeting")

    def _answers(self):
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
                return connection.recv(4).startswith(b"220")
        except OSError:
            return False

    def send(self, to, octets, sender="fbl@reporter.example"):
        with smtplib.SMTP(LOOPBACK, self.port, local_hostname="reporter.example", timeout=60) as client:
            client.sendmail(sender, [to], octets)

    def stop(self):
        self.process.kill()
