"""A steady load of queries in the background, and what became of every one of them."""

import array
import os
import struct
import subprocess

from testbed.servers import repository

RECORD = struct.Struct("<qqII")
LOST, RIGHT, SINKHOLED, WRONG = range(4)


def load_program(name):
    """A program of tests/load, built beside the programs that TAMIS_BIN names."""
    folder = os.environ.get("TAMIS_BIN", os.path.join(repository(), "build", "bin"))
    return os.path.join(os.path.dirname(os.path.abspath(folder)), "tests", "load", name)


class Load:
    """tests/load/paced_load while it runs. `questions` are pairs (name, expected address or
    NXDOMAIN), asked in turn."""

    def __init__(self, server, directory, questions, rate, seconds, sinkhole):
        self.records_path = os.path.join(directory, "records")
        queries = os.path.join(directory, "queries")
        with open(queries, "w", encoding="utf-8") as file:
            file.writelines("%s %s\n" % pair for pair in questions)
        self.process = subprocess.Popen(
            [load_program("paced_load"), server.address, str(server.port), str(rate), str(seconds),
             sinkhole, queries, self.records_path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "running\n", self.process.communicate()[1]

    def finish(self, timeout_s=120):
        """Waits for the end; returns the records as tuples (sent ns, received ns, question,
        outcome), times of time.monotonic_ns()."""
        _, complaint = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, complaint
        with open(self.records_path, "rb") as file:
            return list(RECORD.iter_unpack(file.read()))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def latencies_ms(records, from_ns=0, until_ns=1 << 62):
    """Sorted latencies of the answered queries that were sent between two moments."""
    return array.array("d", sorted((received - sent) / 1e6 for sent, received, _, outcome in records
                                   if outcome != LOST and from_ns <= sent < until_ns))


def histogram(latencies):
    """One line that a person can read: counts by latency."""
    bounds = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e9)
    counts, at = [], 0
    for bound in bounds:
        count = 0
        while at < len(latencies) and latencies[at] <= bound:
            at += 1
            count += 1
        counts.append("<=%g: %d" % (bound, count) if bound < 1e9 else "more: %d" % count)
    return ", ".join(counts) + " ms"
