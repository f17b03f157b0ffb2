"""The desk's public ledger: what is queued gets its place once and in order, whatever happens, and
everybody can check it."""

import json
import os
import shutil
import subprocess
import threading

import pytest

from testbed import tlog
from testbed.process import LOOPBACK
from testbed.servers import tamis_program

ORIGIN = "desk.example/ledger"


@pytest.fixture
def ledger(desk_unstarted):
    """A desk whose ledger has a key that the test knows."""
    return Ledger(desk_unstarted)


class Ledger:
    def __init__(self, desk, witnesses=()):
        self.desk = desk
        made = subprocess.run(
            [tamis_program("tamis"), "ledger", "key", "--json", "--output",
             os.path.join(desk.directory, "ledger.key"), ORIGIN],
            check=True, capture_output=True, text=True)
        self.verifier = json.loads(made.stdout)["verifier"]
        desk.write_config({"ledger": {"origin": ORIGIN, "key-file": "ledger.key", "interval": 20,
                                      "witnesses": [key.verifier() for key in witnesses]}})
        self.folder = os.path.join(desk.directory, "state", "ledger")
        self.queued = []

    def id_of(self, number):
        digits = "0123456789abcdefghjkmnpqrstvwxyz"
        text = ""
        for _ in range(20):
            text = digits[number % 32] + text
            number //= 32
        return "led_" + text

    def queue(self, count):
        """Queues entries by SQL, as a part does within its transaction."""
        rows = []
        for number in range(len(self.queued), len(self.queued) + count):
            self.queued.append(self.id_of(number))
            rows.append("('%s', %d, 'report.decided', 'rep_%s', '{\"names\":%d,\"reason\":\"phish\"}', 0)" % (
                self.queued[-1], 1700000000000 + number, self.queued[-1][4:], number))
        for first in range(0, len(rows), 500):
            self.desk.sql("INSERT INTO ledger_queue (id, at, kind, subject, content, taken) VALUES "
                          + ", ".join(rows[first:first + 500]))

    def read(self, path):
        with open(os.path.join(self.folder, path), "rb") as file:
            return file.read()

    def size(self):
        return int(self.read("checkpoint").split(b"\n")[1])

    def wait(self):
        self.desk.process.wait_until(lambda: self.size() >= len(self.queued), "entries in the tree")

    def entries(self):
        """All entries, verified by another program than the one that wrote them."""
        return [json.loads(entry) for entry in tlog.verify(self.read, self.verifier)]

    def check(self):
        entries = self.entries()
        assert [entry["id"] for entry in entries] == self.queued
        places = "SELECT id FROM ledger_entries ORDER BY place"
        self.desk.process.wait_until(lambda: self.desk.sql(places).split() == self.queued, "index")
        return entries


def test_what_is_queued_gets_its_place_in_order(ledger):
    ledger.desk.start()
    for count in (1, 3, 600, 255):
        ledger.queue(count)
        ledger.wait()
    entries = ledger.check()
    raw = tlog.verify(ledger.read, ledger.verifier)
    for number, entry in enumerate(entries):
        assert entry == {"v": 1, "id": ledger.id_of(number), "kind": "report.decided",
                         "time": entry["time"], "object": "rep_" + ledger.id_of(number)[4:],
                         "data": {"names": number, "reason": "phish"}}
        assert raw[number] == json.dumps(entry, sort_keys=True, separators=(",", ":"),
                                         ensure_ascii=False).encode()
    assert entries[0]["time"] == "2023-11-14T22:13:20Z"


def test_an_entry_comes_with_a_proof(ledger):
    ledger.desk.start()
    client = ledger.desk.client()
    ledger.queue(700)
    ledger.wait()
    ledger.check()
    for number in (0, 255, 256, 699):
        reply = client.get("/ledger/entries/" + ledger.queued[number])
        assert reply.status == 200
        proof = reply.json
        assert client.get("/ledger/entries/%d" % number).json == proof
        assert proof["index"] == number and proof["entry"] == json.loads(proof["octets"])
        _, size, root = proof["checkpoint"].split("\n")[:3]
        assert tlog.hash_entry(proof["octets"].encode()).hex() == proof["hash"]
        assert follow(proof, int(size)) == tlog.base64.b64decode(root)
    for name in ("700", ledger.id_of(700), "led_nothing", "-1", "1" * 30):
        assert client.get("/ledger/entries/" + name).status == 404


def follow(proof, size):
    """The root that an inclusion proof leads to: RFC 9162, 2.1.3.2."""
    place, last, at = proof["index"], size - 1, bytes.fromhex(proof["hash"])
    for other in map(bytes.fromhex, proof["proof"]):
        assert last > 0
        if place % 2 or place == last:
            at = tlog.hash_children(other, at)
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            at = tlog.hash_children(at, other)
        place, last = place // 2, last // 2
    assert last == 0
    return at


def test_a_kill_at_any_moment_loses_doubles_and_reorders_nothing(ledger):
    ledger.desk.start()
    for _ in range(6):
        ledger.queue(400)
        before = ledger.size()
        # Killed while it takes them: some are in the tree, some of these in the index.
        ledger.desk.process.wait_until(lambda: ledger.size() > before, "first batch")
        ledger.desk.kill()
        ledger.desk.start()
    ledger.wait()
    ledger.check()


def test_what_the_tree_has_already_is_only_recorded(ledger):
    ledger.desk.start()
    ledger.queue(600)
    ledger.wait()
    ledger.check()
    checkpoint = ledger.read("checkpoint")
    ledger.desk.kill()
    # As after a kill between the append and its record.
    ledger.desk.sql("DELETE FROM ledger_entries WHERE place >= 300; UPDATE ledger_queue SET taken = 0 "
                    "WHERE id >= '%s'" % ledger.queued[300])
    ledger.desk.start()
    ledger.check()
    assert ledger.read("checkpoint") == checkpoint


def test_an_older_copy_of_the_folder_gets_the_same_entries_again(ledger):
    ledger.desk.start()
    ledger.queue(300)
    ledger.wait()
    ledger.check()
    copy = ledger.folder + ".copy"
    ledger.desk.stop()
    shutil.copytree(ledger.folder, copy)
    ledger.desk.start()
    ledger.queue(700)
    ledger.wait()
    ledger.check()
    checkpoint = ledger.read("checkpoint")
    ledger.desk.stop()
    shutil.rmtree(ledger.folder)
    os.rename(copy, ledger.folder)
    ledger.desk.start()
    ledger.check()
    assert ledger.read("checkpoint") == checkpoint
    assert "there again" in ledger.desk.process.log()


def test_a_ledger_of_another_database_is_refused(ledger):
    ledger.desk.start()
    ledger.queue(3)
    ledger.wait()
    ledger.check()
    ledger.desk.stop()
    ledger.desk.sql("UPDATE ledger_entries SET id = 'led_00000000000000000zzz' WHERE place = 2")
    result = ledger.desk.run(check=False)
    assert result.returncode == 1 and "do not belong together" in result.stderr


def test_a_disk_that_fails_stops_the_ledger_and_not_the_desk(ledger):
    ledger.desk.start()
    client = ledger.desk.client()
    assert client.get("/healthz").json == {"status": "ok", "queued": 0, "alarms": []}
    tiles = os.path.join(ledger.folder, "tile")
    # No folder can be made where a file is: as good as a disk without room.
    with open(tiles, "w", encoding="ascii"):
        pass
    ledger.queue(5)
    ledger.desk.process.wait_until(lambda: client.get("/healthz").json["status"] == "degraded", "alarm")
    assert "ledger" in client.get("/healthz").json["alarms"][0]
    assert "tamis_desk_ledger_failing 1" in client.get("/metrics").text
    assert client.get("/ledger/entries/" + ledger.queued[0]).status == 202
    assert client.get("/ledger/checkpoint").status == 200
    os.remove(tiles)
    ledger.desk.process.wait_until(lambda: client.get("/healthz").json["status"] == "ok", "recovery")
    ledger.wait()
    ledger.check()
    assert ledger.desk.process.log().count("takes no entries") == 1


def test_tiles_are_kept_by_caches_and_checkpoints_are_not(ledger):
    ledger.desk.start()
    client = ledger.desk.client()
    ledger.queue(300)
    ledger.wait()
    reply = client.get("/ledger/checkpoint")
    assert reply.body == ledger.read("checkpoint") and reply.header("cache-control") == "no-cache"
    for path in ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000",
                 "tile/entries/001.p/44"):
        # OpenAPI has no parameter for the rest of a path.
        reply = client.get("/ledger/" + path, check=False)
        assert reply.status == 200 and reply.body == ledger.read(path)
        assert "immutable" in reply.header("cache-control")
    with open(os.path.join(ledger.folder, "tile/0/001"), "wb") as file:
        file.write(b"what the checkpoint does not count")
    for path in ("0/001", "0/002", "0/000.p/0", "0/000.p/256", "0/00", "0/0000", "0/x000/000", "8/000",
                 "9/000", "entries/001", "entries/002.p/1", "0/001.p/044", "x/000", "0/x999/x999/x999/x999/x999/x999/999",
                 "0/..%2f..%2fcheckpoint", "../checkpoint", "0/000.p/", "0/"):
        reply = client.get("/ledger/tile/" + path, check=False)
        assert reply.status in (400, 404), path


def test_anybody_can_verify_it_over_http(ledger):
    ledger.desk.start()
    ledger.queue(900)
    ledger.wait()
    url = "http://%s:%d/ledger" % (LOOPBACK, ledger.desk.port)
    state = os.path.join(ledger.desk.directory, "seen")
    command = [tamis_program("tamis"), "ledger", "verify", "--key", ledger.verifier, "--state", state,
               "--json", url]
    for size in (900, 1000):
        result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert result["entries"] == size and result["consistent-with-state"] == (size == 1000)
        if size == 900:
            ledger.queue(100)
            ledger.wait()


def test_entries_are_listed_and_shown_from_url_and_folder(desk_sqlite):
    ledger = Ledger(desk_sqlite)
    ledger.desk.start()
    ledger.queue(300)
    ledger.wait()
    ledger.check()

    def run(command, place, *words):
        done = subprocess.run([tamis_program("tamis"), "ledger", command, "--key", ledger.verifier, "--json", place,
                               *words], capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0) == (done.stderr == "")
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    for place in (ledger.folder, "http://%s:%d/ledger" % (LOOPBACK, ledger.desk.port)):
        assert [item["index"] for item in run("list", place, "--limit", "3")] == [297, 298, 299]
        assert len(run("list", place)) == 50
        assert run("list", place, "--kind", "order.lifted") == []
        found = run("list", place, "--object", "rep_" + ledger.queued[7][4:], "--kind", "report.decided")
        assert [item["entry"]["id"] for item in found] == [ledger.queued[7]]
        assert run("show", place, ledger.queued[7]) == run("show", place, "7") == found[0]
        assert "no" in run("show", place, ledger.id_of(300)) and "300 entries" in run("show", place, "300")
    with open(os.path.join(ledger.folder, "tile/entries/000"), "r+b") as file:
        file.seek(100)
        file.write(b"#")
    assert "is not the one" in run("list", ledger.folder)


def test_witnesses_cosign_the_checkpoint(desk_sqlite):
    one, other, unknown = (tlog.Key(name + ".example", tlog.COSIGNATURE)
                           for name in ("one", "other", "unknown"))
    ledger = Ledger(desk_sqlite, [one, other])
    ledger.desk.start()
    client = ledger.desk.client()
    ledger.queue(2)
    ledger.wait()

    def cosign(keys, text=None):
        text = text or client.get("/ledger/checkpoint").text.rsplit("\n\n", 1)[0] + "\n"
        body = text + "\n" + "".join(key.line(text, 1700000000) for key in keys)
        return client.post("/ledger/cosignatures", body=body.encode(), headers={"Content-Type": "text/plain"})

    old = client.get("/ledger/checkpoint").text.rsplit("\n\n", 1)[0] + "\n"
    assert cosign([one, unknown]).json == {"added": 1}
    assert cosign([one]).json == {"added": 0}
    assert cosign([other]).json == {"added": 1}
    tlog.verify(ledger.read, ledger.verifier, [one.verifier(), other.verifier()])
    assert "unknown" not in client.get("/ledger/checkpoint").text
    ledger.queue(1)
    ledger.wait()
    assert cosign([one], old).status == 409
    liar = tlog.Key("one.example", tlog.COSIGNATURE)
    liar.public = one.public
    assert cosign([liar]).status == 422
    ledger.desk.stop()
    ledger.desk.start()
    assert cosign([one]).json == {"added": 1}


def test_a_sealed_entry_opens_when_its_time_has_come(ledger):
    ledger.desk.start()
    ledger.desk.stop()
    opening = '{"data":{"names":1},"kind":"order.activated","object":"ord_1","salt":"%s"}' % ("5a" * 32)
    ledger.desk.sql("INSERT INTO ledger_sealed VALUES ('%s', 'order.activated', 'ord_1', '%s', 1000)"
                    % (ledger.id_of(7), opening))
    ledger.desk.sql("INSERT INTO ledger_sealed VALUES ('%s', 'order.activated', 'ord_1', '%s', 99999999999)"
                    % (ledger.id_of(8), opening))
    # The job looked a moment ago: let it look again.
    ledger.desk.sql("DELETE FROM jobs")
    ledger.desk.start()
    ledger.desk.process.wait_until(lambda: ledger.size() == 1, "opened entry")
    entry = ledger.entries()[0]
    assert entry["kind"] == "opened" and entry["object"] == "ord_1"
    assert entry["data"] == {"sealed": ledger.id_of(7), "opening": json.loads(opening)}
    assert ledger.desk.sql("SELECT id FROM ledger_sealed").split() == [ledger.id_of(8)]


def test_a_key_is_made_once_and_never_for_a_ledger_that_is_there(desk_sqlite):
    desk_sqlite.start()
    key = os.path.join(desk_sqlite.directory, "state", "ledger.key")
    assert os.stat(key).st_mode & 0o777 == 0o600
    desk_sqlite.stop()
    desk_sqlite.start()
    desk_sqlite.stop()
    os.remove(key)
    result = desk_sqlite.run(check=False)
    assert result.returncode == 1 and "restore it" in result.stderr and not os.path.exists(key)


def test_wrong_configurations_are_told(desk_sqlite):
    for section, text in (({"origin": "a b"}, "cannot name a ledger"),
                          ({"key-file": "nowhere"}, "cannot be read"),
                          ({"witnesses": ["nonsense"]}, "verifier key"),
                          ({"witnesses": [tlog.Key("log.example").verifier()]}, "key of a log"),
                          ({"interval": 1}, "out of bounds")):
        desk_sqlite.config["ledger"] = section
        result = desk_sqlite.run("--check", check=False)
        assert result.returncode == 1 and text in result.stderr, result.stderr


def test_many_who_ask_at_once_see_whole_checkpoints(desk_sqlite):
    ledger = Ledger(desk_sqlite)
    ledger.desk.start()
    ledger.desk.description()
    ended, wrong = threading.Event(), []

    def ask():
        while not ended.is_set():
            note = ledger.desk.client().get("/ledger/checkpoint").body
            if not note.startswith(ORIGIN.encode() + b"\n") or not note.endswith(b"=\n"):
                wrong.append(note)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        ledger.queue(20)
        ledger.wait()
    ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
