"""tamis order check|compile|sign and tamis key generate, as a person runs them."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TAMIS = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")) / "tamis"

ORDER = """\
id: nv-2014-00987
kind: court
authority: "US District Court, D. Nevada, 2:14-cv-00987"
starts: 2014-06-30T12:00:00Z
ends: 2034-07-14T12:00:00Z
action: sinkhole
sinkhole: { a: [192.0.2.66], aaaa: ["2001:db8::66"], ttl: 60 }
notice: https://desk.example/orders/nv-2014-00987
names-file: names.txt
signatures: []   # two, please
"""


def tamis(*arguments, cwd=None, stdin=None):
    return subprocess.run(
        [TAMIS, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        input=stdin,
    )


@pytest.fixture
def order(tmp_path):
    """Writes an order and its list; returns the order's path."""

    def write(text=ORDER, names="b.a.example\na.example\n"):
        (tmp_path / "names.txt").write_bytes(
            names if isinstance(names, bytes) else names.encode()
        )
        path = tmp_path / "order.yaml"
        path.write_text(text)
        return path

    return write


def test_a_good_order_is_summed_up_and_exits_0(order):
    run = tamis("order", "check", order())
    assert (run.returncode, run.stderr) == (0, "")
    assert "order      nv-2014-00987 (court): US District Court" in run.stdout
    assert "lists      2 names, 0 subtrees, 0 exempt" in run.stdout
    assert "findings   none" in run.stdout


def test_every_bad_entry_is_listed_by_line_and_the_rest_stands(order):
    path = order(
        names=b"a.example\n"
        b"*.wild.example\n"
        b".\n"
        b"a..b\n"
        b"A.Example.\n"
        b"\x00\xff garbage\n"
        + b"x" * 64
        + b".example\n"
        + b"x." * 127
        + b"example\n"
        b"m\xc3\xbcnchen.example # fine\r\n"
    )
    run = tamis("order", "check", path)
    assert run.returncode == 1
    assert "lists      2 names" in run.stdout
    assert "7: the rest of the order stands" in run.stdout
    names = path.parent / "names.txt"
    reasons = ["wildcard", "root", "empty label", "duplicate: line 1", "has", "63", "255"]
    lines = run.stderr.splitlines()
    assert len(lines) == 7
    for line, (number, reason) in zip(lines, enumerate(reasons, start=2)):
        assert line.startswith(f"{names}:{number}: ")
        assert reason in line

    strict = tamis("order", "check", "--strict", path)
    assert strict.returncode == 1
    assert "the order is refused" in strict.stdout


def test_json_says_the_same(order):
    path = order(names="a.example\na..b\n")
    run = tamis("order", "check", "--json", path)
    result = json.loads(run.stdout)
    assert run.returncode == 1
    assert (result["ok"], result["accepted"], result["names"]) == (False, True, 1)
    assert result["finding_count"] == 1
    finding = result["findings"][0]
    assert (finding["line"], finding["entry"]) == (2, "a..b")
    strict = json.loads(tamis("order", "check", "--json", "--strict", path).stdout)
    assert strict["accepted"] is False


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("ends: 2034-07-14T12:00:00Z\n", "", None, "an order without an end is refused"),
        ("ends: 2034", "ends: 2013", 5, "'ends' is not after 'starts'"),
        ("kind: court", "knd: court", 2, "unknown key 'knd'; did you mean 'kind'?"),
        ("kind: court", "kind: cuort", 2, "did you mean 'court'?"),
        ("ttl: 60", "ttl: soon", 7, "'ttl' expects a whole number"),
        ("sinkhole: {", "sinkhole: }", 7, "is not valid YAML"),
        ("192.0.2.66", "192.0.2.266", 7, "no IPv4 address"),
        ("names.txt", "other.txt", None, "No such file"),
    ],
)
def test_a_broken_order_is_refused_with_line_and_remedy(order, old, new, line, said):
    path = order(ORDER.replace(old, new))
    for options in ([], ["--json"]):
        run = tamis("order", "check", *options, path)
        assert run.returncode == 1
        assert said in run.stdout + run.stderr
    if line is not None:
        assert tamis("order", "check", path).stderr.startswith(f"tamis: {path}:{line}: ")
    assert tamis("order", "compile", path).stdout == ""


def test_a_list_that_changes_while_it_is_read_is_refused(order):
    path = order(names="".join(f"h{i}.example\n" for i in range(1_000_000)))
    names = path.parent / "names.txt"
    done = threading.Event()

    def touch():
        while not done.is_set():
            os.utime(names)

    writer = threading.Thread(target=touch)
    writer.start()
    try:
        run = tamis("order", "check", path)
    finally:
        done.set()
        writer.join()
    assert run.returncode == 1
    assert "changed while it was read" in run.stderr
    assert tamis("order", "check", path).returncode == 0


def test_two_people_sign_an_order_with_subtrees(order, tmp_path):
    path = order(ORDER + "subtrees: [s.example] # all of it\n")
    for name in ("alice", "bob"):
        assert tamis("key", "generate", name, cwd=tmp_path).returncode == 0
    assert (tmp_path / "alice.key").stat().st_mode & 0o777 == 0o600
    again = tamis("key", "generate", "alice", cwd=tmp_path)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    keyring = tmp_path / "keyring.yaml"
    keyring.write_text((tmp_path / "alice.pub").read_text() + (tmp_path / "bob.pub").read_text())

    unverified = tamis("order", "check", path)
    assert unverified.returncode == 1
    assert "could not be verified without --keyring" in unverified.stderr
    assert tamis("order", "check", "--keyring", keyring, path).returncode == 1

    assert tamis("order", "sign", "--key", tmp_path / "alice.key", path).returncode == 0
    one = tamis("order", "check", "--keyring", keyring, path)
    assert one.returncode == 1
    assert "needs 2 valid signatures by different keys and has 1" in one.stderr

    assert tamis("order", "sign", "--key", tmp_path / "bob.key", path).returncode == 0
    two = tamis("order", "check", "--keyring", keyring, path)
    assert (two.returncode, two.stderr) == (0, "")
    assert "signed     2 valid of 2 signatures" in two.stdout
    text = path.read_text()
    assert "signatures: # two, please\n" in text
    assert "subtrees: [s.example] # all of it\n" in text

    path.write_text(text.replace("s.example", "t.example"))
    changed = tamis("order", "check", "--keyring", keyring, path)
    assert changed.returncode == 1
    assert "the signature by 'alice' does not match" in changed.stderr

    # Signing again replaces the value and nothing else.
    assert tamis("order", "sign", "--key", tmp_path / "alice.key", path).returncode == 0
    assert tamis("order", "sign", "--key", tmp_path / "bob.key", path).returncode == 0
    assert tamis("order", "check", "--keyring", keyring, path).returncode == 0
    assert path.read_text().count("key: ") == 2


def test_the_canonical_form_does_not_depend_on_how_the_order_is_written(order):
    first = tamis("order", "check", "--canonical", order()).stdout
    shuffled = "".join(reversed(ORDER.splitlines(keepends=True)))
    second = tamis(
        "order", "check", "--canonical", order(shuffled, "A.example.\n#\nB.a.example\n")
    ).stdout
    assert first.startswith("tamis-order 1\nid: nv-2014-00987\n")
    assert first == second


@pytest.mark.parametrize("action", ["sinkhole", "nxdomain", "nodata", "refuse", "observe"])
def test_bind_takes_the_policy_zone_of_every_action(order, tmp_path, action):
    path = order(
        ORDER.replace("action: sinkhole", f"action: {action}") + "exempt: [free.example]\n",
        "a.example\n_srv.b.example\nm\u00fcnchen.example\n\\000\\034\\059.c.example\n"
        "24.0.2.0.192.rpz-ip\n1.example\nin.example\nfree.example\n*\n",
    )
    run = tamis("order", "compile", "--serial", 7, path)
    assert run.returncode == 1, "the wildcard and the rpz- label are left out, which is told"
    assert "1 names have no trigger" in run.stderr
    zone = tmp_path / "zone"
    zone.write_text(run.stdout)
    check = subprocess.run(
        ["/usr/bin/named-checkzone", "-k", "fail", "nv-2014-00987.rpz.invalid", zone],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert check.returncode == 0, check.stdout
    assert "loaded serial 7" in check.stdout
    assert ("192.0.2.66" in run.stdout) == (action == "sinkhole")


def test_compile_needs_two_signatures_for_subtrees(order):
    run = tamis("order", "compile", order(ORDER + "subtrees: [s.example]\n"))
    assert run.returncode == 1
    assert run.stdout == ""
    assert "cannot be verified without a keyring" in run.stderr


def test_an_order_comes_through_a_pipe(order):
    text = ORDER.replace("names-file: names.txt", "names: [a.example]")
    run = tamis("order", "check", "/dev/stdin", stdin=text)
    assert run.returncode == 0


def test_wrong_use_exits_2_and_says_what_was_meant(order):
    for arguments, said in [
        (["ordr", "check"], "did you mean 'tamis order check'?"),
        (["order", "chekc"], "did you mean 'tamis order check'?"),
        (["order"], "order compile"),
        ([], "Usage: tamis"),
        (["order", "check"], "give one order file"),
        (["order", "check", "--stict", "x"], "no option '--stict'"),
        (["order", "check", "--keyring"], "needs an argument"),
        (["order", "check", "--signatures", "many", "x"], "expects a number"),
        (["order", "compile", "--serial", "-1", "x"], "--serial expects a number"),
        (["order", "sign", "x"], "--key FILE"),
        (["key", "generate"], "give one name"),
    ]:
        run = tamis(*arguments)
        assert run.returncode == 2, arguments
        assert said in run.stderr, arguments


def test_help_and_version():
    assert tamis("--version").stdout.startswith("tamis ")
    listing = tamis("--help")
    assert listing.returncode == 0
    for command in ("order check", "order compile", "order sign", "key generate"):
        assert command in listing.stdout
        text = tamis(*command.split(), "--help")
        assert text.returncode == 0
        assert "Example: tamis " + command in text.stdout


def test_a_full_disk_is_no_success(order):
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [TAMIS, "order", "compile", order()], stdout=full, timeout=60, check=False
        )
    assert run.returncode == 1
