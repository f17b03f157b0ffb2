"""DNS messages as octets: built and read here by hand, since tests ask hundreds of thousands of
questions and must also be able to send and see what a DNS library would refuse.

Names are wire form (bytes) unless a parameter says text. Compare letter case with fold().
"""

import socket
import struct

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010

TYPES = {
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10,
    "WKS": 11, "PTR": 12, "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18,
    "RT": 21, "SIG": 24, "KEY": 25, "PX": 26, "AAAA": 28, "LOC": 29, "NXT": 30, "SRV": 33,
    "NAPTR": 35, "KX": 36, "CERT": 37, "DNAME": 39, "OPT": 41, "APL": 42, "DS": 43, "SSHFP": 44,
    "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50, "NSEC3PARAM": 51, "TLSA": 52,
    "IPSECKEY": 45, "SMIMEA": 53, "CDS": 59, "CDNSKEY": 60, "OPENPGPKEY": 61, "CSYNC": 62, "ZONEMD": 63, "SVCB": 64, "HTTPS": 65, "SPF": 99,
    "NID": 104, "L32": 105, "L64": 106, "LP": 107, "EUI48": 108, "EUI64": 109, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252,
    "MAILB": 253, "MAILA": 254, "ANY": 255, "URI": 256, "CAA": 257,
}
TYPE_NAMES = {number: text for text, number in TYPES.items()}
RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
          "NXRRSET", "NOTAUTH", "NOTZONE", "11", "12", "13", "14", "15", "BADVERS"]
CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

# Where names stand in record data: fixed octets before each name; what follows the last is opaque.
# RFC 1035's types may come compressed, RFC 3597 section 4 lists the rest that old servers compress.
RDATA_NAMES = {
    2: (0,), 3: (0,), 4: (0,), 5: (0,), 6: (0, 0), 7: (0,), 8: (0,), 9: (0,), 12: (0,), 14: (0, 0),
    15: (2,), 17: (0, 0), 18: (2,), 21: (2,), 24: (18,), 26: (2, 0), 30: (0,), 33: (6,), 36: (2,),
    39: (0,), 46: (18,), 47: (0,), 64: (2,), 65: (2,), 107: (2,),
}

_FOLD = bytes(c + 32 if 65 <= c <= 90 else c for c in range(256))


def fold(name):
    """Lower-cases a wire name (length octets are below 64, so they stay)."""
    return name.translate(_FOLD)


def type_number(rrtype):
    """A number, "MX" or "TYPE65280"."""
    if isinstance(rrtype, int):
        return rrtype
    return TYPES[rrtype] if rrtype in TYPES else int(rrtype[4:])


def type_text(number):
    return TYPE_NAMES.get(number, "TYPE%d" % number)


def name_from_text(text):
    """Wire form of absolute text with the escapes of RFC 1035 section 5.1; a missing last dot is
    forgiven. Sizes are not checked: tests need names that are too long."""
    raw = text.encode("latin-1")
    labels, label, index = [], bytearray(), 0
    while index < len(raw):
        octet = raw[index]
        if octet == 0x5C:
            if raw[index + 1:index + 4].isdigit():
                label.append(int(raw[index + 1:index + 4]))
                index += 4
            else:
                label.append(raw[index + 1])
                index += 2
            continue
        if octet == 0x2E:
            if label:
                labels.append(bytes(label))
                label = bytearray()
        else:
            label.append(octet)
        index += 1
    if label:
        labels.append(bytes(label))
    return b"".join(bytes([len(one)]) + one for one in labels) + b"\0"


def name_to_text(name):
    """Absolute text of a wire name, escaped so that a zone file and dig take it."""
    if name == b"\0":
        return "."
    text, at = [], 0
    while name[at]:
        for octet in name[at + 1:at + 1 + name[at]]:
            if octet in b".\\\"();@$":
                text.append("\\%c" % octet)
            elif 0x21 <= octet <= 0x7E:
                text.append(chr(octet))
            else:
                text.append("\\%03d" % octet)
        text.append(".")
        at += 1 + name[at]
    return "".join(text)


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


def opt(size=1232, do=False, version=0, rcode_high=0, options=b"", owner=b"\0"):
    """An OPT record (RFC 6891, 6.1.2)."""
    return owner + struct.pack("!HHBBHH", 41, size, rcode_high, version, 0x8000 if do else 0,
                               len(options)) + options


def question(name, rrtype, rrclass=1):
    wire = name_from_text(name) if isinstance(name, str) else name
    return wire + struct.pack("!HH", type_number(rrtype), rrclass)


def query(name, rrtype, message_id=0, flags=0, rrclass=1, edns=None, do=False):
    """A plain query; `edns` is the announced payload size or None for no OPT."""
    tail = b"" if edns is None else opt(edns, do)
    return struct.pack("!HHHHHH", message_id, flags, 1, 0, 0, 1 if tail else 0) \
        + question(name, rrtype, rrclass) + tail


def rcode(message):
    """The header's four bits."""
    return message[3] & 15


def is_authoritative(message):
    return bool(message[2] & 4)


class Malformed(ValueError):
    """A message that breaks RFC 1035."""


class Message:
    """A message read whole. Records are tuples (owner, type, class, ttl, rdata) with names inside
    them decompressed and folded; OPT is kept apart in `opt` as (payload size, extended rcode bits,
    version, DO, options)."""

    __slots__ = ("id", "flags", "rcode", "question", "question_count", "answer", "authority",
                 "additional", "opt", "opt_count", "size")

    def __init__(self, wire):
        self.size = len(wire)
        if len(wire) < 12:
            raise Malformed("shorter than a header")
        self.id, self.flags, self.question_count, answers, authorities, additionals = \
            struct.unpack_from("!HHHHHH", wire)
        names = {}
        at = 12
        for _ in range(self.question_count):
            _, at = _read_name(wire, at, names)
            at += 4
        self.question = wire[12:at]
        self.opt, self.opt_count = None, 0
        self.answer, at = self._records(wire, at, answers, names)
        self.authority, at = self._records(wire, at, authorities, names)
        self.additional, at = self._records(wire, at, additionals, names)
        if at != len(wire):
            raise Malformed("%d octets after the last record" % (len(wire) - at))
        self.rcode = self.flags & 15
        if self.opt is not None:
            self.rcode |= self.opt[1] << 4

    def _records(self, wire, at, count, names):
        records = []
        for _ in range(count):
            owner, at = _read_name(wire, at, names)
            if at + 10 > len(wire):
                raise Malformed("record cut short")
            rrtype, rrclass, ttl, size = struct.unpack_from("!HHIH", wire, at)
            at += 10
            end = at + size
            if end > len(wire):
                raise Malformed("record data cut short")
            if rrtype == 41:
                self.opt = (rrclass, ttl >> 24, ttl >> 16 & 255, bool(ttl & 0x8000), wire[at:end])
                self.opt_count += 1
            else:
                records.append((owner, rrtype, rrclass, ttl, _read_rdata(wire, at, end, rrtype, names)))
            at = end
        return records, at

    @property
    def aa(self):
        return bool(self.flags & AA)

    @property
    def tc(self):
        return bool(self.flags & TC)

    @property
    def ede(self):
        """Extended errors as (code, text)."""
        return [(struct.unpack("!H", data[:2])[0], data[2:].decode())
                for code, data in self.options() if code == 15]

    def options(self):
        found, data = [], self.opt[4] if self.opt else b""
        while data:
            code, size = struct.unpack_from("!HH", data)
            found.append((code, data[4:4 + size]))
            data = data[4 + size:]
        return found


def _read_name(wire, at, names):
    """Returns the folded name and the offset behind it; `names` caches by offset."""
    start, labels, end, visited = at, [], None, []
    total = 1
    while True:
        try:
            size = wire[at]
        except IndexError:
            raise Malformed("name cut short") from None
        if size == 0:
            end = at + 1 if end is None else end
            tail = b"\0"
            break
        if size >= 0xC0:
            if at + 1 >= len(wire):
                raise Malformed("pointer cut short")
            end = at + 2 if end is None else end
            target = (size & 0x3F) << 8 | wire[at + 1]
            if target >= at:
                raise Malformed("pointer does not point back")
            if target in names:
                tail = names[target]
                break
            at = target
            continue
        if size > 63:
            raise Malformed("unknown label type")
        visited.append((at, len(labels)))
        label = wire[at:at + 1 + size]
        if len(label) != 1 + size:
            raise Malformed("label cut short")
        labels.append(label.translate(_FOLD))
        total += 1 + size
        if total > 255:
            raise Malformed("name over 255 octets")
        at += 1 + size
    if len(labels) == 0:
        return tail, end
    name = b"".join(labels) + tail
    names[start] = name
    for offset, index in visited:
        names[offset] = b"".join(labels[index:]) + tail
    return name, end


def _read_rdata(wire, at, end, rrtype, names):
    layout = RDATA_NAMES.get(rrtype)
    if layout is None:
        return wire[at:end]
    parts = []
    for fixed in layout:
        parts.append(wire[at:at + fixed])
        name, at = _read_name(wire, at + fixed, names)
        parts.append(name)
    if at > end:
        raise Malformed("name runs out of its record")
    parts.append(wire[at:end])
    return b"".join(parts)


def rdata_names(records):
    """The names in the data of records, signatures apart."""
    names = set()
    for _, rrtype, _, _, rdata in records:
        layout = RDATA_NAMES.get(rrtype)
        if layout and rrtype != TYPES["RRSIG"]:
            at = 0
            for fixed in layout:
                name, at = _read_name(rdata, at + fixed, {})
                names.add(name)
    return names


def record_text(record):
    owner, rrtype, rrclass, ttl, rdata = record
    return "%s %d %s %s %s" % (name_to_text(owner), ttl, CLASSES.get(rrclass, "CLASS%d" % rrclass),
                               type_text(rrtype), rdata_text(rrtype, rdata))


def rdata_text(rrtype, rdata):
    """As a person likes to read it where that is short, else RFC 3597's form."""
    if rrtype == 1 and len(rdata) == 4:
        return socket.inet_ntop(socket.AF_INET, rdata)
    if rrtype == 28 and len(rdata) == 16:
        return socket.inet_ntop(socket.AF_INET6, rdata)
    if rrtype in (2, 5, 12, 39):
        return name_to_text(rdata)
    if rrtype == 15:
        return "%d %s" % (int.from_bytes(rdata[:2], "big"), name_to_text(rdata[2:]))
    if rrtype == 33:
        return "%d %d %d %s" % (*struct.unpack("!HHH", rdata[:6]), name_to_text(rdata[6:]))
    if rrtype == 6:
        names, at = [], 0
        for _ in range(2):
            name, at = _read_name(rdata, at, {})
            names.append(name_to_text(name))
        return "%s %s %d %d %d %d %d" % (*names, *struct.unpack("!IIIII", rdata[at:]))
    if rrtype == 46:
        signer, at = _read_name(rdata, 18, {})
        covered, algorithm, labels, ttl = struct.unpack("!HBBI", rdata[:8])
        return "%s %d %d %d ... %s" % (type_text(covered), algorithm, labels, ttl, name_to_text(signer))
    if rrtype == 47:
        following, at = _read_name(rdata, 0, {})
        return "%s %s" % (name_to_text(following), _bitmap_text(rdata[at:]))
    if rrtype == 50:
        salt = rdata[5:5 + rdata[4]]
        at = 5 + len(salt)
        size = rdata[at]
        import base64
        following = base64.b32hexencode(rdata[at + 1:at + 1 + size]).decode().rstrip("=").lower()
        return "%d %d %d %s %s %s" % (rdata[0], rdata[1], int.from_bytes(rdata[2:4], "big"),
                                      salt.hex() or "-", following, _bitmap_text(rdata[at + 1 + size:]))
    return "\\# %d %s" % (len(rdata), rdata[:24].hex() + ("..." if len(rdata) > 24 else ""))


def _bitmap_text(bitmap):
    types = []
    while bitmap:
        window, size = bitmap[0], bitmap[1]
        for index, octet in enumerate(bitmap[2:2 + size]):
            types += [type_text(window << 8 | index << 3 | bit) for bit in range(8) if octet & 0x80 >> bit]
        bitmap = bitmap[2 + size:]
    return " ".join(types)


def message_text(message):
    """A whole message for a report."""
    flags = [text for bit, text in ((QR, "qr"), (AA, "aa"), (TC, "tc"), (RD, "rd"), (RA, "ra"),
                                    (AD, "ad"), (CD, "cd")) if message.flags & bit]
    opcode = message.flags >> 11 & 15
    lines = ["%s %s%s size=%d%s" % (RCODES[message.rcode] if message.rcode < 17 else message.rcode,
                                    " ".join(flags), " opcode=%d" % opcode if opcode else "",
                                    message.size, "" if message.opt is None else
                                    " edns(size=%d version=%d%s options=%s)"
                                    % (message.opt[0], message.opt[2], " do" if message.opt[3] else "",
                                       message.opt[4].hex()))]
    if message.question_count != 1:
        lines[0] += " qdcount=%d" % message.question_count
    for title in ("answer", "authority", "additional"):
        for record in getattr(message, title):
            lines.append("  %-10s %s" % (title, record_text(record)))
    return "\n".join(lines)


# ---- asking ----


def ask_or_none(place, message, timeout_s=2.0):
    """One datagram out, one in; None when nothing comes."""
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(place)
            sock.send(message)
            return sock.recv(65535)
        except OSError:
            return None


def ask(place, name, rrtype, tries=3, timeout_s=2.0, **options):
    """Asks over UDP and returns the Message."""
    for _ in range(tries):
        reply = ask_or_none(place, query(name, rrtype, message_id=0x5454, **options), timeout_s)
        if reply is not None:
            return Message(reply)
    raise TimeoutError("no answer from %s@%d for %s %s" % (*place, name, rrtype))


def ask_tcp_raw(place, message, timeout_s=5.0):
    """One message over its own TCP connection; None when the server closes or says nothing."""
    try:
        with socket.create_connection(place, timeout_s) as sock:
            sock.sendall(struct.pack("!H", len(message)) + message)
            stream = sock.makefile("rb")
            prefix = stream.read(2)
            if len(prefix) < 2:
                return None
            return stream.read(struct.unpack("!H", prefix)[0])
    except OSError:
        return None


def ask_tcp(place, name, rrtype, **options):
    reply = ask_tcp_raw(place, query(name, rrtype, message_id=0x5455, **options))
    if reply is None:
        raise TimeoutError("no answer over TCP from %s@%d for %s %s" % (*place, name, rrtype))
    return Message(reply)
