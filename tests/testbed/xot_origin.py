"""An origin that gives its zone over TLS alone (RFC 9103), made to order: its certificate, versions,
protocols. It notes all that it is asked, and whatever reaches its port in the clear."""

import socket
import ssl
import struct
import threading

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from testbed.process import LOOPBACK, free_port


class XotOrigin:
    """Serves `records`, lines of "OWNER TYPE RDATA" in absolute names, of the zone `name`."""

    def __init__(self, name, records, context, message_size_max=65000):
        self.name = dns.name.from_text(name)
        self.context = context
        self.context.sni_callback = self._note_server_name
        self.message_size_max = message_size_max
        self.port = free_port()
        self.serial = 1
        self.records = records
        self.asked = []        # (question type, TLS version, ALPN) of every query
        self.server_names = []  # SNI
        self.client_names = []  # common names of clients' certificates
        self.in_clear = []     # octets that were no TLS
        self.failures = []     # handshakes that failed, as text
        self._stopping = threading.Event()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((LOOPBACK, self.port))
        self._tcp = socket.create_server((LOOPBACK, self.port))
        for sock in (self._udp, self._tcp):
            sock.settimeout(0.1)
        self._threads = [threading.Thread(target=run, daemon=True)
                         for run in (self._watch_udp, self._serve)]
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

    def _note_server_name(self, _socket, name, _context):
        self.server_names.append(name)

    def _watch_udp(self):
        while not self._stopping.is_set():
            try:
                self.in_clear.append(self._udp.recv(65535))
            except socket.timeout:
                continue

    def _serve(self):
        while not self._stopping.is_set():
            try:
                plain, _ = self._tcp.accept()
            except socket.timeout:
                continue
            plain.settimeout(5)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                first = plain.recv(3, socket.MSG_PEEK)
                if first[:2] != b"\x16\x03":
                    self.in_clear.append(first)
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self._serve_connection(connection)
            except OSError as failure:  # of TLS as well
                self.failures.append(str(failure))
                plain.close()

    def _serve_connection(self, connection):
        certificate = connection.getpeercert()
        if certificate:
            self.client_names.append(dict(part[0] for part in certificate["subject"])["commonName"])
        stream = connection.makefile("rb")
        while True:
            prefix = stream.read(2)
            if len(prefix) < 2:
                return
            query = dns.message.from_wire(stream.read(struct.unpack("!H", prefix)[0]))
            self.asked.append((dns.rdatatype.to_text(query.question[0].rdtype), connection.version(),
                               connection.selected_alpn_protocol()))
            self._answer(connection, query)

    def _soa(self):
        return dns.rrset.from_text(self.name, 300, "IN", "SOA",
                                   "ns.%s hm.%s %d 3600 600 86400 60" % (self.name, self.name, self.serial))

    def _answer(self, connection, query):
        sets = [self._soa()]
        if query.question[0].rdtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
            for line in self.records:
                owner, rdtype, rdata = line.split(None, 2)
                sets.append(dns.rrset.from_text(owner, 300, "IN", rdtype, rdata))
            sets.append(self._soa())
        while sets:
            reply = dns.message.make_response(query)
            reply.flags |= 0x0400
            size = 100
            while sets and size < self.message_size_max:
                # dnspython would put both SOA records into one set.
                reply.answer.append(sets.pop(0))
                size += 300
            wire = reply.to_wire(max_size=65535)
            connection.sendall(struct.pack("!H", len(wire)) + wire)


def server_context(pair, minimum=ssl.TLSVersion.TLSv1_3, maximum=ssl.TLSVersion.TLSv1_3,
                   protocols=("dot",), clients=None):
    """A context for an origin; `clients` is the authority whose certificates alone it takes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = minimum, maximum
    context.load_cert_chain(pair.certificate, pair.key)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.certificate)
    return context
