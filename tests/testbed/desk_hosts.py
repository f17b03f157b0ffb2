"""A desk whose hosts live in the zone of a real tamisd, and updates as clients send them."""

import base64
import os
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from testbed.desk import Desk
from testbed.process import LOOPBACK, free_port
from testbed.servers import Tamisd

SECRET = "bm90LWEtcmVhbC1zZWNyZXQ="
ZONE = """\
$ORIGIN dyn.example.
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 1209600 1
@ NS ns1
ns1 A 192.0.2.1
"""


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()}


class Hosts:
    """A desk with its name server."""

    def __init__(self, desk, directory):
        self.desk = desk
        self.directory = directory
        self.server = Tamisd(os.path.join(directory, "tamisd"))
        self.server.write("dyn.zone", ZONE)
        self.server.start({
            "keys": [{"name": "desk", "algorithm": "hmac-sha256", "secret": SECRET}],
            "zones": [{"name": "dyn.example", "primary": {"file": self.server.path("dyn.zone")},
                       "allow-update": ["desk"]}]})
        desk.config.update({
            "keys": [{"name": "desk", "algorithm": "hmac-sha256", "secret": SECRET}],
            "servers": [{"name": "ns1", "address": "%s@%d" % (LOOPBACK, self.server.port), "key": "desk",
                         "update": True}],
            "zones": [{"name": "dyn.example", "ttl": 60}],
            "plans": [{"name": "free", "hosts-max": 50, "updates-per-hour": 1000}]})

    def start(self, changes=None):
        self.desk.start(changes)
        return self

    def stop(self):
        self.desk.stop()
        self.server.stop()

    # ---- What the name server says ----

    def records(self, name, kind="A"):
        """The values that the name server gives, sorted; of a TXT without its quotes."""
        query = dns.message.make_query(name + ".", kind)
        reply = dns.query.udp(query, LOOPBACK, port=self.server.port, timeout=5)
        return sorted(rdata.to_text().strip('"') for rrset in reply.answer for rdata in rrset
                      if rdata.rdtype == dns.rdatatype.from_text(kind))

    def wait_for(self, name, kind, values, timeout_s=20):
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self.records(name, kind) == values:
                return
            time.sleep(0.05)
        assert self.records(name, kind) == values

    # ---- Customers ----

    def customer(self, email="ann@customers.example"):
        return self.desk.signed_in("customer", email)

    def host(self, client, name, **options):
        reply = client.post("/v1/hosts", {"name": name, **options})
        assert reply.status == 201, reply.text
        return reply.json

    def key(self, client, name):
        reply = client.post("/v1/hosts/%s/keys" % name, {"label": "router"})
        assert reply.status == 201, reply.text
        return reply.json["key"]

    # ---- Updates ----

    def update(self, query, user, password, path="/nic/update", headers=None):
        sent = {"User-Agent": "Tamis - test - 1", **basic(user, password), **(headers or {})}
        return self.desk.client().get("%s?%s" % (path, query), headers=sent)

    def wait_for_update(self, query, user, password, text, timeout_s=20):
        """Updates as a client does, again and again, until the answer is `text`."""
        until = time.monotonic() + timeout_s
        answer = self.update(query, user, password).text
        while answer != text and time.monotonic() < until:
            time.sleep(0.1)
            answer = self.update(query, user, password).text
        assert answer == text


@pytest.fixture
def hosts(desk_unstarted, tmp_path):
    """A desk that serves, on each of the databases, with its name server."""
    made = Hosts(desk_unstarted, str(tmp_path))
    yield made.start()
    made.stop()


@pytest.fixture
def hosts_sqlite(desk_sqlite, tmp_path):
    """The same on SQLite, not started, for what has nothing to do with the database."""
    made = Hosts(desk_sqlite, str(tmp_path))
    yield made
    made.stop()


@pytest.fixture
def hosts_plain(hosts_sqlite):
    """The same, serving."""
    return hosts_sqlite.start()


@pytest.fixture
def hosts_postgresql(postgresql, tmp_path):
    """The same on PostgreSQL, which the test may restart; it serves."""
    made = Hosts(Desk(str(tmp_path / "desk"), postgresql), str(tmp_path))
    yield made.start()
    made.stop()
