"""Resolvers report errors to the agent domain that answers name (RFC 9567); dnspython is the resolver."""

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from test_metrics import figures
from testbed.orders import write_order
from testbed.process import LOOPBACK, free_port
from testbed.takeover import Clients, Takeover
from test_takeover_watch import GOOD, assert_breaks, canary_of, wait_for_samples

CHANNEL = 18
ZONE = """@ 300 SOA ns hostmaster 17 3600 600 1209600 60
@ 300 NS ns
ns 300 A 192.0.2.2
www 300 A 192.0.2.80
bad 300 A 192.0.2.7
"""


def start(farm, agent="er.a.example", **config):
    path = farm.write("any.zone", ZONE)
    server = {"metrics": "%s@%d" % (LOOPBACK, free_port())}
    if agent is not None:
        server["error-reports"] = {"agent": agent}
    return farm.tamisd({"server": server, **config, "zones": [
        {"name": name, "primary": {"file": path}} for name in ("a.example", "b.example")] + config.get("zones", [])})


def ask(server, name, rrtype="A", tcp=False, **options):
    query = dns.message.make_query(name, rrtype, **{"use_edns": 0, **options})
    exchange = dns.query.tcp if tcp else dns.query.udp
    return exchange(query, server.place[0], timeout=20, port=server.place[1])


def channels(reply):
    """The agent domains that a response names."""
    return [dns.name.from_wire(option.data, 0)[0].to_text() for option in reply.options if option.otype == CHANNEL]


def report(server, name, rrtype=1, error=7, agent="er.a.example.", tcp=True):
    return ask(server, "_er.%s.%s%s._er.%s" % (rrtype, name, error, agent), "TXT", tcp)


def test_answers_name_the_agent_and_the_agents_own_do_not(farm):
    tamisd = start(farm)
    for name, rrtype in (("www.a.example.", "A"), ("none.b.example.", "A"), ("b.example.", "SOA"), ("www.b.example.", "TXT")):
        for tcp in (False, True):
            assert channels(ask(tamisd, name, rrtype, tcp)) == ["er.a.example."]
        assert channels(ask(tamisd, name, rrtype, use_edns=-1)) == []
    for name in ("er.a.example.", "x.er.a.example.", "_er.er.a.example.", "www.elsewhere.example."):
        assert channels(ask(tamisd, name)) == []


@pytest.mark.parametrize("agent, expected", [("er.a.example", "er.a.example."), (None, "er.o.example.")])
def test_a_forwarded_answer_names_one_agent(farm, agent, expected):
    origin = farm.tamisd({"server": {"error-reports": {"agent": "er.o.example"}},
                          "zones": [{"name": "o.example", "primary": {"file": farm.write("o.zone", ZONE)}}]})
    tamisd = start(farm, agent, zones=[{"name": "o.example", "forward": {"to": ["%s@%d" % origin.place]}}])
    for _ in range(3):  # from the origin, and from the cache
        assert channels(ask(tamisd, "www.o.example.")) == [expected]


def test_reports_are_thanked_for_over_tcp_and_challenged_over_udp(farm):
    tamisd = start(farm, orders={"files": [write_order(farm.directory, "block", names=["bad.a.example"])]})
    challenged = report(tamisd, "www.a.example.", tcp=False)
    assert challenged.flags & dns.flags.TC and challenged.flags & dns.flags.AA and not challenged.answer
    reply = report(tamisd, "www.a.example.")
    assert reply.rcode() == dns.rcode.NOERROR and reply.flags & dns.flags.AA
    assert [(rrset.rdtype, rrset.ttl) for rrset in reply.answer] == [(dns.rdatatype.TXT, 600)]
    report(tamisd, "WWW.b.Example.", rrtype="1-28", error=22)
    report(tamisd, "bad.a.example.")
    report(tamisd, "www.elsewhere.example.")
    report(tamisd, "")  # the root
    result = tamisd.control("reports")
    assert result["agent"] == "er.a.example" and (result["reports"], result["foreign"]) == (5, 2)
    assert result["challenged"] == 1 and result["missed"] == 0
    assert result["zones"] == [{"zone": "a.example", "reports": 2, "listed": 1, "errors": {"7": 2}},
                               {"zone": "b.example", "reports": 1, "listed": 0, "errors": {"22": 1}}]
    assert [(one["name"], one["type"], one["error"], one["ours"], one["listed"]) for one in result["recent"]] == [
        (".", "A", 7, False, False), ("www.elsewhere.example", "A", 7, False, False),
        ("bad.a.example", "A", 7, True, True), ("www.b.example", "A", 22, True, False),
        ("www.a.example", "A", 7, True, False)]
    assert figures(tamisd)['tamisd_error_reports_total{zone="b.example",error="22"}'] == 1
    shown = tamisd.ctl("reports")
    assert shown.returncode == 0 and "5 reports to er.a.example" in shown.stdout and "bad.a.example" in shown.stdout


def test_what_leads_to_a_report_exists_and_is_none(farm):
    tamisd = start(farm)
    for name in ("_er.er.a.example.", "7._er.er.a.example.", "example.7._er.er.a.example.",
                 "www.a.example.7._er.er.a.example.", "_er.1.www.a.example.7._er.er.a.example."):
        for rrtype in ("A", "NS", "SOA"):
            reply = ask(tamisd, name, rrtype)
            assert reply.rcode() == dns.rcode.NOERROR and reply.flags & dns.flags.AA and not reply.answer
            assert [rrset.name.to_text() for rrset in reply.authority] == ["a.example."]
    assert tamisd.control("reports")["reports"] == 0


def test_hostile_reports_are_bounded_and_harmless(farm):
    tamisd = start(farm)
    for name in ("_er.x.www.a.example.7._er", "_er..7._er".replace("..", "."), "_er.1.www.a.example.7x._er", "_er.1.7._er",
                 "_er.65536.www.a.example.7._er", "_er.1.www.a.example.-7._er", "_er.1.www.a.example.99999999999999999999._er",
                 "_er.-1.a.example.7._er", "_er._er._er._er", "x.1.a.example.7._er", "_er.1-x.7-1._er"):
        reply = ask(tamisd, name + ".er.a.example.", "TXT", True)
        assert reply.rcode() == dns.rcode.NOERROR
    assert tamisd.control("reports")["reports"] == 1  # of the root, by the fourth
    for error in range(200):
        report(tamisd, "n%d.\\000\\255\\\"\\010.a.example." % error, error=error * 100)
    result = tamisd.control("reports")
    assert len(result["recent"]) == 64 and result["zones"][0]["errors"] == {"0": 1, "other": 199}
    assert tamisd.ctl("reports").returncode == 0
    assert ask(tamisd, "www.a.example.").rcode() == dns.rcode.NOERROR


def test_without_an_agent_nothing_is_taken(farm):
    tamisd = start(farm, None)
    assert channels(ask(tamisd, "www.a.example.")) == []
    assert report(tamisd, "www.a.example.").rcode() == dns.rcode.NXDOMAIN
    assert tamisd.control("reports") == {"agent": None, "zones": [], "recent": []}


def test_reports_about_names_that_no_order_lists_break_error_reports_max(farm):
    takeover = Takeover(farm, domains=["a.example"], server={"error-reports": {"agent": "er.a.example"}})
    takeover.until_open()
    with Clients(takeover.front.place, GOOD), canary_of(takeover, **{"error-reports-max": 2}) as canary:
        for _ in range(5):  # what validating resolvers say of a sinkhole
            report(takeover.front, "bad.a.example.", error=6)
        wait_for_samples(takeover, canary, lambda sample: sample["clients"] > 0, 3)
        for _ in range(5):
            report(takeover.front, "www.a.example.", error=22)
        assert_breaks(takeover, canary, "error-reports-max")


def test_a_bound_on_reports_needs_an_agent(farm):
    takeover = Takeover(farm, domains=["a.example"])
    takeover.plan["canary"]["error-reports-max"] = 0
    takeover.until_open()
    takeover.run("canary", "a.example", code=1)
    assert takeover.ns("a.example") == ["ns1.a.example."]
