"""One server process: started on free ports, watched for a crash, stopped by its pid."""

import collections
import os
import random
import signal
import socket
import subprocess
import time

LOOPBACK = "127.0.0.1"

# Below the kernel's ephemeral range, so that no outgoing socket takes a port between the choice and
# the server's bind.
PORT_FIRST, PORT_LAST = 15000, 32000

# What the sanitizers print when they found something; a line like these fails the test even when the
# program went on.
SANITIZER_SIGNS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                   "WARNING: ThreadSanitizer")


class ServerDied(AssertionError):
    """The server ended by itself, or a sanitizer complained."""


# Tests that run side by side never try the same port: each process takes one of so many.
LANE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
LANES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


# A port that was given away is free until its server has started: it is not given away again soon.
_given = collections.deque(maxlen=200)


def free_port():
    """A port free for UDP and TCP on the loopback addresses."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(PORT_FIRST + LANE, PORT_LAST, LANES)
        if port not in _given and _is_free(port, socket.SOCK_DGRAM) and _is_free(port, socket.SOCK_STREAM):
            _given.append(port)
            return port
    raise RuntimeError("no free port between %d and %d" % (PORT_FIRST, PORT_LAST))


def _is_free(port, kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class ServerProcess:
    """A program in the foreground; what it prints is kept in `directory`/<name>.log."""

    def __init__(self, name, command, directory, env=None):
        self.name = name
        self.log_path = os.path.join(directory, name + ".log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log,
                                            env=None if env is None else {**os.environ, **env})

    def log(self):
        with open(self.log_path, "r", encoding="utf-8", errors="replace") as log:
            return log.read()

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            raise ServerDied("%s ended with status %d:\n%s" % (self.name, status, self.log()[-4000:]))

    def wait_until(self, condition, what, timeout_s=60.0):
        """Waits until condition() is true; fails when the process ends before."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimeoutError("%s: no %s within %g s:\n%s"
                                   % (self.name, what, timeout_s, self.log()[-4000:]))
            time.sleep(0.02)

    def wait_for_line(self, line, timeout_s=60.0):
        self.wait_until(lambda: line in self.log().splitlines(), "line '%s'" % line, timeout_s)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Ends the process at once, as a crash or a power cut would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self, timeout_s=30.0):
        """Ends the process in order; returns its status. Fails when it was dead already, has to be
        killed, or a sanitizer complained."""
        try:
            self.check_alive()
            self.process.send_signal(signal.SIGTERM)
            try:
                status = self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise ServerDied("%s did not end within %g s of SIGTERM:\n%s"
                                 % (self.name, timeout_s, self.log()[-4000:])) from None
        finally:
            self.kill()
        self.check_sanitizers()
        return status

    def check_sanitizers(self):
        log = self.log()
        for sign in SANITIZER_SIGNS:
            at = log.find(sign)
            if at >= 0:
                raise ServerDied("%s: a sanitizer reported:\n%s" % (self.name, log[at:at + 6000]))
