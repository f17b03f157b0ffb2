"""The name server of 2014. Until SIGUSR1 it answers every question NOERROR with nothing but the
parent's NS set, an upward referral. From then on it gives the sinkhole's address for listed names and
forwards the others, but only so many a second; what is more, it drops.

    python3 -m replay.seized ADDRESS ORIGIN SINKHOLE LISTED CAPACITY
"""

import asyncio
import signal
import socket
import struct
import sys
import time

from replay import wire

PARENT, PARENT_SERVER, PARENT_TTL_S = "example", "a.nic.example", 172800
FORWARD_TIMEOUT_S = 5


def upward_referral(message):
    """AA clear, no answer, the parent's NS set as authority."""
    end = wire.question_end(message)
    flags = wire.QR | (message[2] << 8 & wire.RD)
    target = wire.name_wire(PARENT_SERVER)
    head = wire.HEADER.pack(message[0] << 8 | message[1], flags, 1, 0, 1, 0)
    record = struct.pack("!HHIH", wire.TYPE_NS, wire.CLASS_IN, PARENT_TTL_S, len(target))
    return head + message[12:end] + wire.name_wire(PARENT) + record + target


def sinkholed(message, address):
    end = wire.question_end(message)
    head = wire.HEADER.pack(message[0] << 8 | message[1], wire.QR | wire.AA, 1, 1, 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, wire.TYPE_A, wire.CLASS_IN, 60, 4)
    return head + message[12:end] + record + socket.inet_aton(address)


class Upstream(asyncio.DatagramProtocol):
    """Passes the origin's answers to who asked."""

    def __init__(self, seized):
        self.seized = seized
        self.flying = {}
        self.identity = 0
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, message, client):
        self.identity = self.identity + 1 & 0xFFFF
        self.flying[self.identity] = message[:2], client
        self.transport.sendto(self.identity.to_bytes(2, "big") + message[2:])

    def datagram_received(self, data, addr):
        known = self.flying.pop(int.from_bytes(data[:2], "big"), None)
        if known is not None:
            self.seized.transport.sendto(known[0] + data[2:], known[1])

    def error_received(self, exc):
        """The origin's port is shut; the client's timeout tells."""


class Seized(asyncio.DatagramProtocol):
    def __init__(self, listed, sinkhole, capacity):
        self.listed, self.sinkhole, self.capacity = listed, sinkhole, capacity
        self.forwards = False
        self.allowance, self.filled = 0.0, time.monotonic()
        self.transport = self.upstream = None

    def connection_made(self, transport):
        self.transport = transport

    def has_room(self):
        now = time.monotonic()
        self.allowance = min(self.capacity / 10, self.allowance + (now - self.filled) * self.capacity)
        self.filled = now
        if self.allowance < 1:
            return False
        self.allowance -= 1
        return True

    def datagram_received(self, data, addr):
        try:
            name = wire.question_name(data)
        except IndexError:
            return
        if not self.forwards:
            self.transport.sendto(upward_referral(data), addr)
        elif name in self.listed:
            self.transport.sendto(sinkholed(data, self.sinkhole), addr)
        elif self.has_room():
            self.upstream.ask(data, addr)

    def forward(self):
        self.forwards = True


async def run(address, origin, sinkhole, listed_path, capacity):
    with open(listed_path, encoding="ascii") as file:
        listed = {line.strip() for line in file}
    loop = asyncio.get_running_loop()
    seized = Seized(listed, sinkhole, float(capacity))
    await loop.create_datagram_endpoint(lambda: seized, local_addr=(address, 53))
    _, seized.upstream = await loop.create_datagram_endpoint(lambda: Upstream(seized), remote_addr=(origin, 53))
    loop.add_signal_handler(signal.SIGUSR1, seized.forward)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
