"""The public ledger: entries a second, the check of all of them, and the memory that both take."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from figures import median
from stage import say
from table import Table
from targets import LEDGER_PEAK_MIB_MAX, Target

NAME = "ledger"
ORIGIN = "bench.example/ledger"
BATCHES = (1, 512)  # one entry that nobody joins; as many as the desk takes at once
APPENDS = 40  # of each batch size
LARGE_BATCH = 16384


def measure(stage):
    stage.clear()
    ledger = Ledger(stage.folder)
    batches = [ledger.batch(size) for size in BATCHES for _ in range(stage.options.starts)]
    sizes = [size_once(ledger, size) for size in stage.options.sizes]
    return {"batches": batches, "sizes": sizes}


def size_once(ledger, size):
    figure = {"entries": size, **ledger.fill(size, LARGE_BATCH), **ledger.verify(size)}
    say(f"ledger of {size:,}: {size / figure['seconds']:,.0f} entries a second, checked in {figure['verify_s']:.1f} s")
    return figure


class Ledger:
    def __init__(self, folder):
        build = Path(__file__).resolve().parents[2] / "build"
        self.tamis, self.program = build / "bin" / "tamis", build / "bench" / "ledger_fill"
        self.folder, self.key = Path(folder) / "ledger", Path(folder) / "ledger.key"
        self.key.unlink(missing_ok=True)
        made = subprocess.run([self.tamis, "ledger", "key", "--json", "--output", self.key, ORIGIN], check=True,
                              capture_output=True)
        self.verifier = json.loads(made.stdout)["verifier"]

    def fill(self, count, batch):
        shutil.rmtree(self.folder, ignore_errors=True)
        done = subprocess.run([self.program, self.folder, self.key, str(count), str(batch)], check=True,
                              capture_output=True)
        return json.loads(done.stdout)

    def batch(self, size):
        return {"batch": size, "count": size * APPENDS, **self.fill(size * APPENDS, size)}

    def verify(self, count):
        """Time and peak of memory of a check of everything."""
        started = time.monotonic()
        with subprocess.Popen([self.tamis, "ledger", "verify", "--json", "--key", self.verifier, self.folder],
                              stdout=subprocess.PIPE) as process:
            result = json.loads(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or result["entries"] != count:
            raise RuntimeError(f"the ledger does not verify: {result}")
        return {"verify_s": time.monotonic() - started, "verify_peak_kib": usage.ru_maxrss}


def tables(run):
    rows = []
    for size in BATCHES:
        runs = [item for item in run["figures"]["batches"] if item["batch"] == size]
        seconds = median(runs, "seconds")
        rows.append([f"{size:,}", f"{seconds / APPENDS * 1000:.1f}", f"{size * APPENDS / seconds:,.0f}"])
    yield Table("Appends to the ledger, durable and signed", ["entries of a batch", "ms", "entries a second"], rows)
    yield Table("A ledger as it grows",
                ["entries", "appended a second", "MiB at the peak", "all checked in, s", "MiB at the peak, checking"],
                [[f"{item['entries']:,}", f"{item['entries'] / item['seconds']:,.0f}", f"{item['peak_kib'] / 1024:.0f}",
                  f"{item['verify_s']:.1f}", f"{item['verify_peak_kib'] / 1024:.0f}"]
                 for item in run["figures"]["sizes"]])


def targets(run):
    largest = run["figures"]["sizes"][-1]
    yield Target("memory to append to a ledger and to check it, MiB",
                 max(largest["peak_kib"], largest["verify_peak_kib"]) / 1024, LEDGER_PEAK_MIB_MAX, "MiB")


def draw(*_):
    return []
