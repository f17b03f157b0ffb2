"""Messages that no honest client sends, as pairs of a name and octets.

All are about the zone a.example. of test_odd_messages.py. IDs are 0x1234.
"""

import struct
import time

from testbed import wire

OPCODE_IQUERY, OPCODE_STATUS, OPCODE_NOTIFY, OPCODE_UPDATE = 1, 2, 4, 5


def header(flags=0, questions=1, answers=0, authorities=0, additionals=0):
    return struct.pack("!HHHHHH", 0x1234, flags, questions, answers, authorities, additionals)


def opcode(number, flags=0):
    return number << 11 | flags


def record(owner, rrtype, rrclass, ttl, rdata):
    return owner + struct.pack("!HHIH", rrtype, rrclass, ttl, len(rdata)) + rdata


def tsig_rdata(algorithm="hmac-sha256."):
    return (wire.name_from_text(algorithm) + struct.pack("!HIHH", 0, int(time.time()), 300, 32) + b"\1" * 32
            + struct.pack("!HHH", 0x1234, 0, 0))


def soa_rdata(serial):
    return b"\0\0" + struct.pack("!IIIII", serial, 1, 1, 1, 1)


QUESTION = wire.question("WwW.a.Example.", "A")
APEX = wire.name_from_text("a.example.")
WWW = wire.name_from_text("www.a.example.")
KEY = wire.name_from_text("unknown-key.")
ADDRESS = record(WWW, 1, 1, 60, b"\xc0\0\2\1")


def header_cases():
    yield "plain query", header() + QUESTION
    for name, flags in (("RD", wire.RD), ("AD", wire.AD), ("CD", wire.CD), ("RA", wire.RA), ("TC", wire.TC),
                        ("AA", wire.AA), ("Z", 0x40), ("all flags but QR", 0x07F0), ("RCODE 5", 5), ("RCODE 15", 15)):
        yield "query with %s" % name, header(flags) + QUESTION
    yield "QR set", header(wire.QR) + QUESTION
    yield "QR set with an answer", header(wire.QR, answers=1) + QUESTION + ADDRESS
    for number in range(1, 16):
        if number not in (OPCODE_NOTIFY, OPCODE_UPDATE):
            yield "opcode %d" % number, header(opcode(number)) + QUESTION
    yield "IQUERY as RFC 1035 has it", header(opcode(OPCODE_IQUERY), 0, 1) + record(b"\0", 1, 1, 0, b"\xc0\0\2\1")
    yield "STATUS without question", header(opcode(OPCODE_STATUS), 0)
    yield "opcode 7 without question", header(opcode(7), 0)
    yield "opcode 7 with EDNS", header(opcode(7), additionals=1) + QUESTION + wire.opt()
    yield "opcode 7 with EDNS version 1", header(opcode(7), additionals=1) + QUESTION + wire.opt(version=1)


def question_cases():
    yield "no question", header(questions=0)
    yield "no question, OPT", header(questions=0, additionals=1) + wire.opt()
    yield "no question counted, one there", header(questions=0) + QUESTION
    yield "two questions", header(questions=2) + QUESTION + wire.question("b.a.example.", "A")
    yield "two questions counted, one there", header(questions=2) + QUESTION
    yield "65535 questions counted", header(questions=65535) + QUESTION
    for number, text in ((0, "0"), (2, "CS"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY"), (1000, "1000")):
        yield "class %s" % text, header() + wire.question("www.a.example.", "A", number)
        yield "class %s, not ours" % text, header() + wire.question("www.nowhere.test.", "A", number)
    yield "class ANY, type ANY", header() + wire.question("www.a.example.", "ANY", 255)
    yield "class ANY, missing name", header() + wire.question("missing.a.example.", "A", 255)
    for name in ("version.bind.", "version.server.", "id.server.", "hostname.bind.", "VERSION.Bind.", "other.bind.",
                 "authors.bind.", ".", "a.example."):
        yield "class CH %s TXT" % name, header() + wire.question(name, "TXT", 3)
    yield "class CH version.bind. A", header() + wire.question("version.bind.", "A", 3)
    yield "class CH version.bind. ANY", header() + wire.question("version.bind.", "ANY", 3)
    yield "class CH version.bind. TXT, EDNS", header(additionals=1) + wire.question("version.bind.", "TXT", 3) + wire.opt()
    yield "class IN version.bind. TXT", header() + wire.question("version.bind.", "TXT")
    for rrtype in ("AXFR", "IXFR", "MAILB", "MAILA", "OPT", "TSIG", "TKEY", "TYPE0", "TYPE65535", "TYPE128", "TYPE248",
                   "ANY", "NULL"):
        for owner in ("a.example.", "www.a.example.", "missing.a.example.", "nowhere.test."):
            if rrtype != "AXFR" or owner != "a.example.":  # the transfer itself has its own tests
                yield "type %s at %s" % (rrtype, owner), header() + wire.question(owner, rrtype)
    label = b"\x3f" + b"a" * 63
    yield "name of 255 octets, not ours", header() + label * 3 + b"\x3d" + b"b" * 61 + b"\0\0\1\0\1"
    yield "name of 256 octets", header() + label * 3 + b"\x3e" + b"b" * 62 + b"\0\0\1\0\1"
    yield "label of 64 octets", header() + b"\x40" + b"a" * 64 + b"\0\0\1\0\1"
    yield "label type 10", header() + b"\x80" + b"a" * 10 + b"\0\0\1\0\1"
    yield "128 labels", header() + b"\1a" * 128 + b"\0\0\1\0\1"
    yield "pointer to itself", header() + b"\xc0\x0c\0\1\0\1"
    yield "pointer forward", header() + b"\xc0\x12\0\1\0\1\3www\0"
    yield "pointer into the header", header() + b"\xc0\x04\0\1\0\1"
    yield "label, then pointer into the header", header() + b"\3www\xc0\x04\0\1\0\1"
    yield "label, then pointer to itself", header() + b"\3www\xc0\x0c\0\1\0\1"
    yield "octet 0 and a dot in labels", header() + b"\4a\0.b\1a\7example\0\0\1\0\1"


def size_cases():
    whole = header() + QUESTION
    yield "nothing", b""
    for size in list(range(1, 13)) + list(range(13, len(whole))):
        yield "cut to %d octets" % size, whole[:size]
    yield "1 octet behind the question", whole + b"\0"
    yield "20 octets behind the question", whole + b"\xff" * 20
    yield "7 octets behind the OPT", header(additionals=1) + QUESTION + wire.opt() + b"\xff" * 7
    for section, counts in (("answer", {"answers": 1}), ("authority", {"authorities": 1}),
                            ("additional", {"additionals": 1})):
        yield "a record in the %s section" % section, header(**counts) + QUESTION + ADDRESS
        yield "a record counted in the %s section, none there" % section, header(**counts) + QUESTION
        yield "a record cut short in the %s section" % section, header(**counts) + QUESTION + ADDRESS[:-1]
    yield "OPT, then an address", header(additionals=2) + QUESTION + wire.opt() + ADDRESS
    yield "an address, then OPT", header(additionals=2) + QUESTION + ADDRESS + wire.opt()
    yield "two counted, one OPT there", header(additionals=2) + QUESTION + wire.opt()
    yield "OPT not counted", header() + QUESTION + wire.opt()


def edns_cases():
    one = header(additionals=1) + QUESTION
    yield "OPT in the answer section", header(answers=1) + QUESTION + wire.opt()
    yield "OPT in the authority section", header(authorities=1) + QUESTION + wire.opt()
    yield "two OPTs", header(additionals=2) + QUESTION + wire.opt() + wire.opt()
    yield "OPT with an owner", one + wire.opt(owner=WWW)
    for version in (1, 2, 255):
        yield "EDNS version %d" % version, one + wire.opt(version=version)
    yield "EDNS version 1, DO", one + wire.opt(version=1, do=True)
    yield "EDNS version 1, not ours", header(additionals=1) + wire.question("nowhere.test.", "A") + wire.opt(version=1)
    yield "EDNS version 1, broken option", one + wire.opt(version=1, options=b"\0\3\0\5x")
    yield "EDNS version 1, class CH", header(additionals=1) + wire.question("version.bind.", "TXT", 3) + wire.opt(version=1)
    yield "EDNS DO", one + wire.opt(do=True)
    yield "EDNS, every Z bit but DO", one + b"\0" + struct.pack("!HHBBHH", 41, 1232, 0, 0, 0x7FFF, 0)
    yield "EDNS, extended RCODE in the query", one + wire.opt(rcode_high=3)
    for size in (0, 1, 511, 512, 1232, 65535):
        yield "EDNS size %d" % size, one + wire.opt(size=size)
    yield "unknown option", one + wire.opt(options=wire.option(65001, b"abc"))
    yield "padding", one + wire.opt(options=wire.option(12, b"\0" * 20))
    yield "extended error in the query", one + wire.opt(options=wire.option(15, b"\0\1"))
    yield "client subnet", one + wire.opt(options=wire.option(8, b"\0\1\x18\0\xc0\0\2"))
    yield "client subnet, broken", one + wire.opt(options=wire.option(8, b"\0\1"))
    yield "option longer than the OPT", one + wire.opt(options=b"\0\3\0\5x")
    yield "option header cut short", one + wire.opt(options=b"\0\3\0")
    yield "OPT longer than the message", one + wire.opt()[:-2] + b"\0\5"
    yield "OPT cut short", one + wire.opt()[:-1]
    yield "EDNS, not ours", header(additionals=1) + wire.question("nowhere.test.", "A") + wire.opt()


def tsig_cases():
    one = header(additionals=1) + QUESTION
    yield "TSIG of an unknown key", one + record(KEY, 250, 255, 0, tsig_rdata())
    yield "TSIG of an unknown key behind OPT", header(additionals=2) + QUESTION + wire.opt() \
        + record(KEY, 250, 255, 0, tsig_rdata())
    yield "TSIG of an unknown algorithm", one + record(KEY, 250, 255, 0, tsig_rdata("hmac-sha999."))
    yield "TSIG before the last record", header(additionals=2) + QUESTION + record(KEY, 250, 255, 0, tsig_rdata()) \
        + wire.opt()
    yield "TSIG without data", one + record(KEY, 250, 255, 0, b"")
    yield "TSIG in the answer section", header(answers=1) + QUESTION + record(KEY, 250, 255, 0, tsig_rdata())
    yield "TSIG of an unknown key, not ours", header(additionals=1) + wire.question("nowhere.test.", "A") \
        + record(KEY, 250, 255, 0, tsig_rdata())
    yield "two TSIGs", header(additionals=2) + QUESTION + record(KEY, 250, 255, 0, tsig_rdata()) * 2


def other_opcode_cases():
    notify, update = opcode(OPCODE_NOTIFY, wire.AA), opcode(OPCODE_UPDATE)
    yield "NOTIFY from nobody", header(notify) + wire.question("a.example.", "SOA")
    yield "NOTIFY from nobody with a SOA", header(notify, answers=1) + wire.question("a.example.", "SOA") \
        + record(APEX, 6, 1, 0, soa_rdata(9))
    yield "NOTIFY, not ours", header(notify) + wire.question("nowhere.test.", "SOA")
    yield "NOTIFY below the apex", header(notify) + wire.question("www.a.example.", "SOA")
    yield "NOTIFY of type A", header(notify) + wire.question("a.example.", "A")
    yield "NOTIFY without question", header(notify, 0)
    yield "NOTIFY that is an answer", header(notify | wire.QR) + wire.question("a.example.", "SOA")
    yield "UPDATE from nobody", header(update, authorities=1) + wire.question("a.example.", "SOA") + ADDRESS
    yield "UPDATE, not ours", header(update, authorities=1) + wire.question("nowhere.test.", "SOA") + ADDRESS
    yield "UPDATE of type A", header(update) + wire.question("a.example.", "A")
    yield "UPDATE below the apex", header(update) + wire.question("www.a.example.", "SOA")
    yield "UPDATE without question", header(update, 0)
    yield "UPDATE with two questions", header(update, 2) + wire.question("a.example.", "SOA") * 2
    for serial in (0, 1):
        yield "IXFR over UDP from serial %d" % serial, header(authorities=1) + wire.question("a.example.", "IXFR") \
            + record(APEX, 6, 1, 0, soa_rdata(serial))


def all_cases():
    for cases in (header_cases, question_cases, size_cases, edns_cases, tsig_cases, other_opcode_cases):
        yield from cases()
