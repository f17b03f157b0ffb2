"""As much of a DNS message as the replay's own programs need (RFC 1035, section 4)."""

import struct

HEADER = struct.Struct("!6H")
TYPE_A, TYPE_NS, TYPE_CNAME, CLASS_IN = 1, 2, 5, 1
RD, AA, QR = 0x0100, 0x0400, 0x8000
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def name_wire(name):
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"


def query(identity, name, flags=RD, rdtype=TYPE_A):
    question = name_wire(name) + struct.pack("!2H", rdtype, CLASS_IN)
    return HEADER.pack(identity, flags, 1, 0, 0, 0) + question


def _skip_name(message, at):
    while message[at] != 0:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


def question_end(message):
    """Where the first question ends."""
    return _skip_name(message, HEADER.size) + 4


def question_name(message):
    labels, at = [], HEADER.size
    while message[at] != 0:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "replace").lower())
        at += 1 + message[at]
    return ".".join(labels)


def answer_address(message):
    """The IPv4 address that an answer ends with, or None."""
    address = None
    at = question_end(message)
    for _ in range(HEADER.unpack_from(message)[3]):
        at = _skip_name(message, at)
        rdtype, _, _, size = struct.unpack_from("!HHIH", message, at)
        at += 10
        if rdtype == TYPE_A and size == 4:
            address = ".".join(map(str, message[at : at + 4]))
        at += size
    return address


def rcode(message):
    return message[3] & 15
