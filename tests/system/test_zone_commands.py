"""tamis zone dump, diff, import, history, restore: the data of a zone of a running tamisd."""

import json
import subprocess

import pytest

from test_updates import ZONE, address, make, put, send, serial, start, write_settled
from testbed.servers import tamis_program


def tamis(server, *arguments, code=0):
    done = subprocess.run([tamis_program("tamis"), "zone", arguments[0], "-s", server.control_socket, *arguments[1:]],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 or done.stdout else done.stderr


def test_a_dump_is_a_zone_file_of_the_zone_as_it_is_now(farm):
    server = start(farm)
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    dump = tamis(server, "dump", "a.example")
    assert dump.startswith("a.example.") and "SOA" in dump.splitlines()[0]
    path = farm.write("dumped.zone", dump)
    assert tamis(server, "diff", "a.example", path) == ""
    assert [line.split()[0] for line in dump.splitlines()] == [
        "a.example.", "a.example.", "bad.a.example.", "new.a.example.", "ns1.a.example."]


def test_an_import_is_one_commit_that_changes_what_the_diff_says(farm):
    server = start(farm)
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    path = farm.write("other.zone", ZONE + "person A 192.0.2.50\nperson TXT \"x\"\nbad AAAA 2001:db8::1\n")
    lines = [line.split() for line in tamis(server, "diff", "a.example", path, code=1).splitlines()]
    assert sorted((line[0], line[-2]) for line in lines) == sorted([
        ("-a.example.", "1209600"), ("+a.example.", "1209600"), ("-new.a.example.", "A"), ("+person.a.example.", "A"),
        ("+person.a.example.", "TXT"), ("+bad.a.example.", "AAAA")])
    tamis(server, "import", "a.example", path)
    assert [address(server, name) for name in ("new", "person", "bad")] == ["NXDOMAIN", "192.0.2.50", "192.0.2.4"]
    assert serial(server) == 9
    assert "nothing to change" in tamis(server, "import", "a.example", farm.write("dumped.zone", tamis(
        server, "dump", "a.example")))
    server.restart(kill=True)
    assert [address(server, name) for name in ("new", "person")] == ["NXDOMAIN", "192.0.2.50"]


def test_importing_its_own_file_makes_a_zone_follow_it_again(farm):
    server = start(farm)
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    path = farm.write("a.zone", ZONE.replace(" 7 ", " 100 ") + "person A 192.0.2.50\n")
    tamis(server, "import", "a.example", path)
    assert (serial(server), address(server, "new"), address(server, "person")) == (100, "NXDOMAIN", "192.0.2.50")
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    server.restart()
    assert (serial(server), address(server, "new"), address(server, "person")) == (101, "192.0.2.9", "192.0.2.50")


def test_a_file_that_changes_after_its_import_is_read_by_a_reload(farm):
    server = start(farm)
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    tamis(server, "import", "a.example", write_settled(farm, "a.zone", ZONE.replace(" 7 ", " 100 ")))
    farm.write("a.zone", ZONE.replace(" 7 ", " 101 ") + "person A 192.0.2.50\n")
    server.reload()
    assert (serial(server), address(server, "person")) == (101, "192.0.2.50")
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    server.restart(kill=True)
    assert (serial(server), address(server, "person"), address(server, "new")) == (102, "192.0.2.50", "192.0.2.9")


def test_the_history_tells_who_changed_what(farm):
    server = start(farm)
    assert put(server, "new", "192.0.2.9") == "NOERROR"
    assert put(server, "other", "192.0.2.10", "sha512") == "NOERROR"
    assert put(server, "new", "192.0.2.11", "sha1", tcp=True) == "NOERROR"
    changes = json.loads(tamis(server, "history", "--json", "new.a.example"))["changes"]
    # The second message takes the set away and adds one record.
    assert [(one["serial"], one["by"], one["kind"], [line.split()[-1] for line in one["before"]],
             [line.split()[-1] for line in one["after"]]) for one in changes] == [
                 (8, "key all", "update", [], ["192.0.2.9"]), (10, "key sha1", "update", ["192.0.2.9"], []),
                 (10, "key sha1", "update", [], ["192.0.2.11"])]
    assert "key sha512" in tamis(server, "history", "a.example")
    assert "key sha512" not in tamis(server, "history", "--since", "9", "a.example")
    assert "never had serial 500" in tamis(server, "history", "--since", "500", "a.example", code=1)


@pytest.mark.parametrize("name, others", [("new.a.example", "192.0.2.20"), ("a.example", "NXDOMAIN")])
def test_a_restore_puts_a_name_or_a_zone_back(farm, name, others):
    server = start(farm)
    assert put(server, "new", "192.0.2.9") == "NOERROR"  # serial 8
    assert put(server, "new", "192.0.2.10") == "NOERROR"
    assert put(server, "other", "192.0.2.20") == "NOERROR"
    message = make()
    message.delete("new")
    assert send(server, message) == "NOERROR"
    assert (address(server, "new"), serial(server)) == ("NXDOMAIN", 11)
    tamis(server, "restore", "--serial", "8", name)
    assert (address(server, "new"), address(server, "other"), serial(server)) == ("192.0.2.9", others, 12)
    server.restart(kill=True)
    assert (address(server, "new"), address(server, "other"), serial(server)) == ("192.0.2.9", others, 12)
    tamis(server, "restore", "--serial", "11", "a.example")
    assert (address(server, "new"), address(server, "other")) == ("NXDOMAIN", "192.0.2.20")
