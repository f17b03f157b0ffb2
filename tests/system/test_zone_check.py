"""tamis zone check: what is wrong with a zone file, by line."""

import json
import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TAMIS = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")) / "tamis"

GOOD = """\
$TTL 60
@ SOA ns1 hostmaster 7 3600 600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
host A 192.0.2.2
host AAAA 2001:db8::2
"""


def zone_check(tmp_path, text, *options, name="a.example"):
    path = tmp_path / "a.zone"
    path.write_text(text)
    return path, subprocess.run(
        [TAMIS, "zone", "check", *options, name, path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_good_zone_is_summed_up_and_exits_0(tmp_path):
    _, run = zone_check(tmp_path, GOOD)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "a.example: 3 names, 5 records, serial 7\n"


def test_every_error_is_reported_by_file_and_line_and_exits_1(tmp_path):
    path, run = zone_check(tmp_path, GOOD + "bad A 300.0.2.1\nworse TYPEX 1\n")
    assert run.returncode == 1
    lines = run.stderr.splitlines()
    assert lines[0].startswith(f"{path}:7: error: ")
    assert lines[1].startswith(f"{path}:8: error: ")
    assert lines[2] == f"a.example: cannot be served: 2 errors in {path}"
    assert run.stdout == ""


def test_a_record_outside_the_zone_is_a_warning_and_the_rest_stands(tmp_path):
    path, run = zone_check(tmp_path, GOOD + "elsewhere.example. A 192.0.2.3\n")
    assert run.returncode == 1
    assert run.stderr.startswith(f"{path}:7: warning: ")
    assert run.stdout == "a.example: 3 names, 5 records, serial 7, 1 warning\n"


def test_json_carries_the_figures_and_the_findings(tmp_path):
    path, run = zone_check(tmp_path, GOOD + "elsewhere.example. A 192.0.2.3\n", "--json")
    report = json.loads(run.stdout)
    assert run.returncode == 1
    assert (report["names"], report["records"], report["serial"]) == (3, 5, 7)
    assert (report["ok"], report["finding_count"]) == (False, 1)
    (finding,) = report["findings"]
    assert (finding["file"], finding["line"], finding["fatal"]) == (str(path), 7, False)


def test_json_of_a_zone_that_cannot_be_served_has_no_figures(tmp_path):
    _, run = zone_check(tmp_path, "@ TXT no-soa\n", "--json")
    report = json.loads(run.stdout)
    assert run.returncode == 1
    assert (report["ok"], report["names"], report["serial"]) == (False, None, None)


def test_json_of_a_good_zone_is_ok(tmp_path):
    _, run = zone_check(tmp_path, GOOD, "--json")
    report = json.loads(run.stdout)
    assert (run.returncode, report["ok"], report["findings"]) == (0, True, [])
    assert report["memory"] > 0


def test_a_missing_file_is_a_finding_that_names_it(tmp_path):
    missing = tmp_path / "missing.zone"
    run = subprocess.run(
        [TAMIS, "zone", "check", "a.example", missing], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert str(missing) in run.stderr


def test_wrong_use_exits_2(tmp_path):
    for arguments in ([], ["a.example"], ["--nonsense", "a.example", "x"], ["a..example", "x"]):
        run = subprocess.run(
            [TAMIS, "zone", "check", *arguments], capture_output=True, text=True, check=False
        )
        assert run.returncode == 2, arguments
        assert "tamis zone check --help" in run.stderr
