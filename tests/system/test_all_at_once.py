"""Everything that changes or reads zones at once: updates, orders by command, by file and by policy zone, reloads
that bring zones and take them, transfers out, status, metrics, queries. At the end all answers are right.

Its worth is in what watches: under AddressSanitizer and ThreadSanitizer whoever looks at what is freed, or
without being let, is reported, and the server then has ended badly."""

import json
import os
import random
import threading
import time
import urllib.request

import dns.query
import dns.rcode
import dns.update
import dns.zone
import pytest

from testbed import orders, wire
from testbed.order_answers import address, eventually
from testbed.process import LOOPBACK, free_port
from testbed.servers import ControlError

SECONDS = 60 if os.environ.get("LONG") else 6
NAMES, LISTED, BATCH = 3000, 2500, 40
POLICY, CATALOG = "rpz.example.", "catalog.orders.example."
HEAD = "$ORIGIN %s\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\n"
WHO = ("127.0.0.1", "::1")


def zone(farm, name, text, **options):
    return {"name": name, "primary": {"file": farm.write(name + "zone", HEAD % name + text)},
            "allow-update": list(WHO), "allow-transfer": list(WHO), **options}


class Life:
    """The server, what its zones should hold, and the actors, each a thread of its own."""

    def __init__(self, farm, seed):
        self.farm, self.seed = farm, seed
        self.hosts = {"h%d" % number: "198.51.100.1" for number in range(NAMES)}
        self.barred = set()  # by the policy zone
        self.config = {
            "server": {"metrics": "%s@%d" % (LOOPBACK, free_port())},
            "zones": [zone(farm, "a.example.", "".join("%s A %s\n" % one for one in self.hosts.items())),
                      zone(farm, "b.example.", "".join("h%d A 192.0.2.1\n" % number for number in range(LISTED))),
                      zone(farm, POLICY, "")],
            "orders": {"zones": [POLICY], "publish": {"catalog": CATALOG, "suffix": "orders.example",
                                                      "allow-transfer": list(WHO)}},
        }
        self.server = farm.tamisd(self.config)
        self.ends_at = time.monotonic() + SECONDS
        self.rounds, self.faults = {}, []

    def random(self, actor):
        return random.Random("%s %s" % (self.seed, actor))

    def run(self, *actors):
        def act(actor):
            steps = actor(self)
            try:
                while time.monotonic() < self.ends_at:
                    next(steps)
                    self.rounds[actor.__name__] = self.rounds.get(actor.__name__, 0) + 1
                steps.close()
            except Exception as fault:  # pylint: disable=broad-except
                self.faults.append("%s: %r" % (actor.__name__, fault))

        threads = [threading.Thread(target=act, args=[actor]) for actor in actors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.faults, self.faults
        assert all(self.rounds.get(actor.__name__) for actor in actors), self.rounds

    def update(self, name, changes):
        message = dns.update.UpdateMessage(name)
        for owner, data in changes.items():
            if data is None:
                message.delete(owner)
            else:
                message.replace(owner, 60, *data)
        reply = dns.query.tcp(message, self.server.address, timeout=60, port=self.server.port)
        assert reply.rcode() == dns.rcode.NOERROR, reply


# ---- Actors: each yields after a round ----

def updates(life):
    generator, fresh = life.random("updates"), 0
    while True:
        changes = {}
        for _ in range(BATCH):
            if generator.random() < 0.5:
                owner, fresh = "n%d.deep%d" % (fresh, fresh % 50), fresh + 1
            else:
                owner = "h%d" % generator.randrange(NAMES)
            there = life.hosts.get(owner)
            changes[owner] = None if there and generator.random() < 0.3 else "203.0.113.%d" % generator.randrange(256)
        life.update("a.example.", {owner: value and ("A", value) for owner, value in changes.items()})
        life.hosts.update(changes)
        yield


def policy_updates(life):
    generator = life.random("policy")
    while True:
        owner = "h%d.a.example" % generator.randrange(LISTED, NAMES)
        life.update(POLICY, {owner: None if owner in life.barred else ("CNAME", ".")})
        life.barred ^= {owner}
        yield


def activations(life):
    """Names of both zones, of names that come and go, and of none; some orders are changed while in force."""
    generator = life.random("orders")
    while True:
        for order_id in ("t-%d" % generator.randrange(3), "t-%d" % generator.randrange(3)):
            names = ["h%d.a.example" % generator.randrange(LISTED) for _ in range(1000)]
            names += ["n%d.deep%d.a.example" % (number, number % 50) for number in range(generator.randrange(1500))]
            names += ["h%d.b.example" % number for number in range(generator.randrange(LISTED))]
            names += ["none%d.b.example" % generator.randrange(100000) for _ in range(500)]
            life.server.activate(orders.write_order(life.farm.directory + "/orders", order_id, names=names))
            yield
        for one in life.server.control("orders"):
            if one["id"].startswith("t-"):
                life.server.lift(one["id"])
        yield


def reloads(life):
    """The second zone is a secondary now and then, with the data that it had, and a third comes and goes."""
    config = json.loads(json.dumps(life.config))
    own = config["zones"][1]
    for turn in range(1000000):
        other = {"name": "b.example.", "secondary": {"from": ["%s@%d" % (LOOPBACK, free_port())]}}
        config["zones"][1] = other if turn % 3 == 1 else own
        del config["zones"][3:]
        if turn % 2 == 0:
            config["zones"].append(zone(life.farm, "c.example.", "h1 A 192.0.2.%d\n" % (turn % 256)))
        life.server.config["zones"] = config["zones"]
        life.server.reload()
        yield


def transfers(life):
    """By AXFR and then, with what came, by IXFR."""
    while True:
        copy = dns.zone.Zone("a.example.")
        for _ in range(3):
            dns.query.inbound_xfr(life.server.address, copy, port=life.server.port, timeout=60, lifetime=60)
            yield


def order_transfers(life):
    while True:
        for name in (CATALOG, POLICY):
            copy = dns.zone.Zone(name, relativize=False)
            dns.query.inbound_xfr(life.server.address, copy, port=life.server.port, timeout=60, lifetime=60)
        yield


def status(life):
    url = "http://%s/metrics" % life.config["server"]["metrics"].replace("@", ":")
    while True:
        for command in ("status", "zones", "orders", "stats"):
            life.server.control(command)
        with urllib.request.urlopen(url, timeout=60) as page:
            page.read()
        yield


def questions(life):
    generator = life.random("questions")
    while True:
        reply = wire.ask(life.server.place, "h%d.a.example" % generator.randrange(NAMES), "A")
        assert wire.RCODES[reply.rcode] in ("NOERROR", "NXDOMAIN")
        yield


# ---- The end ----

def check(life):
    server = life.server
    server.config["zones"] = life.config["zones"]
    server.reload()
    for one in server.control("orders"):
        if one["id"].startswith("t-"):
            server.lift(one["id"])
    server.activate(orders.write_order(life.farm.directory + "/orders", "last",
                                       names=["h%d.a.example" % number for number in range(100)] +
                                       ["never.a.example"]))
    eventually(lambda: all(address(server, name) == "NXDOMAIN" for name in life.barred), "what the policy zone bars")
    wrong = {}
    for owner, value in life.hosts.items():
        name = owner + ".a.example"
        if name in life.barred:
            continue
        wanted = orders.SINKHOLE_A if owner[1:].isdigit() and int(owner[1:]) < 100 else value or "NXDOMAIN"
        if address(server, name) != wanted:
            wrong[name] = (address(server, name), wanted)
    assert not wrong, wrong
    assert address(server, "never.a.example") == orders.SINKHOLE_A

    copy = dns.zone.Zone("a.example.")
    dns.query.inbound_xfr(server.address, copy, port=server.port, timeout=60, lifetime=60)
    held = {owner.to_text(): rdata.address for owner, _, rdata in copy.iterate_rdatas("A")}
    assert held == {"ns": "192.0.2.53", **{owner: value for owner, value in life.hosts.items() if value}}


@pytest.mark.parametrize("seed", ["tamis"] if not os.environ.get("LONG") else ["tamis", "sieve", "drum"])
def test_everything_at_once_ends_with_the_right_answers(farm, seed):
    life = Life(farm, seed)
    life.run(updates, policy_updates, activations, reloads, transfers, order_transfers, status, questions, questions)
    check(life)
