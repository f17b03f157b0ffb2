"""A fleet in miniature: a hidden primary, edges that follow it, and edges behind edges; all tamisd."""

import random

from test_transfers_out import KEY, change, content, eventually, random_fill, serial_of, start

KEYS = [{"name": KEY[0], "algorithm": "hmac-sha256", "secret": KEY[1]}]


def place(server):
    return "%s@%d" % server.place


def edge(farm, address):
    """An edge that is not started, so that its place can be told to the one that it follows."""
    server = farm.tamisd_unstarted()
    server.address = address
    return server


def follow(server, origin, notify=()):
    return server.start({"keys": KEYS, "zones": [{
        "name": "a.example", "secondary": {"from": [place(origin)], "key": KEY[0]}, "allow-transfer": [KEY[0]],
        "allow-notify": [KEY[0]], "notify": ["%s key %s" % (place(one), KEY[0]) for one in notify]}]})


def fleet(farm):
    edges = [edge(farm, "127.0.0.%d" % (11 + i)) for i in range(3)]
    primary = start(farm, notify=["%s key %s" % (place(one), KEY[0]) for one in edges])
    for one in edges:
        follow(one, primary)
    return primary, edges


def wait_for(servers, primary):
    eventually(lambda: all(serial_of(one) == serial_of(primary) for one in servers), "all have the primary's serial")


def test_what_is_changed_at_the_primary_is_answered_by_every_edge(farm, pytestconfig):
    rng = random.Random(pytestconfig.getoption("--seed"))
    primary, edges = fleet(farm)
    for _ in range(5):
        for _ in range(40):
            change(primary, random_fill(rng))
        wait_for(edges, primary)
        wanted = content(primary)
        assert all(content(one) == wanted for one in edges)


def test_an_edge_that_was_away_catches_up_and_serves_meanwhile(farm):
    primary, edges = fleet(farm)
    change(primary, lambda message: message.add("before", 60, "A", "192.0.2.9"))
    wait_for(edges, primary)
    away = edges[0]
    away.end()
    change(primary, lambda message: message.add("meanwhile", 60, "A", "192.0.2.9"))
    wait_for(edges[1:], primary)
    away.start_again()
    assert serial_of(away) is not None # of its snapshot, or newer
    wait_for(edges, primary)
    assert content(away) == content(primary)


def test_an_edge_behind_an_edge_follows(farm, pytestconfig):
    rng = random.Random(pytestconfig.getoption("--seed"))
    near, far = edge(farm, "127.0.0.21"), edge(farm, "127.0.0.22")
    primary = start(farm, notify=["%s key %s" % (place(near), KEY[0])])
    follow(near, primary, [far])
    follow(far, near)
    for _ in range(30):
        change(primary, random_fill(rng))
    wait_for([near, far], primary)
    assert content(far) == content(primary)
