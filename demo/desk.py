"""The desk of Tamis at work: a customer updates hosts with ddclient, a report of abuse is decided,
an order goes through its life to the name server, an appeal takes one name out of it, the ledger is verified.

    make demo                         # after the main job
    /usr/bin/python3 demo/desk.py     # this alone
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dns.edns
import dns.message
import dns.query

import asking
import desk_parts as parts
import servers
from screen import Screen, duration

REPOSITORY = Path(__file__).resolve().parent.parent
CAMERA, SHOP = f"camera.{parts.ZONE}", f"shop.{parts.ZONE}"
CAMERA_ADDRESS, SHOP_ADDRESS = "192.0.2.11", "192.0.2.12"
SINKHOLE = "192.0.2.66"
ORDER_ID = "court-2026-0007"
NOTICE = f"https://desk.example/orders/{ORDER_ID}"
LISTED_OTHERS = 20
REPORTER, CONTACT = "cert@reporter.example", "abuse@provider.example"
BLOCK_MAX_S = ACTIVE_MAX_S = 5.0
APPEAL_MAX_S = 1.0
ANSWER_WAIT_S = 20
START_TIMEOUT_S = LEDGER_TIMEOUT_S = 30
STAFF = {
    "olga": "operator",
    "alice": "analyst",
    "dora": "analyst",
    "bob": "approver",
    "carol": "approver",
}


class DeskDemo:
    def __init__(self, bin_folder, folder, screen):
        self.bin, self.folder, self.screen = bin_folder, folder, screen
        self.name_server = self.desk = self.mail = None
        self.people = {}

    def run(self):
        if shutil.which("ddclient") is None:
            raise servers.DemoError("ddclient is missing: make demo installs it")
        self.folder.mkdir()
        for step in (
            self.step_start,
            self.step_customer,
            self.step_update,
            self.step_report,
            self.step_order,
            self.step_activation,
            self.step_appeal,
            self.step_ledger,
        ):
            step()

    def stop(self):
        """Ends what runs; once more does no harm."""
        for server in (self.desk, self.name_server, self.mail):
            if server is not None:
                server.stop()

    # ---- Looking ----

    def addresses(self, name):
        """What the name server gives for a name: the addresses alone."""
        return [record.split()[1] for record in asking.ask(self.name_server.address, name)[1]]

    def extended_error(self, name):
        query = dns.message.make_query(name, "A", use_edns=0)
        host, port = self.name_server.address
        reply = dns.query.udp(query, host, port=port, timeout=asking.ANSWER_TIMEOUT_S)
        texts = [option.text for option in reply.options if option.otype == dns.edns.OptionType.EDE]
        return texts[0] if texts else "none"

    def check_addresses(self, label, name, wanted):
        found = self.addresses(name)
        self.screen.check(label, " ".join(found) or "none", found == wanted, " ".join(wanted) or "none")

    def check_mail(self, label, address, words):
        mail = self.mail.wait_for(address, words)
        self.screen.check(label, "mailed" if mail else "no mail", mail is not None, f"to {address}")

    def seconds_to(self, act, name, wanted):
        """Acts; returns the seconds from then on to the first answer with these addresses, or that there
        is no such name."""
        answer = "NOERROR" if wanted else "NXDOMAIN", [f"{name}. {address}" for address in wanted]
        with asking.Watcher(self.name_server.address, name, answer) as watcher:
            started_s = time.monotonic()
            act()
            first_s = watcher.wait_first(ANSWER_WAIT_S)
        return float("inf") if first_s is None else first_s - started_s

    # ---- The steps ----

    def step_start(self):
        self.screen.step(
            "The desk",
            "The provider's side: accounts, hosts, reports, orders, on SQLite;",
            "tamisd beside it has the zone of the hosts and follows the orders.",
        )
        secret = base64.b64encode(os.urandom(32)).decode()
        port, zones_port, desk_port = servers.free_ports(3)
        self.mail = parts.MailBox()
        self.name_server = parts.name_server(
            self.folder / "ns1", port, zones_port, secret, self.bin / "tamisd"
        )
        folder = self.folder / "tamis-desk"
        folder.mkdir()
        self.nobody = self.person("nobody", f"http://{servers.HOST}:{desk_port}")
        key = self.nobody.run("ledger", "key", "--output", folder / "ledger.key", parts.ORIGIN)
        self.verifier = key["verifier"]
        self.desk = parts.desk(
            folder, desk_port, zones_port, port, self.mail.port, secret, self.bin / "tamis-desk"
        )
        self.name_server.start()
        self.desk.start()
        took_s = self.desk.wait_until(
            lambda: "ready" in self.desk.log_path.read_text(errors="replace").splitlines(),
            START_TIMEOUT_S,
        )
        self.name_server.wait_until(
            lambda: asking.is_authority(self.name_server.address, parts.ZONE), START_TIMEOUT_S
        )
        self.screen.figure("desk ready after", duration(took_s), "database made, ledger begun")
        for name, role in STAFF.items():
            self.add_staff(name, role)
        roles = [entry["role"] for entry in self.people["olga"].run("account", "list")]
        self.screen.check(
            "staff that signed in",
            len(roles),
            sorted(roles) == sorted(STAFF.values()),
            "an operator, two analysts, two approvers",
        )

    def person(self, name, url=None):
        self.people[name] = parts.Person(
            name, self.folder, url or f"http://{servers.HOST}:{self.desk.port}", self.bin
        )
        return self.people[name]

    def add_staff(self, name, role):
        person = self.person(name)
        said = subprocess.run(
            [*self.desk.command, "staff", "add", person.address, "--role", role],
            capture_output=True,
            text=True,
            timeout=parts.COMMAND_TIMEOUT_S,
            check=False,
        )
        if said.returncode != 0:
            raise servers.DemoError(f"tamis-desk staff add: {said.stderr.strip()}")
        person.confirm_and_sign_in(said.stdout.split()[1])

    def step_customer(self):
        self.screen.step("A customer", "Signs up, confirms the address by a mail, makes two hosts.")
        ann = self.person("ann")
        ann.run("account", "create", ann.address)
        mail = self.mail.wait_for(ann.address)
        self.screen.check(
            "mail to confirm", "came" if mail else "no mail", mail is not None, f"to {ann.address}"
        )
        if mail is None:
            raise servers.DemoError(f"tamis-desk sent no mail:\n{self.desk.log()}")
        ann.confirm_and_sign_in(parts.code_in(mail))
        self.keys = {}
        for name in (CAMERA, SHOP):
            ann.run("host", "create", name)
            self.keys[name] = ann.run("host", "key", "add", name, "--label", "router")["key"]
        made = sorted(host["name"] for host in ann.run("host", "list"))
        self.screen.check("hosts, each with a key", len(made), made == [CAMERA, SHOP], "both")

    def step_update(self):
        self.screen.step("The update", "Debian's ddclient, as it is; the key is the password.")
        for name, address in ((CAMERA, CAMERA_ADDRESS), (SHOP, SHOP_ADDRESS)):
            said = self.ddclient(name, address)
            good = f"good: IP address set to {address}" in said
            self.screen.check("ddclient hears", "good" if good else "no good", good, f"for {name}")
            self.check_addresses("the name server says", name, [address])

    def ddclient(self, name, address):
        person = self.people["ann"]
        config = person.file(
            "ddclient.conf",
            f"protocol=dyndns2\nuse=ip, ip={address}\nserver={servers.HOST}:{self.desk.port}\n"
            f"login={name}\npassword='{self.keys[name]}'\n{name}\n",
        )
        run = subprocess.run(
            ["ddclient", "-foreground", "-daemon=0", "-verbose", "-noquiet", "-force", "-nossl"]
            + ["-file", config, "-cache", person.home / "ddclient.cache"]
            + ["-pid", person.home / "ddclient.pid"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=parts.COMMAND_TIMEOUT_S,
            check=False,
        )
        return run.stdout + run.stderr

    def step_report(self):
        self.screen.step("A report", "A CERT says that the camera gives orders to malware (XARF 4).")
        path = self.nobody.file("report.json", json.dumps(parts.report(CAMERA, CAMERA_ADDRESS, REPORTER)))
        receipt = self.nobody.run("report", "submit", path)
        alice = self.people["alice"]
        queue = [entry["id"] for entry in alice.run("report", "queue")]
        self.screen.check("reports in the queue", len(queue), queue == [receipt["id"]], "that one")
        alice.run("report", "claim", receipt["id"])
        gone_s = self.seconds_to(
            lambda: alice.run("report", "decide", receipt["id"], "suspend-host", "malware-controller"),
            CAMERA,
            [],
        )
        self.screen.check(
            "decided, its records gone after",
            duration(gone_s),
            gone_s < BLOCK_MAX_S,
            f"under {duration(BLOCK_MAX_S)}, the command's start included",
        )
        headers, text = self.nic_update(CAMERA, CAMERA_ADDRESS)
        self.screen.check("an update now hears", text.strip(), text == "abuse\n", "abuse")
        reason = headers.get("X-Tamis-Reason", "")
        why = reason.removeprefix(f"{CAMERA} ")
        self.screen.check("and the reason", why, why == "malware-controller", "malware-controller")
        self.check_addresses("the name server says", CAMERA, [])
        self.check_mail("the customer is told", self.people["ann"].address, CAMERA)
        self.check_mail("the reporter is told", REPORTER, "Outcome of your report")

    def nic_update(self, name, address):
        sign_in = base64.b64encode(f"{name}:{self.keys[name]}".encode()).decode()
        return parts.fetch(
            f"{self.nobody.url}/nic/update?hostname={name}&myip={address}",
            {"Authorization": f"Basic {sign_in}", "User-Agent": "Tamis - demo - 1"},
        )

    def step_order(self):
        self.screen.step(
            "An order",
            "It lists hosts that a botnet uses; the shop is among them by mistake.",
            "Draft, rehearsal, notice, and two people who approve: none can be skipped.",
        )
        alice, listed = self.people["alice"], [*map(parts.other_host, range(LISTED_OTHERS)), SHOP]
        path = alice.file(f"{ORDER_ID}.yaml", parts.order(ORDER_ID, listed, SINKHOLE, NOTICE))
        alice.run("order", "draft", "--contact", CONTACT, path)
        row = alice.run("order", "show", ORDER_ID)
        live = row["rehearsal"]["listed"]["states"]["live"]
        self.screen.check("listed names that are alive", live, live == len(listed), "all of them")
        needed = row["approvals"]["needed"]
        self.screen.check("approvals that it needs", needed, needed == 2, "2: over the desk's budget")
        alice.run("order", "notify", ORDER_ID)
        self.check_mail("notice of it", CONTACT, ORDER_ID)
        states = [
            self.people[name].run("order", "approve", ORDER_ID)["state"] for name in ("bob", "carol")
        ]
        self.screen.check("after the first approval", states[0], states[0] == "notified", "notified")
        self.screen.check("after the second", states[1], states[1] == "approved", "approved")

    def step_activation(self):
        self.screen.step("The activation", "The name server gets the order by transfer (RFC 9432, TSIG).")
        alice = self.people["alice"]
        active_s = self.seconds_to(
            lambda: alice.run("order", "activate", ORDER_ID), SHOP, [SINKHOLE]
        )
        self.screen.check(
            "first sinkholed answer after",
            duration(active_s),
            active_s < ACTIVE_MAX_S,
            f"under {duration(ACTIVE_MAX_S)}, the command's start included",
        )
        sinkholed = sum(
            self.addresses(parts.other_host(number)) == [SINKHOLE] for number in range(LISTED_OTHERS)
        ) + (self.addresses(SHOP) == [SINKHOLE])
        self.screen.check(
            "listed names sinkholed", sinkholed, sinkholed == LISTED_OTHERS + 1, "all of them"
        )
        untouched = sum(
            self.addresses(parts.other_host(number)) == [parts.other_address(number)]
            for number in range(LISTED_OTHERS, parts.OTHER_HOSTS)
        )
        self.screen.check(
            "other hosts untouched", untouched, untouched == parts.OTHER_HOSTS - LISTED_OTHERS, "all"
        )
        text = self.extended_error(SHOP)
        self.screen.check("the answer names", text.split()[0], text == f"{ORDER_ID} {NOTICE}", NOTICE)
        (server,) = alice.run("order", "servers", ORDER_ID)
        self.screen.check(
            "what the server confirms", server["state"], server["state"] == "current", server["server"]
        )
        found = self.look_up(SHOP)
        block = found["blocks"][0] if found["blocks"] else {}
        self.screen.check(
            "look-up of the shop",
            "blocked" if found["blocked"] else "free",
            found["blocked"] and block.get("order") == ORDER_ID,
            f"blocked, by {block.get('order')}: {block.get('reason')}",
        )

    def look_up(self, name):
        """The public page about a name, as programs get it."""
        return json.loads(
            parts.fetch(f"{self.nobody.url}/names/{name}", {"Accept": "application/json"})[1]
        )

    def step_appeal(self):
        self.screen.step("An appeal", "For the shop. It goes to an analyst who had no part in the order.")
        ann, dora = self.people["ann"], self.people["dora"]
        why = ann.file("why.txt", "It sells flowers.\n")
        appeal = ann.run("appeal", "submit", "--statement", why, SHOP)["id"]
        for name, wanted in (("alice", []), ("dora", [appeal])):
            mine = [entry["id"] for entry in self.people[name].run("appeal", "list", "--mine")]
            self.screen.check(f"appeals that {name} gets", len(mine), mine == wanted, str(len(wanted)))
        said = dora.file("said.txt", "The evidence was of another host.\n")
        decide = ("appeal", "decide", "--grant", "--reason", "false-positive", "--explanation", said)
        lifted_s = self.seconds_to(lambda: dora.run(*decide, appeal), SHOP, [SHOP_ADDRESS])
        self.screen.check(
            "first right answer after",
            duration(lifted_s),
            lifted_s < APPEAL_MAX_S,
            f"under {duration(APPEAL_MAX_S)}, the command's start included",
        )
        self.check_addresses("the name server says", SHOP, [SHOP_ADDRESS])
        self.check_addresses("another name of the order", parts.other_host(0), [SINKHOLE])
        free = not self.look_up(SHOP)["blocked"]
        self.screen.check("look-up of the shop", "free" if free else "blocked", free, "free")
        self.check_mail("the customer is told", ann.address, "The evidence was of another host.")

    def step_ledger(self):
        self.screen.step(
            "The ledger",
            "Read by anybody while the desk runs, then from a copy, when the desk has stopped.",
        )
        ledger = ("ledger", "list", "--key", self.verifier)
        self.desk.wait_until(
            lambda: self.nobody.run(*ledger, "--kind", "appeal.decided", f"{self.nobody.url}/ledger"),
            LEDGER_TIMEOUT_S,
        )
        self.desk.stop()
        code = self.desk.process.returncode
        self.screen.check("exit code of tamis-desk", code, code == 0, "0")
        copy = self.folder / "ledger"
        shutil.copytree(self.desk.folder / "state" / "ledger", copy)
        result = self.nobody.run("ledger", "verify", "--key", self.verifier, copy)
        entries = self.nobody.run(*ledger, copy)
        self.screen.check(
            "entries verified", result["entries"], result["entries"] == len(entries) > 0, "all of them"
        )
        kinds = [one["entry"]["kind"] for one in entries]
        for kind in ("report.decided", "order.activated", "appeal.decided"):
            self.screen.check(kind, kinds.count(kind), kinds.count(kind) == 1, "1")


def main():
    bin_folder = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")).resolve()
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="tamis-demo-") as folder:
        demo = DeskDemo(bin_folder, Path(folder) / "desk", screen)
        try:
            demo.run()
        except servers.DemoError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\ndemo: stopped", file=sys.stderr)
            return 130
        finally:
            demo.stop()
    screen.verdict()
    return 1 if screen.failures else 0


if __name__ == "__main__":
    sys.exit(main())
