"""The README's tour: what stands there works as written."""

import os
import re
import subprocess
from pathlib import Path

from testbed.process import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")).resolve()


def tour_lines():
    """The commands of the tour, in order, without those that build."""
    tour = (REPOSITORY / "README.md").read_text().split("## A tour of five minutes")[1]
    tour = tour.split("\n## ")[0]
    lines = re.findall(r"^    (\S.*)$", tour, re.MULTILINE)
    assert lines[0].startswith("make build") and lines[1].startswith("export PATH=")
    return lines[2:]


def test_the_tour_works_pasted_line_by_line(tmp_path):
    text = "\n".join(tour_lines())
    for written, used in (
        ("/tmp/tamis-tour", str(tmp_path / "tour")),
        ("5300", str(free_port())),
        ("5301", str(free_port())),
    ):
        assert written in text
        text = text.replace(written, used)
    environment = dict(os.environ, PATH=f"{PROGRAMS}:{os.environ['PATH']}")
    # -e: every line must succeed. The servers are ended, whatever happens.
    run = subprocess.run(
        ["bash", "-e", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{text}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    # Asked before the order, under it, and after its lift.
    addresses = re.findall(r"^bad\.a\.example\.\s+\d+\s+IN\s+A\s+(\S+)$", run.stdout, re.MULTILINE)
    assert addresses == ["192.0.2.20", "192.0.2.66", "192.0.2.20"]
    assert "tour-1 https://desk.example/orders/tour-1" in run.stdout
    assert not (tmp_path / "tour").exists()
