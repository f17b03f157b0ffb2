"""Policy zones between Tamis and other people's software: ours load and block in BIND, Unbound and Knot
Resolver; one in the manner of others comes into tamisd from Knot and BIND by AXFR."""

import subprocess

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from testbed import orders
from testbed.policy_resolvers import POLICY_RESOLVERS
from testbed.servers import tamis_program

ZONE = "a.example."
DATA = "$ORIGIN a.example.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n" \
    "ns A 192.0.2.53\nh1 A 198.51.100.1\nh1 TXT text\nh2 A 198.51.100.2\nh3 A 198.51.100.3\n" \
    "s A 198.51.100.4\nx.s A 198.51.100.5\nfree.s A 198.51.100.6\n"
SIGNERS = ("alice", "bob")


def ask(server, name, rdtype="A", timeout_s=3):
    """The addresses in the answer, or its RCODE, "NODATA", or "dropped"."""
    query = dns.message.make_query(name, rdtype)
    try:
        reply = dns.query.udp(query, server.address, port=server.port, timeout=timeout_s)
    except dns.exception.Timeout:
        return "dropped"
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode())
    found = sorted(record.to_text() for rrset in reply.answer for record in rrset)
    return found or "NODATA"


def compiled(farm, action):
    """A policy zone with everything: a name, a subtree, an exemption in it, a name that is no hostname,
    one without a trigger, and two signatures."""
    keyring = [orders.make_signer(farm.directory, name) for name in SIGNERS]
    keyring_path = farm.write("keyring.yaml", "".join(
        "- {name: %s, public: \"%s\"}\n" % (one["name"], one["public"]) for one in keyring))
    path = orders.write_order(farm.directory, "t-1", names=["h1.a.example", "_x.a.example", "free.s.a.example",
                                                            "24.0.2.0.192.rpz-ip"],
                              subtrees=["s.a.example"], exempt=["free.s.a.example"], action=action)
    for name in SIGNERS:
        orders.sign(farm.directory, name, path)
    run = subprocess.run([tamis_program("tamis"), "order", "compile", "--keyring", keyring_path, path],
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1 and "1 names have no trigger" in run.stderr, run.stderr
    return farm.write("t-1.rpz.zone", run.stdout)


# What a blocked name gets. A dropped question is the resolver's to answer as it likes: Knot Resolver
# says SERVFAIL.
EXPECTED = {
    "sinkhole": ([orders.SINKHOLE_A],),
    "nxdomain": ("NXDOMAIN",),
    "nodata": ("NODATA",),
    "refuse": ("dropped", "SERVFAIL"),
}


@pytest.mark.once
@pytest.mark.parametrize("action", [*EXPECTED, "observe"])
@pytest.mark.parametrize("resolver", POLICY_RESOLVERS)
def test_our_policy_zone_blocks_in_a_resolver(farm, resolver, action):
    origin = farm.knot([(ZONE, farm.write("a.zone", DATA))])
    policy = compiled(farm, action)
    server = farm.add(POLICY_RESOLVERS[resolver]).start(ZONE, origin.place, "t-1.rpz.invalid.", policy)
    if action == "observe":
        assert ask(server, "h1.a.example") == ["198.51.100.1"]
        assert ask(server, "x.s.a.example") == ["198.51.100.5"]
    else:
        for name in ("h1.a.example", "s.a.example", "x.s.a.example"):
            assert ask(server, name) in EXPECTED[action], name
    if action == "sinkhole":
        assert ask(server, "h1.a.example", "AAAA") == [orders.SINKHOLE_AAAA]
        assert ask(server, "h1.a.example", "TXT") == "NODATA"
        assert ask(server, "_x.a.example") == "NODATA", "addresses are not for it"
    for name, there in (("h2.a.example", "198.51.100.2"), ("free.s.a.example", "198.51.100.6"),
                        ("ns.a.example", "192.0.2.53")):
        assert ask(server, name) == [there], name


OTHERS = """\
; In the manner of the feeds that are sold.
$TTL 7200
@                       IN SOA  rpz.feed.example. hostmaster.feed.example. (
                                2026112301 60 60 432000 60 )
                        IN NS   localhost.
h1.a.example            IN CNAME .
*.h1.a.example          IN CNAME .
h2.a.example            30 IN A 192.0.2.66
                        IN AAAA 2001:db8::66
H3.A.example            CNAME   rpz-passthru.
s.a.example             CNAME   *.
32.66.2.0.192.rpz-ip    CNAME   .
"""


@pytest.mark.parametrize("kind", ["knot", "bind"])
def test_a_policy_zone_of_others_loads_from_a_real_origin(farm, kind):
    zone = "rpz.feed.example."
    origin = getattr(farm, kind)([(zone, farm.write("rpz.zone", OTHERS))])
    tamisd = farm.tamisd({
        "zones": [{"name": "a.example", "primary": {"file": farm.write("a.zone", DATA)}},
                  {"name": zone, "secondary": {"from": ["%s@%d" % origin.place]}}],
        "orders": {"zones": [zone]},
    })
    assert ask(tamisd, "h1.a.example") == "NXDOMAIN"
    assert ask(tamisd, "h2.a.example") == ["192.0.2.66"]
    assert ask(tamisd, "h2.a.example", "AAAA") == ["2001:db8::66"]
    assert ask(tamisd, "h3.a.example") == ["198.51.100.3"]
    assert ask(tamisd, "s.a.example") == "NODATA"
    assert ask(tamisd, "x.s.a.example") == ["198.51.100.5"]
    base = next(one for one in tamisd.control("orders") if one["id"] == "rpz-feed-example")
    assert base["finding_total"] == 2
