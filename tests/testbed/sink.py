"""tamis-sink on high loopback ports, what its clients send, and network namespaces for those of its tests
that need ports of all numbers."""

import base64
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request

import yaml

from testbed.process import LOOPBACK, free_port
from testbed.servers import Server, control_ask, merged, tamis_program

# Events are on the disk so soon: tests wait for them.
FLUSH_MS = 50


class TamisSink(Server):
    """Ours, configured by a dict in the form of its YAML file. `port` takes TCP, and UDP as well."""

    name = "tamis-sink"

    def __init__(self, directory):
        super().__init__(directory)
        self.metrics_port = free_port()
        # A socket's path has at most 107 octets; pytest's folders may be longer.
        self.socket_folder = tempfile.mkdtemp(prefix="tamis-sink-")
        self.config = None
        self.before = []  # words before the command's own, as of nsenter
        self.readies = 0

    def configure(self, config=None):
        """Merges `config` into a working minimum and writes it down; returns the file's path."""
        self.config = merged({
            "operator": "Sinkhole of the tests",
            "contact": "https://sinkhole.example/",
            "state": self.path("state"),
            "control": os.path.join(self.socket_folder, "control"),
            "metrics": "%s@%d" % (LOOPBACK, self.metrics_port),
            "sensor": {"listen": ["%s@%d" % self.place, "udp:%s@%d" % self.place],
                       "seconds-max": 10, "idle-seconds-max": 10},
            "events": {"flush-ms": FLUSH_MS},
            "census": {"persistence-seconds": 0, "checkins-min": 2},
        }, config or {})
        return self.write("tamis-sink.yaml", yaml.safe_dump(self.config, sort_keys=False))

    def start(self, config=None, timeout_s=60.0):
        self.configure(config)
        return self.start_again(timeout_s)

    def start_again(self, timeout_s=60.0):
        """Starts with the configuration and the state that there are."""
        self.run([*self.before, tamis_program("tamis-sink"), "-c", self.path("tamis-sink.yaml")])
        try:
            self.process.wait_until(lambda: self.process.log().splitlines().count("ready") > self.readies,
                                    "line 'ready'", timeout_s)
        except BaseException:
            self.kill()
            raise
        return self

    def end(self, kill=False):
        """Ends the process, in order or as a power cut would, and keeps its state for start_again()."""
        ended, self.process = self.process, None
        if kill:
            ended.kill()
        else:
            assert ended.stop() == 0
        self.readies = ended.log().splitlines().count("ready")

    def check(self, config=None):
        """Runs --check; returns the finished process."""
        return subprocess.run([tamis_program("tamis-sink"), "-c", self.configure(config), "--check"],
                              capture_output=True, text=True, timeout=60, check=False)

    @property
    def pid(self):
        return self.process.process.pid

    # ---- Asking it ----

    def control(self, command, **arguments):
        return control_ask(self.config["control"], command, **arguments)

    def metrics(self):
        """The figures as {name with labels: value}."""
        with urllib.request.urlopen("http://%s:%d/metrics" % (LOOPBACK, self.metrics_port), timeout=30) as page:
            lines = page.read().decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def health(self):
        """Status and text of /healthz."""
        try:
            with urllib.request.urlopen("http://%s:%d/healthz" % (LOOPBACK, self.metrics_port), timeout=30) as page:
                return page.status, page.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()

    def events(self):
        """The last events that the census has seen, the newest first."""
        return self.control("live", events=64)["events"]

    def wait_for_events(self, condition, what="event", timeout_s=30.0):
        """The events for which condition(event) is true, once there is one."""
        found = []

        def look():
            found[:] = [event for event in self.events() if condition(event)]
            return found

        self.process.wait_until(look, what, timeout_s)
        return found

    # ---- Being its client ----

    def connect(self, timeout_s=30.0):
        return socket.create_connection(self.place, timeout=timeout_s)

    def send(self, octets):
        """Sends all of it, closes that direction, and returns what comes until the end."""
        with self.connect() as sock:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def send_over_tls(self, octets, server_name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self.connect() as sock, context.wrap_socket(sock, server_hostname=server_name) as tls:
            tls.sendall(octets)
            return read_all(tls)

    def send_datagram(self, octets):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(octets, self.place)

    def stop(self):
        status = super().stop()
        shutil.rmtree(self.socket_folder, ignore_errors=True)
        return status

    def kill(self):
        super().kill()
        shutil.rmtree(self.socket_folder, ignore_errors=True)


def read_all(sock):
    parts = []
    while True:
        try:
            part = sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def http_request(host, path="/"):
    """As a browser asks."""
    return ("GET %s HTTP/1.1\r\nHost: %s\r\n"
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
            "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
            "Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n" % (path, host)).encode()


def njrat_checkin(volume, campaign="HacKed", machine="DESKTOP-EXAMPLE", user="someone"):
    """The first message of a bot of njRAT 0.7d (the published format; names are made up)."""
    def encoded(text):
        return base64.b64encode(text.encode()).decode()

    body = "|'|'|".join(["ll", encoded("%s_%s" % (campaign, volume)), machine, user, "14-06-30", "",
                         "Win 7 Professional SP1 x64", "No", "0.7d", "..", encoded("Untitled - Notepad"), ""])
    return b"%d\0%s" % (len(body), body.encode())


class Namespace:
    """A network namespace of its own, for as long as it is not closed."""

    def __init__(self):
        # The holder tells that it is in its namespace, and lives until its input ends.
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo in; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"in\n"
        self.enter = ["nsenter", "--net=/proc/%d/ns/net" % self.holder.pid]
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command, stdin=None):
        return subprocess.run([*self.enter, *command], input=stdin, check=True, capture_output=True, text=True,
                              timeout=60).stdout

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(30)
        self.holder.stdout.close()
