"""Signs generated zones with BIND's dnssec-signzone: one key for all, so that it stays cheap."""

import concurrent.futures
import glob
import os
import re
import subprocess

from testbed.servers import program

# Name of the manner, and the options that bring it about.
MANNERS = [
    ("NSEC", []),
    ("NSEC3", ["-3", "-", "-H", "0"]),
    ("NSEC3 opt-out", ["-3", "-", "-H", "0", "-A"]),
    ("NSEC3 salt", ["-3", "c0ffee", "-H", "5"]),
    ("NSEC3 salt opt-out", ["-3", "ab", "-H", "1", "-A"]),
]
KEY_OWNER = "key.example."


def make_key(directory):
    """Makes the one key pair (ECDSA P-256) and returns the path of its files without the ending."""
    os.makedirs(directory, exist_ok=True)
    subprocess.run([program("dnssec-keygen"), "-q", "-K", directory, "-a", "ECDSAP256SHA256", "-f", "KSK",
                    KEY_OWNER], check=True, capture_output=True, timeout=60)
    return glob.glob(os.path.join(directory, "K*.key"))[0][:-len(".key")]


def sign(zone, key):
    """Signs the zone's file in place. The key is adopted under the zone's name: its tag depends on
    the record data alone."""
    options = dict(MANNERS)[zone.signing]
    tag = re.search(r"\+(\d+)\+(\d+)$", key).group(0)
    directory = zone.path + ".keys"
    os.makedirs(directory, exist_ok=True)
    own = os.path.join(directory, "K" + zone.name + tag)
    for ending in (".key", ".private"):
        with open(key + ending, encoding="ascii") as source, open(own + ending, "w", encoding="ascii") as target:
            target.write(source.read().replace(KEY_OWNER, zone.name))
    unsigned = zone.path + ".unsigned"
    with open(unsigned, "w", encoding="utf-8") as file:
        file.write(zone.text())
        with open(own + ".key", encoding="ascii") as source:
            file.write("".join(line for line in source if not line.startswith(";")))
    result = subprocess.run([program("dnssec-signzone"), "-P", "-z", "-o", zone.name, "-f", zone.path,
                             "-O", "full", *options, unsigned, own],
                            cwd=directory, capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        raise RuntimeError("%s cannot be signed: %s" % (zone.name, result.stderr))


def sign_all(zones, directory, workers=2):
    """Signs every zone in the manner that its `signing` names. Raises when one cannot be signed."""
    key = make_key(directory)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda zone: sign(zone, key), zones):
            pass
