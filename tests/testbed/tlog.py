"""Logs of C2SP tlog-tiles, written and checked from their specifications alone: nothing of the
programs' code is used, so that both cannot be wrong in the same way."""

import base64
import hashlib
import os
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

WIDTH = 256
ED25519, COSIGNATURE = 1, 4


class Bad(AssertionError):
    """The log does not hold what it says."""


def hash_entry(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def hash_children(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes):
    """MTH of RFC 9162, 2.1.1, over hashes of entries: level by level, an odd one goes up as it is."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        pairs = [hash_children(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = pairs + ([hashes[-1]] if len(hashes) % 2 else [])
    return hashes[0]


def tile_path(level, number, width=WIDTH):
    """level is a number or "entries"."""
    parts = ["%03d" % (number % 1000)]
    while number >= 1000:
        number //= 1000
        parts.insert(0, "x%03d" % (number % 1000))
    path = "tile/%s/%s" % (level, "/".join(parts))
    return path if width == WIDTH else "%s.p/%d" % (path, width)


class Key:
    """A signer; `name` as a log or witness has it."""

    def __init__(self, name, kind=ED25519, seed=None):
        self.name, self.kind = name, kind
        self.secret = (Ed25519PrivateKey.from_private_bytes(seed) if seed
                       else Ed25519PrivateKey.generate())
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def id(self):
        return key_id(self.name, self.kind, self.public)

    def verifier(self):
        data = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return "%s+%s+%s" % (self.name, self.id.hex(), data)

    def line(self, text, time=0):
        data = self.id
        if self.kind == COSIGNATURE:
            data += struct.pack(">Q", time)
            text = cosigned(text, time)
        data += self.secret.sign(text.encode())
        return "\u2014 %s %s\n" % (self.name, base64.b64encode(data).decode())


def key_id(name, kind, public):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def cosigned(text, time):
    return "cosignature/v1\ntime %d\n%s" % (time, text)


def checkpoint_text(origin, size, root):
    return "%s\n%d\n%s\n" % (origin, size, base64.b64encode(root).decode())


def write_log(folder, key, entries, witnesses=(), time=1700000000):
    """A log with these entries, signed; what was there is gone over."""
    def put(path, octets):
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(octets)

    hashes = [hash_entry(entry) for entry in entries]
    for first in range(0, len(entries), WIDTH):
        some = entries[first:first + WIDTH]
        put(tile_path("entries", first // WIDTH, len(some)),
            b"".join(struct.pack(">H", len(entry)) + entry for entry in some))
    level, row = 0, hashes
    while row:
        for first in range(0, len(row), WIDTH):
            some = row[first:first + WIDTH]
            put(tile_path(level, first // WIDTH, len(some)), b"".join(some))
        row = [root_of(row[first:first + WIDTH])
               for first in range(0, len(row) - WIDTH + 1, WIDTH)]
        level += 1
    text = checkpoint_text(key.name, len(entries), root_of(hashes))
    lines = [key.line(text)] + [witness.line(text, time) for witness in witnesses]
    put("checkpoint", (text + "\n" + "".join(lines)).encode())


def folder_reader(folder):
    def read(path):
        with open(os.path.join(folder, path), "rb") as file:
            return file.read()
    return read


def verify(read, verifier, witnesses=()):
    """Reads a whole log by `read(path)`; returns its entries when everything holds."""
    name, identity, data = verifier.split("+", 2)
    data = base64.b64decode(data)
    if key_id(name, data[0], data[1:]).hex() != identity:
        raise Bad("verifier key")
    note = read("checkpoint").decode()
    text, lines = note.rsplit("\n\n", 1)
    text += "\n"
    origin, size, root = text.split("\n")[:3]
    size, root = int(size), base64.b64decode(root)
    if origin != name or not _has_signature(lines, name, data, text):
        raise Bad("signature")
    for witness in witnesses:
        witness_name, _, witness_data = witness.split("+", 2)
        if not _has_signature(lines, witness_name, base64.b64decode(witness_data), text):
            raise Bad("witness")
    entries, hashes = [], []
    for first in range(0, size, WIDTH):
        width = min(WIDTH, size - first)
        bundle, at = read(tile_path("entries", first // WIDTH, width)), 0
        for _ in range(width):
            length, = struct.unpack_from(">H", bundle, at)
            entries.append(bundle[at + 2:at + 2 + length])
            at += 2 + length
        if at != len(bundle):
            raise Bad("bundle")
    level, row = 0, [hash_entry(entry) for entry in entries]
    hashes = row
    while row:
        for first in range(0, len(row), WIDTH):
            some = row[first:first + WIDTH]
            if read(tile_path(level, first // WIDTH, len(some))) != b"".join(some):
                raise Bad("tile of level %d" % level)
        row = [root_of(row[first:first + WIDTH])
               for first in range(0, len(row) - WIDTH + 1, WIDTH)]
        level += 1
    if root_of(hashes) != root:
        raise Bad("root")
    return entries


def _has_signature(lines, name, key, text):
    for line in lines.splitlines():
        dash, line_name, data = line.split(" ")
        data = base64.b64decode(data)
        if dash != "\u2014" or line_name != name or data[:4] != key_id(name, key[0], key[1:]):
            continue
        signature, over = data[4:], text
        if key[0] == COSIGNATURE:
            over = cosigned(text, struct.unpack(">Q", signature[:8])[0])
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, over.encode())
        except InvalidSignature:
            return False
        return True
    return False
