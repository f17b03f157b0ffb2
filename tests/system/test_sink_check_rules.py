"""tamis sink check-rules: a rules folder compiled, and first packets told."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TAMIS = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")) / "tamis"
RULES = REPOSITORY / "rules"
SAMPLES = REPOSITORY / "tests" / "sink-rules-samples"

RULE = """
rule sesame
{
    meta:
        family = "sesame"
        kind = "check-in"
        version = "2"
        source = "https://research.example/sesame"
    strings:
        $open = "open:"
    condition:
        $open at 0
}
"""


def check_rules(*arguments, rules=RULES):
    environment = {name: value for name, value in os.environ.items() if name != "TAMIS_RULES"}
    options = ["--rules", rules] if rules else []
    return subprocess.run([TAMIS, "sink", "check-rules", *options, *arguments], capture_output=True, text=True,
                          timeout=120, check=False, env=environment)


def folder_of(tmp_path, text):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "own.yar").write_text(text)
    return folder


def test_every_sample_is_what_its_folder_says():
    run = check_rules("--samples", SAMPLES, "--json")
    result = json.loads(run.stdout)
    assert [sample for sample in result["samples"] if not sample["ok"]] == []
    assert (run.returncode, result["ok"], result["findings"]) == (0, True, [])
    assert len(result["samples"]) == sum(path.is_file() for path in SAMPLES.glob("*/*"))
    assert all(rule["matched"] > 0 and rule["missed"] == rule["false"] == 0 for rule in result["rules"])
    assert len({rule["family"] for rule in result["rules"]} - {""}) >= 8


def test_the_rules_beside_the_program_are_the_default():
    run = check_rules(rules=None)
    assert run.returncode == 0 and "yara:gh0st " in run.stdout


def test_a_file_is_told_with_its_family_and_version(tmp_path):
    packet = tmp_path / "packet"
    packet.write_bytes(b"open:192.0.2.1")
    run = check_rules("--json", packet, rules=folder_of(tmp_path, RULE))
    assert run.returncode == 0
    assert json.loads(run.stdout)["samples"] == [{
        "path": str(packet), "kind": "check-in", "family": "sesame", "rule": "yara:sesame", "version": "2",
        "wellformed": True, "consistent": True, "fake": None}]


def test_a_sample_that_is_missed_or_falsely_matched_exits_1(tmp_path):
    samples = tmp_path / "samples"
    for name, octets in {"sesame/one": b"open:1", "sesame/two": b"shut:2", "none/three": b"open:3"}.items():
        (samples / name).parent.mkdir(parents=True, exist_ok=True)
        (samples / name).write_bytes(octets)
    folder = folder_of(tmp_path, RULE)
    run = check_rules("--samples", samples, "--json", rules=folder)
    rule = json.loads(run.stdout)["rules"][0]
    assert (run.returncode, rule["matched"], rule["missed"], rule["false"]) == (1, 1, 1, 1)
    run = check_rules("--samples", samples, rules=folder)
    assert run.returncode == 1
    assert "none/three: is sesame check-in, not none" in run.stderr
    assert "sesame/two: is unknown, not sesame check-in" in run.stderr


@pytest.mark.parametrize("text, line, says", [
    (RULE.replace("$open at 0", "$shut at 0"), 13, "undefined string"),
    (RULE.replace("check-in", "chek-in"), None, "rule sesame: no such kind"),
    ('import "pe"\n' + RULE, None, "module pe"),
])
def test_a_bad_rule_is_named_and_exits_1(tmp_path, text, line, says):
    folder = folder_of(tmp_path, text)
    run = check_rules(rules=folder)
    assert run.returncode == 1 and says in run.stderr
    if line:
        assert run.stderr.count("%s/own.yar:%d: " % (folder, line)) == 1


def test_a_slow_rule_is_warned_of(tmp_path):
    folder = folder_of(tmp_path, RULE.replace('$open = "open:"', "$open = /.*x/").replace("$open at 0", "$open"))
    run = check_rules(rules=folder)
    assert run.returncode == 0 and "own.yar:" in run.stderr and "warning: " in run.stderr


def test_wrong_use_exits_2(tmp_path):
    assert check_rules("--rulez", "x", rules=None).returncode == 2
    assert check_rules("--samples", SAMPLES, SAMPLES / "none" / "ssh").returncode == 2
    shutil.rmtree(folder_of(tmp_path, RULE))
    assert check_rules(rules=tmp_path / "rules").returncode == 1
