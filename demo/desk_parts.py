"""What the desk's part of the demo consists of: its two servers, a mail server that keeps everything,
people with a shell of their own, and the papers that they hand in."""

import contextlib
import datetime
import email
import email.policy
import json
import os
import re
import socketserver
import subprocess
import threading
import urllib.error
import urllib.request
import uuid

import servers

ZONE = "dyn.example"
CATALOG, SUFFIX = "catalog.orders.example", "orders.example"
ORIGIN = "desk.example/ledger"
OTHER_HOSTS = 200  # of other customers, in the zone from the start
PASSWORD = "a password of the demo"
COMMAND_TIMEOUT_S = 60


def other_host(number):
    return f"box-{number:03}.{ZONE}"


def other_address(number):
    return f"198.51.100.{number}"


def name_server(folder, port, desk_port, secret, program):
    """tamisd with the zone of the hosts, which the desk updates, and with the orders of the desk."""
    folder.mkdir()
    hosts = "".join(f"box-{number:03} A {other_address(number)}\n" for number in range(OTHER_HOSTS))
    (folder / "dyn.zone").write_text(
        f"$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 1209600 1\n@ NS ns1\n"
        f"ns1 A 192.0.2.1\n{hosts}"
    )
    (folder / "tamisd.yaml").write_text(
        f"""\
server: {{ listen: ["{servers.HOST}@{port}"], workers: 1, state: state, control: tamisd.sock }}
keys:
  - {{ name: desk, algorithm: hmac-sha256, secret: {secret} }}
zones:
  - name: {ZONE}
    primary: {{ file: dyn.zone }}
    allow-update: [desk]
    allow-transfer: [desk]
  - name: {CATALOG}
    secondary: {{ from: ["{servers.HOST}@{desk_port}"], key: desk }}
    allow-transfer: [desk]
orders:
  catalog: {CATALOG}
"""
    )
    return servers.Server("tamisd", folder, port, [str(program), "-c", str(folder / "tamisd.yaml")])


def desk(folder, port, zones_port, name_server_port, mail_port, secret, program):
    """The desk on SQLite; zones_port is where the name server gets the orders."""
    (folder / "tamis-desk.yaml").write_text(
        f"""\
http: {{ listen: ["{servers.HOST}@{port}"], insecure-cookies: yes }}
database: {{ driver: sqlite, path: desk.db }}
state: state
keys:
  - {{ name: desk, algorithm: hmac-sha256, secret: {secret} }}
servers:
  - {{ name: ns1, address: {servers.HOST}@{name_server_port}, key: desk, update: yes }}
zones:
  - {{ name: {ZONE}, ttl: 60 }}
orders:
  listen: ["{servers.HOST}@{zones_port}"]
  catalog: {CATALOG}
  suffix: {SUFFIX}
  key: desk
  notify: ["{servers.HOST}@{name_server_port} key desk"]
  collateral-budget: {{ live: 1 }}
ledger: {{ origin: {ORIGIN}, key-file: ledger.key, interval: 50 }}
mail: {{ from: abuse@desk.example, smtp: "smtp://{servers.HOST}:{mail_port}" }}
"""
    )
    return servers.Server(
        "tamis-desk", folder, port, [str(program), "-c", str(folder / "tamis-desk.yaml")]
    )


class MailTaker(socketserver.StreamRequestHandler):
    """Takes every mail that comes (RFC 5321, as much of it as a sender of plain mails needs)."""

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 mail.example ESMTP")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.say("354 go on")
                self.server.take(self.read_mail())
                self.say("250 taken")
            elif word == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 mail.example")

    def read_mail(self):
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        return email.message_from_bytes(b"".join(lines), policy=email.policy.default)


class MailBox(socketserver.ThreadingTCPServer):
    """The mails of everybody."""

    daemon_threads = True

    def __init__(self):
        super().__init__((servers.HOST, 0), MailTaker)
        self.port = self.server_address[1]
        self.mails, self.changed = [], threading.Condition()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def take(self, mail):
        with self.changed:
            self.mails.append(mail)
            self.changed.notify_all()

    def find(self, address, words):
        """A mail to an address with these words in its subject or text, or None."""
        for mail in self.mails:
            text = f"{mail['subject']}\n{mail.get_content()}"
            if mail["to"] == address and words.lower() in text.lower():
                return mail
        return None

    def wait_for(self, address, words="", timeout_s=20):
        with self.changed:
            return self.changed.wait_for(lambda: self.find(address, words), timeout_s)

    def stop(self):
        self.shutdown()
        self.server_close()


def code_in(mail):
    """The one-time code that stands in a mail on a line of its own."""
    found = re.search(r"^ +([A-Za-z0-9_-]{43})\r?$", mail.get_content(), re.MULTILINE)
    if found is None:
        raise servers.DemoError(f"no code in the mail '{mail['subject']}'")
    return found.group(1)


class Person:
    """Somebody at a shell: a home folder, and the token that tamis account login keeps there."""

    def __init__(self, name, folder, url, bin_folder):
        self.address = f"{name}@people.example"
        self.home, self.url, self.tamis = folder / name, url, bin_folder / "tamis"
        self.home.mkdir()

    def run(self, *words, lines=()):
        """Runs a command of tamis; returns what it says as JSON, or None where it says nothing."""
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "TAMIS_DESK": self.url}
        run = subprocess.run(
            [str(self.tamis), *map(str, words), "--json"],
            cwd=self.home,
            env=environment,
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if run.returncode != 0:
            said = (run.stderr or run.stdout).strip()
            raise servers.DemoError(f"tamis {' '.join(map(str, words[:2]))} of {self.address}: {said}")
        return json.loads(run.stdout) if run.stdout.strip() else None

    def file(self, name, text):
        path = self.home / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def confirm_and_sign_in(self, code):
        self.run("account", "confirm", lines=(code, PASSWORD))
        self.run("account", "login", "--desk", self.url, self.address, lines=(PASSWORD,))


def fetch(url, headers):
    """GET; returns headers and text of the answer, whatever its status."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return error.headers, error.read().decode()


def report(name, address, reporter):
    """XARF 4: a name, last seen at an address, that malware asks for orders."""
    contact = {"org": "Example CERT", "contact": reporter, "domain": "reporter.example"}
    return {
        "xarf_version": "4.0.0",
        "report_id": str(uuid.uuid4()),
        "timestamp": now().isoformat().replace("+00:00", "Z"),
        "reporter": contact,
        "sender": contact,
        "source_identifier": address,
        "category": "infrastructure",
        "type": "botnet",
        "c2_server": name,
        "compromise_evidence": "A sample connects to it.",
        "evidence_source": "automated_scan",
        "description": "Gives orders to malware.",
    }


def order(order_id, names, sinkhole, notice):
    """An order that is in force from the hour before."""
    start = (now() - datetime.timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    return f"""\
id: {order_id}
kind: court
authority: "A court of example, case 7"
starts: {start}
ends: 2099-01-01T00:00:00Z
action: sinkhole
sinkhole: {{ a: [{sinkhole}], ttl: 60 }}
notice: {notice}
names: [{", ".join(names)}]
"""


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
