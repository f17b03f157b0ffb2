"""Instructions of one answer, counted by valgrind's callgrind: the same number in every run.

    /usr/bin/python3 bench/instructions.py [PROGRAM [NAMES]]

The caches that callgrind simulates beside it are made much smaller than the zone, as every cache is
with millions of names: so the misses are those of an answer to a name that nobody asked for lately.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ("hit", "nodata", "nxdomain", "wildcard", "listed", "cached")
ANSWERS = 1024  # whole batches of 64
NAMES_FEW = 2000  # instructions do not depend on the zone's size
NAMES_MANY = 200_000  # some 20 MB
CACHES = ("--cache-sim=yes", "--I1=32768,8,64", "--D1=49152,12,64", "--LL=262144,16,64")


def count(program, names=NAMES_FEW, options=()):
    """For each kind, events per answer by callgrind's names for them: Ir are instructions, DLmr reads
    that miss the last cache."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", "--toggle-collect=responder_answer_batch",
             "--dump-after=measure", f"--callgrind-out-file={out}", *options,
             str(program), f"--names={names}", f"--answers={ANSWERS}", "--passes=1", *KINDS],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        parts = [out.with_name(f"{out.name}.{number}").read_text(encoding="utf-8")
                 for number in range(1, len(KINDS) + 1)]
    return {kind: _events(part) for kind, part in zip(KINDS, parts)}


def _events(text):
    names = re.search(r"^events: (.*)$", text, re.MULTILINE)[1].split()
    totals = re.search(r"^(?:totals|summary): (.*)$", text, re.MULTILINE)[1].split()
    return {name: int(total) / ANSWERS for name, total in zip(names, totals)}


def count_with_misses(program, names=NAMES_MANY):
    """For each kind: instructions, and cache lines that it has to wait for."""
    return {kind: {"instructions": events["Ir"], "cache_misses": events["DLmr"]}
            for kind, events in count(program, names, CACHES).items()}


if __name__ == "__main__":
    PROGRAM = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "build/bench/micro"
    for name, figure in count_with_misses(PROGRAM, *map(int, sys.argv[2:3])).items():
        print(f"{name:10} {figure['instructions']:8.0f} instructions {figure['cache_misses']:6.2f} cache misses")
