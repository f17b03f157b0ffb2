"""Databases of networks (MMDB), built with Debian's libmaxmind-db-writer-perl."""

import json
import os
import subprocess


def write(path, networks):
    """Writes `networks`, a dict of prefixes and their records, as an MMDB file. An integer becomes a
    uint32; a key has one type in the whole file."""
    script = os.path.join(os.path.dirname(__file__), "mmdb.pl")
    subprocess.run(["perl", script, str(path)], input=json.dumps(networks).encode(), check=True,
                   timeout=60)
    return str(path)

