"""The README's tour: what stands there works as written."""

import os
import re
import subprocess
from pathlib import Path

from testbed.process import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")).resolve()


def commands_of(section):
    """The commands of a section, in order, from where the programs are known to the shell."""
    text = (REPOSITORY / "README.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    start = next(at for at, line in enumerate(lines) if line.startswith("export PATH="))
    return lines[start + 1 :]


def run_as_pasted(section, tmp_path, folder, ports):
    """Runs a section's commands in a folder and at ports of the test's own; returns what they said."""
    text = "\n".join(commands_of(section))
    for written, used in [(folder, str(tmp_path / "tour")), *((port, str(free_port())) for port in ports)]:
        assert written in text
        text = text.replace(written, used)
    environment = dict(os.environ, PATH=f"{PROGRAMS}:{os.environ['PATH']}", rules=str(REPOSITORY / "rules"))
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
    assert not (tmp_path / "tour").exists()
    return run.stdout


def test_the_tour_works_pasted_line_by_line(tmp_path):
    said = run_as_pasted("A tour of five minutes", tmp_path, "/tmp/tamis-tour", ["5300", "5301"])
    # Asked before the order, under it, and after its lift.
    addresses = re.findall(r"^bad\.a\.example\.\s+\d+\s+IN\s+A\s+(\S+)$", said, re.MULTILINE)
    assert addresses == ["192.0.2.20", "192.0.2.66", "192.0.2.20"]
    assert "tour-1 https://desk.example/orders/tour-1" in said


def test_the_desk_starts_and_updates_a_host_as_written(tmp_path):
    said = run_as_pasted("The desk", tmp_path, "/tmp/tamis-desk-tour", ["5310", "8053"])
    # What the router hears, then what the name server answers.
    assert "good 192.0.2.7\n192.0.2.7\n" in said


def test_the_sinkhole_counts_one_victim_as_written(tmp_path):
    said = run_as_pasted("The sinkhole", tmp_path, "/tmp/tamis-sink-tour", ["5320", "8066"])
    assert "\n127.0.0.66\n" in f"\n{said}"
    assert "<h1>This is a sinkhole</h1>" in said and "tour-2" in said
    assert re.search(r"^Proven victims 1\b", said, re.MULTILINE)
    assert re.search(r"^bad\.a\.example +1 ", said, re.MULTILINE)
    (victim,) = [line for line in said.splitlines() if '"njrat"' in line]
    assert '"tcp","127.0.0.1"' in victim and '"bad.a.example"' in victim
