"""The servers of the replay, each on its machine: root, TLD, provider, resolvers, sinkhole, clients."""

import base64
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from replay import clients, network
from servers import DemoError, Server

# How long Unbound thinks a server lame or dead unless told otherwise; it follows the scale of time.
# Else the resolvers are told nothing that would help or harm the front.
INFRASTRUCTURE_TTL_S = 900
KNOT_CONFIG = """\
server:
    rundir: {folder}
    listen: [{listen}]
    udp-workers: 1
    tcp-workers: 2
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: {folder}
key:
  - id: replay
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: replay
    key: replay
    action: {action}
template:
  - id: default
    storage: {zones_folder}
    zonefile-sync: -1
    zonefile-load: whole
    {acl}
zone:
{zones}"""

UNBOUND_CONFIG = """\
server:
    interface: {address}
    num-threads: 1
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-ip6: no
    module-config: "iterator"
    root-hints: "{folder}/hints"
    access-control: 192.0.2.0/24 allow
    infra-host-ttl: {infrastructure_ttl}
    serve-expired: no
remote-control:
    control-enable: no
"""

KRESD_CONFIG = """\
net.listen('{address}', 53, {{ kind = 'dns' }})
net.ipv6 = false
trust_anchors.remove('.')
modules.load('hints > iterate')
hints.root({{ ['a.root-servers.net.'] = '{root}' }})
cache.size = 50 * MB
"""

BIND_CONFIG = """\
options {{
    directory "{folder}"; listen-on {{ {address}; }}; listen-on-v6 {{ none; }};
    pid-file none; session-keyfile none; lock-file none;
    recursion yes; allow-query {{ any; }}; allow-recursion {{ any; }};
    dnssec-validation no; empty-zones-enable no; notify no; stale-answer-enable no;
}};
controls {{ }};
zone "." {{ type hint; file "hints"; }};
"""

HINTS = ". 3600000 NS a.root-servers.net.\na.root-servers.net. 3600000 A {root}\n"


def program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise DemoError(f"{name} is missing: make replay-2014 installs it")
    return path


def zone_file(zone):
    return "root.zone" if zone == "." else f"{zone}.zone"


def dig(net, machine, address, name, rdtype="SOA"):
    """What a server answers, as seen from a machine; empty when it does not."""
    command = net.inside(machine, program("dig"), "+short", "+time=1", "+tries=1", f"@{address}", name, rdtype)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


class World:
    """What exists before anything happens, the same for every play."""

    def __init__(self, net, data, folder, settings):
        self.net, self.data, self.folder, self.settings = net, data, folder, settings
        self.servers = []
        self.provider = None
        self.secret = base64.b64encode(random.Random(settings.seed).randbytes(32)).decode()

    def add(self, name, machine, command, environment=None):
        """A server on a machine; started by the caller. It ends with the world."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        command = ["env", *environment, *command] if environment else command
        server = Server(name, folder, 53, self.net.inside(machine, *command))
        self.servers.append(server)
        return server

    def add_python(self, name, machine, *arguments):
        """A program of this package. It writes to a file, which others read while it grows."""
        path = Path(__file__).resolve().parent.parent
        command = [sys.executable, "-m", *arguments]
        return self.add(name, machine, command, [f"PYTHONPATH={path}", "PYTHONDONTWRITEBYTECODE=1"])

    def knot(self, name, machine, addresses, zones, acl_action=None):
        folder = self.folder / name
        folder.mkdir()
        config = KNOT_CONFIG.format(
            folder=folder,
            listen=", ".join(f"{address}@53" for address in addresses),
            secret=self.secret,
            action=acl_action or "query",
            acl="acl: replay" if acl_action else "",
            zones_folder=self.data.provider.folder,
            zones="".join(f"  - domain: {zone}\n    file: {zone_file(zone)}\n" for zone in zones),
        )
        (folder / "knot.conf").write_text(config, encoding="ascii")
        server = self.add(name, machine, [program("knotd"), "-c", folder / "knot.conf"])
        server.start()
        timeout_s = 60 + self.settings.names / 20_000
        for zone in zones:
            server.wait_until(lambda: dig(self.net, machine, addresses[0], zone), timeout_s)
        return server

    def start(self, with_transfer):
        """Root, TLD, provider, sinkhole, resolvers. Whether the provider gives its zones by transfer is
        what tells the two modes of the front apart."""
        self.knot("root", "root", (network.ROOT,), ["."])
        self.knot("tld", "tld", (network.TLD,), ["example"], "update")
        self.provider = self.knot(
            "provider", "provider", network.PROVIDER, self.data.zones, "transfer" if with_transfer else None
        )
        sinkhole = self.add_python(
            "sinkhole", "sinkhole", "replay.sinkhole", network.SINKHOLE, clients.SINKHOLE_PORT
        )
        sinkhole.start()
        sinkhole.wait_until(lambda: "ready" in sinkhole.log_path.read_text(), 30)
        for kind in network.RESOLVERS:
            self.resolver(kind)

    def resolver(self, kind):
        folder = self.folder / kind
        folder.mkdir()
        address = network.RESOLVERS[kind]
        ttl = max(5, round(INFRASTRUCTURE_TTL_S / self.settings.time_scale))
        template = {"unbound": UNBOUND_CONFIG, "kresd": KRESD_CONFIG, "bind": BIND_CONFIG}[kind]
        config = folder / f"{kind}.conf"
        config.write_text(
            template.format(address=address, folder=folder, root=network.ROOT, infrastructure_ttl=ttl),
            encoding="ascii",
        )
        (folder / "hints").write_text(HINTS.format(root=network.ROOT), encoding="ascii")
        command = {
            "unbound": lambda: [program("unbound"), "-d", "-c", config],
            "kresd": lambda: [program("kresd"), "-n", "-c", config, folder],
            "bind": lambda: [program("named"), "-4", "-g", "-n", "1", "-c", config],
        }[kind]()
        server = self.add(kind, kind, command)
        server.start()
        server.wait_until(lambda: dig(self.net, "clients", address, "a.nic.example", "A") == network.TLD, 60)

    def start_clients(self):
        """Returns the file that their lines of JSON go to."""
        settings = self.settings
        server = self.add_python(
            "clients", "clients", "replay.clients",
            *("--good", self.data.good_path, "--bad", self.data.bad_path),
            *("--rate", settings.rate, "--bad-rate", settings.bad_rate),
            *("--ramp", self.data.time.day_ttl, "--seed", settings.seed),
            *("--sinkhole", network.SINKHOLE, "--failures", self.folder / "failures"),
            *(f"{kind}={address}" for kind, address in network.RESOLVERS.items()),
        )  # fmt: skip
        server.start()
        return server

    def connections(self):
        """What the sinkhole itself has counted so far."""
        for server in self.servers:
            if server.name == "sinkhole":
                lines = server.log_path.read_text().splitlines()
                return json.loads(lines[-1])["connections"] if len(lines) > 1 else 0
        return 0

    def stop_server(self, server):
        self.servers.remove(server)
        server.stop()

    def check_alive(self):
        """A server that died by itself ends the play."""
        for server in self.servers:
            if server.process is not None and server.process.poll() is not None:
                raise DemoError(f"{server.name} ended with {server.process.returncode}:\n{server.log()}")

    def close(self):
        for server in reversed(self.servers):
            server.stop()

    # ---- The delegation, moved as a registry does ----

    def delegate(self, name, servers):
        """Sets the NS set of a domain at the parent, by one transaction of its server."""
        label = name.partition(".")[0]
        socket_path = self.folder / "tld" / "knot.sock"
        ttl = str(self.data.time.day_ttl)
        commands = [("zone-begin", "example"), ("zone-unset", "example", label, "NS")]
        commands += [("zone-set", "example", label, ttl, "NS", server) for server in servers]
        commands.append(("zone-commit", "example"))
        for command in commands:
            done = subprocess.run(
                [program("knotc"), "-s", str(socket_path), *command], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise DemoError(f"knotc {' '.join(command)}: {done.stderr.strip()}")
