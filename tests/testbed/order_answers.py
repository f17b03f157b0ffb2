"""What tests of orders by transfer share: a zone with hosts, and what is answered for them."""

import time

import dns.message
import dns.query
import dns.rcode

# Generous: a busy machine under sanitizers is slow, and none of these times is a promise.
PATIENCE_S = 30.0

DATA = """\
$ORIGIN a.example.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
""" + "".join("h%d A 198.51.100.%d\n" % (number, number) for number in range(1, 60))


def eventually(condition, what, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within %g s: %s" % (timeout_s, what)
        time.sleep(0.01)


def ask(server, name, rdtype="A", tcp=False, timeout_s=5):
    query = dns.message.make_query(name, rdtype, use_edns=0)
    way = dns.query.tcp if tcp else dns.query.udp
    return way(query, server.address, port=server.port, timeout=timeout_s)


def address(server, name):
    """The address in the answer, or its RCODE or "NODATA"."""
    reply = ask(server, name)
    if reply.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(reply.rcode())
    return reply.answer[0][0].address if reply.answer else "NODATA"


def active(server):
    return {one["id"]: one for one in server.control("orders")}
