"""`tamis order draft` to `exempt`: an order's life from the command line."""

import json
import os
import subprocess

from testbed import orders
from testbed.desk import PASSWORD
from testbed.desk_orders import OrderDesk
from testbed.process import LOOPBACK
from testbed.servers import tamis_program


class Shell:
    """Somebody who has signed in from a home of their own."""

    def __init__(self, desk, home, role):
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
        os.makedirs(home)
        self.run("account", "login", "--desk", "http://%s:%d" % (LOOPBACK, desk.port),
                 desk.add_account(role), lines=PASSWORD + "\n")

    def run(self, *words, lines="", status=0):
        result = subprocess.run([tamis_program("tamis"), *words], env=self.environment, check=False,
                                input=lines, capture_output=True, text=True)
        assert result.returncode == status, result.stderr
        return result.stdout if status == 0 else result.stderr

    def json(self, *words):
        return json.loads(self.run("order", *words, "--json"))


def test_an_order_from_its_file_to_its_lift(farm, desk_sqlite, tmp_path):
    made = OrderDesk(farm, desk_sqlite)
    analyst = Shell(made.desk, tmp_path / "analyst", "analyst")
    approver = Shell(made.desk, tmp_path / "approver", "approver")
    # With a names-file: the desk gets one document.
    path = orders.write_order(farm.directory, "t-1", names_text="h1.a.example\nh2.a.example # comment\n")

    shown = analyst.run("order", "draft", "--contact", "abuse@provider.example", path)
    assert "rehearsed" in shown and "live names" in shown
    assert made.get("t-1")["names"] == 2
    assert "already" in analyst.run("order", "draft", path, status=1)
    assert "give notice first" in approver.run("order", "approve", "t-1", status=1)
    assert analyst.json("notify", "t-1")["state"] == "notified"
    assert "role" in analyst.run("order", "approve", "t-1", status=1)
    assert approver.json("approve", "t-1")["state"] == "approved"
    analyst.run("order", "activate", "t-1")
    made.wait_for_block("h1.a.example")
    assert [one["state"] for one in analyst.json("servers", "t-1")] == ["current"]
    assert "current" in analyst.run("order", "servers", "t-1")
    assert [one["order"] for one in analyst.json("list", "--state", "active")] == ["t-1"]
    assert "court" in analyst.run("order", "list")

    analyst.run("order", "amend", "t-1", "--reason", "A mistake.", "--exempt", "h1.a.example")
    made.wait_for("h1.a.example", "198.51.100.1")
    assert analyst.json("exempt", "h2.a.example", "--reason", "An appeal.") == {
        "name": "h2.a.example", "orders": 1}
    made.wait_for("h2.a.example", "198.51.100.2")
    analyst.run("order", "lift", "t-1", status=2)
    analyst.run("order", "lift", "t-1", "--reason", "It is over.")
    shown = analyst.run("order", "show", "t-1")
    assert "It is over." in shown and "order.lifted" in shown
    assert analyst.run("order", "show", "nothing", status=1)
