"""The servers beside each other, and the settings that make the comparison fair.

All of them: one thread that answers UDP, rate limits and query logs off, equal socket buffers, no
DNSSEC, no transfers. They start on all cores, and are pinned to one when they are ready.
doc/benchmarks.md gives the reasons.
"""

import os
import re
import subprocess
import time
from pathlib import Path

import measure
import socket_buffers
from testbed import wire
from testbed.process import LOOPBACK
from testbed.servers import Server, Tamisd, program, repository

BUFFER_SIZE = 4 << 20
READY_TIMEOUT_S = 900
STOP_TIMEOUT_S = 120  # freeing a few gigabytes takes a while
CACHE_ENTRIES = 2_000_000  # of those that answer from a cache: more than any mix has names
CACHE_TTL_S = 600  # longer than a round: caches answer whatever they have once seen

BLOCKING = """\
listed = newDNSNameSet()
for name in io.lines("{listed}") do
    listed:add(newDNSName(name))
end
addAction(QNameSetRule(listed), SpoofAction({{"192.0.2.66"}}))
"""


class Measured(Server):
    """A server that holds the workload's zones."""

    package = None  # Debian's; its version goes into the results
    holds_zones = True  # has a start and a size worth comparing
    answers = True
    blocks = False  # answers for listed names as the order says

    @property
    def started_as(self):
        """What a start of it is called in the results."""
        return self.name

    def prepare(self, workload):
        """What has to be done once before a start that counts."""

    def begin(self, workload):
        """Starts the program without waiting."""
        raise NotImplementedError

    def start(self, workload):
        self.begin(workload)
        self.wait_for_zones([name for name, _ in workload.zones], READY_TIMEOUT_S)

    def even_buffers(self):
        """Gives the server's socket the buffers that the others have, whatever it can be told.
        Returns the octets that the system granted."""
        return socket_buffers.widen(self.pids, self.port, BUFFER_SIZE)

    def stop(self):
        process, self.process = self.process, None
        process.stop(STOP_TIMEOUT_S)

    def kill_and_start(self, workload):
        """On what it has on disk, without an orderly end before."""
        self.kill()
        self.start(workload)

    @property
    def pids(self):
        """All processes that answer; NSD has three."""
        return measure.descendants(self.process.process.pid)

    @property
    def helper_pids(self):
        """Processes that work for it and are not counted as its own."""
        return []


class Floor(Measured):
    """No server: gives every packet back as it came. Nothing that answers can cost less."""

    name = "floor"
    holds_zones = answers = False

    def begin(self, workload):
        self.run([os.path.join(repository(), "build", "bench", "echo_floor"), str(self.port)])

    def start(self, workload):
        self.begin(workload)
        self.process.wait_until(lambda: wire.ask_or_none(self.place, bytes(12), 0.3), "echo")


class Tamis(Tamisd, Measured):
    name = "tamisd"
    workers = 1
    server_settings = {}

    def zone(self, name, path):
        """A zone, as the configuration has it."""
        return {"name": name, "primary": {"file": str(path)}}

    def begin(self, workload):
        os.makedirs(self.socket_folder, exist_ok=True)  # the stop before a second start removes it
        zones = [self.zone(name, path) for name, path in workload.zones]
        Tamisd.start(self, {"server": {"workers": self.workers, **self.server_settings}, "zones": zones}, wait=False)

    start = Measured.start

    def wait_for_snapshots(self, workload):
        """Until a start would find the snapshot of every zone."""
        folder = Path(self.path("state"), "zones")
        self.process.wait_until(lambda: len(list(folder.glob("*.snapshot"))) == len(workload.zones), "snapshots",
                                READY_TIMEOUT_S)

    def put_in_force(self, orders):
        """Activates one after the other; returns the seconds that each took."""
        took = []
        for order in orders.parts:
            started = time.monotonic()
            self.activate(str(order.path))
            took.append(time.monotonic() - started)
        self.blocks = True
        return took

    def lift_all(self, orders):
        for order in orders.parts:
            self.lift(order.name)
        self.blocks = False


class TwoWorkers(Tamis):
    workers = 2


class Knot(Measured):
    name = package = "knot"
    zone_settings = "    journal-content: none\n"

    def begin(self, workload):
        zones = "".join(f"  - domain: {name}\n    file: {path}\n" for name, path in workload.zones)
        config = self.write("knot.conf", f"""\
server:
    listen: {LOOPBACK}@{self.port}
    rundir: {self.directory}
    udp-workers: 1
    tcp-workers: 1
    background-workers: {os.cpu_count()}
log:
  - target: stderr
    any: warning
control:
    listen: {self.path("knot.sock")}
database:
    storage: {self.directory}
acl:
  - id: updates
    address: {LOOPBACK}
    action: update
template:
  - id: default
    storage: {self.directory}
    zonefile-sync: -1
    zonefile-load: whole
{self.zone_settings}zone:
{zones}""")
        self.run([program("knotd"), "-c", config])


class Nsd(Measured):
    """Debian builds it with rate limiting on: 200 answers a second, the rest dropped."""

    name = package = "nsd"
    zone_settings = ""

    def begin(self, workload):
        zones = "".join(f'zone:\n    name: "{name}"\n    zonefile: "{path}"\n{self.zone_settings}'
                        for name, path in workload.zones)
        config = self.write("nsd.conf", f"""\
server:
    ip-address: {LOOPBACK}@{self.port}
    server-count: 1
    database: ""
    zonesdir: "{self.directory}"
    username: ""
    pidfile: "{self.path("nsd.pid")}"
    xfrdfile: "{self.path("xfrd.state")}"
    xfrdir: "{self.directory}"
    zonelistfile: "{self.path("zone.list")}"
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    receive-buffer-size: {BUFFER_SIZE}
    send-buffer-size: {BUFFER_SIZE}
    round-robin: no
    minimal-responses: yes
remote-control:
    control-enable: no
{zones}""")
        self.run([program("nsd"), "-d", "-c", config])


class Bind(Measured):
    name, package = "bind", "bind9"
    zone_settings = options = statements = ""

    def zone_path(self, path):
        return path

    def begin(self, workload):
        zones = "".join(f'zone "{name}" {{ type primary; file "{self.zone_path(path)}"; {self.zone_settings}}};\n'
                        for name, path in workload.zones)
        config = self.write("named.conf", f"""\
options {{
    directory "{self.directory}";
    listen-on port {self.port} {{ {LOOPBACK}; }};
    listen-on-v6 {{ none; }};
    pid-file none; session-keyfile none; lock-file none;
    recursion no; notify no; minimal-responses yes; querylog no;
    dnssec-validation no; empty-zones-enable no;
    zone-statistics none;
    {self.options}
}};
controls {{ }};
{self.statements}
logging {{ category default {{ null; }}; category general {{ default_stderr; }}; }};
{zones}""")
        self.run([program("named"), "-4", "-g", "-n", "1", "-c", config])


class Pdns(Measured):
    """PowerDNS from LMDB. Its start reads no zone file: what counts is the import, once."""

    name, package = "pdns", "pdns-server"
    started_as = "pdns, imported before"

    def prepare(self, workload):
        database = workload.folder / "pdns"
        settings = f"""\
launch=lmdb
load-modules=liblmdbbackend.so
lmdb-filename={database}/pdns.lmdb
lmdb-sync-mode=nosync
lmdb-shards=1
local-address={LOOPBACK}
local-port={self.port}
socket-dir={self.directory}
receiver-threads=1
distributor-threads=1
daemon=no
guardian=no
setuid=
setgid=
disable-syslog=yes
loglevel=3
max-packet-cache-entries={CACHE_ENTRIES}
max-cache-entries={CACHE_ENTRIES}
cache-ttl={CACHE_TTL_S}
query-cache-ttl={CACHE_TTL_S}
negquery-cache-ttl={CACHE_TTL_S}
"""
        self.write("pdns.conf", settings)
        imported = database / "imported"
        if imported.exists():
            return
        database.mkdir(exist_ok=True)
        for left in database.glob("pdns.lmdb*"):
            left.unlink()
        for name, path in workload.zones:
            subprocess.run([program("pdnsutil"), f"--config-dir={self.directory}", "load-zone", name, str(path)],
                           check=True, capture_output=True, text=True)
        imported.touch()

    def begin(self, workload):
        self.run([program("pdns_server"), f"--config-dir={self.directory}"])


class Cache(Measured):
    """dnsdist with a packet cache in front of a server at `port_behind`; it blocks the names of the file
    `listed`, if there is one."""

    name = package = "dnsdist"
    holds_zones = False

    def begin_cache(self, port_behind, listed=None):
        config = self.write("dnsdist.conf", f"""\
setLocal("{LOOPBACK}:{self.port}")
setACL("{LOOPBACK}/32")
setUDPMultipleMessagesVectorSize(64)
setUDPSocketBufferSizes({BUFFER_SIZE}, {BUFFER_SIZE})
setSecurityPollSuffix("")
newServer({{address="{LOOPBACK}:{port_behind}", sockets=4}}):setUp()
getPool(""):setCache(newPacketCache({CACHE_ENTRIES}))
{BLOCKING.format(listed=listed) if listed else ""}""")
        self.run([program("dnsdist"), "--supervised", "--disable-syslog", "-C", config])


class Dnsdist(Cache):
    """A cache in front of a Knot of its own, with the smaller order as its list of names: what one
    would build today. Only dnsdist's own CPU time counts, not that of the Knot behind it."""

    blocks = True

    def __init__(self, directory):
        super().__init__(directory)
        self.behind = Knot(os.path.join(directory, "behind"))

    def begin(self, workload):
        self.behind.start(workload)
        self.begin_cache(self.behind.port, workload.smallest_orders.names_path)

    @property
    def helper_pids(self):
        return self.behind.pids

    def even_buffers(self):
        return min(super().even_buffers(), self.behind.even_buffers())

    def stop(self):
        super().stop()
        self.behind.stop()

    def kill(self):
        super().kill()
        self.behind.kill()


PEERS = {peer.name: peer for peer in (Knot, Nsd, Bind, Pdns, Dnsdist)}


class UpdatedTamis(Tamis):
    def zone(self, name, path):
        return {**super().zone(name, path), "allow-update": [LOOPBACK]}


class UpdatedKnot(Knot):
    zone_settings = "    journal-content: changes\n    acl: updates\n"


class UpdatedBind(Bind):
    """Its journals lie beside the zone files, and in time it writes the zone files anew: it gets links to
    them, which it replaces."""

    zone_settings = f"allow-update {{ {LOOPBACK}; }}; "

    def zone_path(self, path):
        link = Path(self.path(path.name))
        if not link.exists():
            link.symlink_to(path)
        return link


UPDATED = {server.name: server for server in (UpdatedTamis, UpdatedKnot, UpdatedBind)}  # that take updates


def versions(peers):
    """What is measured, as Debian names it."""
    found = {}
    for name in peers:
        package = PEERS[name].package
        answer = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                                capture_output=True, text=True, check=False)
        found[name] = f"{package} {answer.stdout}" if answer.returncode == 0 else package
    return found


def tamis_version():
    """The commit that is measured, with a mark when the tree has changes."""
    answer = subprocess.run(["git", "-C", repository(), "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        return answer.stdout.strip()
    text = Path(repository(), "meson.build").read_text(encoding="utf-8")
    return re.search(r"version: '([^']+)'", text).group(1)
