"""`tamis interest`: names are blinded on the partner's machine and known there alone."""

import hashlib
import json
import os
import subprocess

import pytest

from testbed import oprf
from testbed.process import LOOPBACK
from testbed.servers import tamis_program


class Partner:
    """Somebody with an API token and a home of its own."""

    def __init__(self, desk, folder):
        self.desk, self.folder = desk, str(folder)
        os.makedirs(self.folder, exist_ok=True)
        desk.add_account("partner")
        secret = "tms_" + "x" * 43
        digest = hashlib.blake2b(secret.encode(), digest_size=32, person=b"token").hexdigest()
        desk.sql("INSERT INTO api_tokens (id, account, hash, scopes, label, created_at) SELECT "
                 "'tok_00000000000000000001', id, X'%s', 'interests', 'test', 0 FROM accounts" % digest)
        self.environment = dict(os.environ, XDG_CONFIG_HOME=self.folder, TAMIS_DESK_TOKEN=secret,
                                TAMIS_DESK="http://%s:%d" % (LOOPBACK, desk.port))

    def run(self, *words):
        return subprocess.run([tamis_program("tamis"), "interest", *words], env=self.environment,
                              capture_output=True, text=True, timeout=60)

    def json(self, *words):
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def partner(desk_sqlite, tmp_path):
    return Partner(desk_sqlite.start(), tmp_path / "home")


def tokens_of(desk, interest):
    return set(desk.sql("SELECT hex(token) FROM interest_tokens WHERE interest = '%s'" % interest)
               .lower().split())


def expected(desk, *names):
    with open(os.path.join(desk.directory, "state", "interest.key"), encoding="ascii") as file:
        key = oprf.derive_key(bytes.fromhex(file.read().strip()))
    return {oprf.token(relation, oprf.output(key, name.encode())).hex() for relation, name in names}


def test_a_name_is_placed_with_those_above_it(partner):
    placed = partner.json("place", "C2.Evil.Dyn.example.", "*.evil.example", "--reference", "case 17")
    assert [item["interest"] for item in placed] == ["c2.evil.dyn.example", "*.evil.example"]
    assert tokens_of(partner.desk, placed[0]["id"]) == expected(
        partner.desk, ("name", "c2.evil.dyn.example"), ("below", "evil.dyn.example"), ("below", "dyn.example"))
    assert tokens_of(partner.desk, placed[1]["id"]) == expected(partner.desk, ("tree", "evil.example"))
    assert partner.desk.sql("SELECT DISTINCT reference FROM interests").strip() == "case 17"


def test_the_names_are_shown_where_they_were_placed_and_nowhere_else(partner, tmp_path):
    placed = partner.json("place", "a.example", "--days", "3")
    record = os.path.join(partner.folder, "tamis", "interests.json")
    assert os.stat(record).st_mode & 0o777 == 0o600
    assert "a.example" in partner.run("list").stdout
    assert partner.json("list")[0]["interest"] == "a.example"
    partner.environment["XDG_CONFIG_HOME"] = str(tmp_path / "elsewhere")
    assert "interest" not in partner.json("list")[0]
    partner.environment["XDG_CONFIG_HOME"] = partner.folder
    assert partner.run("withdraw", placed[0]["id"]).returncode == 0
    assert partner.json("list") == []
    with open(record, encoding="utf-8") as file:
        assert json.load(file) == {}
    done = partner.run("withdraw", placed[0]["id"])
    assert done.returncode == 1 and "no such interest" in done.stderr


def test_a_list_of_hundreds_is_placed_in_batches(partner, tmp_path):
    names = tmp_path / "names"
    names.write_text("# ours\n" + "".join("h%d.evil.example # %d\n" % (i, i) for i in range(210)))
    placed = partner.json("place", "--file", str(names))
    assert len(placed) == 210
    assert tokens_of(partner.desk, placed[209]["id"]) == expected(
        partner.desk, ("name", "h209.evil.example"), ("below", "evil.example"))


@pytest.mark.parametrize("words, text", [
    (("place",), "give a name"), (("place", "example"), "too broad"), (("place", "*.com"), "too broad"),
    (("place", "b\u00fccher.example"), "xn--"), (("place", "a.example", "--days", "0"), "no number of days"),
    (("withdraw",), "give the id"), (("list", "x"), "takes no words"), (("place", "--nope"), "no option")])
def test_wrong_use_is_told_before_anything_is_sent(tmp_path, words, text):
    done = subprocess.run([tamis_program("tamis"), "interest", *words], capture_output=True, text=True,
                          env=dict(os.environ, XDG_CONFIG_HOME=str(tmp_path)), timeout=60)
    assert done.returncode in (1, 2) and text in done.stderr, done.stderr
