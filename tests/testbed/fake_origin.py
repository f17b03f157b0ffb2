"""An origin that fails on purpose: answers SERVFAIL, or takes questions and says nothing."""

import socket
import struct
import threading

from testbed.process import LOOPBACK, free_port


class FakeOrigin:
    """Answers every question over UDP and TCP with `rcode`; None: never answers at all."""

    def __init__(self, rcode, port=None):
        self.rcode = rcode
        self.port = port or free_port()
        self.questions = 0
        self._stopping = threading.Event()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((LOOPBACK, self.port))
        self._udp.settimeout(0.1)
        self._tcp = socket.create_server((LOOPBACK, self.port))
        self._tcp.settimeout(0.1)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve_udp, self._serve_tcp)]
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

    def _answer(self, query):
        self.questions += 1
        flags = struct.unpack_from("!H", query, 2)[0]
        return query[:2] + struct.pack("!H", flags | 0x8000 | self.rcode) + query[4:]

    def _serve_udp(self):
        while not self._stopping.is_set():
            try:
                query, client = self._udp.recvfrom(65535)
            except socket.timeout:
                continue
            if self.rcode is not None:
                self._udp.sendto(self._answer(query), client)

    def _serve_tcp(self):
        connections = []
        while not self._stopping.is_set():
            try:
                connection, _ = self._tcp.accept()
            except socket.timeout:
                continue
            if self.rcode is None:
                connections.append(connection)  # taken, and left waiting
                continue
            with connection:
                connection.settimeout(2)
                stream = connection.makefile("rb")
                prefix = stream.read(2)
                if len(prefix) == 2:
                    answer = self._answer(stream.read(struct.unpack("!H", prefix)[0]))
                    connection.sendall(struct.pack("!H", len(answer)) + answer)
        for connection in connections:
            connection.close()
