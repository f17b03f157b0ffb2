"""`tamis sink report`, `top` and `series` from a folder of events."""

import csv
import io
import json
import os
import subprocess
import time
import uuid

import pytest

from testbed.servers import tamis_program

HOUR = 3600 * 1000000
NOW = int(time.time()) * 1000000
ORDER = "nv-2014-00987"


def write(folder, lines):
    program = os.path.join(os.path.dirname(tamis_program("tamis")), "..", "tests", "load", "sink_events_write")
    done = subprocess.run([program, str(folder / "events"), str(folder / "keys")], capture_output=True,
                          text=True, timeout=60, input="".join(json.dumps(line) + "\n" for line in lines))
    assert done.returncode == 0, done.stderr


def victim(bot, client, asn, country, **more):
    """Check-ins over more than three days, each tried again at once as bots do; the last an hour ago."""
    return [dict({"at_us": NOW - hours * HOUR - again * 30000000, "client": client, "asn": asn, "country": country, "bot": bot,
                  "family": "njrat", "order": ORDER, "name": "bad.a.example"}, **more)
            for hours in (80, 60, 40, 20, 1) for again in (2, 1, 0)]


@pytest.fixture(scope="module")
def sunk(tmp_path_factory):
    """Three victims in two networks, one that came once, a known fake, and scanners."""
    folder = tmp_path_factory.mktemp("sunk")
    lines = (victim("HacKed_11111111", "192.0.2.1", 64496, "CH")
             + victim("HacKed_22222222", "192.0.2.2", 64496, "CH", version="0.7d")
             + victim("HacKed_33333333", "2001:db8::3", 64497, "DE", family="hworm", order="other-1")
             + [dict(victim("HacKed_44444444", "198.51.100.4", 64496, "CH")[-1])]
             + victim("Fake_55555555", "198.51.100.5", 64496, "CH", fake=True)
             + [{"at_us": NOW - 2 * HOUR + i, "client": "203.0.113.%d" % i, "kind": "http-scan", "asn": 64498,
                 "country": "US", "family": ""} for i in range(1, 21)])
    write(folder, sorted(lines, key=lambda line: line["at_us"]))
    return folder


def run(folder, command, *arguments, keys=None):
    own = ["--events", str(folder / "events")]
    if command == "report":
        own += ["--keys", str(keys or folder / "keys")]
    return subprocess.run([tamis_program("tamis"), "sink", command, *own, *arguments], capture_output=True,
                          text=True, timeout=60)


def rows(done):
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_a_network_gets_its_proven_victims_with_their_addresses(sunk):
    done = run(sunk, "report", "--asn", "AS64496")
    found = rows(done)
    assert sorted(row["src_ip"] for row in found) == ["192.0.2.1", "192.0.2.2"]
    assert {row["severity"] for row in found} == {"critical"}
    assert found[0]["timestamp"] == time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(NOW / 1e6 - 3600))
    assert "addresses of 2 opened" in done.stderr


@pytest.mark.parametrize("arguments, addresses", [
    (["--country", "de"], ["2001:db8::3"]),
    (["--order", ORDER], ["192.0.2.1", "192.0.2.2"]),
    (["--all"], ["192.0.2.1", "192.0.2.2", "2001:db8::3"]),
    (["--asn", "64496", "--class", "likely"], ["198.51.100.4"]),
    (["--all", "--since", "30m"], []),
    (["--asn", "64499"], []),
])
def test_a_report_has_what_is_asked_for(sunk, arguments, addresses):
    found = json.loads(run(sunk, "report", "--json", *arguments).stdout)
    assert sorted(entry["address"] for entry in found) == addresses


def test_without_keys_no_address_is_opened_and_the_remedy_is_told(sunk, tmp_path):
    done = run(sunk, "report", "--all", keys=tmp_path / "none")
    assert done.returncode == 1 and done.stdout == ""
    assert "addresses are sealed" in done.stderr and "--keys" in done.stderr
    (tmp_path / "empty").mkdir()
    done = run(sunk, "report", "--all", keys=tmp_path / "empty")
    assert done.returncode == 1
    assert "192.0.2." not in done.stdout
    assert os.listdir(tmp_path / "empty") == [], "a report makes no keys"


def test_xarf_is_one_document_a_line_and_names_who_reports(sunk):
    done = run(sunk, "report", "--asn", "64496", "--format", "xarf")
    assert done.returncode == 1 and "--contact" in done.stderr
    done = run(sunk, "report", "--asn", "64496", "--format", "xarf", "--contact", "abuse@sink.example")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(document["source_identifier"] for document in documents) == ["192.0.2.1", "192.0.2.2"]
    assert all(document["c2_server"] == "bad.a.example" for document in documents)
    assert len({document["report_id"] for document in documents}) == 2


# What STIX 2.1 demands of the objects that we write: members, their types, and whether there may be others.
COMMON = {"type", "spec_version", "id"}
STIX = {
    "marking-definition": COMMON | {"created", "definition_type", "definition", "name"},
    "identity": COMMON | {"created", "modified", "name", "identity_class", "contact_information"},
    "malware": COMMON | {"created", "modified", "created_by_ref", "name", "is_family", "malware_types"},
    "ipv4-addr": COMMON | {"value", "object_marking_refs"},
    "ipv6-addr": COMMON | {"value", "object_marking_refs"},
    "domain-name": COMMON | {"value", "object_marking_refs"},
    "autonomous-system": COMMON | {"number", "object_marking_refs"},
    "network-traffic": COMMON | {"start", "src_ref", "dst_ref", "src_port", "dst_port", "protocols",
                                 "object_marking_refs"},
    "observed-data": COMMON | {"created", "modified", "created_by_ref", "first_observed", "last_observed",
                               "number_observed", "object_refs", "object_marking_refs"},
    "sighting": COMMON | {"created", "modified", "created_by_ref", "first_seen", "last_seen", "count", "confidence",
                          "sighting_of_ref", "observed_data_refs", "where_sighted_refs", "object_marking_refs"},
}


def references(value):
    """All ids that an object refers to."""
    for key, entry in value.items():
        if key.endswith("_ref"):
            yield entry
        elif key.endswith("_refs"):
            yield from entry


def test_stix_is_a_bundle_whose_references_hold(sunk):
    bundle = json.loads(run(sunk, "report", "--all", "--format", "stix", "--contact", "abuse@sink.example").stdout)
    assert bundle["type"] == "bundle" and set(bundle) == {"type", "id", "objects"}
    objects = {entry["id"]: entry for entry in bundle["objects"]}
    assert len(objects) == len(bundle["objects"]), "an id is there twice"
    for entry in bundle["objects"]:
        kind, _, own = entry["id"].partition("--")
        assert kind == entry["type"] and entry["spec_version"] == "2.1"
        assert set(entry) <= STIX[kind] and (kind == "identity" or set(entry) == STIX[kind])
        assert str(uuid.UUID(own)) == own
        assert set(references(entry)) <= set(objects)
        assert entry.get("first_seen", "") <= entry.get("last_seen", "")
        if "modified" in entry:
            assert entry["created"] <= entry["modified"]
    sightings = [entry for entry in bundle["objects"] if entry["type"] == "sighting"]
    assert len(sightings) == 3
    assert {objects[entry["sighting_of_ref"]]["name"] for entry in sightings} == {"njrat", "hworm"}


def test_stix_observables_have_the_ids_that_the_standard_gives_them(sunk):
    bundle = json.loads(run(sunk, "report", "--all", "--format", "stix").stdout)
    space = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
    of_id = {"ipv4-addr": ["value"], "ipv6-addr": ["value"], "domain-name": ["value"], "autonomous-system": ["number"],
             "network-traffic": ["start", "src_ref", "dst_ref", "src_port", "dst_port", "protocols"]}
    checked = 0
    for entry in bundle["objects"]:
        if entry["type"] in of_id:
            name = json.dumps({key: entry[key] for key in of_id[entry["type"]]}, sort_keys=True, separators=(",", ":"))
            assert entry["id"] == "%s--%s" % (entry["type"], uuid.uuid5(space, name))
            checked += 1
    assert checked >= 9


def test_a_report_in_a_file_is_whole_and_private(sunk, tmp_path):
    path = tmp_path / "report.csv"
    path.write_text("the one before")
    assert run(sunk, "report", "--all", "--out", str(path)).returncode == 0
    assert path.read_text().count("\n") == 4
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["report.csv"]
    done = run(sunk, "report", "--all", "--out", str(tmp_path / "none" / "report.csv"))
    assert done.returncode == 1 and "cannot be written" in done.stderr


@pytest.mark.parametrize("arguments", [
    [], ["--all", "--asn", "1"], ["--asn", "0"], ["--asn", "x"], ["--country", "CHE"], ["--all", "--format", "pdf"],
    ["--all", "--class", "guilty"], ["--all", "--format", "stix", "--class", "scanner"], ["--all", "--since", "soon"],
    ["--all", "--json", "--format", "csv"], ["--all", "--contact", "nobody"], ["--all", "more"],
    ["--all", "--since", "1d", "--until", "2d"],
])
def test_wrong_use_is_2(sunk, arguments):
    assert run(sunk, "report", *arguments).returncode == 2


def test_top_counts_victims_and_says_who_is_none(sunk):
    done = run(sunk, "top", "--by", "country")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Proven victims: 3, ")
    assert "No victims: " in done.stdout and "scanner" in done.stdout
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith(("CH ", "DE "))] == [["CH", "2"], ["DE", "1"]]
    assert "192.0.2." not in done.stdout and "2001:db8" not in done.stdout


def test_top_as_json_has_the_cuts_in_order(sunk):
    found = json.loads(run(sunk, "top", "--by", "asn", "--json", "--limit", "1").stdout)
    assert found["by"] == "asn" and found["total"]["classes"]["proven"] == 3
    assert [(cut["key"], cut["classes"]["proven"]) for cut in found["cuts"]] == [("64496", 2)]


def test_top_of_a_span_too_short_to_prove_anything_says_so(sunk):
    done = run(sunk, "top", "--since", "2h")
    assert "Proven victims: 0" in done.stdout and "a victim is proven after" in done.stderr


@pytest.mark.parametrize("command, arguments", [("top", ["--by", "colour"]), ("top", ["--limit", "0"]), ("series", []),
                                                ("series", ["--order", "x", "--step", "90m"])])
def test_wrong_use_of_top_and_series_is_2(sunk, command, arguments):
    assert run(sunk, command, *arguments).returncode == 2


def test_a_series_counts_an_orders_victims(sunk):
    done = run(sunk, "series", "--order", ORDER, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["order"] == ORDER and found["points"][0]["day"] == 0
    assert max(point["seen"] for point in found["points"]) == 2
    assert sum(point["fresh"] for point in found["points"]) == 2
    assert found["families"] == {"njrat": 2} and found["countries"] == {"CH": 2}
    text = run(sunk, "series", "--order", ORDER).stdout
    assert text.startswith("Victims seen: ") and "Families: njrat 2\nCountries: CH 2\n" in text


def test_a_series_of_an_unknown_order_says_where_to_look(sunk):
    done = run(sunk, "series", "--order", "none")
    assert done.returncode == 1 and "tamis sink top --by order" in done.stderr


def test_without_events_the_remedy_is_told(tmp_path):
    done = subprocess.run([tamis_program("tamis"), "sink", "top"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "--events FOLDER" in done.stderr
