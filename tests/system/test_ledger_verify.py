"""`tamis ledger verify` and logs that another program wrote, from a folder and over HTTP."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading

import pytest

from testbed import tlog
from testbed.servers import tamis_program

ORIGIN = "desk.example/ledger"


@pytest.fixture(scope="module")
def key():
    return tlog.Key(ORIGIN)


def entries_of(count):
    return [b"" if i % 29 == 7 else b'{"id": %d}' % i for i in range(count)]


def run(*arguments):
    return subprocess.run([tamis_program("tamis"), "ledger", *arguments], capture_output=True,
                          text=True, timeout=120)


def verify(place, key, *more):
    done = run("verify", "--key", key.verifier(), "--json", *more, place)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 1000, 65536, 66000])
def test_logs_of_any_size_are_verified(tmp_path, key, count):
    entries = entries_of(count)
    tlog.write_log(tmp_path, key, entries)
    code, result = verify(str(tmp_path), key)
    assert code == 0, result
    assert result["entries"] == count
    assert bytes.fromhex(result["root"]) == tlog.root_of([tlog.hash_entry(e) for e in entries])
    for index in {0, count // 2, count - 1} if count else ():
        code, result = verify(str(tmp_path), key, "--entry", str(index))
        assert code == 0, result
        assert result["entry"] == (json.loads(entries[index]) if entries[index] else "")


def test_a_log_is_verified_over_http(tmp_path, key):
    folder = tmp_path / "ledger"
    tlog.write_log(folder, key, entries_of(600))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = "http://127.0.0.1:%d/ledger" % server.server_address[1]
        assert verify(url, key)[0] == 0
        assert verify(url + "/", key, "--entry", "599")[1]["entry"] == {"id": 599}
        os.remove(folder / "tile/entries/001")
        code, error = verify(url, key)
        assert code == 1 and "tile/entries/001" in error and "404" in error
        server.shutdown()
    assert verify(url, key)[0] == 1


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/entries/002.p/88", "tile/0/000",
                                  "tile/0/002.p/88", "checkpoint"])
def test_a_changed_octet_is_named(tmp_path, key, path):
    tlog.write_log(tmp_path, key, entries_of(600))
    octets = bytearray((tmp_path / path).read_bytes())
    octets[len(octets) // 3] ^= 4
    (tmp_path / path).write_bytes(octets)
    done = run("verify", "--key", key.verifier(), str(tmp_path))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("tamis: ")


def test_a_rewritten_log_is_found_by_the_state_file(tmp_path, key):
    log, state = tmp_path / "log", str(tmp_path / "seen")
    entries = entries_of(500)
    tlog.write_log(log, key, entries[:300])
    assert verify(str(log), key, "--state", state)[1]["consistent-with-state"] is False
    tlog.write_log(log, key, entries)
    assert verify(str(log), key, "--state", state, "--quick")[1]["consistent-with-state"] is True

    shutil.rmtree(log)
    tlog.write_log(log, key, [b"a lie"] + entries[1:] + entries)
    kept = open(state, "rb").read()
    for more in ([], ["--quick"]):
        code, error = verify(str(log), key, "--state", state, *more)
        assert code == 1 and "rewritten" in error
    shutil.rmtree(log)
    tlog.write_log(log, key, entries[:400])
    assert "shrunk" in verify(str(log), key, "--state", state)[1]
    assert open(state, "rb").read() == kept


def test_witnesses_are_counted_and_a_false_one_is_refused(tmp_path, key):
    one = tlog.Key("witness.example", tlog.COSIGNATURE)
    other = tlog.Key("other.example", tlog.COSIGNATURE)
    liar = tlog.Key("other.example", tlog.COSIGNATURE)
    tlog.write_log(tmp_path, key, entries_of(9), [one])
    arguments = ["--witness", one.verifier(), "--witness", other.verifier()]
    assert verify(str(tmp_path), key, *arguments, "--witnesses-min", "1")[1]["witnesses"] == 1
    code, error = verify(str(tmp_path), key, *arguments, "--witnesses-min", "2")
    assert code == 1 and "1 of the witnesses" in error

    # A line that carries the other's key id, but was not made with its key.
    note = (tmp_path / "checkpoint").read_text()
    liar.public = other.public
    text = note.rsplit("\n\n", 1)[0] + "\n"
    (tmp_path / "checkpoint").write_text(note + liar.line(text, 1700000000))
    code, error = verify(str(tmp_path), key, *arguments)
    assert code == 1 and "other.example" in error


def test_another_logs_key_is_refused(tmp_path, key):
    tlog.write_log(tmp_path, key, entries_of(9))
    assert "not signed" in verify(str(tmp_path), tlog.Key(ORIGIN))[1]
    assert "this is the log" in verify(str(tmp_path), tlog.Key("other.example"))[1]


def test_keys_are_made_for_logs_and_witnesses(tmp_path):
    for more, kind in (([], tlog.ED25519), (["--witness"], tlog.COSIGNATURE)):
        path = str(tmp_path / ("key%d" % kind))
        done = run("key", *more, "--output", path, "--json", ORIGIN)
        assert done.returncode == 0, done.stderr
        assert os.stat(path).st_mode & 0o777 == 0o600
        secret = open(path).read().strip().split("+", 4)[4]
        octets = tlog.base64.b64decode(secret)
        assert octets[0] == kind
        made = tlog.Key(ORIGIN, kind, octets[1:])
        assert made.verifier() == json.loads(done.stdout)["verifier"]
        again = run("key", *more, "--output", path, ORIGIN)
        assert again.returncode == 1 and "exists already" in again.stderr


def test_wrong_use_is_told(tmp_path, key):
    for arguments, text in (((), "give one URL or folder"),
                            ((str(tmp_path),), "--key"),
                            (("--key", "nonsense", str(tmp_path)), "verifier key"),
                            (("--key", key.verifier(), "--entry", "-1", "x"), "no index"),
                            (("--key", key.verifier(), "--witnesses-min", "1", "x"), "0 given")):
        done = run("verify", *arguments)
        assert done.returncode == 2 and text in done.stderr
