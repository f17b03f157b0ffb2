"""`tamis overlap`: both sides of a held order talk, and the hold ends, from the command line."""

import json
import os
import subprocess

import pytest

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
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout if status == 0 else result.stderr

    def overlap(self, *words, status=0):
        return self.run("overlap", *words, status=status)

    def json(self, *words):
        return json.loads(self.overlap(*words, "--json"))


@pytest.fixture
def held(farm, desk_sqlite, tmp_path):
    """An order that a partner's interest holds: who takes part, the desk and the overlap's id."""
    made = OrderDesk(farm, desk_sqlite, edges=1)
    people = {role: Shell(made.desk, tmp_path / role, role)
              for role in ("partner", "analyst", "approver", "auditor")}
    people["partner"].run("interest", "place", "h1.a.example")
    path = orders.write_order(farm.directory, "t-1", names_text="h1.a.example\nh2.a.example\n")
    people["analyst"].run("order", "draft", path)
    (found,) = people["partner"].json("list")
    return people, made, found["id"]


def test_both_sides_talk_and_an_approver_ends_the_hold(held, tmp_path):
    people, made, overlap = held
    assert overlap in people["analyst"].overlap("list", "--held")
    assert "h1.a.example" in people["auditor"].overlap("show", overlap)
    text = tmp_path / "message"
    text.write_text("We watch it.\nCan it wait?\n", encoding="utf-8")
    assert "partner" in people["partner"].overlap("say", overlap, "--file", str(text))
    assert people["analyst"].json("say", overlap, "Until Monday.")["side"] == "desk"
    shown = people["partner"].overlap("show", overlap)
    assert "    We watch it.\n    Can it wait?\n" in shown and "    Until Monday.\n" in shown
    assert [message["side"] for message in people["analyst"].json("show", overlap)["messages"]] == [
        "partner", "desk"]

    assert "role" in people["analyst"].overlap("override", overlap, "--reason", "agreed", status=1)
    assert "reason" in people["approver"].overlap("override", overlap, status=2)
    assert "overridden" in people["approver"].overlap("override", overlap, "--reason", "imminent-harm",
                                                      "--detail", "patients' data")
    assert "patients" in made.desk.sql("SELECT detail FROM audit WHERE action = 'overlap.override'")
    assert people["approver"].json("list", "--held") == []
    assert [item["state"] for item in people["approver"].json("list")] == ["overridden"]


def test_a_partner_releases_and_what_is_wrong_is_told(held):
    people, _, overlap = held
    assert "role" in people["auditor"].overlap("say", overlap, "Hello.", status=1)
    assert "give the id" in people["partner"].overlap("say", overlap, status=2)
    assert "no such overlap" in people["partner"].overlap("show", "ovl_" + "0" * 20, status=1)
    assert people["partner"].json("override", overlap, "--reason", "agreed")["state"] == "released"
    assert "holds nothing" in people["approver"].overlap("override", overlap, "--reason", "agreed", status=1)
