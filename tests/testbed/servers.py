"""Tamis and its peers Knot, NSD, BIND and PowerDNS as authoritative servers of the same zones.

A zone is given as (name, path of its zone file); names are absolute text ("a.example.", "."). Each
class writes its configuration into its own directory, starts the program and waits until every zone
answers.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import yaml

from testbed.process import LOOPBACK, ServerProcess, free_port
from testbed import wire

# Debian keeps some of the servers in sbin, which need not be in PATH.
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def program(name):
    path = shutil.which(name, path=SBIN)
    if path is None:
        raise FileNotFoundError("%s is not installed; run tests/install-packages or make test" % name)
    return path


def repository():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tamis_program(name):
    """A program of ours, from the folder that TAMIS_BIN names (default: build/bin)."""
    folder = os.environ.get("TAMIS_BIN", os.path.join(repository(), "build", "bin"))
    path = os.path.join(os.path.abspath(folder), name)
    if not os.access(path, os.X_OK):
        raise FileNotFoundError("%s is missing; run make build or set TAMIS_BIN" % path)
    return path


def is_sanitized():
    """Whether the programs under test are built with a sanitizer: right, but too slow to time."""
    with open(tamis_program("tamisd"), "rb") as file:
        return b"__asan_init" in file.read()


class Server:
    """What all servers have: a place to ask, the process, and a start that waits for the zones."""

    name = "server"

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.address = LOOPBACK
        self.port = free_port()
        self.process = None

    @property
    def place(self):
        return (self.address, self.port)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run(self, command, env=None):
        self.process = ServerProcess(self.name, command, self.directory, env)

    def wait_for_zones(self, names, timeout_s=25.0):
        """Waits until each zone answers its SOA with authority."""
        missing = list(names)

        def all_answer():
            while missing:
                reply = wire.ask_or_none(self.place, wire.query(missing[-1], "SOA"), timeout_s=0.3)
                if reply is None or wire.rcode(reply) != 0 or not wire.is_authoritative(reply):
                    return False
                missing.pop()
            return True

        try:
            self.process.wait_until(all_answer, "answer for all zones", timeout_s)
        except TimeoutError as error:
            raise TimeoutError("zone %s is not served: %s" % (missing[-1], error)) from None

    def stop(self):
        if self.process is not None:
            process, self.process = self.process, None
            return process.stop()
        return 0

    def kill(self):
        if self.process is not None:
            process, self.process = self.process, None
            process.kill()


class Knot(Server):
    """Knot DNS: the origin of most tests, and the peer that decides about odd messages."""

    name = "knot"

    def start(self, zones, allow_transfer=True, extra="", zone_extra="", wait=True):
        """`extra` is appended to the file; `zone_extra` lines go into the zone template."""
        lines = [
            "server:",
            "    listen: %s@%d" % self.place,
            "    rundir: %s" % self.directory,
            "    udp-workers: 1",
            "    tcp-workers: 1",
            "    background-workers: 1",
            "    udp-max-payload: 4096",
            "log:",
            "  - target: stderr",
            "    any: warning",
            "control:",
            "    listen: %s" % self.path("knot.sock"),
            "database:",
            "    storage: %s" % self.directory,
            "acl:",
            "  - id: everyone",
            "    address: [127.0.0.0/8, ::1]",
            "    action: transfer",
            extra,
            "template:",
            "  - id: default",
            "    storage: %s" % self.directory,
            "    zonefile-sync: -1",
            "    zonefile-load: whole",
            "    journal-content: none",
            "    semantic-checks: soft",
        ]
        if allow_transfer:
            lines.append("    acl: everyone")
        if zone_extra:
            lines.append(zone_extra)
        lines.append("zone:")
        for name, file in zones:
            lines += ["  - domain: \"%s\"" % name.replace("\\", "\\\\"),
                      "    file: %s" % os.path.abspath(file)]
        config = self.write("knot.conf", "\n".join(lines) + "\n")
        self.run([program("knotd"), "-c", config])
        if wait:
            self.wait_for_zones([name for name, _ in zones])
        return self

    def control(self, *arguments):
        """Runs knotc, for example control("zone-reload", "a.example")."""
        return subprocess.run([program("knotc"), "-s", self.path("knot.sock"), *arguments], check=True,
                              capture_output=True, text=True, timeout=60).stdout


class Nsd(Server):
    """NSD, with the rate limits of Debian's build taken off."""

    name = "nsd"

    def start(self, zones, wait=True):
        lines = [
            "server:",
            "    ip-address: %s@%d" % self.place,
            "    server-count: 1",
            "    database: \"\"",
            "    zonesdir: \"%s\"" % self.directory,
            "    username: \"\"",
            "    pidfile: \"%s\"" % self.path("nsd.pid"),
            "    xfrdfile: \"%s\"" % self.path("xfrd.state"),
            "    xfrdir: \"%s\"" % self.directory,
            "    zonelistfile: \"%s\"" % self.path("zone.list"),
            "    rrl-ratelimit: 0",
            "    rrl-whitelist-ratelimit: 0",
            "    receive-buffer-size: 4194304",
            "    send-buffer-size: 4194304",
            "    round-robin: no",
            "    minimal-responses: no",
            "    refuse-any: no",
            "    confine-to-zone: no",
            "    ipv4-edns-size: 4096",
            "    zonefiles-check: no",
            "    tcp-count: 200",
            "remote-control:",
            "    control-enable: no",
        ]
        for name, file in zones:
            lines += ["zone:", "    name: \"%s\"" % name, "    zonefile: \"%s\"" % os.path.abspath(file)]
        config = self.write("nsd.conf", "\n".join(lines) + "\n")
        self.run([program("nsd"), "-d", "-c", config])
        if wait:
            self.wait_for_zones([name for name, _ in zones])
        return self


class Bind(Server):
    """BIND, its checks of zone content off, so that it loads what the others load."""

    name = "bind"

    def start(self, zones, zone_extra="", wait=True, options=""):
        """`zone_extra` goes into every zone's statement, `options` into the options clause."""
        lines = [
            "options {",
            "    directory \"%s\";" % self.directory,
            "    listen-on port %d { %s; };" % (self.port, self.address),
            "    listen-on-v6 { none; };",
            "    pid-file none; session-keyfile none; lock-file none;",
            "    recursion no; allow-query { any; }; allow-transfer { any; }; notify no;",
            "    minimal-responses no-auth; minimal-any no; zero-no-soa-ttl no;",
            "    dnssec-validation no; empty-zones-enable no; querylog no;",
            "    max-udp-size 4096; edns-udp-size 4096;",
            "    check-names primary ignore; check-integrity no; check-sibling no; check-wildcard no;",
            "    check-mx ignore; check-mx-cname ignore; check-srv-cname ignore; check-spf ignore;",
            "    check-dup-records ignore; max-records-per-type 0; max-types-per-name 0; zone-statistics none; tcp-clients 400;",
            "    rrset-order { order none; };",
            options,
            "};",
            "controls { };",
            "logging { category default { null; }; category general { default_stderr; };",
            "    category zoneload { default_stderr; }; };",
        ]
        for name, file in zones:
            lines.append("zone \"%s\" { type primary; file \"%s\"; %s };"
                         % (name.replace("\\", "\\\\"), os.path.abspath(file), zone_extra))
        config = self.write("named.conf", "\n".join(lines) + "\n")
        self.run([program("named"), "-4", "-g", "-n", "1", "-c", config])
        if wait:
            self.wait_for_zones([name for name, _ in zones])
        return self


class PowerDns(Server):
    """PowerDNS with its zones in LMDB."""

    name = "powerdns"

    def start(self, zones, wait=True):
        self.write("pdns.conf", "\n".join([
            "launch=lmdb",
            "load-modules=liblmdbbackend.so",
            "lmdb-filename=%s" % self.path("pdns.lmdb"),
            "lmdb-sync-mode=nosync",
            "lmdb-shards=1",
            "local-address=%s" % self.address,
            "local-port=%d" % self.port,
            "socket-dir=%s" % self.directory,
            "receiver-threads=1",
            "distributor-threads=1",
            "dname-processing=yes",
            "udp-truncation-threshold=4096",
            "daemon=no", "guardian=no", "setuid=", "setgid=", "disable-syslog=yes", "loglevel=3",
        ]) + "\n")
        for name, file in zones:
            subprocess.run([program("pdnsutil"), "--config-dir=%s" % self.directory, "load-zone", name, file],
                           check=True, capture_output=True, text=True)
        self.run([program("pdns_server"), "--config-dir=%s" % self.directory])
        if wait:
            self.wait_for_zones([name for name, _ in zones])
        return self


class Unbound(Server):
    """A validating resolver that asks the server at `place` about each of `zones`, with a trust
    anchor (a DS or DNSKEY record in text form) for each of `anchors`."""

    name = "unbound"

    def start(self, zones, anchors, place):
        lines = [
            "server:",
            "    interface: %s" % self.address,
            "    port: %d" % self.port,
            "    num-threads: 1",
            "    directory: \"%s\"" % self.directory,
            "    chroot: \"\"",
            "    username: \"\"",
            "    pidfile: \"\"",
            "    use-syslog: no",
            "    do-ip6: no",
            "    do-not-query-localhost: no",
            "    module-config: \"validator iterator\"",
            "    val-log-level: 2",
            # Every answer is to be the server's own, none derived from an earlier one.
            "    aggressive-nsec: no",
            "    qname-minimisation: no",
        ]
        lines += ["    trust-anchor: \"%s\"" % anchor for anchor in anchors]
        lines += ["remote-control:", "    control-enable: no"]
        for zone in zones:
            lines += ["stub-zone:", "    name: \"%s\"" % zone, "    stub-addr: %s@%d" % place]
        config = self.write("unbound.conf", "\n".join(lines) + "\n")
        self.run([program("unbound"), "-d", "-c", config])
        self.process.wait_until(
            lambda: wire.ask_or_none(self.place, wire.query(".", "SOA"), timeout_s=0.3) is not None,
            "answer", 25.0)
        return self


class ControlError(AssertionError):
    """The control socket said no; the text is tamisd's. `error` also has its file and line."""

    def __init__(self, error):
        super().__init__(error["text"])
        self.error = error


def control_ask(path, command, **arguments):
    """Runs one command over the control socket `path` and returns its result. Raises ControlError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.connect(path)
        sock.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
        answer = json.loads(sock.makefile("rb").readline())
    if not answer["ok"]:
        raise ControlError(answer["error"])
    return answer["result"]


class Tamisd(Server):
    """Ours, configured by a dict in the form of its YAML file."""

    name = "tamisd"

    def __init__(self, directory):
        super().__init__(directory)
        # A socket's path has at most 107 octets; pytest's folders may be longer.
        self.socket_folder = tempfile.mkdtemp(prefix="tamis-")

    def start(self, config=None, wait=True, timeout_s=120.0, env=None):
        """Merges `config` into a working minimum (listen, control, state), starts, and waits for the
        line "ready"."""
        self.config = merged({
            "server": {
                "listen": ["%s@%d" % self.place],
                "workers": 2,
                "state": "state",
                "control": os.path.join(self.socket_folder, "control"),
            },
        }, config or {})
        self.env = env
        self.write_config()
        self.run([tamis_program("tamisd"), "-c", self.path("tamisd.yaml")], env)
        if wait:
            try:
                self.process.wait_for_line("ready", timeout_s)
            except BaseException:
                self.kill()
                raise
        return self

    def restart(self, kill=False, timeout_s=120.0):
        """Ends the process, in order or as a power cut would, writes self.config again and starts anew
        on the same state."""
        self.end(kill)
        self.start_again(timeout_s)

    def end(self, kill=False):
        """Ends the process and keeps its state, for start_again()."""
        ended, self.process = self.process, None
        if kill:
            ended.kill()
        else:
            ended.stop()
        self.readies = ended.log().splitlines().count("ready")

    def start_again(self, timeout_s=120.0):
        before = self.readies
        self.write_config()
        self.run([tamis_program("tamisd"), "-c", self.path("tamisd.yaml")], self.env)
        self.process.wait_until(lambda: self.process.log().splitlines().count("ready") > before,
                                "line 'ready'", timeout_s)

    def start_zones(self, zones, config=None, **options):
        """Starts with primary zones given as for the peers."""
        listed = [{"name": name, "primary": {"file": os.path.abspath(file)}} for name, file in zones]
        return self.start(merged({"zones": listed}, config or {}), **options)

    def write_config(self):
        """As an editor does: a reload under way reads the old file or the new one, never a half."""
        os.replace(self.write("tamisd.yaml.new", yaml.safe_dump(self.config, sort_keys=False)),
                   self.path("tamisd.yaml"))

    def reload(self):
        """Writes self.config again and has it read: returns what the reload says."""
        self.write_config()
        return self.control("reload")

    def hang_up(self):
        """Asks for a reload as systemd does."""
        self.process.signal(signal.SIGHUP)

    @property
    def control_socket(self):
        return self.config["server"]["control"]

    def control(self, command, **arguments):
        """Runs one command over the control socket and returns its result. Raises ControlError."""
        return control_ask(self.control_socket, command, **arguments)

    def ctl(self, *arguments):
        """Runs tamis ctl; returns the finished process."""
        return subprocess.run([tamis_program("tamis"), "ctl", "-s", self.control_socket, *arguments],
                              capture_output=True, text=True, timeout=120, check=False)

    def activate(self, path, **options):
        return self.control("activate", file=path, **options)

    def lift(self, order_id):
        return self.control("lift", id=order_id)

    def stop(self):
        status = super().stop()
        shutil.rmtree(self.socket_folder, ignore_errors=True)
        return status

    def kill(self):
        super().kill()
        shutil.rmtree(self.socket_folder, ignore_errors=True)


def merged(base, more):
    """Maps are merged, anything else is replaced."""
    result = dict(base)
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = merged(result[key], value)
        result[key] = value
    return result
