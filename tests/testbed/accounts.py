"""What the tests of accounts share: mails that the desk wrote, authenticators, somebody who signs up."""

import base64
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import time

from testbed.desk import PASSWORD


def mails(desk, address=None):
    """The mails in the outbox, oldest first."""
    rows = desk.sql("SELECT payload FROM outbox WHERE kind = 'mail' ORDER BY id").splitlines()
    found = [json.loads(row) for row in rows]
    return [mail for mail in found if address in (None, mail["to"])]


def dump(desk, table):
    """All rows of a table as text, octets in hexadecimal."""
    if desk.postgresql:
        return desk.sql("SELECT * FROM " + table)
    return subprocess.run(["sqlite3", "-cmd", ".timeout 10000",
                           os.path.join(desk.directory, "desk.db"), ".dump --data-only " + table],
                          check=True, capture_output=True, text=True).stdout


def wait_for_mails(desk, address, count):
    """Waits until the address has so many mails; returns them."""
    desk.process.wait_until(lambda: len(mails(desk, address)) >= count, "%d mails" % count)
    return mails(desk, address)


def token_of(mail):
    return re.search(r"^ {4}([A-Za-z0-9_-]{43})$", mail["text"], re.M).group(1)


def sign_up(desk, email, password=PASSWORD, **options):
    """Signs up by the whole way; returns a client that has signed in."""
    client = desk.client()
    before = len(mails(desk, email))
    reply = client.post("/v1/accounts", {"email": email}, **options)
    assert reply.status == 202, reply.text
    token = token_of(wait_for_mails(desk, email, before + 1)[-1])
    reply = client.post("/v1/accounts/confirmations", {"token": token, "password": password})
    assert reply.status == 204, reply.text
    return client.sign_in(email, password)


def totp(secret, steps=0, now=None):
    """RFC 6238 by the book, independent of the desk's."""
    key = base64.b32decode(secret)
    step = int((now if now is not None else time.time()) // 30) + steps
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[offset:offset + 4])[0] & 0x7fffffff) % 1000000)


def add_second_factor(client, password=PASSWORD):
    """Returns the secret and the recovery codes."""
    secret = client.post("/v1/account/totp", {"password": password}).json["secret"]
    reply = client.post("/v1/account/totp", {"code": totp(secret)})
    assert reply.status == 200, reply.text
    return secret, reply.json["recovery_codes"]
