"""The two name servers of the demo, Knot as origin and tamisd as front, on loopback."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
STOP_TIMEOUT_S = 30


class DemoError(Exception):
    """The demo cannot go on; the text says why and what helps."""


def free_ports(count):
    """Ports that are free for UDP and TCP now, each another."""
    with contextlib.ExitStack() as held:
        ports = []
        while len(ports) < count:
            tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            tcp.bind((HOST, 0))
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind((HOST, port))
                except OSError:
                    continue
            ports.append(port)
        return ports


@dataclass
class Server:
    """One server process, its files in a folder of its own, ended by its process id."""

    name: str
    folder: Path
    port: int
    command: list[str]
    process: subprocess.Popen | None = field(default=None, init=False)

    @property
    def address(self):
        return HOST, self.port

    @property
    def log_path(self):
        return self.folder / "log"

    def start(self):
        # A session of its own: Ctrl-C ends the demo, and the demo ends its servers.
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until(self, is_ready, timeout_s):
        """Waits until is_ready() holds; returns the seconds it took."""
        started = time.monotonic()
        while not is_ready():
            if self.process.poll() is not None:
                raise DemoError(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")
            if time.monotonic() - started > timeout_s:
                raise DemoError(f"{self.name} not ready after {timeout_s} s:\n{self.log()}")
            time.sleep(0.01)
        return time.monotonic() - started

    def log(self):
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join("    " + line for line in lines[-10:])

    def memory(self):
        """Resident memory in octets."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def knotd(folder, provider, port, front_port, secrets):
    """The provider's own server: takes its customers' updates, and tells the front of changes."""
    program = shutil.which("knotd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        raise DemoError("knotd is missing: make demo installs it, or apt-get install knot")
    folder.mkdir()
    zones = "".join(f"  - domain: {zone.name}\n" for zone in provider.zones)
    (folder / "knot.conf").write_text(
        f"""\
server:
    rundir: {folder}
    listen: {HOST}@{port}
    udp-workers: 1
    tcp-workers: 2
    background-workers: 2
log:
  - target: stderr
    any: warning
database:
    storage: {folder}
key:
  - id: front
    algorithm: hmac-sha256
    secret: {secrets["front"]}
  - id: customers
    algorithm: hmac-sha256
    secret: {secrets["customers"]}
remote:
  - id: front
    address: {HOST}@{front_port}
    key: front
acl:
  - id: front
    key: front
    action: transfer
  - id: customers
    key: customers
    action: update
template:
  - id: default
    storage: {provider.folder}
    file: "%s.zone"
    zonefile-sync: -1
    notify: front
    acl: [front, customers]
zone:
{zones}"""
    )
    return Server("Knot", folder, port, [program, "-c", str(folder / "knot.conf")])


def tamisd(folder, provider, port, origin_port, key_secret, program):
    """The front: a secondary of every zone."""
    folder.mkdir()
    zones = "".join(
        f"  - {{ name: {zone.name}, "
        f'secondary: {{ from: ["{HOST}@{origin_port}"], key: front }} }}\n'
        for zone in provider.zones
    )
    (folder / "tamisd.yaml").write_text(
        f"""\
server:
  listen: ["{HOST}@{port}"]
  workers: 1
  state: state
  control: tamisd.sock
keys:
  - {{ name: front, algorithm: hmac-sha256, secret: {key_secret} }}
zones:
{zones}"""
    )
    return Server("tamisd", folder, port, [str(program), "-c", str(folder / "tamisd.yaml")])
