"""The watch over a delegation that has moved: each bound that breaks gives it back, by itself; and the way
back ends for each domain when nobody asks for it any more."""

import collections
import contextlib
import signal
import subprocess

import pytest

from testbed.takeover import OURS, Clients, Relay, Takeover, wait_for

GOOD = ["www.a.example.", "mail.a.example.", "ns1.a.example."]


@contextlib.contextmanager
def canary_of(takeover, **bounds):
    """A canary of a.example that is watched until it breaks, which is waited for in the end."""
    takeover.plan["canary"].update({"seconds": 600, **bounds})
    with subprocess.Popen(takeover.command("canary", "a.example"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as canary:
        try:
            yield canary
        finally:
            canary.kill()


def assert_breaks(takeover, canary, bound):
    output = canary.communicate(timeout=60)[0]
    assert canary.returncode == 1 and "a bound broke" in output and bound in output, output
    assert takeover.ns("a.example") == ["ns1.a.example."]
    assert takeover.steps()["a.example"] == "returning"
    assert "nv-a" not in [order["id"] for order in takeover.front.control("orders") if order["state"] != "ended"]
    assert any("aborted, overlay off" in entry["result"] and bound in entry["result"] for entry in takeover.log())


def wait_for_samples(takeover, canary, is_one, count=1):
    wait_for(canary, lambda: len([sample for sample in takeover.history("a.example") if is_one(sample)]) >= count,
             "%d samples" % count)


def test_a_delegation_moves_only_to_where_it_can_be_watched(farm):
    takeover = Takeover(farm, domains=["a.example"], server={"zone-counters": 0})
    takeover.until_open()
    done = subprocess.run(takeover.command("canary", "a.example"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "zone-counters" in done.stderr
    assert takeover.ns("a.example") == ["ns1.a.example."] and takeover.steps() == {"a.example": "gate open"}


def test_clients_that_give_up_break_volume_min(farm):
    takeover = Takeover(farm, domains=["a.example", "b.example"])
    takeover.until_open("a.example")
    with Clients(takeover.front.place, GOOD) as clients, Clients(takeover.front.place, ["www.b.example."]), \
            canary_of(takeover, **{"volume-min": 0.3}) as canary:
        wait_for_samples(takeover, canary, lambda sample: sample["queries_s"] > 20, 4)
        clients.pause()  # those of the other domain ask on
        assert_breaks(takeover, canary, "volume-min")


def test_late_answers_break_latency_ms_max(farm):
    takeover = Takeover(farm, domains=["a.example"])
    with Relay(takeover.front.place) as relay:
        takeover.plan["front"]["address"] = "%s@%d" % relay.place
        takeover.until_open()
        with canary_of(takeover, **{"latency-ms-max": 400}) as canary:
            wait_for_samples(takeover, canary, lambda sample: True)
            relay.delay_s = 0.8
            assert_breaks(takeover, canary, "latency-ms-max")


def test_servfail_of_sampled_names_breaks_servfail_max(farm):
    takeover = Takeover(farm, domains=["a.example"])
    with Relay(takeover.front.place) as relay:
        takeover.plan["front"]["address"] = "%s@%d" % relay.place
        takeover.until_open()
        with canary_of(takeover, **{"different-max": 1000}) as canary:
            wait_for_samples(takeover, canary, lambda sample: True)
            relay.servfail = True
            assert_breaks(takeover, canary, "servfail-max")


def test_nxdomain_of_sampled_names_breaks_nxdomain_max(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.until_open()
    with canary_of(takeover, **{"different-max": 1000}) as canary:
        wait_for_samples(takeover, canary, lambda sample: True)
        # The same serial: the front does not learn of the name.
        farm.write("a.example.zone", Takeover.zone("a.example", ttl=2) + "none A 192.0.2.9\n")
        takeover.origin.control("-b", "zone-reload", "a.example")
        assert_breaks(takeover, canary, "nxdomain-max")


def test_servfail_for_names_that_only_clients_know_breaks_servfail_max(farm):
    takeover = Takeover(farm, domains=["a.example"], forward=True, own_ttl=3600)
    takeover.until_open()
    with Clients(takeover.front.place, GOOD + ["*.a.example."]) as clients, canary_of(takeover) as canary:
        wait_for_samples(takeover, canary, lambda sample: sample["clients"] > 50)
        takeover.origin.kill()
        assert_breaks(takeover, canary, "of the clients' queries got SERVFAIL (servfail-max")
    assert not [name for name in clients.failed if name in GOOD]


def test_clients_that_no_longer_find_names_break_nxdomain_max(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.until_open()
    with Clients(takeover.front.place, GOOD) as clients, canary_of(takeover) as canary:
        wait_for_samples(takeover, canary, lambda sample: sample["clients"] > 50)
        clients.names = ["gone.a.example."]
        assert_breaks(takeover, canary, "of the clients' queries got NXDOMAIN")


@pytest.mark.parametrize("step", ["canary", "go"])
def test_what_breaks_before_the_move_moves_nothing(farm, step):
    takeover = Takeover(farm, domains=["a.example", "b.example"])
    takeover.until_open()
    if step == "go":
        takeover.run("canary", "b.example")
    takeover.front.kill()
    takeover.run(step, "a.example", code=1)
    assert takeover.ns("a.example") == ["ns1.a.example."]


def test_a_dead_origin_takes_each_question_of_a_sample_one_retry(farm):
    takeover = Takeover(farm, domains=["a.example"])
    with Relay(takeover.origin.place) as relay:
        takeover.until_open()
        takeover.plan["domains"][0]["origins"] = ["%s@%d" % relay.place]
        with canary_of(takeover, **{"different-max": 1000}) as canary:
            wait_for_samples(takeover, canary, lambda sample: True)
            relay.silent = True
            wait_for_samples(takeover, canary, lambda sample: sample["origin_servfail"] > 0, 2)
            samples = len(takeover.history("a.example"))
    tries = collections.Counter(relay.unanswered)
    assert tries and max(tries.values()) == 2
    # Another id is another round: one a sample, and perhaps that which was under way.
    rounds = collections.Counter(message[2:] for message in tries)
    assert max(rounds.values()) <= samples + 1


def test_a_front_that_hangs_holds_up_neither_the_watch_nor_the_way_back(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.until_open()
    with canary_of(takeover) as canary:
        wait_for_samples(takeover, canary, lambda sample: True)
        takeover.front.process.signal(signal.SIGSTOP)
        try:
            output = canary.communicate(timeout=60)[0]
        finally:
            takeover.front.process.signal(signal.SIGCONT)
    assert canary.returncode == 1 and "front-silent" in output and "does not answer within" in output, output
    assert takeover.ns("a.example") == ["ns1.a.example."] and takeover.steps() == {"a.example": "returning"}


def test_all_domains_go_back_before_any_drains_and_drain_together(farm):
    takeover = Takeover(farm)
    takeover.plan["return"]["quiet-seconds"] = 2
    takeover.until_open()
    takeover.run("canary", "a.example")
    takeover.run("go")
    # Who follows the last delegation asks for the first domain as well, as caches and aliases have it.
    with Clients(takeover.front.place, ["www.a.example."], rate=20,
                 until=lambda: takeover.ns("c.example") == ["ns1.c.example."]) as clients:
        said = takeover.run("return")
    assert clients.replies and said.count("the front may stop") == 3
    results = [entry["result"] for entry in takeover.log() if entry["step"] == "return"]
    kinds = ["back" if "is back" in result else "over" for result in results if "to go back" not in result]
    assert kinds == ["back"] * 3 + ["over"] * 3
    states = [takeover.state(domain) for domain in takeover.domains]
    # The quiet time is shared: nobody's began when another's was over.
    assert max(state["quiet_from"] for state in states) < min(state["since"] for state in states)


def test_one_domain_still_in_use_keeps_no_other_from_its_end(farm):
    takeover = Takeover(farm, domains=["a.example", "b.example"])
    takeover.until_open()
    takeover.run("canary", "a.example")
    takeover.run("go")
    with Clients(takeover.front.place, ["www.a.example."]) as clients:
        with subprocess.Popen(takeover.command("return"), stdout=subprocess.PIPE, text=True) as back:
            wait_for(back, lambda: takeover.state("b.example")["step"] == "returned", "return of the other")
            assert takeover.state("a.example")["step"] == "returning"
            clients.pause()
            output = back.communicate(timeout=60)[0]
    assert back.returncode == 0
    ends = [line.split(":")[0] for line in output.splitlines() if "the front may stop" in line]
    assert ends == ["b.example", "a.example"]


def test_each_domain_returns_when_nobody_asks_for_it_any_more(farm):
    takeover = Takeover(farm, domains=["a.example", "b.example"])
    takeover.until_open()
    takeover.run("canary", "a.example")
    takeover.run("go")
    assert takeover.ns("a.example") == takeover.ns("b.example") == OURS
    with Clients(takeover.front.place, ["www.b.example."]):
        takeover.run("return", "a.example")
        takeover.run("return", "b.example", "--no-wait", code=1)
        assert takeover.steps() == {"a.example": "returned", "b.example": "returning"}
    takeover.run("return", "b.example")
    assert takeover.steps() == {"a.example": "returned", "b.example": "returned"}
