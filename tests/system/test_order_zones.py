"""Orders that arrive as policy zones from a real origin, alone and listed by a catalog."""

import itertools
import os
import subprocess

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import pytest

from testbed import orders
from testbed.order_answers import DATA, PATIENCE_S, active, address, ask, eventually
from testbed.servers import ControlError, tamis_program

KEY, SECRET = "xfr", "bm90LWEtcmVhbC1zZWNyZXQ="
CATALOG = "catalog.orders.example."

SOA = "$ORIGIN %s\n$TTL 300\n@ SOA localhost. root.localhost. %d 3600 600 %d 30\n@ NS localhost.\n"


class Origin:
    """Knot with policy zones and their catalog, given to who has the key. Zones are there from the
    start or not at all; what they hold changes."""

    def __init__(self, farm, zones, catalog=()):
        self.farm = farm
        self.serials = itertools.count(1)
        self.expire = 86400
        self.files = {zone: farm.write("origin/%szone" % zone, "") for zone in [*zones, CATALOG]}
        for zone, records in zones.items():
            self.write(zone, records)
        self.write_catalog(catalog)
        self.knot = farm.knot_unstarted().start(
            list(self.files.items()), allow_transfer=False,
            extra="key:\n  - id: %s\n    algorithm: hmac-sha256\n    secret: %s\n"
                  "acl:\n  - id: keyed\n    key: %s\n    action: transfer" % (KEY, SECRET, KEY),
            zone_extra="    acl: keyed")

    def write(self, zone, records):
        text = records if records.startswith("$ORIGIN") else \
            SOA % (zone, next(self.serials), self.expire) + records
        with open(self.files[zone], "w", encoding="utf-8") as file:
            file.write(text)

    def write_catalog(self, members, version='"2"'):
        """`members` are zones, or (label, zone)."""
        listed = [one if isinstance(one, tuple) else (one.split(".")[0], one) for one in members]
        self.write(CATALOG, "version 0 TXT %s\n" % version + "".join(
            "%s.zones 0 PTR %s\ngroup.%s.zones 0 TXT any\n" % (label, zone, label)
            for label, zone in listed))

    def publish(self, tamisd, zone):
        """Has Knot read the zone anew, and tells tamisd."""
        before = self.knot.control("zone-read", zone, zone, "SOA")
        self.knot.control("zone-reload", zone)
        eventually(lambda: self.knot.control("zone-read", zone, zone, "SOA") != before, "reload")
        self.notify(tamisd, zone)

    def notify(self, tamisd, zone):
        query = dns.message.make_query(zone, "SOA")
        query.set_opcode(dns.opcode.NOTIFY)
        dns.query.udp(query, tamisd.address, port=tamisd.port, timeout=5)

    def secondary(self, zone, **options):
        return {"name": zone, "secondary": {"from": ["%s@%d" % self.knot.place], "key": KEY}, **options}

    def config(self, farm, **orders_options):
        """Of a tamisd with a zone of its own."""
        return {
            "keys": [{"name": KEY, "algorithm": "hmac-sha256", "secret": SECRET}],
            "zones": [{"name": "a.example", "primary": {"file": farm.write("a.zone", DATA)}}],
            "orders": orders_options,
        }


def start(farm, origin, zones=(), catalog=None, more_orders=None, **options):
    config = origin.config(farm, zones=list(zones), **({"catalog": catalog} if catalog else {}),
                           **(more_orders or {}))
    config["zones"] += [origin.secondary(zone, **options)
                        for zone in [*zones, *([catalog] if catalog else [])]]
    return farm.tamisd(config)


def compiled(farm, order_id, names, origin, serial, **changes):
    """The policy zone of an order, as tamis prints it."""
    path = orders.write_order(farm.directory + "/orders", order_id, names=names, **changes)
    keyring = ["--keyring", changes["keyring"]] if "keyring" in changes else []
    run = subprocess.run([tamis_program("tamis"), "order", "compile", "--origin", origin, "--serial",
                          str(serial), *keyring, path], capture_output=True, text=True, timeout=60,
                         check=True)
    return run.stdout


# ---- Made by others ----

FOREIGN = """\
h1.a.example CNAME .
h2.a.example CNAME *.
h3.a.example CNAME rpz-drop.
h4.a.example CNAME rpz-tcp-only.
h5.a.example A 192.0.2.66
h5.a.example AAAA 2001:db8::66
h6.a.example 20 A 192.0.2.67
h7.a.example CNAME rpz-passthru.
h8.a.example CNAME garden.example.
*.a.example CNAME .
32.1.100.51.198.rpz-ip CNAME .
24.0.2.0.192.rpz-client-ip CNAME rpz-drop.
ns.a.example.rpz-nsdname CNAME .
32.53.2.0.192.rpz-nsip CNAME .
elsewhere.example CNAME .
"""


def test_a_policy_zone_made_by_others_does_what_it_asks_for(farm):
    zone = "rpz.feed.example."
    origin = Origin(farm, {zone: FOREIGN})
    tamisd = start(farm, origin, [zone])
    path = orders.write_order(farm.directory + "/orders", "court-7", names=["h7.a.example", "h9.a.example"])
    tamisd.activate(path)

    assert address(tamisd, "h1.a.example") == "NXDOMAIN"
    assert address(tamisd, "h2.a.example") == "NODATA"
    with pytest.raises(dns.exception.Timeout):
        ask(tamisd, "h3.a.example", timeout_s=0.5)
    assert ask(tamisd, "h4.a.example").flags & dns.flags.TC
    assert ask(tamisd, "h4.a.example", tcp=True).answer[0][0].address == "198.51.100.4"
    assert address(tamisd, "h5.a.example") == "192.0.2.66"
    assert ask(tamisd, "h5.a.example", "AAAA").answer[0][0].address == "2001:db8::66"
    reply = ask(tamisd, "h6.a.example")
    assert (reply.answer[0][0].address, reply.answer[0].ttl) == ("192.0.2.67", 20)
    assert any(one.code == orders.BLOCKED and one.text.startswith("rpz-feed-example-sinkhole-")
               for one in reply.options if one.otype == dns.edns.EDE)
    assert address(tamisd, "h7.a.example") == "198.51.100.7", "a passthru is an exemption"
    assert address(tamisd, "h9.a.example") == orders.SINKHOLE_A
    assert address(tamisd, "h8.a.example") == "198.51.100.8"
    assert address(tamisd, "h10.a.example") == "198.51.100.10"

    base = active(tamisd)["rpz-feed-example"]
    assert base["source"] == "zone" and base["kind"] == "provider" and base["state"] == "in force"
    refused = {one["entry"] for one in base["findings"]}
    assert refused == {"h8.a.example", "*.a.example", "32.1.100.51.198.rpz-ip",
                       "24.0.2.0.192.rpz-client-ip", "ns.a.example.rpz-nsdname",
                       "32.53.2.0.192.rpz-nsip", "elsewhere.example"}


def test_each_generation_takes_the_place_of_the_one_before(farm):
    zone = "rpz.feed.example."
    origin = Origin(farm, {zone: "h1.a.example CNAME .\nh2.a.example A 192.0.2.66\n"})
    tamisd = start(farm, origin, [zone])
    for _ in range(3):
        assert address(tamisd, "h2.a.example") == "192.0.2.66"
    before = active(tamisd)

    origin.write(zone, "h3.a.example CNAME .\nh2.a.example A 192.0.2.66\n")
    origin.publish(tamisd, zone)
    eventually(lambda: address(tamisd, "h3.a.example") == "NXDOMAIN", "the new name")
    assert address(tamisd, "h1.a.example") == "198.51.100.1"
    sinkhole = next(one for one in before if "sinkhole" in one)
    assert active(tamisd)[sinkhole]["hits"] == before[sinkhole]["hits"] == 3, "what did not change goes on"

    origin.write(zone, "h3.a.example CNAME .\n")
    origin.publish(tamisd, zone)
    eventually(lambda: set(active(tamisd)) == {"rpz-feed-example"}, "the other answer gone")
    assert address(tamisd, "h2.a.example") == "198.51.100.2"


def test_policy_zones_are_shown_to_those_alone_who_may_transfer_them(farm):
    zone = "rpz.feed.example."
    origin = Origin(farm, {zone: "h1.a.example CNAME .\n"})
    tamisd = start(farm, origin, [zone], **{"allow-transfer": ["127.0.0.2"]})
    for name in (zone, "h1.a.example." + zone, "missing." + zone):
        reply = ask(tamisd, name, "CNAME")
        assert reply.rcode() == dns.rcode.REFUSED and not reply.answer and not reply.authority
    query = dns.message.make_query(zone, "SOA")
    reply = dns.query.udp(query, tamisd.address, port=tamisd.port, timeout=5, source="127.0.0.2")
    assert reply.rcode() == dns.rcode.NOERROR and reply.answer


def test_an_order_without_an_end_ends_with_its_zone_and_one_with_an_end_does_not(farm):
    plain, ours = "rpz.feed.example.", "t-1.orders.example."
    origin = Origin(farm, {plain: "", ours: compiled(farm, "t-1", ["h2.a.example"], ours, 1)})
    origin.expire = 2
    origin.write(plain, "h1.a.example CNAME .\n")
    text = compiled(farm, "t-1", ["h2.a.example"], ours, 2).replace("300 60 86400 60", "1 1 2 60")
    origin.write(ours, text)
    for zone in (plain, ours):
        origin.knot.control("zone-reload", zone)
    tamisd = start(farm, origin, [plain, ours])
    assert address(tamisd, "h1.a.example") == "NXDOMAIN"
    origin.knot.kill()
    eventually(lambda: address(tamisd, "h1.a.example") == "198.51.100.1", "expiry")
    eventually(lambda: all(one["status"] == "expired" for one in tamisd.control("zones")
                           if one["role"] == "secondary"), "both expired")
    assert address(tamisd, "h2.a.example") == orders.SINKHOLE_A
    assert set(active(tamisd)) == {"t-1"}


# ---- Made here ----

def test_a_compiled_order_is_the_same_order_at_the_other_end(farm):
    zone = "t-1.orders.example."
    text = compiled(farm, "t-1", ["h1.a.example", "_x.a.example", "h2.a.example"], zone, 1,
                    exempt=["h2.a.example"])
    origin = Origin(farm, {zone: text})
    tamisd = start(farm, origin, [zone])
    assert address(tamisd, "h1.a.example") == orders.SINKHOLE_A
    assert address(tamisd, "h2.a.example") == "198.51.100.2"
    assert address(tamisd, "_x.a.example") == orders.SINKHOLE_A, "the stand-in NODATA is undone"
    arrived = active(tamisd)["t-1"]
    assert (arrived["kind"], arrived["names"], arrived["exempt"]) == ("court", 3, 1)
    assert tamisd.activate(farm.directory + "/orders/t-1.yaml")["unchanged"], "the file says the same"


def test_a_zone_overrules_neither_a_person_nor_another_zone(farm):
    one, other = "one.orders.example.", "other.orders.example."
    origin = Origin(farm, {one: compiled(farm, "t-1", ["h1.a.example"], one, 1),
                           other: compiled(farm, "t-1", ["h2.a.example"], other, 1)})
    path = orders.write_order(farm.directory + "/orders", "t-1", names=["h3.a.example"])
    tamisd = start(farm, origin, [one, other], more_orders={"files": [path]})
    assert [address(tamisd, "h%d.a.example" % number) for number in (1, 2, 3)] == \
        ["198.51.100.1", "198.51.100.2", orders.SINKHOLE_A]
    assert "in force from elsewhere" in tamisd.process.log()


def test_what_a_person_lifts_stays_lifted(farm):
    zone = "t-1.orders.example."
    origin = Origin(farm, {zone: compiled(farm, "t-1", ["h1.a.example"], zone, 1)})
    tamisd = start(farm, origin, [zone])
    tamisd.lift("t-1")
    origin.write(zone, compiled(farm, "t-1", ["h1.a.example", "h2.a.example"], zone, 2))
    origin.publish(tamisd, zone)
    tamisd.process.wait_until(lambda: "order t-1 was lifted" in tamisd.process.log(), "refusal", PATIENCE_S)
    assert address(tamisd, "h1.a.example") == "198.51.100.1"


def test_subtrees_hold_with_two_signatures_alone(farm):
    folder = farm.directory + "/orders"
    keyring = [orders.make_signer(farm.directory, name) for name in ("alice", "bob")]
    farm.write("keyring.yaml", "".join("- {name: %s, public: \"%s\"}\n" % (one["name"], one["public"])
                                       for one in keyring))
    path = orders.write_order(folder, "t-1", names=["h1.a.example"], subtrees=["h2.a.example"])
    for name in ("alice", "bob"):
        orders.sign(farm.directory, name, path)
    zone = "t-1.orders.example."
    text = subprocess.run([tamis_program("tamis"), "order", "compile", "--origin", zone, "--serial", "1",
                           "--keyring", farm.directory + "/keyring.yaml", path],
                          capture_output=True, text=True, timeout=60, check=True).stdout
    origin = Origin(farm, {zone: text})
    tamisd = start(farm, origin, [zone], more_orders={"keyring": keyring})
    assert address(tamisd, "deep.h2.a.example") == orders.SINKHOLE_A

    origin.write(zone, text.replace(" 1 300 60", " 2 300 60").replace("h1.a.example A", "h3.a.example A"))
    origin.publish(tamisd, zone)
    tamisd.process.wait_until(lambda: "does not match" in tamisd.process.log(), "refusal", PATIENCE_S)
    assert address(tamisd, "h1.a.example") == orders.SINKHOLE_A, "the good generation stays"
    assert address(tamisd, "h3.a.example") == "198.51.100.3"


# ---- The catalog ----

def policy_zones(farm, count):
    return {"t-%d.orders.example." % number:
            compiled(farm, "t-%d" % number, ["h%d.a.example" % number], "t-%d.orders.example." % number, 1)
            for number in range(1, count + 1)}


def test_a_member_added_is_active_and_one_removed_is_lifted(farm):
    zones = policy_zones(farm, 3)
    one, two, three = zones
    origin = Origin(farm, zones, [one])
    tamisd = start(farm, origin, catalog=CATALOG)
    assert address(tamisd, "h1.a.example") == orders.SINKHOLE_A
    assert address(tamisd, "h2.a.example") == "198.51.100.2"
    assert ask(tamisd, CATALOG, "SOA").rcode() == dns.rcode.REFUSED

    origin.write_catalog([one, two, three])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: address(tamisd, "h2.a.example") == orders.SINKHOLE_A, "the second order")
    eventually(lambda: address(tamisd, "h3.a.example") == orders.SINKHOLE_A, "the third order")
    hits = active(tamisd)["t-1"]["hits"]
    assert hits == 1, "the first goes on as it was"

    origin.write_catalog([two, three])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: address(tamisd, "h1.a.example") == "198.51.100.1", "the lift")
    eventually(lambda: one.rstrip(".") not in {zone["name"] for zone in tamisd.control("zones")},
               "the zone gone")
    assert address(tamisd, "h2.a.example") == orders.SINKHOLE_A

    origin.write(two, compiled(farm, "t-2", ["h20.a.example"], two, 2))
    origin.publish(tamisd, two)
    eventually(lambda: address(tamisd, "h20.a.example") == orders.SINKHOLE_A, "a member's change")
    assert address(tamisd, "h2.a.example") == "198.51.100.2"

    origin.write_catalog([one, two, three])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: address(tamisd, "h1.a.example") == orders.SINKHOLE_A, "back again")


def test_an_order_that_was_kept_out_by_another_zones_takes_its_place(farm):
    one, other = "one.orders.example.", "other.orders.example."
    origin = Origin(farm, {one: compiled(farm, "t-1", ["h1.a.example"], one, 1),
                           other: compiled(farm, "t-1", ["h2.a.example"], other, 1)}, [one])
    tamisd = start(farm, origin, catalog=CATALOG)
    origin.write_catalog([one, other])
    origin.publish(tamisd, CATALOG)
    tamisd.process.wait_until(lambda: "in force from elsewhere" in tamisd.process.log(), "refusal", PATIENCE_S)
    assert address(tamisd, "h1.a.example") == orders.SINKHOLE_A
    origin.write_catalog([other])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: address(tamisd, "h2.a.example") == orders.SINKHOLE_A, "the other zone's order")
    assert address(tamisd, "h1.a.example") == "198.51.100.1"


def test_a_broken_catalog_changes_nothing_and_says_why(farm):
    zones = policy_zones(farm, 2)
    one, two = zones
    origin = Origin(farm, zones, [one])
    tamisd = start(farm, origin, catalog=CATALOG)
    for members, version, reason in (([two], '"1"', 'not of version "2"'),
                                     ([("x", two), ("y", two)], '"2"', "lists %s twice" % two),
                                     ([("x", one), ("x", two)], '"2"', "x.zones names 2 zones")):
        origin.write_catalog(members, version)
        origin.publish(tamisd, CATALOG)
        tamisd.process.wait_until(lambda: reason in tamisd.process.log(), reason, PATIENCE_S)
        assert address(tamisd, "h1.a.example") == orders.SINKHOLE_A
        assert address(tamisd, "h2.a.example") == "198.51.100.2"


def test_a_member_under_another_label_begins_anew(farm):
    zones = policy_zones(farm, 2)
    one, two = zones
    origin = Origin(farm, zones, [one, two])
    tamisd = start(farm, origin, catalog=CATALOG)
    address(tamisd, "h1.a.example")
    address(tamisd, "h2.a.example")
    origin.write_catalog([("other", one), two])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: active(tamisd).get("t-1", {"hits": 1})["hits"] == 0, "a new order")
    assert active(tamisd)["t-2"]["hits"] == 1


def test_a_member_of_the_configuration_is_not_the_catalogs(farm):
    zones = policy_zones(farm, 2)
    one, two = zones
    origin = Origin(farm, zones, [one, ("x", "a.example."), ("y", "h5.a.example."), two])
    tamisd = start(farm, origin, [one], catalog=CATALOG)
    assert "its member a.example. is the zone a.example, which stays" in tamisd.process.log()
    assert "its member h5.a.example. would cut names out of the zone a.example" in tamisd.process.log()
    assert address(tamisd, "h5.a.example") == "198.51.100.5"
    origin.write_catalog([])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: address(tamisd, "h2.a.example") == "198.51.100.2", "the lift")
    assert address(tamisd, "h1.a.example") == orders.SINKHOLE_A


def test_members_serve_from_their_snapshots_though_the_origin_is_gone(farm):
    zones = policy_zones(farm, 2)
    origin = Origin(farm, zones, list(zones))
    tamisd = start(farm, origin, catalog=CATALOG)
    folder = tamisd.path("state", "zones")
    eventually(lambda: len([one for one in os.listdir(folder) if not one.endswith(".new")]) >= 3, "snapshots")
    origin.knot.kill()
    tamisd.restart()
    assert [address(tamisd, "h%d.a.example" % number) for number in (1, 2, 3)] == \
        [orders.SINKHOLE_A, orders.SINKHOLE_A, "198.51.100.3"]


def test_a_reload_keeps_members_and_one_without_the_catalog_gives_them_up(farm):
    zones = policy_zones(farm, 3)
    one, two, three = zones
    origin = Origin(farm, zones, [one, two])
    tamisd = start(farm, origin, catalog=CATALOG)
    address(tamisd, "h1.a.example")
    tamisd.reload()
    assert active(tamisd)["t-1"]["hits"] == 1
    origin.write_catalog([one, two, three])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: address(tamisd, "h3.a.example") == orders.SINKHOLE_A, "the third order")

    # A member becomes a zone of the configuration, and the catalog goes.
    tamisd.config["zones"].append(origin.secondary(one))
    tamisd.config["orders"] = {"zones": [one], "catalog": ""}
    tamisd.reload()
    eventually(lambda: set(active(tamisd)) == {"t-1"}, "the others lifted")
    assert {zone["name"] for zone in tamisd.control("zones")} == \
        {"a.example", CATALOG.rstrip("."), one.rstrip(".")}
    assert address(tamisd, "h1.a.example") == orders.SINKHOLE_A
    assert active(tamisd)["t-1"]["hits"] == 2, "it went on as it was"
    assert ask(tamisd, CATALOG, "SOA").rcode() == dns.rcode.NOERROR, "an ordinary zone now"

    tamisd.config["orders"] = {"zones": [], "catalog": CATALOG}
    tamisd.config["zones"].pop()
    tamisd.reload()
    eventually(lambda: set(active(tamisd)) == {"t-1", "t-2", "t-3"}, "all of the catalog again")


def test_a_lift_by_the_catalog_waits_for_no_long_list(farm):
    """While an order of many names is being read and put in force, another is lifted."""
    zones = policy_zones(farm, 1)
    big = "big.orders.example."
    names = ["n%d.a.example" % number for number in range(300000)]
    zones[big] = compiled(farm, "big", names, big, 1)
    one = next(iter(zones))
    origin = Origin(farm, zones, [one])
    tamisd = start(farm, origin, catalog=CATALOG)
    origin.write_catalog([one, big])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: any(zone["name"] == big.rstrip(".") and zone["status"] == "serving"
                           for zone in tamisd.control("zones")), "the big zone's arrival")
    origin.write_catalog([big])
    origin.publish(tamisd, CATALOG)
    eventually(lambda: address(tamisd, "h1.a.example") == "198.51.100.1", "the lift")
    eventually(lambda: address(tamisd, "n299999.a.example") == orders.SINKHOLE_A, "the big order")


def test_lifting_by_hand_what_no_zone_holds_is_an_error(farm):
    origin = Origin(farm, {"rpz.feed.example.": "h1.a.example CNAME .\n"})
    tamisd = start(farm, origin, ["rpz.feed.example."])
    with pytest.raises(ControlError):
        tamisd.lift("rpz-feed-example-drop")
