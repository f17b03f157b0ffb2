"""Many questions to one server at full speed, with many in flight; answers come back in the order of
the questions."""

import select
import socket
import struct
import time

# Small enough that a server's default receive buffer (208 KiB) never overflows: nothing is lost, so
# that a missing answer means a server that did not answer.
WINDOW = 128
WINDOW_TCP = 32
TIMEOUT_S = 1.5
TRIES = 3


def ask_all(place, messages, window=WINDOW, timeout_s=TIMEOUT_S):
    """Sends every message (bytes; the ID is overwritten) over UDP. Returns a list of replies with
    the message's own ID put back; None where no answer came."""
    replies = [None] * len(messages)
    tries = {}
    with socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.connect(place)
        sock.setblocking(False)
        flying, following, again = {}, 0, []
        send, recv = sock.send, sock.recv
        while True:
            while len(flying) < window and (again or following < len(messages)):
                if again:
                    index = again.pop()
                else:
                    index, following = following, following + 1
                message_id = index & 0xFFFF
                try:
                    send(struct.pack("!H", message_id) + messages[index][2:])
                except (BlockingIOError, ConnectionRefusedError):
                    pass  # counts as lost on the way, and is tried again
                flying[message_id] = (index, time.monotonic())
            if not flying:
                return replies
            if not select.select([sock], [], [], 0.1)[0]:
                now = time.monotonic()
                for message_id, (index, sent) in list(flying.items()):
                    if now - sent > timeout_s:
                        del flying[message_id]
                        tries[index] = tries.get(index, 1) + 1
                        if tries[index] <= TRIES:
                            again.append(index)
                continue
            while True:
                try:
                    reply = recv(65535)
                except (BlockingIOError, ConnectionRefusedError):
                    break
                if len(reply) < 2:
                    continue
                index, _ = flying.pop(reply[0] << 8 | reply[1], (None, 0))
                if index is not None:
                    replies[index] = messages[index][:2] + reply[2:]


def ask_all_tcp(place, messages, window=WINDOW_TCP, timeout_s=5.0):
    """The same over one pipelined TCP connection, opened again when the server closes it."""
    replies = [None] * len(messages)
    todo = list(range(len(messages)))
    for _ in range(TRIES):
        _ask_connection(place, messages, [index for index in todo if replies[index] is None], replies,
                        window, timeout_s)
        if all(reply is not None for reply in replies):
            break
    return replies


def _ask_connection(place, messages, indices, replies, window, timeout_s):
    if not indices:
        return
    try:
        with socket.create_connection(place, timeout_s) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = sock.makefile("rb")
            flying, following = {}, 0
            while following < len(indices) or flying:
                batch = []
                while following < len(indices) and len(flying) < window:
                    index = indices[following]
                    message_id = following & 0xFFFF
                    flying[message_id] = index
                    batch.append(struct.pack("!HH", len(messages[index]), message_id) + messages[index][2:])
                    following += 1
                if batch:
                    sock.sendall(b"".join(batch))
                prefix = stream.read(2)
                if len(prefix) < 2:
                    return
                reply = stream.read(struct.unpack("!H", prefix)[0])
                if len(reply) < 2:
                    return
                index = flying.pop(struct.unpack_from("!H", reply)[0], None)
                if index is not None:
                    replies[index] = messages[index][:2] + reply[2:]
    except OSError:
        return
