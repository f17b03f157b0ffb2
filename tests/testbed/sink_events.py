"""Reads the sinkhole's events and evidence as doc/sink-events.md tells them: written from that page alone, so that a
test finds where the program and the page differ."""

import struct
from dataclasses import dataclass
from pathlib import Path

import xxhash
import zstandard

SEGMENT_HEADER = struct.Struct("<8sHHIQQq16sQ")
BLOCK_HEADER = struct.Struct("<4sIIIIIqqQQ")
RAW_MAX = 524288
KINDS = 14
TEXTS = [("family", 31), ("rule", 31), ("version", 23), ("order", 63), ("name", 255), ("ja4", 36)]


class Malformed(Exception):
    """The octets are not what the page says."""


@dataclass
class Segment:
    node: int
    number: int
    begun_us: int


class Octets:
    """Takes one field after the other."""

    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def take(self, size):
        if self.at + size > len(self.octets):
            raise Malformed("cut short")
        self.at += size
        return self.octets[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def varint(self, bits=64):
        value = shift = 0
        while True:
            octet = self.number(1)
            value |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                break
        if value >= 1 << bits:
            raise Malformed("a number is too great")
        return value

    def text(self, longest):
        size = self.number(1)
        text = self.take(size)
        if not 1 <= size <= longest or 0 in text:
            raise Malformed("no text")
        return text


def read_segment_header(octets):
    magic, version, size, _, node, number, begun, _, checksum = SEGMENT_HEADER.unpack_from(octets)
    if magic != b"TAMISEV\n" or checksum != xxhash.xxh3_64_intdigest(octets[:56]):
        raise Malformed("no header of a segment")
    if (version, size) != (1, 64):
        raise Malformed("a later version")
    return Segment(node, number, begun)


def read_blocks(octets, start=64):
    """The header and the events' octets of each intact block."""
    at = start
    while at + BLOCK_HEADER.size <= len(octets):
        header = BLOCK_HEADER.unpack_from(octets, at)
        mark, flags, size, raw_size, count, _, first, last, checksum, header_checksum = header
        if mark != b"evb1" or header_checksum != xxhash.xxh3_64_intdigest(octets[at:at + 48]):
            at = octets.find(b"evb1", at + 1)
            if at < 0:
                return
            continue
        payload = octets[at + 56:at + 56 + size]
        at += 56 + size
        if len(payload) < size or checksum != xxhash.xxh3_64_intdigest(payload):
            continue
        if raw_size > RAW_MAX or size > raw_size or flags > 1:
            raise Malformed("a block beyond its bounds")
        raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=RAW_MAX) if flags else payload
        if len(raw) != raw_size:
            raise Malformed("a block of another length")
        yield (count, first, last), raw


def read_event(octets):
    """One event from an Octets; texts and hashes as octets, b"" where there are none."""
    size = octets.varint()
    body = Octets(octets.take(size))
    flags = body.varint()

    def has(flag):
        return flags >> flag & 1

    event = {"at_us": int.from_bytes(body.take(8), "little", signed=True)}
    for key, greatest in (("transport", 1), ("ending", 7), ("kind", 255), ("name_source", 5)):
        event[key] = body.number(1)
        if event[key] > greatest:
            raise Malformed(f"{key} {event[key]}")
    if event["kind"] >= KINDS:
        event["kind"] = 1
    event |= {"lasted_ms": body.varint(32), "received": body.varint(), "epoch": body.varint(16)}
    event |= {"client_port": body.number(2), "local_port": body.number(2)}
    event |= {"client": body.take(16), "network": body.take(16)}
    event["local"] = bytes(10) + b"\xff\xff" + body.take(4) if has(5) else body.take(16)
    event |= {"victim": body.take(16) if has(6) else b"", "machine": body.take(16) if has(7) else b""}
    event |= {"agent": body.take(8) if has(8) else b"", "asn": body.varint(32) if has(9) else 0}
    event["country"] = body.take(2) if has(10) else b""
    for flag, (key, longest) in enumerate(TEXTS, 11):
        event[key] = body.text(longest) if has(flag) else b""
    for flag, key in enumerate(("wellformed", "consistent", "fake", "in_tls", "ipv6")):
        event[key] = has(flag)
    return event


def read_events(octets):
    """All events of a segment's octets."""
    for (count, first, last), raw in read_blocks(octets):
        taken = Octets(raw)
        events = [read_event(taken) for _ in range(count)]
        times = [event["at_us"] for event in events]
        if taken.at != len(raw) or (min(times), max(times)) != (first, last):
            raise Malformed("a block's header and its events differ")
        yield from events


def segments(folder):
    """Paths of a folder's segments, in their order."""
    return sorted(Path(folder).glob("*.events"))


def read_evidence(octets, box):
    """The fields and the content of each piece, opened by a nacl.public.SealedBox."""
    while octets:
        if octets[:4] != b"evi1":
            raise Malformed("no piece of evidence")
        size = int.from_bytes(octets[4:8], "little")
        text, content = box.decrypt(octets[8:8 + size]).split(b"\n\n", 1)
        first, *lines = text.decode().split("\n")
        if first != "tamis-evidence 1":
            raise Malformed("another form")
        yield dict(line.split(": ", 1) for line in lines), content
        octets = octets[8 + size:]
