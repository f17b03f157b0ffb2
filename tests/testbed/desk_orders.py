"""A desk as the hidden primary of its orders, and name servers that follow it."""

import os
import time

import dns.edns
import dns.message
import dns.query
import dns.tsig
import dns.tsigkeyring

from testbed.order_answers import DATA, address, ask, eventually
from testbed.orders import SINKHOLE_A, order
from testbed.process import LOOPBACK, free_port

KEY, SECRET = "xfr", "bm90LWEtcmVhbC1zZWNyZXQ="
KEYRING = dns.tsigkeyring.from_text({KEY: ("hmac-sha256", SECRET)})
CATALOG, SUFFIX = "catalog.orders.example.", "orders.example."
DESK_KEYS = [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}]


class OrderDesk:
    """`desk` with a place for transfers, edges of tamisd, and people who decide."""

    def __init__(self, farm, desk, edges=1, others=(), **orders):
        self.farm, self.desk = farm, desk
        self.place = (LOOPBACK, free_port())
        self.edges = [farm.tamisd_unstarted() for _ in range(edges)]
        # Listed before they run: their places are known.
        followers = [*self.edges, *others]
        desk.write_config({
            "keys": DESK_KEYS,
            "servers": [{"name": "ns%d" % (index + 1), "address": "%s@%d" % edge.place, "key": KEY}
                        for index, edge in enumerate(self.edges)],
            "orders": {
                "listen": ["%s@%d" % self.place], "catalog": CATALOG, "suffix": SUFFIX, "key": KEY,
                "notify": ["%s@%d key %s" % (*server.place, KEY) for server in followers],
                "rehearse": {"zones": ["a.example"]}, "contacts": ["noc@provider.example"], **orders,
            },
        })
        for edge in self.edges:
            edge.start(self.edge_config())
        desk.start()
        self.people = {}

    def edge_config(self):
        return {
            "keys": DESK_KEYS,
            "zones": [
                {"name": "a.example", "primary": {"file": self.farm.write("a.zone", DATA)},
                 "allow-transfer": [KEY]},
                {"name": CATALOG, "secondary": {"from": ["%s@%d" % self.place], "key": KEY},
                 "allow-transfer": [KEY]},
            ],
            "orders": {"catalog": CATALOG},
        }

    def as_(self, role, number=1):
        """A client that has signed in, one account a role and number."""
        if (role, number) not in self.people:
            self.people[role, number] = self.desk.signed_in(role, "%s%d@staff.example" % (role, number))
        return self.people[role, number]

    # ---- The life of an order ----

    def draft(self, order_id, names=(), options=None, **changes):
        document = order(order_id, **changes)
        if names:
            document["names"] = list(names)
        reply = self.as_("analyst").post("/v1/orders", {"document": document, **(options or {})})
        assert reply.status == 201, reply.text
        return reply.json

    def step(self, order_id, step, body=None, role="analyst", number=1, status=200):
        reply = self.as_(role, number).post("/v1/orders/%s/%s" % (order_id, step), body)
        assert reply.status == status, reply.text
        return reply.json

    def until_approved(self, order_id, approvers=1):
        self.step(order_id, "rehearsals")
        self.step(order_id, "notifications", {})
        for number in range(approvers):
            made = self.step(order_id, "approvals", role="approver", number=number + 1)
        return made

    def active(self, order_id, names, approvers=1, **changes):
        """An order in force here; servers hear of it at once."""
        self.draft(order_id, names, **changes)
        self.until_approved(order_id, approvers)
        return self.step(order_id, "activations")

    def lift(self, order_id, **options):
        return self.step(order_id, "lifts", {"reason": "No longer needed."}, **options)

    def get(self, order_id, role="analyst"):
        reply = self.as_(role).get("/v1/orders/" + order_id)
        assert reply.status == 200, reply.text
        return reply.json

    # ---- What servers have ----

    def answers(self, name):
        return [address(edge, name) for edge in self.edges]

    def wait_for(self, name, answer, began=None):
        """Waits until every edge answers so; returns how long that took, from `began` on."""
        began = began or time.monotonic()
        eventually(lambda: all(one == answer for one in self.answers(name)),
                   "%s is %s everywhere" % (name, answer))
        return time.monotonic() - began

    def wait_for_block(self, name, began=None):
        return self.wait_for(name, SINKHOLE_A, began)

    # ---- Questions to the desk itself ----

    def dns(self, zone, rdtype="SOA", key=KEYRING, tcp=False):
        query = dns.message.make_query(zone, rdtype)
        if key is not None:
            query.use_tsig(key)
        way = dns.query.tcp if tcp else dns.query.udp
        return way(query, self.place[0], port=self.place[1], timeout=10)

    def serial(self, zone):
        return self.dns(zone).answer[0][0].serial

    def members(self):
        reply = self.dns(CATALOG, "AXFR", tcp=True)
        return sorted(one.to_text() for rrset in reply.answer for one in rrset if one.rdtype == 12)
