"""The taking end of dnstap: Frame Streams over a UNIX socket, and of each event what the tests look at."""

import contextlib
import os
import socket
import struct
import threading
from collections import namedtuple

import dns.message

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5

Event = namedtuple("Event", "kind address port protocol seconds response")


def _varint(octets, at):
    value = shift = 0
    while True:
        octet = octets[at]
        at += 1
        value |= (octet & 0x7f) << shift
        shift += 7
        if octet < 0x80:
            return value, at


def fields(octets):
    """The fields of a protocol buffer, by number."""
    found, at = {}, 0
    while at < len(octets):
        tag, at = _varint(octets, at)
        if tag & 7 == 0:
            found[tag >> 3], at = _varint(octets, at)
        elif tag & 7 == 2:
            size, at = _varint(octets, at)
            found[tag >> 3], at = octets[at:at + size], at + size
        elif tag & 7 == 5:
            found[tag >> 3], at = struct.unpack_from("<I", octets, at)[0], at + 4
        else:
            raise ValueError("wire type %d" % (tag & 7))
    return found


def event_of(octets):
    message = fields(fields(octets)[14])
    family = socket.AF_INET if len(message[4]) == 4 else socket.AF_INET6
    return Event(message[1], socket.inet_ntop(family, message[4]), message[6], message[3],
                 message[12] + message[13] / 1e9, dns.message.from_wire(message[14]))


class Receiver:
    """Takes the events of one server at a time, as fstrm_capture would."""

    def __init__(self, path):
        self.path, self.events, self.ends = path, [], 0
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.connection = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @staticmethod
    @contextlib.contextmanager
    def silent(path):
        """One that takes connections and never says a word."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            yield
        os.unlink(path)

    def _frame(self, stream):
        """(type, None) of a control frame, (None, octets) of another; None at the end."""
        length = stream.read(4)
        if len(length) < 4:
            return None
        size = struct.unpack("!I", length)[0]
        if size:
            return None, stream.read(size)
        size = struct.unpack("!I", stream.read(4))[0]
        control = stream.read(size)
        return struct.unpack("!I", control[:4])[0], control[4:]

    def _say(self, kind, content=b""):
        body = struct.pack("!I", kind)
        if content:
            body += struct.pack("!II", 1, len(content)) + content
        self.connection.sendall(struct.pack("!II", 0, len(body)) + body)

    def _run(self):
        while True:
            try:
                self.connection, _ = self.listener.accept()
            except OSError:
                return
            with self.connection, self.connection.makefile("rb") as stream:
                while (frame := self._frame(stream)) is not None:
                    kind, octets = frame
                    if kind is None:
                        self.events.append(event_of(octets))
                    elif kind == READY:
                        assert CONTENT_TYPE in octets
                        self._say(ACCEPT, CONTENT_TYPE)
                    elif kind == STOP:
                        self.ends += 1
                        self._say(FINISH)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.connection is not None:
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended already
        self.thread.join()
        os.unlink(self.path)
