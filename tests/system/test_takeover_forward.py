"""The cut-over of a domain that is not given away: a front that forwards, and an origin that goes away."""

import os
import pty
import re
import subprocess
from types import SimpleNamespace

from testbed import wire
from testbed.front_rules import ask, kind
from testbed.takeover import OURS, Clients, Takeover, wait_for
from testbed.zone_signing import make_key, sign
from test_takeover_watch import canary_of, wait_for_samples

KNOWN = ["www.a.example.", "mail.a.example.", "ns1.a.example.", "none.a.example.", "bad.a.example."]


def test_a_forwarded_domain_goes_over_stands_without_its_origin_and_comes_back(farm):
    takeover = Takeover(farm, domains=["a.example"], forward=True)
    assert takeover.json("plan")[0]["mode"] == "forward"
    cold = takeover.front.control("cache")["cache"]
    assert takeover.json("copy")[0]["failed"] == 0
    warm = takeover.front.control("cache")["cache"]
    # Names and types that no order lists, and the apex.
    assert warm["answers"] - cold["answers"] >= 8
    takeover.run("shadow")
    takeover.run("gate")

    with Clients(takeover.front.place, KNOWN) as clients:
        with canary_of(takeover) as canary:
            wait_for_samples(takeover, canary, lambda sample: sample["clients"] > 0)
            takeover.origin.kill()
            wait_for_samples(takeover, canary, lambda sample: sample["origin_servfail"] > 0)
            assert takeover.ns("a.example") == OURS
            assert wire.ask(takeover.front.place, "never-seen.a.example.", "A", timeout_s=20).rcode == 2
        assert not clients.failed and clients.replies > 100
        listed = takeover.front.control("zones")[0]["answers"]["listed"]
        assert listed > clients.replies // len(KNOWN) - 5  # without the origin, too

    takeover.origin.start(list(takeover.files.items()))
    takeover.run("return")
    assert takeover.ns("a.example") == ["ns1.a.example."] and takeover.steps() == {"a.example": "returned"}


def test_what_only_copy_asked_for_is_there_with_signatures_and_without_when_the_origin_is_gone(farm):
    takeover = Takeover(farm, domains=["a.example"], forward=True)
    zone = SimpleNamespace(name="a.example.", path=takeover.files["a.example."], signing="NSEC",
                           text=lambda: Takeover.zone("a.example"))
    sign(zone, make_key(farm.directory))
    takeover.origin.control("-b", "zone-reload", "a.example")
    takeover.run("plan")
    takeover.run("copy")
    takeover.origin.kill()
    for want_dnssec in (True, False):
        found, missing = (ask(takeover.front, "a.example", name, want_dnssec=want_dnssec) for name in ("www", "none"))
        assert kind(found) == "data" and (46 in {rrset.rdtype for rrset in found.answer}) == want_dnssec
        assert kind(missing) == "nxdomain" and (47 in {rrset.rdtype for rrset in missing.authority}) == want_dnssec


def test_copy_shows_its_rate_on_a_terminal(farm):
    takeover = Takeover(farm, domains=["a.example"], forward=True)
    takeover.run("plan")
    master, slave = pty.openpty()
    with subprocess.Popen(takeover.command("copy", "--rate", "40"), stdout=subprocess.PIPE, stderr=slave) as copy:
        os.close(slave)
        shown = ""
        while copy.poll() is None and not shown.endswith("\033[K"):
            shown += os.read(master, 65536).decode()
        copy.communicate(timeout=60)
    os.close(master)
    assert copy.returncode == 0
    assert re.search(r"\ra\.example: [0-9]+ of 20 questions, [0-9]+ a second \(at most [0-9]+\)", shown), shown
