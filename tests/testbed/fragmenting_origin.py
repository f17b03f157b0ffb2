"""Runs in a network namespace of its own, whose loopback carries no more than 600 octets in one piece: an
origin whose datagrams arrive in fragments, and the program given on the command line that asks it.

    unshare --map-root-user --net python3 fragmenting_origin.py ASK_ORIGIN

Prints the program's last line.
"""

import socket
import struct
import subprocess
import sys
import threading

PORT = 15353
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0


def answer(query):
    """One TXT record of a kilobyte, no OPT."""
    end = query.index(b"\0", 12) + 5
    data = (b"\xff" + b"x" * 255) * 4
    return (query[:2] + struct.pack(">5H", 0x8400, 1, 1, 0, 0) + query[12:end]
            + b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 300, len(data)) + data)


def serve_udp(sock):
    while True:
        query, client = sock.recvfrom(4096)
        sock.sendto(answer(query), client)


def serve_tcp(sock):
    while True:
        client, _ = sock.accept()
        with client:
            stream = client.makefile("rb")
            query = stream.read(struct.unpack(">H", stream.read(2))[0])
            message = answer(query)
            client.sendall(struct.pack(">H", len(message)) + message)


def main():
    subprocess.run(["ip", "link", "set", "lo", "mtu", "600", "up"], check=True)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for sock in (udp, tcp):
        sock.bind(("127.0.0.1", PORT))
    tcp.listen()
    threading.Thread(target=serve_udp, args=(udp,), daemon=True).start()
    threading.Thread(target=serve_tcp, args=(tcp,), daemon=True).start()
    run = subprocess.run([sys.argv[1], "a.example", "1", "5000", "0", "127.0.0.1@%d" % PORT],
                         input="www.a.example 16\n", capture_output=True, text=True, timeout=60, check=True)
    print(run.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
