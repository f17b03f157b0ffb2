"""An origin of one zone that answers transfers as a test tells it, right or wrong."""

import socket
import struct
import threading

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from testbed.process import LOOPBACK, free_port


class ScriptedOrigin:
    """`serial` is what SOA queries are told. `ixfr` and `axfr` take the query and yield messages, as
    lists of records in text ("www 300 A 192.0.2.1"), or octets that go out as they are; None ends
    the connection. `expire_s` is said in EDNS to whoever asks."""

    def __init__(self, zone, serial, axfr, ixfr=None, expire_s=None, port=None):
        self.zone = dns.name.from_text(zone)
        self.serial, self.axfr, self.ixfr, self.expire_s = serial, axfr, ixfr, expire_s
        self.port = port or free_port()
        self.asked = []
        self._stopping = threading.Event()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((LOOPBACK, self.port))
        self._udp.settimeout(0.1)
        self._tcp = socket.create_server((LOOPBACK, self.port))
        self._tcp.settimeout(0.1)
        self._threads = [threading.Thread(target=run, daemon=True)
                         for run in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    @property
    def text(self):
        return "%s@%d" % (LOOPBACK, self.port)

    def soa(self, serial, expire=86400):
        return "@ 300 SOA ns hostmaster %d 3600 600 %d 60" % (serial, expire)

    def _message(self, query, records):
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        if self.expire_s is not None and query.edns >= 0:
            reply.use_edns(0, options=[dns.edns.GenericOption(9, struct.pack("!I", self.expire_s))])
        for line in records:
            owner, ttl, rdtype, rdata = line.split(None, 3)
            rrset = dns.rrset.RRset(dns.name.from_text(owner, self.zone), dns.rdataclass.IN,
                                    dns.rdatatype.from_text(rdtype))
            rrset.add(dns.rdata.from_text("IN", rdtype, rdata, origin=self.zone, relativize=False),
                      int(ttl))
            reply.answer.append(rrset)
        return reply.to_wire(max_size=65535)

    def _serve_udp(self):
        while not self._stopping.is_set():
            try:
                wire, client = self._udp.recvfrom(65535)
            except socket.timeout:
                continue
            query = dns.message.from_wire(wire)
            self.asked.append(dns.rdatatype.to_text(query.question[0].rdtype))
            self._udp.sendto(self._message(query, [self.soa(self.serial)]), client)

    def _serve_tcp(self):
        while not self._stopping.is_set():
            try:
                connection, _ = self._tcp.accept()
            except socket.timeout:
                continue
            with connection:
                try:
                    self._serve_connection(connection)
                except (ConnectionError, EOFError):
                    pass  # whoever asked has heard enough

    def _serve_connection(self, connection):
        file = connection.makefile("rb")
        head = file.read(2)
        if len(head) < 2:
            return
        query = dns.message.from_wire(file.read(struct.unpack("!H", head)[0]))
        rdtype = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append(rdtype)
        answer = self.ixfr if rdtype == "IXFR" and self.ixfr is not None else self.axfr
        for part in answer(query):
            if self._stopping.is_set() or part is None:
                return
            wire = part if isinstance(part, bytes) else self._message(query, part)
            connection.sendall(struct.pack("!H", len(wire)) + wire)
        file.read(1)  # until the other side has what it wants
