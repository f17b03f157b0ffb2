"""What tamis-sink keeps of the rights that it was started with: none, and it works without."""

import os
import pwd
import shutil
import stat

import pytest

from testbed.servers import is_sanitized, repository
from testbed.sink import Namespace, http_request, njrat_checkin

USER = "nobody"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def status_of(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def threads_of(pid):
    return [int(name) for name in os.listdir("/proc/%d/task" % pid)]


def assert_confined(sink):
    for thread in threads_of(sink.pid):
        status = status_of(thread)
        assert status["NoNewPrivs"] == "1"
        for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert int(status[kind], 16) == 0, (kind, status[kind])
        assert status["Seccomp"] == ("0" if is_sanitized() else "2")
    assert sink.control("status")["filtered"] is not is_sanitized()


def assert_works(sink):
    assert b"inkhole" in sink.send(http_request("a.example"))
    assert b"inkhole" in sink.send_over_tls(http_request("a.example"), "a.example")
    sink.send(njrat_checkin("1A2B3C4D"))
    sink.send_datagram(b"x")
    sink.process.wait_until(lambda: sink.control("status")["log"]["written"] == 4, "events on the disk")
    sink.wait_for_events(lambda event: event["kind"] == "check-in")
    assert sink.metrics()["tamis_sink_events_written_total"] == 4
    assert sink.health()[0] == 200


@needs_root
def test_root_becomes_the_user_and_all_of_it_works(farm):
    sink = farm.sink_unstarted()
    user = pwd.getpwnam(USER)
    os.chown(sink.socket_folder, user.pw_uid, user.pw_gid)
    # The folder of the socket is the user's; those of pytest are root's alone.
    state = os.path.join(sink.socket_folder, "state")
    rules = shutil.copytree(os.path.join(repository(), "rules"), os.path.join(sink.socket_folder, "rules"))
    sink.start({"user": USER, "state": state, "rules": rules})

    status = status_of(sink.pid)
    assert status["Uid"].split() == [str(user.pw_uid)] * 4
    assert status["Gid"].split() == [str(user.pw_gid)] * 4
    assert "0" not in status["Groups"].split()
    assert int(status["CapBnd"], 16) == 0
    assert_confined(sink)
    assert_works(sink)
    folder = os.stat(state)
    assert (folder.st_uid, stat.S_IMODE(folder.st_mode)) == (user.pw_uid, 0o750)
    # What it wrote is its own, and again there after a restart.
    sink.end()
    sink.start_again()
    sink.process.wait_until(lambda: sink.control("status")["census"]["events"] == 4, "kept events")


def test_without_a_user_the_rights_go_all_the_same(farm):
    sink = farm.sink()
    assert status_of(sink.pid)["Uid"].split() == [str(os.geteuid())] * 4
    assert_confined(sink)
    assert_works(sink)


def test_keys_and_events_are_for_no_other_user(farm):
    sink = farm.sink()
    assert_works(sink)
    for folder, folders, names in os.walk(sink.path("state")):
        for name in folders + names:
            mode = os.stat(os.path.join(folder, name)).st_mode
            assert mode & stat.S_IRWXO == 0, (folder, name)
            if os.path.basename(folder) == "keys":
                assert stat.S_IMODE(mode) & 0o077 == 0, name


def test_limits_that_are_too_low_are_told_with_their_remedy(farm):
    sink = farm.sink_unstarted()
    sink.before = ["prlimit", "--nofile=2000:2000", "setpriv", "--bounding-set=-sys_resource"]
    if os.geteuid() != 0:
        sink.before = sink.before[:2]
    sink.start({"sensor": {"connections-max": 5000}})
    assert "the limit of open files, 2000 for each thread, leaves room for" in sink.process.log()
    assert "LimitNOFILE" in sink.process.log()
    assert_works(sink)


@needs_root
def test_a_short_backlog_is_told_with_its_remedy(farm):
    host = Namespace()
    try:
        host.run("sh", "-c", "echo 100 > /proc/sys/net/core/somaxconn")
        sink = farm.sink_unstarted()
        sink.before = host.enter
        sink.start({"sensor": {"connections-max": 3000}})
        assert "net.core.somaxconn is 100" in sink.process.log()
        assert "raise it to 3000 with sysctl" in sink.process.log()
    finally:
        host.close()
