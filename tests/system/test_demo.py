"""The demo is the main job; here with few names, as a person would run it."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(REPOSITORY / "demo" / "demo.py"), "--names", "5000"]
SINK_DEMO = [sys.executable, str(REPOSITORY / "demo" / "sink.py")]
DESK_STEPS = ["The desk", "A customer", "The update", "A report", "An order", "An appeal", "The ledger"]
SINK_STEPS = ["The sinkhole", "Who connects", "The count", "The report", "The page"]
DESK_LINES = [
    r"ddclient hears +good  ok  for camera\.dyn\.example",
    r"an update now hears +abuse  ok",
    r"after the second +approved  ok",
    r"the answer names +court-2026-0007  ok",
    r"what the server confirms +current  ok",
    r"look-up of the shop +free  ok",
    r"entries verified +\d+  ok",
]
SINK_LINES = [
    r"listed names that lead to it +24  ok",
    r"connections recorded +[\d,]+  ok",
    r"Proven victims \d\d .*likely \d+",  # the live view
    r"US +0 +\d",  # a row of tamis sink top: hunters alone
    r"proven victims +(\d\d)  ok  \1, the known truth",
    r"of them, no victims +0  ok",
    r"victims missed +0  ok",
    r'"[-0-9]{10} [:0-9]{8}","tcp","127\.',  # a machine in the report
    r"machines to clean \(CSV\) +\d+  ok",
    r"https://c000\.pool\.example +a sinkhole  ok",
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
def test_the_demo_takes_over_proves_and_counts_and_when_kept_goes_on_until_told(place):
    run = run_demo(place, "--keep")
    assert "Look around:\n" in run.stdout, run.stdout + run.stderr
    said, look_around = run.stdout.split("Look around:\n")
    commands = [line.strip() for line in look_around.splitlines() if line.strip()]
    try:
        assert run.returncode == 0, said + run.stderr
        assert "Every figure is what it must be" in said
        assert "WRONG" not in said
        for step in DESK_STEPS + SINK_STEPS:
            assert re.search(rf"^\d+  {step} .*\d s$", said, re.M), step
        # Figures that have to be there, whatever they are made of.
        for line in DESK_LINES + SINK_LINES:
            assert re.search(rf"^   {line}", said, re.M), line
        # Piped output carries no colour.
        assert "\033" not in said
        assert len(processes_of(place)) == 4
        sinkhole = [line for line in commands if " sink " in line or line.startswith("curl ")]
        assert len(sinkhole) == 3
        for line in sinkhole:
            looked = subprocess.run(
                shlex.split(line), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True
            )
            assert "Proven victims" in looked.stdout or "This is a sinkhole" in looked.stdout, line
    finally:
        subprocess.run(["sh", "-c", commands[-1]], timeout=60, check=True)
    assert not processes_of(place)
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


@pytest.mark.once
@pytest.mark.parametrize("command, step", [(DEMO, "The proof"), (SINK_DEMO, "Who connects")])
def test_the_demo_interrupted_ends_its_servers_and_leaves_nothing(place, command, step):
    environment = dict(os.environ, TMPDIR=str(place))
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        for line in run.stdout:
            if step in line:
                break
        assert len(processes_of(place)) >= 2
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.strip().endswith("demo: stopped")
    assert "Traceback" not in errors
    assert not demo_folders(place)
    assert not processes_of(place)


@pytest.mark.timed
def test_on_a_terminal_the_sinkhole_is_watched_while_machines_connect(place):
    environment = dict(os.environ, TMPDIR=str(place), TERM="xterm", COLUMNS="100", LINES="30")
    master, slave = pty.openpty()
    with subprocess.Popen(
        SINK_DEMO, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as run:
        os.close(slave)
        output = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # the last one closed it
                break
            output += part
    os.close(master)
    assert run.returncode == 0, output.decode(errors="replace")
    watched = output.split(b"\033[?1049h")[1].split(b"\033[?1049l")[0]
    assert watched.count(b"\033[H") >= 5, "frames"
    assert output.count(b"\033[?1049h") == output.count(b"\033[?1049l") == 1
    assert re.search(rb"exit code of tamis-sink +0  \S*ok", output)
    assert not demo_folders(place)
