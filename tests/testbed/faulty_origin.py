"""Origins that answer questions wrongly on purpose: many at once, each at a port of its own.

A fault is a function that takes an Asked and yields what is sent: octets, or one of the steps below.
"""

import collections
import selectors
import socket
import struct
import threading

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from testbed.process import LOOPBACK, free_port

Elsewhere = collections.namedtuple("Elsewhere", "wire address")  # from another port, or another address
Raw = collections.namedtuple("Raw", "octets")                    # over TCP, without a length in front
Trickle = collections.namedtuple("Trickle", "octets pause_s")    # over TCP, octet by octet


class Asked:
    """One question; `labels` is its name below the zone, in lower case, "@" for the apex."""

    def __init__(self, wire, zone, over_tcp, ttl):
        self.wire, self.over_tcp, self.ttl = wire, over_tcp, ttl
        self.zone = dns.name.from_text(zone)
        self.query = dns.message.from_wire(wire)
        self.name = self.query.question[0].name
        self.rdtype = dns.rdatatype.to_text(self.query.question[0].rdtype)
        self.labels = self.name.relativize(self.zone).to_text().lower()
        self.has_edns = self.query.edns >= 0
        self.client_cookie = next((option.to_wire()[:8] for option in self.query.options if option.otype == 10), None)

    def soa(self, ttl=None, minimum=None):
        return "@ %d SOA ns1 hostmaster 7 3600 600 86400 %d" % (
            self.ttl if ttl is None else ttl, self.ttl if minimum is None else minimum)

    def _put(self, section, lines):
        for line in lines:
            owner, ttl, rdtype, rdata = line.split(None, 3)
            data = dns.rdata.from_text("IN", rdtype, rdata, origin=self.zone, relativize=False)
            section.append(dns.rrset.from_rdata(dns.name.from_text(owner, self.zone), int(ttl), data))

    def reply(self, answer=(), authority=(), additional=(), rcode=0, flags=dns.flags.AA, options=(), edns=None):
        """Records are "owner ttl type data", names relative to the zone."""
        reply = dns.message.make_response(self.query)
        reply.flags = dns.flags.QR | flags
        if self.has_edns if edns is None else edns:
            reply.use_edns(0, options=list(options))
        else:
            reply.use_edns(False)
        reply.set_rcode(rcode)
        for section, lines in ((reply.answer, answer), (reply.authority, authority), (reply.additional, additional)):
            self._put(section, lines)
        return reply.to_wire(max_size=65535)

    def honest(self, **changes):
        """What a right server of the zone says: www has an address, all else is not there."""
        if self.labels == "www" and self.rdtype == "A":
            parts = {"answer": ["www %d A 192.0.2.10" % self.ttl]}
        elif self.labels == "@" and self.rdtype == "SOA":
            parts = {"answer": [self.soa()]}
        else:
            rcode = 0 if self.labels in ("www", "@") else dns.rcode.NXDOMAIN
            parts = {"authority": [self.soa()], "rcode": rcode}
        return self.reply(**{**parts, **changes})


class _Place:
    """One origin: its port, what it is asked and how it answers."""

    def __init__(self, zone, fault, has_tcp, ttl):
        self.zone, self.fault, self.ttl = zone, fault, ttl
        self.port = free_port()
        self.text = "%s@%d" % (LOOPBACK, self.port)
        self.asked = collections.Counter()
        self.is_faulty = True
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((LOOPBACK, self.port))
        self.tcp = socket.create_server((LOOPBACK, self.port)) if has_tcp else None

    def steps(self, wire, over_tcp):
        asked = Asked(wire, self.zone, over_tcp, self.ttl)
        self.asked[asked.labels] += 1
        return list(self.fault(asked)) if self.is_faulty else [asked.honest()]


class FaultyOrigins:
    """All origins of a test: one thread for datagrams, one for each connection."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._stopping = threading.Event()
        self._places, self._connections = [], []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.errors = []  # of the scripts themselves

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join()
        for thread in self._connections:
            thread.join()
        for place in self._places:
            place.udp.close()
            if place.tcp is not None:
                place.tcp.close()
        assert not self.errors, self.errors[:3]

    def add(self, zone, fault, has_tcp=True, ttl=300):
        place = _Place(zone, fault, has_tcp, ttl)
        with self._lock:
            self._places.append(place)
            self._selector.register(place.udp, selectors.EVENT_READ, (place, False))
            if has_tcp:
                self._selector.register(place.tcp, selectors.EVENT_READ, (place, True))
        return place

    def _serve(self):
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.1):
                place, is_tcp = key.data
                try:
                    if is_tcp:
                        connection, _ = place.tcp.accept()
                        thread = threading.Thread(target=self._serve_connection, args=(place, connection), daemon=True)
                        self._connections.append(thread)
                        thread.start()
                    else:
                        self._serve_datagram(place)
                except Exception as error:  # pylint: disable=broad-except
                    self.errors.append(error)

    @staticmethod
    def _serve_datagram(place):
        wire, client = place.udp.recvfrom(65535)
        for step in place.steps(wire, False):
            if isinstance(step, Elsewhere):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind((step.address, place.port if step.address != LOOPBACK else 0))
                    other.sendto(step.wire, client)
            else:
                place.udp.sendto(step, client)

    def _serve_connection(self, place, connection):
        with connection:
            connection.settimeout(0.2)
            waiting = b""
            try:
                while not self._stopping.is_set():
                    try:
                        octets = connection.recv(65535)
                    except socket.timeout:
                        continue
                    if not octets:
                        return
                    waiting += octets
                    while len(waiting) >= 2 and len(waiting) >= 2 + struct.unpack("!H", waiting[:2])[0]:
                        size = struct.unpack("!H", waiting[:2])[0]
                        query, waiting = waiting[2:2 + size], waiting[2 + size:]
                        if not self._answer_connection(connection, place.steps(query, True)):
                            return
            except ConnectionError:
                pass  # whoever asked has heard enough
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(error)

    def _answer_connection(self, connection, steps):
        """False: the connection ends here."""
        for step in steps:
            if step is None:
                return False
            if isinstance(step, Raw):
                connection.sendall(step.octets)
            elif isinstance(step, Trickle):
                octets = struct.pack("!H", len(step.octets)) + step.octets
                for at in range(len(octets)):
                    connection.sendall(octets[at:at + 1])
                    if self._stopping.wait(step.pause_s):
                        return False
            else:
                connection.sendall(struct.pack("!H", len(step)) + step)
        return True
