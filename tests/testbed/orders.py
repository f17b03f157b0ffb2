"""Order files for tests."""

import os
import subprocess
import time

import yaml

from testbed.servers import tamis_program

SINKHOLE_A, SINKHOLE_AAAA = "192.0.2.66", "2001:db8::66"
BLOCKED, CENSORED, NOT_READY, INVALID_DATA = 15, 16, 14, 24  # extended errors (RFC 8914)


def timestamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def order(order_id, **changes):
    """A sinkholing court order in force for a day; `changes` replace keys, '_' stands for '-'."""
    now = time.time()
    document = {
        "id": order_id,
        "kind": "court",
        "authority": "Test Court, 1:23-cv-00001",
        "starts": timestamp(now - 3600),
        "ends": timestamp(now + 86400),
        "action": "sinkhole",
        "sinkhole": {"a": [SINKHOLE_A], "aaaa": [SINKHOLE_AAAA], "ttl": 60},
        "notice": "https://desk.example/orders/" + order_id,
    }
    for key, value in changes.items():
        document[key.replace("_", "-")] = value
    return document


def write_order(folder, order_id, names=None, names_text=None, **changes):
    """Writes the order, with `names` inline, or `names_text` (str or bytes) as its names-file. Returns
    the order's path."""
    os.makedirs(folder, exist_ok=True)
    document = order(order_id, **changes)
    if names is not None:
        document["names"] = names
    if names_text is not None:
        document["names-file"] = order_id + ".txt"
        with open(os.path.join(folder, order_id + ".txt"), "wb") as file:
            file.write(names_text if isinstance(names_text, bytes) else names_text.encode())
    path = os.path.join(folder, order_id + ".yaml")
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(document, file, sort_keys=False)
    return path


def make_signer(folder, name):
    """Makes a key pair and returns its entry of a keyring."""
    subprocess.run([tamis_program("tamis"), "key", "generate", "--folder", folder, name],
                   capture_output=True, text=True, timeout=60, check=True)
    with open(os.path.join(folder, name + ".pub"), encoding="utf-8") as file:
        entry = yaml.safe_load(file)
    return entry[0] if isinstance(entry, list) else entry


def sign(folder, name, path):
    """Adds the signature of make_signer()'s `name` to the order at `path`."""
    subprocess.run([tamis_program("tamis"), "order", "sign", "--key", os.path.join(folder, name + ".key"), path],
                   capture_output=True, text=True, timeout=60, check=True)
