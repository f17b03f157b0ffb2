"""Order files for tests."""

import os
import time

import yaml

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
