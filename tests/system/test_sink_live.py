"""`tamis sink live`: the view on a terminal, and snapshots for everything else."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from testbed.servers import tamis_program

SNAPSHOT = {
    "uptime_s": 11040, "rates": {"connections": 1234, "events": 567}, "open": 89,
    "classes": {"unknown": 9, "proven": 4321, "likely": 76, "hunter": 54321, "scanner": 888},
    "kinds": {"check-in": 10, "http-scan": 20, "ssh": 0},
    "families": [{"family": "njrat", "proven": 4000, "likely": 70}],
    "orders": [{"order": "nv-2014-00987", "proven": 4321, "fresh": 12, "quiet": 3}],
    "countries": [{"country": "CH", "proven": 12}, {"country": "DE", "proven": 3}],
    "asns": [{"asn": 64496, "proven": 12}],
    "last": [{"at": "2026-11-24T01:02:03Z", "kind": "check-in", "family": "njrat",
              "name": "evil\x1b[2J.a.example", "asn": 64496, "country": "CH"}],
    "series": [{"at": "2026-11-24T01:00:00Z", "proven": 1}, {"at": "2026-11-24T01:01:00Z", "proven": 8}],
}


class FakeSink:
    """Answers "live" on a control socket; the headline grows with every answer."""

    def __init__(self, path):
        self.path = path
        self.answers = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile("rwb") as stream:
                request = json.loads(stream.readline())
                assert request == {"command": "live"}, request
                result = json.loads(json.dumps(SNAPSHOT))
                result["classes"]["proven"] += self.answers
                self.answers += 1
                stream.write(json.dumps({"ok": True, "result": result}).encode() + b"\n")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def sink(tmp_path):
    server = FakeSink(str(tmp_path / "tamis-sink.sock"))
    yield server
    server.close()


def run(*arguments, **options):
    return subprocess.run([tamis_program("tamis"), "sink", "live", *arguments], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL, **options)


def test_a_pipe_gets_one_snapshot_as_text(sink):
    done = run("-s", sink.path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Proven victims 4,321  ▂█  likely 76", done.stdout)
    assert "up 3 h 4 min; 1,234 connections a second, 567 events a second, 89 open" in done.stdout
    assert "No victims: unknown 9, hunter 54,321, scanner 888" in done.stdout
    assert "Connections: check-in 10, http-scan 20\n" in done.stdout
    assert re.search(r"nv-2014-00987 +4,321 +12 +3\n", done.stdout)
    assert "Countries: CH 12, DE 3" in done.stdout and "Networks: AS64496 12" in done.stdout
    assert "\x1b" not in done.stdout
    assert sink.answers == 1


def test_the_socket_is_found_in_the_working_folder_and_by_environment(sink, tmp_path):
    assert run(cwd=tmp_path).returncode == 0
    environment = dict(os.environ, TAMIS_SINK_SOCKET=sink.path)
    assert run("--once", env=environment, cwd="/").returncode == 0


def test_json_is_the_snapshot_and_follow_goes_on_until_interrupted(sink):
    assert json.loads(run("--json", "-s", sink.path).stdout) == SNAPSHOT
    process = subprocess.Popen([tamis_program("tamis"), "sink", "live", "--json", "--follow", "-s",
                                sink.path], stdout=subprocess.PIPE, text=True)
    proven = [json.loads(process.stdout.readline())["classes"]["proven"] for _ in range(2)]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert proven == [4322, 4323]


def test_without_a_sinkhole_the_remedy_is_told(tmp_path):
    done = run("-s", str(tmp_path / "none.sock"))
    assert done.returncode == 1
    assert "no tamis-sink answers here" in done.stderr and "tamis-sink -c FILE" in done.stderr


@pytest.mark.parametrize("arguments", [["--follow"], ["--what"], ["more"], ["-s"],
                                       ["--json", "--follow", "--once"]])
def test_wrong_use_is_2(arguments):
    assert run(*arguments).returncode == 2


class Terminal:
    """A pseudo-terminal with the command in it."""

    def __init__(self, path, **environment):
        self.master, self.slave = pty.openpty()
        self.resize(24, 60)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""

        def own():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = dict(os.environ, TERM="xterm", **environment)
        self.process = subprocess.Popen([tamis_program("tamis"), "sink", "live", "-s", path],
                                        stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        preexec_fn=own, env=environment)

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, wanted, fresh=False):
        if fresh:
            self.output = b""
        deadline = time.monotonic() + 60
        while not re.search(wanted, self.output):
            assert time.monotonic() < deadline, self.output
            assert select.select([self.master], [], [], 30)[0], self.output
            self.output += os.read(self.master, 65536)
        return self.output

    def end(self):
        """What came to the end, which must have left the terminal as it was."""
        while self.process.poll() is None or select.select([self.master], [], [], 0)[0]:
            if select.select([self.master], [], [], 0.05)[0]:
                self.output += os.read(self.master, 65536)
        assert self.process.returncode == 0
        assert self.output.endswith(b"\x1b[?25h\x1b[?1049l")
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.master)
        os.close(self.slave)


def frames(output):
    """The lines of each frame, without what moves the cursor or colours."""
    found = output.split(b"\x1b[H")[1:]
    return [[re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", line).decode()
             for line in frame.split(b"\r\n")] for frame in found]


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_the_view_updates_and_leaves_the_terminal_as_it_was(sink, key):
    terminal = Terminal(sink.path)
    output = terminal.read_until(rb"4,323[^\x1b]*")  # the third answer: the second frame
    assert output.startswith(b"\x1b[?1049h\x1b[?25l")
    os.write(terminal.master, key)
    terminal.end()


def test_the_view_fits_the_terminal_and_follows_its_size(sink):
    terminal = Terminal(sink.path)
    terminal.read_until(rb"\x1b\[J")
    for line in frames(terminal.output)[0]:
        assert len(line) <= 60
    terminal.resize(5, 30)
    while True:  # frames under way may still have the old size
        terminal.read_until(rb"\x1b\[H[^\x1b]", fresh=True)
        terminal.read_until(rb"\x1b\[J")
        frame = frames(terminal.output)[0]
        if len(frame) <= 5:
            break
    assert max(len(line) for line in frame) <= 30
    terminal.resize(50, 200)
    terminal.read_until(rb"evil\?\[2J\.a\.example", fresh=True)
    os.write(terminal.master, b"q")
    terminal.end()


def test_colour_is_only_where_it_is_wanted(sink):
    terminal = Terminal(sink.path)
    assert b"\x1b[1;32mProven" in terminal.read_until(rb"\x1b\[J")
    os.write(terminal.master, b"q")
    terminal.end()
    terminal = Terminal(sink.path, NO_COLOR="1")
    assert b"m" + b"Proven" not in terminal.read_until(rb"\x1b\[J")
    os.write(terminal.master, b"q")
    terminal.end()


def test_a_sinkhole_that_ends_is_waited_for(sink):
    terminal = Terminal(sink.path)
    terminal.read_until(rb"Proven victims")
    terminal.resize(24, 40)  # the message goes over several lines
    sink.close()
    os.unlink(sink.path)
    terminal.read_until(rb"Trying again; q ends")
    message = "".join(frames(terminal.output)[-1]).replace("\n", "")
    assert "no tamis-sink answers here" in message
    again = FakeSink(sink.path)
    terminal.read_until(rb"Proven victims 4,321", fresh=True)
    os.write(terminal.master, b"q")
    terminal.end()
    again.close()
    sink.listener = socket.socket(socket.AF_UNIX)  # for the fixture's end
    sink.close = lambda: None
