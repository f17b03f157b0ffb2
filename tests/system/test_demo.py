"""The demo is the main job; here with few names, as a person would run it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(REPOSITORY / "demo" / "demo.py"), "--names", "5000"]
DESK_STEPS = ["The desk", "A customer", "The update", "A report", "An order", "An appeal", "The ledger"]
DESK_LINES = [
    r"ddclient hears +good  ok  for camera\.dyn\.example",
    r"an update now hears +abuse  ok",
    r"after the second +approved  ok",
    r"the answer names +court-2026-0007  ok",
    r"what the server confirms +current  ok",
    r"look-up of the shop +free  ok",
    r"entries verified +\d+  ok",
]


@pytest.fixture
def place():
    """A folder of short name: a path of a socket has at most 107 octets."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def demo_folders(place):
    return list(place.glob("tamis-demo-*"))


def run_demo(place, *more):
    environment = dict(os.environ, TMPDIR=str(place))
    return subprocess.run(
        [*DEMO, *more], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.timed
def test_the_demo_takes_over_proves_and_lifts(place):
    run = run_demo(place)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Every figure is what it must be" in run.stdout
    assert "WRONG" not in run.stdout
    for step in DESK_STEPS:
        assert re.search(rf"^\d+  {step} .*\d s$", run.stdout, re.M), step
    # The desk's figures that have to be there, whatever they are made of.
    for line in DESK_LINES:
        assert re.search(rf"^   {line}", run.stdout, re.M), line
    # Piped output carries no colour.
    assert "\033" not in run.stdout
    assert not demo_folders(place)


def test_the_demo_without_its_programs_says_so_and_leaves_nothing(place):
    empty = place / "bin"
    empty.mkdir()
    environment = dict(os.environ, TMPDIR=str(place), TAMIS_BIN=str(empty))
    run = subprocess.run(
        DEMO, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 1
    assert "make build" in run.stderr
    assert not demo_folders(place)


def processes_of(folder):
    """Command lines of running processes that name the folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if str(folder) in line:
            lines.append(line)
    return lines


def test_the_demo_interrupted_ends_its_servers_and_leaves_nothing(place):
    environment = dict(os.environ, TMPDIR=str(place))
    with subprocess.Popen(
        DEMO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        for line in run.stdout:
            if "The proof" in line:
                break
        assert len(processes_of(place)) >= 2
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.strip().endswith("demo: stopped")
    assert "Traceback" not in errors
    assert not demo_folders(place)
    assert not processes_of(place)
