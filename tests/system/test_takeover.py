"""tamis takeover: the cut-over by its protocol, with a real parent, real origins and a front of ours."""

import json
import os
import socket
import subprocess
import sys
import threading

import pytest
import yaml

from testbed.servers import program, tamis_program
from testbed.takeover import DOMAINS, OURS, Takeover, wait_for

# A delegation's command that writes the parent's zone file anew and has its server read it.
REWRITE = r"""
import os, re, subprocess, sys
path, reload = sys.argv[1], sys.argv[2:]
label = os.environ["TAMIS_DOMAIN"].split(".")[0]
lines = [line for line in open(path) if not re.match(r"(\S+\.)?%s " % label, line)]
ttl = os.environ["TAMIS_TTL"]
lines += ["%s %s NS %s\n" % (label, ttl, name) for name in os.environ["TAMIS_NS"].split()]
glue = os.environ["TAMIS_GLUE"].split()
lines += ["%s %s %s %s\n" % (name, ttl, "AAAA" if ":" in address else "A", address)
          for name, address in zip(glue[::2], glue[1::2])]
lines = [re.sub(r"hostmaster (\d+)", lambda found: "hostmaster %d" % (int(found[1]) + 1), line) for line in lines]
open(path + ".new", "w").writelines(lines)
os.replace(path + ".new", path)
subprocess.run(reload, check=True)
"""


def rewriting(takeover, parent):
    """The command that changes a delegation in the parent's zone file, and has the parent read it."""
    script = takeover.farm.write("rewrite.py", REWRITE)
    reload = ("kill -HUP %d" % takeover.parent.process.process.pid if parent == "nsd" else
              "%s -s %s -b zone-reload example" % (program("knotc"), takeover.parent.path("knot.sock")))
    return "%s %s %s %s" % (sys.executable, script, takeover.farm.directory + "/example.zone", reload)


@pytest.mark.parametrize("parent", ["knot", "tamisd"])
def test_three_domains_go_over_by_the_protocol_and_come_back(farm, parent):
    takeover = Takeover(farm, parent)
    planned = takeover.json("plan")
    assert [one["mode"] for one in planned] == ["secondary"] * 3
    assert planned[0]["before"]["ns"] == ["ns1.a.example."]
    assert planned[0]["before"]["glue"] == [{"name": "ns1.a.example.", "address": "192.0.2.1"}]
    takeover.run("copy")
    takeover.run("canary", "a.example", code=1)  # the gate is shut
    takeover.run("shadow")
    assert all(one["open"] for one in takeover.json("gate"))
    takeover.run("go", code=1)  # no canary has stood yet
    assert takeover.ns("a.example") == ["ns1.a.example."]

    takeover.run("canary", "a.example")
    assert takeover.ns("a.example") == OURS
    takeover.run("plan", "a.example", code=1)  # ours is not taken for the old one
    takeover.run("go")
    assert [takeover.ns(domain) for domain in DOMAINS] == [OURS] * 3
    assert set(takeover.steps().values()) == {"taken"}

    takeover.run("return")
    assert [takeover.ns(domain) for domain in DOMAINS] == [["ns1.%s." % domain] for domain in DOMAINS]
    assert set(takeover.steps().values()) == {"returned"}
    log = takeover.log()
    assert all(entry["user"] and entry["time"] and entry["result"] for entry in log)
    assert {entry["step"] for entry in log} == {"plan", "copy", "shadow", "gate", "canary", "go", "return"}


def test_one_wrong_answer_keeps_the_gate_shut_and_is_named(farm):
    takeover = Takeover(farm, domains=["a.example"])
    path = farm.write("wrong.zone", Takeover.zone("a.example", www="192.0.2.77"))
    wrong = farm.knot([("a.example.", path)])
    takeover.plan["front"]["address"] = "%s@%d" % wrong.place
    del takeover.plan["domains"][0]["order"]
    takeover.run("plan")
    takeover.run("copy")
    takeover.run("shadow", code=1)
    gate = takeover.json("gate", code=1)[0]
    assert not gate["open"] and any(line.startswith("www.a.example. A differs: rdata") for line in gate["blocks"])
    takeover.run("canary", "a.example", code=1)
    assert takeover.ns("a.example") == ["ns1.a.example."]

    farm.write("wrong.zone", Takeover.zone("a.example", ttl=2))
    wrong.control("-b", "zone-reload", "a.example")
    takeover.run("shadow")
    takeover.run("gate")


def test_the_gate_wants_every_known_name_asked_and_enough_queries(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.plan["gate"]["queries"] = 14
    takeover.run("plan")
    takeover.run("copy")
    traffic = farm.write("traffic.txt", "www.a.example A\nmail.a.example AAAA\nwww.elsewhere.example A\n")
    assert takeover.json("shadow", "--traffic", traffic)[0]["questions"] == 2
    blocks = "\n".join(takeover.json("gate", code=1)[0]["blocks"])
    assert "none.a.example. A was not asked" in blocks and "2 of 14 queries" in blocks
    takeover.run("shadow")
    takeover.run("gate")


def test_a_zone_that_is_not_given_away_is_forwarded_and_its_signatures_are_spoken_of(farm):
    takeover = Takeover(farm, domains=["a.example", "c.example"])
    shut = farm.knot([(domain + ".", takeover.files[domain + "."]) for domain in takeover.domains],
                     allow_transfer=False)
    for domain in takeover.plan["domains"]:
        domain["origins"] = ["%s@%d" % shut.place]
    takeover.plan["expected-queries"] = 1
    a, c = takeover.json("plan", "--measure")
    assert (a["mode"], c["mode"]) == ("forward", "forward")
    assert a["before"]["ds"] == [] and a["dnssec"].startswith("not signed") and a["measured_queries_s"] >= 1
    assert c["before"]["ds"] == ["12345 13 2 " + "AB" * 32] and "bogus" in c["dnssec"]
    copied = takeover.json("copy")
    assert [one["questions"] for one in copied] == [20, 20] and [one["failed"] for one in copied] == [0, 0]
    takeover.plan["expected-queries"] = 4000000000
    takeover.json("plan", "--measure", code=1)


def test_a_bound_that_breaks_in_the_canary_aborts_by_itself(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.plan["canary"]["seconds"] = 600
    takeover.until_open()
    with subprocess.Popen(takeover.command("canary", "a.example"), stdout=subprocess.PIPE, text=True) as canary:
        wait_for(canary, lambda: "watched_from" in takeover.state("a.example")
                 and "pending" not in takeover.state("a.example"), "watch")
        assert takeover.ns("a.example") == OURS
        # The same serial: the front does not learn of it.
        farm.write("a.example.zone", Takeover.zone("a.example", www="192.0.2.99", ttl=2))
        takeover.origin.control("-b", "zone-reload", "a.example")
        output = canary.communicate(timeout=60)[0]
    assert canary.returncode == 1 and "a bound broke" in output and "www.a.example. A: rdata" in output
    assert takeover.ns("a.example") == ["ns1.a.example."]
    assert takeover.steps() == {"a.example": "returning"}
    assert [order["state"] for order in takeover.front.control("orders")] in ([], ["ended"])


def test_an_abort_by_hand_ends_the_canary_of_another_process(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.plan["canary"].update({"seconds": 600, "name-servers": 1})
    takeover.until_open()
    with subprocess.Popen(takeover.command("canary", "a.example"), stdout=subprocess.PIPE, text=True) as canary:
        wait_for(canary, lambda: "pending" not in takeover.state("a.example")
                 and takeover.state("a.example")["step"] == "canary", "watch")
        assert takeover.ns("a.example") == ["ns1.a.example.", "ns1.front.example."]
        takeover.run("abort", "a.example", "--reason", "complaint 17")
        canary.communicate(timeout=60)
    assert canary.returncode == 1
    assert takeover.ns("a.example") == ["ns1.a.example."]
    assert any("complaint 17" in entry["result"] for entry in takeover.log())
    takeover.run("return")


@pytest.mark.parametrize("parent, moment", [("knot", "before"), ("knot", "after"), ("nsd", "after")])
def test_killed_around_the_change_the_same_command_goes_on(farm, parent, moment):
    takeover = Takeover(farm, parent, domains=["a.example"])
    rewrite, marker = rewriting(takeover, parent), farm.directory + "/killed"
    kill = "test -e %s.$TAMIS_ACTION || { touch %s.$TAMIS_ACTION; kill -9 $PPID; exit 1; }" % (marker, marker)
    del takeover.plan["delegation"]["update"]
    takeover.plan["delegation"]["command"] = "; ".join(
        ["set -e", kill, rewrite] if moment == "before" else ["set -e", rewrite, kill])
    takeover.until_open()
    takeover.run("canary", "a.example", code=-9)
    assert takeover.state("a.example")["pending"] == "take"
    takeover.run("canary", "a.example")
    assert takeover.ns("a.example") == OURS
    takeover.run("return", "a.example", code=-9)
    assert takeover.state("a.example")["pending"] == "return"
    takeover.run("return", "a.example")
    assert takeover.ns("a.example") == ["ns1.a.example."] and takeover.steps() == {"a.example": "returned"}


def test_a_killed_watch_goes_on_where_it_was(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.plan["canary"]["seconds"] = 600
    takeover.until_open()
    with subprocess.Popen(takeover.command("canary", "a.example"), stdout=subprocess.DEVNULL) as canary:
        wait_for(canary, lambda: os.path.exists(farm.directory + "/takeover/a.example.history"), "sample")
        canary.kill()
    began = takeover.state("a.example")["watched_from"]
    takeover.plan["canary"]["seconds"] = 1
    takeover.run("canary", "a.example")
    assert takeover.steps() == {"a.example": "proven"}
    moves = [entry for entry in takeover.log() if "has moved" in entry["result"]]
    assert len(moves) == 1 and began > 0
    assert "▁" in takeover.run("status")


def test_a_front_with_too_many_commands_under_way_is_asked_again(farm):
    asked, path = [], farm.directory + "/busy.sock"
    busy = {"ok": False, "error": {"text": "8 long commands are under way: try again when one has ended", "again": True}}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve():
            while len(asked) < 3:
                client, _ = listener.accept()
                with client, client.makefile("rw") as stream:
                    asked.append(json.loads(stream.readline())["command"])
                    stream.write(json.dumps(busy if len(asked) < 3 else {"ok": True, "result": []}) + "\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = subprocess.run([tamis_program("tamis"), "ctl", "-s", path, "zones"], capture_output=True, text=True,
                              timeout=60, check=False)
        thread.join()
    assert done.returncode == 0 and asked == ["zones"] * 3, done.stderr


@pytest.mark.parametrize("change, line, text", [
    (lambda plan: plan.update(parent="x"), None, "did you mean"),
    (lambda plan: plan["domains"][0].update(origins=["nowhere"]), "nowhere", "is no address"),
    (lambda plan: plan["delegation"].update(command="true"), "delegation", "not both"),
], ids=["key", "origin", "hook"])
def test_mistakes_in_the_plan_are_named_by_line(farm, change, line, text):
    plan = {"state": "s", "front": {"address": "127.0.0.1@5300", "control": "c"}, "parents": ["127.0.0.1@5301"],
            "name-servers": [{"name": "ns1.front.example"}],
            "delegation": {"parent-zone": "example", "update": {"server": "127.0.0.1@5301"}},
            "domains": [{"name": "a.example", "origins": ["127.0.0.1@5302"]}]}
    change(plan)
    path = farm.write("plan.yaml", yaml.safe_dump(plan, sort_keys=False))
    done = subprocess.run([tamis_program("tamis"), "takeover", "status", path], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 2 and text in done.stderr and path + ":" in done.stderr
    if line is not None:
        with open(path, encoding="utf-8") as file:
            number = [line in one for one in file].index(True) + 1
        assert abs(int(done.stderr.split(path + ":")[1].split(":")[0]) - number) <= 1


def test_prove_continuous_keeps_a_history_and_metrics(farm):
    takeover = Takeover(farm, domains=["a.example"])
    history, metrics = farm.directory + "/history", farm.directory + "/tamis.prom"
    command = [tamis_program("tamis"), "prove", "--front", takeover.plan["front"]["address"], "--origin",
               "%s@%d" % takeover.origin.place, "--names", takeover.plan["domains"][0]["names"], "--order",
               takeover.orders["a.example"], "--interval", "1", "--history", history, "--prometheus", metrics]
    done = subprocess.run(command + ["--continuous=2"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(history, encoding="utf-8") as file:
        samples = [json.loads(line) for line in file]
    assert samples and all(one["questions"] == 10 and one["different"] == 0 for one in samples)
    takeover.front.lift("nv-a")
    done = subprocess.run(command + ["--continuous=1"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "listed-not-blocked" in done.stdout
    with open(metrics, encoding="utf-8") as file:
        assert "tamis_parity_different_total{" in file.read()
