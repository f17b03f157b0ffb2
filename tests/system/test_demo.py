"""The demo is the main job; here with few names, as a person would run it."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(REPOSITORY / "demo" / "demo.py"), "--names", "5000"]


def demo_folders(place):
    return list(place.glob("tamis-demo-*"))


def run_demo(tmp_path, *more):
    environment = dict(os.environ, TMPDIR=str(tmp_path))
    return subprocess.run(
        [*DEMO, *more], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_demo_takes_over_proves_and_lifts(tmp_path):
    run = run_demo(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Every figure is what it must be" in run.stdout
    assert "WRONG" not in run.stdout
    # Piped output carries no colour.
    assert "\033" not in run.stdout
    assert not demo_folders(tmp_path)


def test_the_demo_without_its_programs_says_so_and_leaves_nothing(tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()
    environment = dict(os.environ, TMPDIR=str(tmp_path), TAMIS_BIN=str(empty))
    run = subprocess.run(
        DEMO, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 1
    assert "make build" in run.stderr
    assert not demo_folders(tmp_path)
