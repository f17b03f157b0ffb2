"""A cut-over with a real parent, real origins and a front of ours, and clients that ask it."""

import json
import random
import socket
import subprocess
import threading
import time

import yaml

from testbed import wire
from testbed.orders import write_order
from testbed.process import LOOPBACK, free_port
from testbed.servers import Nsd, program, tamis_program

SECRET = "bm90LWEtcmVhbC1zZWNyZXQ="
DOMAINS = ["a.example", "b.example", "c.example"]

CHILD = """\
$ORIGIN {zone}.
$TTL {ttl}
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A {www}
mail A 192.0.2.3
mail AAAA 2001:db8::3
bad A 192.0.2.4
"""
PARENT = "$ORIGIN example.\n$TTL 300\n@ SOA ns1 hostmaster 7 3600 600 1209600 60\n@ NS ns1\nns1 A 192.0.2.9\n" + "".join(
    "{0} 2 NS ns1.{0}\nns1.{0} 2 A 192.0.2.1\n".format(domain.split(".")[0]) for domain in DOMAINS) + "c 300 DS 12345 13 2 %s\n" % ("AB" * 32)


class ReadingNsd(Nsd):
    """Reads changed zone files at SIGHUP."""

    def write(self, name, text):
        return super().write(name, text.replace("zonefiles-check: no", "zonefiles-check: yes"))


class Takeover:
    """Parent, origins, front, and the plan between them."""

    def __init__(self, farm, parent="knot", domains=DOMAINS, own_ttl=2, forward=False, server=None):
        self.farm, self.domains = farm, domains
        files = [(domain + ".", farm.write(domain + ".zone", self.zone(domain, ttl=own_ttl))) for domain in domains]
        self.origin = farm.knot(files)
        self.files = dict(files)
        key = {"name": "move", "algorithm": "hmac-sha256", "secret": SECRET}
        path = farm.write("example.zone", PARENT)
        if parent == "knot":
            self.parent = farm.knot(
                [("example.", path)], allow_transfer=False, zone_extra="    acl: move",
                extra="key:\n  - id: move\n    algorithm: hmac-sha256\n    secret: %s\n"
                      "acl:\n  - id: move\n    key: move\n    action: update\n" % SECRET)
        elif parent == "nsd":
            self.parent = farm.add(ReadingNsd).start([("example.", path)])
        else:
            self.parent = farm.tamisd({"keys": [key], "zones": [
                {"name": "example", "primary": {"file": path}, "allow-update": ["move"]}]})
        origin = "%s@%d" % self.origin.place
        self.front = farm.tamisd({"server": server or {}, "zones": [
            {"name": domain, **({"forward": {"to": [origin]}} if forward else {"secondary": {"from": [origin]}})}
            for domain in domains]})
        self.front.process.wait_until(
            lambda: all(zone["status"] == "serving" for zone in self.front.control("zones")), "zones")
        self.orders = {domain: write_order(farm.directory, "nv-" + domain[0], names=["bad." + domain])
                       for domain in domains}
        for path in self.orders.values():
            self.front.activate(path)
        self.plan = {
            "state": "takeover",
            "front": {"address": "%s@%d" % self.front.place, "control": self.front.control_socket},
            "parents": ["%s@%d" % self.parent.place],
            "name-servers": [{"name": "ns1.front.example", "addresses": ["192.0.2.50"]},
                             {"name": "ns2.front.example"}],
            "delegation": {"parent-zone": "example", "ttl": 2, "timeout": 20, "update": {
                "server": "%s@%d" % self.parent.place, "key": "move", "secret": SECRET}},
            "gate": {"queries": 8},
            "canary": {"seconds": 1, "interval": 1, "sample": 50, "latency-ms-max": 5000},
            "return": {"quiet-seconds": 1},
            "domains": [{"name": domain, "mode": "forward" if forward else "auto", "origins": ["%s@%d" % self.origin.place], "order": self.orders[domain],
                         "names": farm.write(domain + ".names",
                                             "".join("%s.%s\n" % (label, domain)
                                                     for label in ("www", "mail", "ns1", "none")))}
                        for domain in domains],
        }

    @staticmethod
    def zone(domain, www="192.0.2.2", ttl=300):
        return CHILD.format(zone=domain, www=www, ttl=ttl)

    def command(self, *arguments):
        path = self.farm.write("plan.yaml", yaml.safe_dump(self.plan, sort_keys=False))
        return [tamis_program("tamis"), "takeover", arguments[0], path, *arguments[1:]]

    def run(self, *arguments, code=0):
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, "%s\n%s\n%s" % (arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments, code=0):
        return json.loads(self.run(*arguments, "--json", code=code))

    def until_open(self, *domains):
        for step in ("plan", "copy", "shadow", "gate"):
            self.run(step, *domains)

    def ns(self, domain):
        """The name servers that the parent gives."""
        done = subprocess.run([program("kdig"), "@%s" % self.parent.address, "-p", str(self.parent.port), "+norec", "+noall",
                               "+answer", "+authority", domain, "NS"], capture_output=True, text=True, timeout=20,
                              check=True)
        return sorted(line.split()[4] for line in done.stdout.splitlines() if "\tNS\t" in line)

    def history(self, domain):
        """The samples of the watch so far."""
        try:
            with open(self.farm.directory + "/takeover/%s.history" % domain, encoding="utf-8") as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def state(self, domain):
        with open(self.farm.directory + "/takeover/takeover.json", encoding="utf-8") as file:
            return json.load(file)["domains"][domain]

    def steps(self):
        return {line["domain"]: line["step"] for line in json.loads(
            subprocess.run(self.command("status", "--json"), capture_output=True, text=True, timeout=60,
                           check=False).stdout)}

    def log(self):
        with open(self.farm.directory + "/takeover/log", encoding="utf-8") as file:
            return [json.loads(line) for line in file]


OURS = ["ns1.front.example.", "ns2.front.example."]


def wait_for(process, condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "%s: ended with %s" % (what, process.returncode)
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Clients:
    """Ask one of these names after the other, without end, until `with` ends, pause() is called, or `until`
    says so, which is looked at before each."""

    def __init__(self, place, names, rate=200, until=lambda: False):
        self.place, self.names, self.pause_s, self.until = place, names, 1 / rate, until
        self.replies, self.failed = 0, []
        self.asking, self.ended = threading.Event(), threading.Event()
        self.asking.set()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.is_set() and not self.until():
            if not self.asking.wait(0.1):
                continue
            name = self.names[self.replies % len(self.names)].replace("*", "n%08x" % random.getrandbits(32))
            reply = wire.ask_or_none(self.place, wire.query(name, "A"), 5.0)
            self.replies += 1
            if reply is None or wire.rcode(reply) == 2:
                self.failed.append(name)
            self.ended.wait(self.pause_s)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def pause(self):
        self.asking.clear()


class Relay:
    """Stands in front of a server on UDP, and answers late, SERVFAIL or not at all when it is told to."""

    def __init__(self, place):
        self.server = place
        self.place = (LOOPBACK, free_port())
        self.delay_s, self.servfail, self.silent = 0, False, False
        self.unanswered = []  # messages
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(self.place)
            listener.settimeout(0.1)
            while not self.ended.is_set():
                try:
                    query, client = listener.recvfrom(4096)
                except socket.timeout:
                    continue
                if self.silent:
                    self.unanswered.append(query)
                    continue
                reply = wire.ask_or_none(self.server, query, 5.0)
                if reply is not None:
                    threading.Timer(self.delay_s, self.send, (listener, self.spoil(reply), client)).start()

    def spoil(self, reply):
        return reply[:3] + bytes([reply[3] & 0xf0 | 2]) + reply[4:] if self.servfail else reply

    @staticmethod
    def send(listener, reply, client):
        try:
            listener.sendto(reply, client)
        except OSError:  # closed meanwhile
            pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
