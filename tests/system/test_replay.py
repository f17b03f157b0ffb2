"""The replay of 2014 in short: few names and zones, a day in seconds, its three plays side by side."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from testbed.servers import tamis_program

REPOSITORY = Path(__file__).resolve().parents[2]
PLAYS = ("a", "b1", "b2")
RESOLVERS = {"unbound", "kresd", "bind"}
SHORT = ["--names", "2000", "--zones", "3", "--listed", "1200", "--time-scale", "17280",
         "--rate", "100", "--bad-rate", "20", "--no-plots"]  # fmt: skip

pytestmark = [pytest.mark.once,
              pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")]


def start(folder, key):
    bin_folder = os.path.dirname(os.path.abspath(tamis_program("tamis")))
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY / "demo"), TMPDIR=str(folder), TAMIS_BIN=bin_folder)
    command = [sys.executable, "-m", "replay", *SHORT, "--plays", key, "--out", str(folder / "out")]
    return subprocess.Popen(command, env=environment, cwd=REPOSITORY, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def namespaces(pid):
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.startswith(f"replay{pid}-")]


@pytest.fixture(scope="module")
def played():
    """By play: its output and its record."""
    with tempfile.TemporaryDirectory() as folder:
        runs = {key: start(Path(folder), key) for key in PLAYS}
        outputs = {key: run.communicate(timeout=300) for key, run in runs.items()}
        results = {}
        for key, (output, errors) in outputs.items():
            assert "Traceback" not in errors and "took" in output, output + errors
            assert not namespaces(runs[key].pid)
            kept = json.loads((Path(folder) / "out" / f"replay-{key}.json").read_text())
            results[key] = output, kept
        assert not list(Path(folder).glob("tamis-replay-*"))
        yield results


def shares(kept, phase, which, end):
    """The share of lookups that ended so, over all seconds that lie in a phase."""
    began, ended = next((began, ended) for name, began, ended in kept["phases"] if name == phase)
    right = whole = 0
    for entry in kept["seconds"]:
        if began <= entry["second"] and entry["second"] + 1 <= ended:
            for kind, counts in entry.items():
                if kind != "second":
                    right += counts[which].get(end, 0)
                    whole += sum(counts[which].values())
    return right / whole


def test_as_it_happened_most_names_go_dark(played):
    _, kept = played["a"]
    assert shares(kept, "baseline", "good", "right") > 0.99
    assert shares(kept, "taken, forwarding", "good", "right") < 0.7


@pytest.mark.parametrize("key", ["b1", "b2"])
def test_with_tamis_the_listed_names_reach_the_sinkhole_and_no_others(played, key):
    _, kept = played[key]
    ends = {end for second in kept["seconds"] for kind in RESOLVERS & second.keys() for end in second[kind]["good"]}
    assert "right" in ends and not ends & {"wrong", "empty", "nxdomain"}
    assert shares(kept, "taken", "good", "right") > 0.99
    assert shares(kept, "taken", "bad", "sinkhole") > 0.5
    # A few seconds with some dozen lookups: resolvers still have some answers of before.
    assert shares(kept, "front stopped", "bad", "sinkhole") < 0.25
    assert kept["connections"] > 0


@pytest.mark.parametrize("key", ["b1", "b2"])
def test_clients_do_not_feel_that_the_origin_is_flooded(played, key):
    _, kept = played[key]
    assert shares(kept, "provider flooded", "good", "right") > 0.95


def test_interrupted_it_leaves_nothing():
    with tempfile.TemporaryDirectory() as folder:
        with start(Path(folder), "b1") as run:
            for line in run.stdout:
                if "baseline" in line:
                    break
            assert namespaces(run.pid)
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        assert run.returncode == 130 and errors.strip().endswith("replay: stopped")
        assert not namespaces(run.pid)
        assert not list(Path(folder).glob("tamis-replay-*"))
        mine = [path for path in Path("/proc").glob("[0-9]*/cmdline") if folder in read(path)]
        assert not mine


def read(path):
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""  # it ended meanwhile
