"""The cut-over of a domain that is not given away: a front that forwards, and an origin that goes away."""

from testbed import wire
from testbed.takeover import OURS, Clients, Takeover, wait_for
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
