"""Forwarded zones come and go by reload while clients ask: none hears of a failure that is not one."""

import threading

import dns.message
import dns.rcode

from testbed.asker import ask_all

RELOADS = 80

ZONE = """\
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
"""

# What is there all the time, what comes and goes, and what comes and goes below another.
STAYS, TOGGLES, CHILD = "c.example", "d.example", "e.c.example"


class Clients(threading.Thread):
    """Ask for a name that is kept and for names never asked before, until told to stop; the answers'
    RCODEs are counted by zone."""

    def __init__(self, place):
        super().__init__()
        self.place, self.ends = place, threading.Event()
        self.seen = {zone: {} for zone in (STAYS, TOGGLES, CHILD)}
        self.error = None

    def run(self):
        try:
            round_number = 0
            while not self.ends.is_set():
                round_number += 1
                self.ask_round(round_number)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def ask_round(self, round_number):
        asked = [(zone, name) for zone in self.seen for name in
                 ["www"] * 8 + ["n%d-%d" % (round_number, i) for i in range(24)]]
        replies = ask_all(self.place, [dns.message.make_query("%s.%s." % (name, zone), "A").to_wire()
                                       for zone, name in asked])
        for (zone, name), reply in zip(asked, replies):
            assert reply is not None, (zone, name)
            rcode = reply[3] & 15
            self.seen[zone][rcode] = self.seen[zone].get(rcode, 0) + 1

    def finish(self):
        self.ends.set()
        self.join()
        if self.error is not None:
            raise self.error
        return self.seen


def test_no_question_fails_while_forwarded_zones_come_and_go(farm):
    path = farm.write("zone", ZONE)
    origin = farm.knot([(zone + ".", path) for zone in (STAYS, TOGGLES, CHILD)])
    zones = {zone: {"name": zone, "forward": {"to": ["%s@%d" % origin.place]}} for zone in (STAYS, TOGGLES, CHILD)}
    front = farm.tamisd({"zones": [zones[STAYS]]})
    clients = Clients(front.place)
    clients.start()
    try:
        for number in range(RELOADS):
            front.config["zones"] = [zones[STAYS]] + ([] if number % 2 else [zones[TOGGLES], zones[CHILD]])
            assert not front.reload()["findings"]
    finally:
        seen = clients.finish()
    assert set(seen[STAYS]) == {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}
    assert set(seen[CHILD]) == {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}
    assert set(seen[TOGGLES]) == {dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED}
