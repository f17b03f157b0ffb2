"""The hand-written corner zones of corners/, plain and signed in every manner.

A file corners/NAME.zone has one record a line: owner, TTL, type, data; names are relative to its
origin, NAME.example., and MANNER-NAME.example. for the signed ones. A file CHILD.NAME.zone is a
child that is held beside its parent. Comments say what to do differently:
"; refused-by: nsd bind", "; unsigned", and "; types: A MX" for the only types worth asking.
"""

import glob
import os

from testbed import zone_signing
from zone_generator import Zone, under

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corners")
PREFIXES = {"NSEC": "nsec", "NSEC3": "nsec3", "NSEC3 opt-out": "optout", "NSEC3 salt": "salt",
            "NSEC3 salt opt-out": "saltout"}


def absolute(name, origin):
    """A name of a corner file as absolute text; lower-level escapes stay as written."""
    if name == "@":
        return origin
    if name.endswith(".") and not name.endswith("\\."):
        return name
    return under(name, origin)


def read(path, origin):
    zone = Zone(origin, os.path.basename(path))
    unsigned = False
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.rstrip("\n")
            if line.startswith(";"):
                if line.startswith("; refused-by:"):
                    zone.refused_by = set(line.split(":", 1)[1].split())
                if line.startswith("; types:"):
                    zone.types = line.split(":", 1)[1].split()
                unsigned = unsigned or line == "; unsigned"
            elif line:
                owner, rest = line.split(" ", 1)
                zone.lines.append("%s %s" % (absolute(owner, origin), rest))
                zone.names.add(absolute(owner, origin))
    return zone, unsigned


def all_zones():
    """Plain zones, and for each manner of signing a copy to sign: zone.signing says how."""
    zones = []
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.zone"))):
        labels = os.path.basename(path)[:-len(".zone")].split(".")
        for manner in [None] + [name for name, _ in zone_signing.MANNERS]:
            prefix = "" if manner is None else PREFIXES[manner] + "-"
            origin = ".".join(labels[:-1] + [prefix + labels[-1], "example."])
            zone, unsigned = read(path, origin)
            if manner is None or not (unsigned and len(labels) == 1 or "bind" in zone.refused_by):
                zone.signing = None if unsigned else manner
                zone.is_corner = True
                zones.append(zone)
    return zones


def root_zone():
    return read(os.path.join(FOLDER, "root", "root.zone"), ".")[0]
