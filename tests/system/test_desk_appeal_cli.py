"""`tamis appeal` and `tamis report figures`, as people use them."""

import json
import os
import stat
import subprocess

from testbed.desk import PASSWORD
from testbed.desk_hosts import ZONE  # noqa: F401
from testbed.process import LOOPBACK
from testbed.servers import tamis_program

NAME = "home.dyn.example"


class Shell:
    """Somebody with a home of their own, who has signed in when `email` is given."""

    def __init__(self, desk, home, email=None):
        self.home = str(home)
        os.makedirs(self.home)
        self.environment = {"HOME": self.home, "PATH": os.environ["PATH"],
                            "TAMIS_DESK": "http://%s:%d" % (LOOPBACK, desk.port)}
        if email:
            self.run("account", "login", "--desk", self.environment["TAMIS_DESK"], email,
                     lines=PASSWORD + "\n")

    def file(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run(self, *words, lines="", status=0):
        result = subprocess.run([tamis_program("tamis"), *words], env=self.environment, check=False,
                                input=lines, capture_output=True, text=True, cwd=self.home)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout if status == 0 else result.stderr


def test_an_appeal_from_its_statement_to_its_decision(hosts_sqlite, tmp_path):
    hosts = hosts_sqlite.start()
    desk = hosts.desk
    ann = hosts.customer()
    hosts.host(ann, NAME)
    key = hosts.key(ann, NAME)
    desk.stop()
    desk.sql("INSERT INTO blocks (name, reason, since) VALUES ('%s', 'spam', 1700000000)" % NAME)
    desk.start()
    analyst = Shell(desk, tmp_path / "analyst", desk.add_account("analyst"))
    stranger = Shell(desk, tmp_path / "stranger")
    why = stranger.file("why.txt", "It was my neighbour.\nReally.\n")

    assert "--statement" in stranger.run("appeal", "submit", NAME, status=1)
    shown = stranger.run("appeal", "submit", "--statement", why, "--output", "kept.json", NAME)
    kept = os.path.join(stranger.home, "kept.json")
    assert "_tamis-appeal." + NAME in shown
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
    with open(kept, encoding="utf-8") as file:
        appeal, token = (lambda answer: (answer["id"], answer["token"]))(json.load(file))
    assert token not in shown
    assert "no such appeal" in stranger.run("appeal", "show", appeal, status=1)
    assert "unproven" in stranger.run("appeal", "show", "kept.json")
    wrong = stranger.file("wrong", "tmh_" + "A" * 43)
    assert "does not prove" in stranger.run("appeal", "prove", "--host-key", wrong, "kept.json", status=1)
    stranger.run("appeal", "prove", "--host-key", stranger.file("key", key + "\n"), "kept.json")

    assert appeal in analyst.run("appeal", "list", "--mine")
    mine, = json.loads(analyst.run("appeal", "list", "--name", NAME, "--json"))
    assert mine["statement"] == "It was my neighbour.\nReally."
    said = analyst.file("said.txt", "You are right.\n")
    assert "one of them" in analyst.run("appeal", "decide", "--reason", "x", "--explanation", said, appeal,
                                        status=1)
    assert "granted" in analyst.run("appeal", "decide", "--grant", "--reason", "false-positive",
                                    "--explanation", said, appeal)
    assert "You are right." in stranger.run("appeal", "show", "kept.json")
    assert analyst.run("appeal", "list", "--mine", "--json").strip() == "[]"
    assert json.loads(analyst.run("report", "figures", "--by", "appeals", "--json"))["figures"]["block"][
        "granted"] == 1
    assert "RECEIVED" in analyst.run("report", "figures")
    assert "no figures of that month" in stranger.run("report", "figures", "--month", "2020-01", status=1)
