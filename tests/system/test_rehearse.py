"""tamis order rehearse: what it predicts is what activation then gives."""

import json
import os
import random
import struct
import subprocess

import pytest
import yaml

from testbed import wire
from testbed.orders import write_order
from testbed.servers import tamis_program

SEED = 20140630
ZONES = {
    "a.example": """@ 3600 SOA ns hostmaster 1 3600 600 1209600 300
@ NS ns
@ NS live
@ MX 10 mail
ns A 192.0.2.1
live A 192.0.2.10
live AAAA 2001:db8::10
mail A 192.0.2.11
other A 192.0.2.10
another A 192.0.2.10
lone A 192.0.2.12
alias CNAME live
far CNAME alias
out CNAME live.b.example.
deep.parent A 192.0.2.13
parent A 192.0.2.14
host.empty A 192.0.2.15
*.wild A 192.0.2.16
cut NS ns.cut
ns.cut A 192.0.2.17
old DNAME new
x.new A 192.0.2.18
carved A 192.0.2.19
_sip._tcp SRV 0 0 5060 live
shop MX 10 mail
box MX 10 live
sub.s A 192.0.2.20
cut.s NS ns.other.example.
s A 192.0.2.21
""",
    "b.example": """@ 3600 SOA ns hostmaster 1 3600 600 1209600 300
@ NS ns
ns A 198.51.100.1
live A 192.0.2.10
live TXT "b"
away CNAME live.a.example.
www A 198.51.100.2
c NS ns
""",
}
LISTED = ["live.a.example", "mail.a.example", "lone.a.example", "alias.a.example", "parent.a.example",
          "empty.a.example", "any.wild.a.example", "host.cut.a.example", "x.new.a.example", "dead.a.example",
          "carved.a.example", "live.b.example", "cut.a.example", "a.example", "elsewhere.example",
          "gone.b.example"]
STATES = {"live": 7, "wildcard": 1, "empty": 1, "dead": 2, "below-cut": 1, "exempt": 1, "cut": 1, "apex": 1,
          "outside": 1}
LABELS = ["", "live", "mail", "lone", "alias", "far", "out", "parent", "deep.parent", "empty", "host.empty",
          "any.wild", "more.wild", "cut", "host.cut", "ns.cut", "x.new", "x.old", "y.old", "dead", "gone", "carved",
          "_sip._tcp", "shop", "box", "other", "ns", "www", "away", "c", "nothing.at.all", "s", "sub.s", "cut.s",
          "below.cut.s", "none.s"]
TYPES = ["A", "AAAA", "MX", "NS", "SRV", "TXT", "DS", "ANY", "CNAME", "SOA"]


def rehearse(*arguments, check=None):
    run = subprocess.run([tamis_program("tamis"), "order", "rehearse", *map(str, arguments)],
                         capture_output=True, text=True, timeout=120)
    if check is not None:
        assert run.returncode == check, run.stdout + run.stderr
    return run


def report(*arguments, check=0):
    return json.loads(rehearse("--json", *arguments, check=check).stdout)


@pytest.fixture
def zones(farm):
    """Paths of the zone files, by name."""
    return {name: farm.write("zones/%s.zone" % name, "$TTL 3600\n" + text) for name, text in ZONES.items()}


def zone_options(zones):
    return [word for name, path in zones.items() for word in ("--zone", "%s=%s" % (name, path))]


def serve(farm, zones, **more):
    listed = [{"name": name, "primary": {"file": path}} for name, path in zones.items()]
    return farm.tamisd({"zones": listed, **more})


def write_test_order(farm, action="sinkhole", **changes):
    return write_order(farm.directory, "o1", names=LISTED, exempt=["carved.a.example"], action=action, **changes)


def random_questions(count):
    chooser = random.Random(SEED)
    zone_names = ["a.example", "b.example", "elsewhere.example"]
    for _ in range(count):
        label = chooser.choice(LABELS)
        name = (label + "." if label else "") + chooser.choice(zone_names)
        name = "".join(chooser.choice((letter.upper(), letter)) for letter in name)
        yield name, chooser.choice(TYPES)


def make_signer(farm, name):
    """Makes a key; returns its entry of a keyring."""
    subprocess.run([tamis_program("tamis"), "key", "generate", "--folder", farm.directory, name],
                   capture_output=True, timeout=60, check=True)
    with open(os.path.join(farm.directory, name + ".pub"), encoding="utf-8") as file:
        entry = yaml.safe_load(file)
    return entry[0] if isinstance(entry, list) else entry


def sign(farm, name, path):
    key = os.path.join(farm.directory, name + ".key")
    subprocess.run([tamis_program("tamis"), "order", "sign", "--key", key, path], capture_output=True, timeout=60,
                   check=True)


def hits(tamisd, order_id="o1"):
    """What tamisd counted, by name; and in all."""
    order, = [one for one in tamisd.control("stats")["orders"] if one["id"] == order_id]
    return {one["name"]: one["hits"] for one in order["names"]}, order["hits"]


def predicted(result):
    lists = result["names"] + result["subtrees"]
    return {one["name"]: one["queries"] for one in lists if one["queries"] > 0}


@pytest.mark.parametrize("action", ["sinkhole", "nxdomain", "nodata", "refuse", "observe"])
def test_predicted_hits_of_a_query_list_are_those_that_activation_gives(farm, zones, action):
    questions = list(random_questions(3000))
    listing = farm.write("queries.txt", "".join("%s %s\n" % one for one in questions))
    order = write_test_order(farm, action)
    result = report(order, *zone_options(zones), "--traffic", listing)

    tamisd = serve(farm, zones)
    tamisd.activate(order)
    for name, rrtype in questions:
        assert wire.ask_or_none(tamisd.place, wire.query(name, rrtype)) is not None
    by_name, in_all = hits(tamisd)

    assert by_name == predicted(result)
    assert in_all == result["traffic"]["hits"] > 300
    queries = result["traffic"]["queries"]
    assert queries["all"] + queries["outside"] == len(questions)
    assert queries["touched"] + queries["unlisted"] == queries["all"]
    assert 0 < queries["outside"] < len(questions) / 2
    if action != "observe":  # an alias that is only watched leads on to a second listed name
        assert queries["touched"] == in_all == tamisd.control("stats")["queries"]["verdicts"]


def test_an_address_beside_another_answer_is_no_hit(farm, zones):
    order = write_test_order(farm)
    tamisd = serve(farm, zones)
    tamisd.activate(order)
    # Each of these would bring the address of a listed name along.
    for name, rrtype in (("shop.a.example", "MX"), ("box.a.example", "MX"), ("a.example", "NS"),
                         ("_sip._tcp.a.example", "SRV")):
        assert wire.ask(tamisd.place, name, rrtype).rcode == 0
    assert hits(tamisd) == ({}, 0)
    wire.ask(tamisd.place, "far.a.example", "A")  # an alias of an alias: the first listed one decides
    assert hits(tamisd) == ({"alias.a.example": 1}, 1)


# ---- Captures ----

SERVER4, SERVER6 = bytes([192, 0, 2, 53]), bytes.fromhex("20010db8" + "00" * 11 + "53")


def ethernet(ethertype, payload, vlan=None):
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return b"\2" * 6 + b"\4" * 6 + tag + struct.pack("!H", ethertype) + payload


def ip(client, protocol, payload):
    """A packet from the client, an address of 4 or 16 octets; returns (ethertype, octets)."""
    if len(client) == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
        return 0x0800, head + client + SERVER4 + payload
    return 0x86DD, struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + client + SERVER6 + payload


def datagram(message, port, destination=53):
    return struct.pack("!HHHH", port, destination, 8 + len(message), 0) + message


def segment(sequence, payload, port, flags=0x18):
    return struct.pack("!HHIIBBHHH", port, 53, sequence & 0xFFFFFFFF, 0, 0x50, flags, 1000, 0, 0) + payload


def write_capture(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            file.write(struct.pack("<IIII", 1404100000, 0, len(frame), len(frame)) + frame)
    return path


def client_frames(chooser, client, messages):
    """The messages as one client sends them: some over UDP, some over TCP in pieces of any size.
    Returns the frames, and those messages that went over TCP."""
    frames, over_tcp = [], []
    port = chooser.randrange(1024, 65536)
    sequence = chooser.choice([1, 0xFFFFFF00])  # wraps on the way
    frames.append(ethernet(*ip(client, 6, segment(sequence - 1, b"", port, flags=0x02))))
    for index, message in enumerate(messages):
        if chooser.random() < 0.7:
            vlan = chooser.choice([None, 7])
            kind, packet = ip(client, 17, datagram(message, port))
            tagged = b"" if vlan is None else struct.pack("!H", kind)
            frames.append(ethernet(kind, packet) if vlan is None else
                          b"\2" * 12 + struct.pack("!HH", 0x8100, vlan) + tagged + packet)
            continue
        over_tcp.append(index)
        stream = struct.pack("!H", len(message)) + message
        while stream:
            size = chooser.randrange(1, len(stream) + 1)
            frame = ethernet(*ip(client, 6, segment(sequence, stream[:size], port)))
            frames += [frame] * chooser.choice([1, 1, 2])  # some are sent again
            sequence += size
            stream = stream[size:]
    return frames, over_tcp


def test_predicted_hits_and_clients_of_a_capture_are_those_of_the_replay(farm, zones):
    chooser = random.Random(SEED)
    questions = random_questions(1500)
    clients = {}
    for number in range(12):
        client = bytes([203, 0, 113, number + 1]) if number % 3 else SERVER6[:15] + bytes([number + 100])
        clients[client] = [wire.query(*question, edns=chooser.choice([None, 1232]), do=chooser.random() < 0.5)
                           for question, _ in zip(questions, range(number * 18))]
    order = write_test_order(farm)
    tamisd = serve(farm, zones)
    tamisd.activate(order)

    frames, visits, counted = [], {}, {}
    for client, messages in clients.items():
        more, over_tcp = client_frames(chooser, client, messages)
        frames += more
        before = dict(counted)
        for index, message in enumerate(messages):
            ask = wire.ask_tcp_raw if index in over_tcp else wire.ask_or_none
            assert ask(tamisd.place, message) is not None
        counted, in_all = hits(tamisd)
        for name, count in counted.items():
            if count > before.get(name, 0):
                visits[name] = visits.get(name, 0) + 1

    # What is no request of ours, or no whole one, changes nothing.
    stray = wire.query("live.a.example", "A")
    frames += [ethernet(*ip(b"\xcb\0\x71\x63", 17, datagram(stray, 1000, destination=5353))),
               ethernet(*ip(b"\xcb\0\x71\x63", 17, datagram(b"\0\1\x84\0" + stray[4:], 1000))),
               ethernet(*ip(b"\xcb\0\x71\x63", 17, datagram(stray, 1000)))[:40],
               ethernet(0x0806, b"\0" * 28), b"", b"\xff" * 60]
    capture = write_capture(os.path.join(farm.directory, "day.pcap"), frames)
    result = report(order, *zone_options(zones), "--traffic", capture)

    assert predicted(result) == counted
    assert result["traffic"]["hits"] == in_all
    assert {one["name"]: one["clients"] for one in result["names"] if one["clients"] > 0} == visits
    assert result["traffic"]["kind"] == "capture"
    assert result["traffic"]["clients"]["all"] == len([one for one in clients.values() if one])
    assert result["traffic"]["read"]["gaps"] == 0
    queries = result["traffic"]["queries"]
    assert queries["all"] + queries["outside"] == sum(map(len, clients.values()))


def test_no_client_of_a_capture_is_named_in_the_report(farm, zones):
    message = wire.query("live.a.example", "A")
    frames = [ethernet(*ip(bytes([203, 0, 113, 77]), 17, datagram(message, 4000)))]
    capture = write_capture(os.path.join(farm.directory, "one.pcap"), frames)
    order = write_test_order(farm)
    for options in ((), ("--json",)):
        run = rehearse(*options, order, *zone_options(zones), "--traffic", capture, check=0)
        assert "203.0.113.77" not in run.stdout + run.stderr
        assert "live.a.example" in run.stdout


# ---- What is told of the zones ----


def test_every_listed_name_is_told_by_what_it_is_today(farm, zones):
    result = report(write_test_order(farm), *zone_options(zones))
    assert result["listed"]["states"] == STATES
    assert result["listed"]["names"] == len(LISTED)
    assert result["listed"]["live"] == 8
    assert result["listed"]["refused"] == 3 == result["finding_count"]
    assert result["listed"]["blocked"] == len(LISTED) - 3 - 1
    assert result["traffic"] is None

    tamisd = serve(farm, zones)
    activated = tamisd.activate(write_test_order(farm))
    assert activated["refused"] == result["listed"]["refused"]


def test_collateral_is_counted_and_shown(farm, zones):
    result = report(write_test_order(farm), *zone_options(zones))
    # other and another have the address of live in both zones; *.wild has its own child's.
    assert result["shared"]["names"] == 3
    assert result["shared"]["top"][0] == {"address": "192.0.2.10", "listed": 2, "unlisted": 2}
    assert result["references"]["records"] == {
        "NS": 1, "MX": 3, "SRV": 1, "SVCB": 0, "HTTPS": 0, "DNAME": 1, "CNAME": 3}
    assert result["references"]["examples"][0] == {
        "name": "a.example", "type": "NS", "target": "live.a.example"}
    assert {"name": "far.a.example", "type": "CNAME", "target": "alias.a.example"} in result["references"]["examples"]
    assert result["below"] == {"listed": 2, "names": 2}
    assert result["cuts"] == 1
    text = rehearse(write_test_order(farm), *zone_options(zones), check=0).stdout
    assert "192.0.2.10" in text and "a.example NS -> live.a.example" in text


def test_a_budget_is_kept_or_refused_by_each_figure(farm, zones):
    listing = farm.write("queries.txt", "live.a.example A\nother.a.example A\nother.a.example MX\nns.a.example A\n")
    arguments = (*zone_options(zones), "--traffic", listing)
    tight = write_test_order(farm, budget={"live": 8, "shared": 3, "cuts": 1, "query-share": 0.25})
    assert report(tight, *arguments)["refused"] == []
    for option, bound, word in (("--max-live", 7, "live"), ("--max-shared", 2, "shared"), ("--max-cuts", 0, "cuts"),
                                ("--max-query-share", 0.24, "query-share")):
        result = report(tight, *arguments, option, bound, check=1)
        assert result["accepted"] is False
        refused, = result["refused"]
        assert refused.startswith(word + " is ") and str(bound) in refused
        run = rehearse(tight, *arguments, option, bound, check=1)
        assert "refused: " + refused in run.stdout
        # The command's bound takes the place of the order's, also when it is wider.
        loose = write_test_order(farm, budget={word: bound})
        assert report(loose, *arguments, check=1)["refused"]
        wide = {"--max-query-share": 1}.get(option, 100)
        assert report(loose, *arguments, option, wide)["refused"] == []
        tight = write_test_order(farm, budget={"live": 8, "shared": 3, "cuts": 1, "query-share": 0.25})


def test_a_share_without_traffic_is_not_judged_and_said_so(farm, zones):
    order = write_test_order(farm, budget={"client-share": 0, "query-share": 0})
    result = report(order, *zone_options(zones))
    assert result["budget"]["query-share"] == {"value": None, "bound": 0.0, "exceeded": False}
    assert "not judged" in rehearse(order, *zone_options(zones), check=0).stdout


def test_strict_refuses_an_order_with_a_bad_entry(farm, zones):
    order = write_test_order(farm)
    run = rehearse(order, *zone_options(zones), "--strict", check=1)
    assert "cut.a.example is a zone cut" in run.stderr
    assert "refused: 3 entries" in run.stdout
    good = write_order(farm.directory, "good", names=["live.a.example"])
    rehearse(good, *zone_options(zones), "--strict", check=0)


def test_zones_may_come_from_a_running_server(farm, zones):
    knot = farm.knot(list((name + ".", path) for name, path in zones.items()))
    order = write_test_order(farm)
    from_files = report(order, *zone_options(zones))
    transfers = [word for name in zones for word in ("--axfr", "%s=%s@%d" % (name, *knot.place))]
    from_origin = report(order, *transfers)
    for result in (from_files, from_origin):
        del result["seconds"]
    assert from_origin == from_files


def test_a_subtree_takes_names_and_cuts_along(farm, zones):
    order = write_order(farm.directory, "o1", names=["live.a.example"], subtrees=["s.a.example", "b.example"])
    keyring = [make_signer(farm, signer) for signer in ("alice", "bob")]
    for signer in ("alice", "bob"):
        sign(farm, signer, order)
    questions = list(random_questions(1000))
    listing = farm.write("queries.txt", "".join("%s %s\n" % one for one in questions))
    result = report(order, *zone_options(zones), "--keyring", farm.write("keyring.yaml", yaml.safe_dump(keyring)),
                    "--traffic", listing)
    subtree, whole = sorted(result["subtrees"], key=lambda one: one["cuts"] + one["zones"])
    assert (subtree["name"], subtree["names"], subtree["cuts"], subtree["zones"]) == ("s.a.example", 3, 1, 0)
    assert (whole["name"], whole["names"], whole["cuts"], whole["zones"]) == ("b.example", 6, 1, 1)
    assert result["cuts"] == 2
    assert result["finding_count"] == 0

    tamisd = serve(farm, zones, orders={"keyring": keyring})
    tamisd.activate(order)
    for name, rrtype in questions:
        assert wire.ask_or_none(tamisd.place, wire.query(name, rrtype)) is not None
    assert hits(tamisd) == (predicted(result), result["traffic"]["hits"])


def test_subtrees_that_nobody_verified_are_a_finding(farm, zones):
    order = write_order(farm.directory, "o1", names=[], subtrees=["s.a.example"])
    run = rehearse(order, *zone_options(zones), check=0)
    assert "two valid signatures" in run.stderr
    rehearse(order, *zone_options(zones), "--strict", check=1)


@pytest.mark.parametrize("arguments, said", [
    ((), "give one order file"),
    (("order.yaml",), "give the zones"),
    (("--zone", "a.example", "order.yaml"), "NAME=FILE"),
    (("--axfr", "a.example=there", "order.yaml"), "192.0.2.1@53"),
    (("--zone", "a.example=x", "--zone", "A.example.=y", "order.yaml"), "there already"),
    (("--max-live", "many", "order.yaml"), "takes a number"),
    (("--max-client-share", "2", "order.yaml"), "from 0 to 1"),
    (("--port", "0", "order.yaml"), "1 to 65535"),
])
def test_wrong_use_exits_with_2_and_says_what_is_missing(arguments, said):
    run = rehearse(*arguments, check=2)
    assert said in run.stderr


def test_a_broken_zone_capture_or_order_is_an_error_with_its_file(farm, zones):
    order = write_test_order(farm)
    broken = farm.write("broken.zone", "@ SOA x\n")
    run = rehearse(order, "--zone", "a.example=" + broken, check=1)
    assert "broken.zone" in run.stderr
    capture = os.path.join(farm.directory, "broken.pcap")
    with open(capture, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 147))
    run = rehearse(order, *zone_options(zones), "--traffic", capture, check=1)
    assert "broken.pcap" in run.stderr and "link type" in run.stderr
    run = rehearse(order, *zone_options(zones), "--traffic", capture + ".gone", check=1)
    assert "broken.pcap.gone" in run.stderr
