"""tamis prove: every kind of difference between a front and its origin is found, and nothing else."""

import datetime
import json
import os
import random
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TAMIS = Path(os.environ.get("TAMIS_BIN", REPOSITORY / "build" / "bin")) / "tamis"
KNOTD = shutil.which("knotd", path="/usr/sbin:/usr/bin:/sbin:/bin")
HOST = "127.0.0.1"
ZONE = "a.example"

RECORDS = {
    "@ SOA": "@ 300 SOA ns1 hostmaster 7 3600 600 1209600 60",
    "@ NS": "@ 300 NS ns1",
    "ns1": "ns1 300 A 192.0.2.1",
    "www": "www 300 A 192.0.2.10",
    "mail": "mail 300 A 192.0.2.11",
    "both A": "both 300 A 192.0.2.12",
    "both AAAA": "both 300 AAAA 2001:db8::12",
    "alias": "alias 300 CNAME bad",
    "bad": "bad 300 A 192.0.2.13",
    "bad MX": "bad 300 MX 10 mail",
    "uses": "uses 300 MX 10 bad",
    "below": "x.empty 300 A 192.0.2.14",
}
NAMES = [f"{label}.{ZONE}" for label in ("www", "mail", "both", "ns1", "empty", "x.empty", "none")]

ORDER = """\
id: nv-2014-00987
kind: court
authority: "US District Court, D. Nevada, 2:14-cv-00987"
starts: 2014-06-30T12:00:00Z
ends: {ends}
action: sinkhole
sinkhole: {{ a: [192.0.2.66], aaaa: ["2001:db8::66"], ttl: 60 }}
notice: https://desk.example/orders/nv-2014-00987
names: [{names}]
"""
TOMORROW = (
    datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
).strftime("%Y-%m-%dT%H:%M:%SZ")
EDE = dns.edns.GenericOption(
    15, (16).to_bytes(2, "big") + b"nv-2014-00987 https://desk.example/orders/nv-2014-00987"
)


def free_port():
    """A port that is free for both UDP and TCP now; below the range that outgoing sockets get."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind((HOST, port))
                tcp.bind((HOST, port))
                return port
            except OSError:
                continue


class Knot:
    """A real server for one zone."""

    def __init__(self, folder, records):
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.address = f"{HOST}@{self.port}"
        text = "".join(line + "\n" for line in records.values())
        (folder / "zone").write_text(f"$ORIGIN {ZONE}.\n{text}")
        (folder / "knot.conf").write_text(
            f"server:\n  listen: {self.address}\n  rundir: {folder}\n"
            "  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
            f"log:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: {folder}\n"
            f"zone:\n  - domain: {ZONE}\n    file: {folder}/zone\n    zonefile-sync: -1\n"
            "    journal-content: none\n"
        )
        self.process = subprocess.Popen(
            [KNOTD, "-c", folder / "knot.conf"], stderr=(folder / "log").open("w")
        )
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                query = dns.message.make_query(ZONE, "SOA")
                if dns.query.udp(query, HOST, port=self.port, timeout=0.5).answer:
                    return
            except (dns.exception.Timeout, OSError):
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(name="knot")
def knot_fixture(tmp_path):
    """Starts servers; a record is changed by its key, and left out where its value is None."""
    started = []

    def start(**changes):
        records = {**RECORDS, **{key.replace("_", " "): line for key, line in changes.items()}}
        records = {key: line for key, line in records.items() if line is not None}
        started.append(Knot(tmp_path / f"knot{len(started)}", records))
        return started[-1]

    yield start
    for server in started:
        server.stop()


class Front:
    """A front of a few lines: what `change` gives for a question, else the origin's answer."""

    def __init__(self, origin, change):
        front = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                wire, sock = self.request
                query = dns.message.from_wire(wire)
                for answer in front.answers(query):
                    sock.sendto(answer, self.client_address)

        self.origin = origin
        self.change = change
        self.server = socketserver.ThreadingUDPServer((HOST, 0), Handler)
        self.server.daemon_threads = True
        self.address = f"{HOST}@{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def answers(self, query):
        answer = dns.query.udp(query, HOST, port=self.origin.port, timeout=5)
        changed = self.change(query, answer)
        return [
            part if isinstance(part, bytes) else part.to_wire()
            for part in (changed if isinstance(changed, list) else [changed])
        ]

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(name="front")
def front_fixture():
    started = []

    def start(origin, change):
        started.append(Front(origin, change))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def verdict(query, name, answer=(), with_reason=True):
    """The answer that an order demands, with `answer` in front of it."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA
    response.answer.extend(answer)
    kind = query.question[0].rdtype
    addresses = {dns.rdatatype.A: "192.0.2.66", dns.rdatatype.AAAA: "2001:db8::66"}
    if kind in addresses:
        response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, addresses[kind]))
    else:
        soa = f"ns1.{ZONE}. hostmaster.{ZONE}. 7 3600 600 1209600 60"
        response.authority.append(dns.rrset.from_text(ZONE + ".", 60, "IN", "SOA", soa))
    response.use_edns(0, payload=1232, options=[EDE] if with_reason else [])
    return response


def lists_bad(query, answer):
    """What Tamis does about an order for bad.a.example."""
    bad = dns.name.from_text(f"bad.{ZONE}.")
    question = query.question[0]
    if question.name == bad:
        return verdict(query, bad)
    if any(rrset.name == bad for rrset in answer.answer) or question.name.labels[0].lower() == b"alias":
        return verdict(query, bad, [rrset for rrset in answer.answer if rrset.name != bad])
    answer.additional = [rrset for rrset in answer.additional if rrset.name != bad]
    return answer


def write_order(tmp_path, names=f"bad.{ZONE}", ends=TOMORROW):
    path = tmp_path / "order.yaml"
    path.write_text(ORDER.format(names=names, ends=ends))
    return path


def prove(tmp_path, front, origin, *options, names=None):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES if names is None else names) + "\n")
    command = [TAMIS, "prove", "--front", front.address, "--origin", origin.address]
    command += ["--names", path, "--timeout", "500", "--json", *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode in (0, 1) and run.stdout, run.stderr
    report = json.loads(run.stdout)
    assert report["proved"] == (run.returncode == 0)
    return report


def found(report):
    """(name, type, kind) of each difference, the zone left off."""
    return {
        (entry["name"].removesuffix(f".{ZONE}."), entry["type"], entry["kind"])
        for entry in report["examples"]
    }


def test_two_servers_with_the_same_zone_are_proved_equal(tmp_path, knot):
    report = prove(tmp_path, knot(), knot(), "--types", "A,AAAA,MX,TXT,NS", "--do=both")
    assert report["proved"]
    assert report["answers"]["equal"] == report["answers"]["compared"] == len(NAMES) * 5 * 2
    assert report["zones"] == [
        {
            "zone": f"{ZONE}.",
            "front": {"start": 7, "end": 7},
            "origin": {"start": 7, "end": 7},
            "changed": False,
        }
    ]


def test_random_letter_case_changes_nothing(tmp_path, knot):
    origin = knot()
    report = prove(tmp_path, origin, origin, "--random-case=7")
    assert report["proved"]
    assert report["asked"]["random_case_seed"] == 7


def test_each_difference_is_found_and_named(tmp_path, knot):
    origin = knot()
    front = knot(
        www="www 300 A 192.0.2.99",
        both_AAAA=None,
        mail="mail 301 A 192.0.2.11",
        below=None,
        added="none 300 A 192.0.2.15",
    )
    report = prove(tmp_path, front, origin)
    assert found(report) == {
        ("www", "A", "rdata"),
        ("both", "AAAA", "missing"),
        ("mail", "A", "ttl"),
        ("empty", "A", "rcode"),
        ("empty", "AAAA", "rcode"),
        ("x.empty", "A", "rcode"),
        ("x.empty", "AAAA", "rcode"),
        ("none", "A", "rcode"),
        ("none", "AAAA", "rcode"),
    }
    assert report["names"]["unlisted_different"] == 6
    assert report["answers"]["different"] == 9


def test_a_lower_ttl_is_right_unless_exactness_is_asked_for(tmp_path, knot):
    origin, front = knot(), knot(mail="mail 299 A 192.0.2.11")
    assert prove(tmp_path, front, origin)["proved"]
    assert found(prove(tmp_path, front, origin, "--ttl", "exact")) == {("mail", "A", "ttl")}


def test_an_origin_that_stopped_leaves_nothing_proved(tmp_path, knot):
    front, origin = knot(), knot()
    origin.stop()
    report = prove(tmp_path, front, origin)
    assert not report["proved"]
    assert report["answers"]["not_comparable"] == len(NAMES) * 2
    assert set(report["differences"]) == {"origin-silent"}
    report = prove(tmp_path, front, origin, "--origin-may-be-silent")
    assert not report["proved"], "nothing was compared"


def test_an_origin_that_stopped_may_be_allowed_where_listed_names_are_proved(tmp_path, knot, front):
    origin = knot()

    def bad_only(query, answer):
        return verdict(query, query.question[0].name)

    blocking = front(origin, bad_only)
    dead = type("Dead", (), {"address": f"{HOST}@{free_port()}"})
    options = ("--order", write_order(tmp_path), "--origin-may-be-silent")
    report = prove(tmp_path, blocking, dead, *options, names=[f"bad.{ZONE}"])
    assert report["proved"]
    assert report["answers"]["blocked"] == 2


def test_a_silent_front_is_a_finding(tmp_path, knot):
    dead = type("Dead", (), {"address": f"{HOST}@{free_port()}"})
    report = prove(tmp_path, dead, knot())
    assert set(report["differences"]) == {"front-silent"}


def test_listed_names_are_proved_with_their_aliases_and_additional_data(tmp_path, knot, front):
    origin = knot()
    report = prove(
        tmp_path,
        front(origin, lists_bad),
        origin,
        *("--order", write_order(tmp_path), "--types", "A,AAAA,MX,TXT", "--random-case"),
        names=[*NAMES, f"alias.{ZONE}", f"uses.{ZONE}"],
    )
    assert report["examples"] == []
    assert report["proved"]
    assert report["names"] == {
        "listed": 1,
        "unlisted": len(NAMES) + 2,
        "listed_wrong": 0,
        "unlisted_different": 0,
    }
    assert report["answers"]["blocked"] == 4
    assert report["answers"]["blocked_alias"] == 4
    assert report["answers"]["addresses_left_out"] == 1


def test_a_listed_name_that_is_not_blocked_is_found_also_through_an_alias(tmp_path, knot):
    origin = knot()
    names = [*NAMES, f"alias.{ZONE}", f"uses.{ZONE}"]
    report = prove(
        tmp_path, origin, origin, "--order", write_order(tmp_path), "--types", "A,MX", names=names
    )
    assert found(report) == {
        ("bad", "A", "listed-not-blocked"),
        ("bad", "MX", "listed-not-blocked"),
        ("alias", "A", "listed-not-blocked"),
        ("alias", "MX", "listed-not-blocked"),
        ("uses", "MX", "listed-not-blocked"),
    }
    assert report["names"]["listed_wrong"] == 1


def test_a_sinkhole_that_gives_no_reason_is_found(tmp_path, knot):
    origin, sinkhole = knot(), knot(bad="bad 60 A 192.0.2.66", bad_MX=None)
    options = ("--order", write_order(tmp_path), "--types", "A")
    assert found(prove(tmp_path, sinkhole, origin, *options)) == {("bad", "A", "listed-no-reason")}


def test_an_unlisted_name_that_is_blocked_is_found(tmp_path, knot, front):
    origin = knot()

    def blocks_www(query, answer):
        if query.question[0].name.labels[0] == b"www":
            return verdict(query, query.question[0].name)
        return lists_bad(query, answer)

    report = prove(
        tmp_path, front(origin, blocks_www), origin, "--order", write_order(tmp_path), "--types", "A"
    )
    assert found(report) == {("www", "A", "unlisted-blocked")}


def test_a_difference_that_goes_away_is_not_blamed(tmp_path, knot, front):
    origin = knot()
    asked = set()

    def wrong_at_first(query, answer):
        key = query.question[0].to_text()
        if key not in asked and query.question[0].rdtype != dns.rdatatype.SOA:
            asked.add(key)
            answer.set_rcode(dns.rcode.SERVFAIL)
        return answer

    report = prove(tmp_path, front(origin, wrong_at_first), origin)
    assert report["proved"]
    assert report["answers"]["settled"] == len(NAMES) * 2


def test_answers_to_other_questions_are_dropped(tmp_path, knot, front):
    origin = knot()

    def noise_first(query, answer):
        forged = dns.message.make_response(query)
        forged.set_rcode(dns.rcode.NXDOMAIN)
        other_id = bytearray(forged.to_wire())
        other_id[1] ^= 1
        other_name = bytearray(forged.to_wire())
        other_name[13] ^= 1
        query_again = query.to_wire()
        return [bytes(other_id), bytes(other_name), query_again, b"\x00", answer]

    report = prove(tmp_path, front(origin, noise_first), origin)
    assert report["examples"] == []
    assert report["proved"]
    assert report["transport"]["stray"] >= len(NAMES) * 2 * 3


def test_malformed_answers_are_a_finding_and_no_end(tmp_path, knot, front):
    origin = knot()

    def cut(query, answer):
        return answer.to_wire()[:-15] if query.question[0].rdtype == dns.rdatatype.A else answer

    report = prove(tmp_path, front(origin, cut), origin)
    assert set(report["differences"]) == {"front-malformed"}
    assert report["answers"]["equal"] == len(NAMES)


def test_long_answers_are_compared_over_tcp(tmp_path, knot):
    texts = [f"big 300 TXT {'x' * 200}{number:03}" for number in range(60)]
    origin = knot(big="\n".join(texts))
    front = knot(big="\n".join(reversed(texts)))
    other = knot(big="\n".join(texts[:-1] + ["big 300 TXT other"]))
    names = [f"big.{ZONE}"] * 100
    report = prove(tmp_path, front, origin, "--types", "TXT", names=names)
    assert report["proved"]
    assert report["transport"]["front"]["over_tcp"] == 100
    report = prove(tmp_path, other, origin, "--types", "TXT", names=names[:1])
    assert found(report) == {("big", "TXT", "rdata")}


def test_a_truncated_answer_without_tcp_is_silence(tmp_path, knot, front):
    origin = knot()

    def truncated(query, answer):
        answer.flags |= dns.flags.TC
        return answer

    report = prove(tmp_path, front(origin, truncated), origin, names=NAMES[:2])
    assert set(report["differences"]) == {"front-silent"}
    assert "none over TCP" in report["examples"][0]["detail"]


def test_bad_lines_and_duplicates_are_counted_and_named_and_the_rest_stands(tmp_path, knot):
    origin = knot()
    lines = [
        "# a comment",
        "",
        f"  www.{ZONE}.  # behind a name",
        "two words",
        f"WWW.{ZONE}",
        "b\u00fccher.example",
        "a..b",
        "x" * 64 + ".example",
        "y" * 5000,
        f"mail.{ZONE}\r",
    ]
    report = prove(tmp_path, origin, origin, names=lines)
    assert report["proved"]
    assert report["names"]["unlisted"] == 3
    bad = report["asked"]["bad_lines"]
    assert (bad["count"], bad["duplicates"]) == (5, 1)
    assert [entry["line"] for entry in bad["examples"]] == [4, 5, 6, 7, 8, 9]


def test_the_report_is_the_same_in_a_file_and_the_table_names_the_verdict(tmp_path, knot):
    origin = knot()
    names = tmp_path / "names"
    names.write_text(f"www.{ZONE}\n")
    saved = tmp_path / "proof.json"
    run = subprocess.run(
        [TAMIS, "prove", "--front", origin.address, "--origin", origin.address]
        + ["--names", names, "--report", saved],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "PROVED  0 of 1 other names differ"
    assert "\033" not in run.stdout
    assert json.loads(saved.read_text())["proved"]
    assert not saved.with_suffix(".json.tmp").exists()


def test_a_limit_shortens_the_list_and_a_filter_chooses_from_it(tmp_path, knot):
    origin, front = knot(), knot(www=None, mail="mail 301 A 192.0.2.11")
    report = prove(tmp_path, front, origin, "--limit", "1")
    assert len(report["examples"]) == 1
    assert report["answers"]["different"] == 3
    assert found(prove(tmp_path, front, origin, "--show", "ttl")) == {("mail", "A", "ttl")}


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--front", "192.0.2.1@53", "--origin", "192.0.2.1@53"],
        ["--front", "host@53", "--origin", "192.0.2.1@53", "--names", "/dev/null"],
        ["--front", "192.0.2.1@0", "--origin", "192.0.2.1@53", "--names", "/dev/null"],
        ["--types", "AXFR"],
        ["--types", "NOTHING"],
        ["--in-flight", "0"],
        ["--ttl", "higher"],
        ["--show", "everything"],
        ["--unknown"],
        ["argument"],
        ["--front", f"{HOST}@9", "--origin", f"{HOST}@9", "--names", "/nonexistent"],
    ],
)
def test_wrong_use_exits_2_and_says_what_is_wrong(options):
    run = subprocess.run(
        [TAMIS, "prove", *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("tamis prove: ")


def test_an_order_that_is_not_in_force_is_wrong_use(tmp_path):
    order = write_order(tmp_path, ends="2014-07-14T12:00:00Z")
    run = subprocess.run(
        [TAMIS, "prove", "--front", f"{HOST}@9", "--origin", f"{HOST}@9", "--order", order],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert "has ended" in run.stderr


def test_help_shows_an_example():
    run = subprocess.run(
        [TAMIS, "prove", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0
    assert "example:" in run.stdout
