"""Parity: with an order on top, every name that it does not list is answered as the origin answers it.

60,000 names in three zones (plain; aliases, wildcards, delegations and mail; signed) and thousands of
random missing ones, for four types, in random letter case, with and without DO. `tamis prove` asks
every one; a sample is asked again and compared here, by other code.
"""

import json
import os
import random
import subprocess

import pytest

from testbed import wire
from testbed.asker import ask_all
from testbed.orders import SINKHOLE_A, SINKHOLE_AAAA, write_order
from testbed.servers import program, tamis_program

NAMES_A_ZONE = 20000
LISTED_LIVE, LISTED_DEAD = 1000, 9000
MISSING = 6000
SAMPLE = 15000  # questions that are compared here as well
TYPES = ("A", "AAAA", "TXT", "MX")
PAYLOAD = 1232
CNAME, DNAME = 5, 39


def zone_head(name):
    return ("$ORIGIN %s\n@ 3600 SOA ns hostmaster 2014063000 7200 900 1209600 300\n@ 3600 NS ns\n"
            "ns 3600 A 192.0.2.53\nns 3600 AAAA 2001:db8::53\n@ 600 MX 10 mail\nmail 600 A 192.0.2.25\n" % name)


def address(draw):
    return "198.51.100.%d" % draw.randrange(256)


def plain_zone(draw):
    """Dynamic hosts: an address or two each, as a provider has by the million."""
    names, lines = [], [zone_head("plain.example.")]
    for index in range(NAMES_A_ZONE):
        name = "host%d" % index
        lines.append("%s 60 A %s\n" % (name, address(draw)))
        if index % 3 == 0:
            lines.append("%s 60 AAAA 2001:db8::%x\n" % (name, draw.randrange(1 << 16)))
        if index % 50 == 0:
            lines.append('%s 300 TXT "v=spf1 a -all"\n%s 300 MX 5 %s\n' % (name, name, name))
        names.append(name + ".plain.example.")
    return names, "".join(lines)


def mixed_zone(draw):
    """Aliases, chains, wildcards, empty non-terminals, delegations, mail, DNAMEs, big sets."""
    names, lines = [], [zone_head("mixed.example.")]
    for index in range(NAMES_A_ZONE):
        name, kind = "n%d" % index, index % 10
        if kind == 0:
            lines.append("%s 60 CNAME n%d\n" % (name, draw.randrange(NAMES_A_ZONE)))
        elif kind == 1:
            lines.append("*.%s 60 A %s\n*.%s 60 MX 10 mail\n" % (name, address(draw), name))
            name = "any.thing." + name
        elif kind == 2:
            lines.append("%s 60 NS ns.%s\n%s 60 NS ns.elsewhere.test.\nns.%s 60 A %s\n"
                         % (name, name, name, name, address(draw)))
            name = draw.choice(["", "www."]) + name
        elif kind == 3:
            lines.append("%s 60 MX 10 n%d\n%s 60 MX 20 mail\n" % (name, draw.randrange(NAMES_A_ZONE), name))
        elif kind == 4:
            lines.append("a.b.%s 60 A %s\n" % (name, address(draw)))
            name = draw.choice(["a.b.", "b.", ""]) + name
        elif kind == 5 and index % 100 == 5:
            lines.append("%s 60 DNAME plain.example.\n" % name)
            name = "host%d.%s" % (draw.randrange(NAMES_A_ZONE), name)
        elif kind == 6 and index % 100 == 6:
            lines += ["%s 60 A 203.0.113.%d\n" % (name, last) for last in range(40)]
        elif kind == 7:
            lines.append('%s 0 TXT "%s"\n' % (name, "t" * draw.randrange(1, 255)))
        else:
            lines.append("%s %d A %s\n" % (name, draw.choice([0, 1, 60, 86400]), address(draw)))
        names.append(name + ".mixed.example.")
    return names, "".join(lines)


def signed_zone(draw):
    names, lines = [], [zone_head("signed.example.")]
    for index in range(NAMES_A_ZONE):
        name = "s%d" % index
        if index % 5 == 4:
            lines.append("%s 60 NS ns.elsewhere.test.\n" % name)
        elif index % 5 == 3:
            lines.append('*.%s 60 TXT "wild"\n' % name)
            name = "some." + name
        else:
            lines.append("%s 60 A %s\n" % (name, address(draw)))
        names.append(name + ".signed.example.")
    return names, "".join(lines)


def sign(folder, path):
    made = subprocess.run([program("dnssec-keygen"), "-q", "-K", folder, "-a", "ECDSAP256SHA256", "-f", "KSK",
                           "signed.example."], check=True, capture_output=True, text=True, timeout=60)
    key = os.path.join(folder, made.stdout.strip())
    with open(path, "a", encoding="utf-8") as zone, open(key + ".key", encoding="utf-8") as record:
        zone.write("".join(line for line in record if not line.startswith(";")))
    subprocess.run([program("dnssec-signzone"), "-P", "-z", "-A", "-3", "-", "-H", "0", "-n", "2", "-o", "signed.example.",
                    "-f", path + ".signed", path, key], cwd=folder, check=True, capture_output=True, timeout=300)
    return path + ".signed"


@pytest.fixture(scope="module")
def takeover(module_farm, request):
    """An origin, tamisd as its secondary, an order in force, and the names to ask about."""
    seed = request.config.getoption("--seed")
    print("seed", seed)
    draw = random.Random(seed)
    zones, names = [], []
    for make in (plain_zone, mixed_zone, signed_zone):
        some, text = make(draw)
        name = ".".join(some[0].split(".")[-3:])
        path = module_farm.write("origin/%szone" % name, text)
        zones.append((name, sign(os.path.dirname(path), path) if make is signed_zone else path))
        names += some
    apexes = [name for name, _ in zones]
    names = sorted(set(names))
    missing = ["%s.%s" % (draw.choice(["", "a.", "x.y."]) + "gone%d" % index, draw.choice(apexes))
               for index in range(MISSING)]
    live = draw.sample([name for name in names if name.count(".") == 3], LISTED_LIVE * 2)
    knot = module_farm.knot(zones)
    # A delegation is never blocked by a name: list only names that hold data or nothing.
    asked = ask_all(knot.place, [wire.query(name, "A") for name in live])
    live = [name for name, reply in zip(live, asked) if wire.is_authoritative(reply)][:LISTED_LIVE]
    dead = ["dead%d.%s" % (index, apexes[index % 3]) for index in range(LISTED_DEAD)]
    listed = live + dead
    order = write_order(module_farm.directory, "parity", names_text="\n".join(listed) + "\n")
    tamisd = module_farm.tamisd({
        "zones": [{"name": name, "secondary": {"from": ["%s@%d" % knot.place]}} for name in apexes],
        "orders": {"files": [order]}})
    return {"knot": knot, "tamisd": tamisd, "order": order, "listed": set(listed), "names": names + missing,
            "random": draw, "folder": module_farm.directory}


def test_prove_finds_every_listed_name_sinkholed_and_no_other_different(takeover):
    names = os.path.join(takeover["folder"], "names.txt")
    with open(names, "w", encoding="utf-8") as file:
        file.write("\n".join(takeover["names"]) + "\n")
    report = os.path.join(takeover["folder"], "proof.json")
    proof = subprocess.run([
        tamis_program("tamis"), "prove", "--front", "%s@%d" % takeover["tamisd"].place, "--origin",
        "%s@%d" % takeover["knot"].place, "--names", names, "--order", takeover["order"], "--types", ",".join(TYPES),
        "--do=both", "--random-case", "--ttl", "exact", "--report", report],
        capture_output=True, text=True, timeout=300, check=False)
    assert proof.returncode == 0, proof.stdout[-4000:] + proof.stderr[-4000:]
    with open(report, encoding="utf-8") as file:
        assert json.load(file)


def test_a_broken_front_does_not_pass_the_proof(takeover):
    """The proof must be able to fail: without the order in its hands, each blocked name is a difference."""
    names = os.path.join(takeover["folder"], "few.txt")
    with open(names, "w", encoding="utf-8") as file:
        file.write("\n".join(sorted(takeover["listed"])[:200]) + "\n")
    proof = subprocess.run([
        tamis_program("tamis"), "prove", "--front", "%s@%d" % takeover["tamisd"].place, "--origin",
        "%s@%d" % takeover["knot"].place, "--names", names], capture_output=True, text=True, timeout=300, check=False)
    assert proof.returncode == 1, proof.stdout[-2000:]


def meaning(reply):
    """What must be equal: all but order, compression, and the size that OPT announces."""
    message = wire.Message(reply)
    if message.tc:
        return ("TC",)
    return (message.rcode, message.flags, tuple(sorted(message.answer)), tuple(sorted(message.authority)),
            tuple(sorted(message.additional)), message.opt and message.opt[3])


def mentions(reply, names):
    """Whether the origin's answer leads to a listed name: by an alias, or by its address as additional
    data. What leads there is blocked there."""
    message = wire.Message(reply)
    return any(record[0] in names for record in message.additional) \
        or bool(names & wire.rdata_names(record for record in message.answer if record[1] in (CNAME, DNAME)))


def test_a_sample_of_unlisted_names_is_answered_as_by_the_origin(takeover):
    draw = takeover["random"]
    unlisted = [name for name in takeover["names"] if name not in takeover["listed"]]
    questions = []
    for _ in range(SAMPLE):
        name = wire.name_from_text(draw.choice(unlisted))
        name = bytes(octet ^ 0x20 if 97 <= octet <= 122 and draw.random() < 0.5 else octet for octet in name)
        do = draw.random() < 0.5
        questions.append(wire.query(name, draw.choice(TYPES), edns=PAYLOAD if do or draw.random() < 0.5 else None, do=do))
    ours, theirs = (ask_all(takeover[server].place, questions) for server in ("tamisd", "knot"))
    listed = {wire.name_from_text(name) for name in takeover["listed"]}
    wrong = [index for index in range(SAMPLE) if ours[index] is None or theirs[index] is None
             or (meaning(ours[index]) != meaning(theirs[index]) and not mentions(theirs[index], listed))]
    assert not wrong, "%d of %d differ, as in:\n%s\n%s" % (
        len(wrong), SAMPLE, *(wire.message_text(wire.Message(side[wrong[0]])) for side in (ours, theirs)))


def test_every_listed_name_is_sinkholed_in_any_letter_case(takeover):
    draw = takeover["random"]
    listed = sorted(takeover["listed"])
    for rrtype, wanted in (("A", SINKHOLE_A), ("AAAA", SINKHOLE_AAAA), ("TXT", None), ("MX", None)):
        questions = []
        for name in listed:
            octets = bytes(octet ^ 0x20 if 97 <= octet <= 122 and draw.random() < 0.5 else octet
                           for octet in wire.name_from_text(name))
            questions.append(wire.query(octets, rrtype, edns=PAYLOAD, do=draw.random() < 0.5))
        for name, reply in zip(listed, ask_all(takeover["tamisd"].place, questions)):
            message = wire.Message(reply)
            assert (message.rcode, message.aa) == (0, True), name
            assert [wire.rdata_text(one[1], one[4]) for one in message.answer] == ([wanted] if wanted else []), name
            assert message.ede, name
