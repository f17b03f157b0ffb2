"""The sinkhole as it is measured: a real tamis-sink with everything that it does for a connection, the
parts beneath it, and their clients."""

import json
import math
import re
import resource
import subprocess
import time
from pathlib import Path

import machine
import measure
from testbed import mmdb, orders
from testbed.process import LOOPBACK, free_port
from testbed.servers import repository, tamis_program
from testbed.sink import TamisSink

FLUSH_MS = 1000  # its default
LISTED = 18_472
SECONDS_MAX = 600  # that a connection may last: longer than any measurement
WRITTEN_S_MAX = 60
DESCRIPTORS_KEPT = 64  # of a process, for what is no connection


def threads_for(connections):
    """Each thread of the sensor has a table of descriptors of its own, which holds so many."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit == resource.RLIM_INFINITY:
        return 1
    return math.ceil(connections / (limit - DESCRIPTORS_KEPT))


def program(*parts):
    return str(Path(repository(), "build", *parts))


def run_text(*command):
    """What a program prints that measures by itself."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Sinkhole(TamisSink):
    """With the rules, an order, networks and events on the disk, on one core."""

    def __init__(self, folder, core):
        super().__init__(str(folder))
        self.core = core

    def begin(self, **sensor):
        networks = mmdb.write(self.path("networks.mmdb"), {
            "127.0.0.0/8": {"autonomous_system_number": 64496, "autonomous_system_organization": "Example",
                            "country": {"iso_code": "CH"}}})
        names = [f"h{number}.dyn.example" for number in range(LISTED)]
        order = orders.write_order(self.directory, "bench-1", names=names,
                                   sinkhole={"a": [LOOPBACK], "aaaa": ["2001:db8::66"], "ttl": 60})
        self.start({
            "rules": str(Path(repository(), "rules")),
            "networks": {"asn": networks, "country": networks},
            "orders": [order],
            "events": {"flush-ms": FLUSH_MS},
            "sensor": {"listen": [f"{LOOPBACK}@{self.port}"], "seconds-max": SECONDS_MAX,
                       "idle-seconds-max": SECONDS_MAX, **sensor}})
        measure.pin([self.pid], {self.core})
        return self

    def figure(self, name):
        return int(self.metrics().get("tamis_sink_" + name, 0))

    def handled(self):
        return self.figure("connections_total")

    def wait_written(self, count):
        """Until so many events are on the disk ('written' is counted after the sync) or were dropped."""
        self.process.wait_until(
            lambda: self.figure("events_written_total") + self.figure("events_dropped_total") >= count,
            f"{count} events", WRITTEN_S_MAX)

    def count_events(self):
        """Read from the segments, by the reader that all commands use."""
        found = json.loads(run_text(tamis_program("tamis"), "sink", "top", "--json", "-c",
                                    self.path("tamis-sink.yaml")))
        return found["total"]["events"]


class Bare:
    """bench/sink_sensor: the sensor alone, or the floor beneath it."""

    def __init__(self, folder, core, kind):
        self.port = free_port()
        command = [program("bench", "sink_sensor"), kind, str(self.port), str(core)]
        with open(Path(folder, f"{kind}.log"), "wb") as log:
            # 1: one thread; as many connections as no measurement has open.
            self.process = subprocess.Popen(command + (["1", "10000"] if kind == "sensor" else []),
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"sink_sensor {kind} does not start; see {log.name}")
        self.pid = self.process.pid

    def handled(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["accepted"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


class Clients:
    """tests/load/sink_load on the generator's core."""

    def __init__(self, core, mode, port, *arguments):
        command = ["taskset", "-c", str(core), program("tests", "load", "sink_load"), mode, LOOPBACK, str(port)]
        self.process = subprocess.Popen([*command, *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise RuntimeError(f"sink_load ended with {self.process.wait(60)}")
        return json.loads(text)

    def finish(self):
        """Lets go of what is held; the last line, if there is one."""
        rest = self.process.communicate()[0].splitlines()
        return json.loads(rest[-1]) if rest else None


def wait_handled(server, count):
    deadline = time.monotonic() + WRITTEN_S_MAX
    while server.handled() < count:
        if time.monotonic() > deadline:
            raise measure.BadAnswers(f"{count - server.handled()} connections never came to the other side")
        time.sleep(0.02)


def check_in(stage, server, sources, seconds):
    """Clients that connect, check in and close, as many as they can; what each costs either side."""
    account, before_ns, before = machine.Account(stage.cores), measure.cpu_ns([server.pid]), server.handled()
    split, started = measure.user_and_system_s([server.pid]), time.monotonic()
    load = Clients(stage.cores[0], "rate", server.port, 0, sources, seconds).finish()
    wait_handled(server, before + load["connections"])
    core = (measure.cpu_ns([server.pid]) - before_ns) / 1e9 / (time.monotonic() - started)
    if isinstance(server, Sinkhole):
        server.wait_written(before + load["connections"])
    used_s = (measure.cpu_ns([server.pid]) - before_ns) / 1e9
    user_s = measure.user_and_system_s([server.pid])[0] - split[0]
    shares = account.close(used_s)
    stage.accounts.append(shares)
    if load["failed"]:
        raise measure.BadAnswers(f"{load['failed']} of the connections failed")
    each = 1e6 / load["connections"]
    return {"connections": load["connections"], "per_s": load["per_second"], "cpu_us": used_s * each,
            "user_us": user_s * each, "generator_us": shares["generator_s"] * each, "core": core}


def kernel_octets():
    """What the kernel has in objects: sockets, files and what watches them. Of the whole machine."""
    return int(re.search(r"Slab:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))[1]) * 1024


def handshake(stage, server, seconds):
    """TLS handshakes one after the other, by OpenSSL's s_time."""
    account, before_ns, before = machine.Account(stage.cores), measure.cpu_ns([server.pid]), server.handled()
    run_text("taskset", "-c", str(stage.cores[0]), "openssl", "s_time", "-connect", f"{LOOPBACK}:{server.port}", "-new",
             "-time", str(seconds))
    count = server.handled() - before
    used_s = (measure.cpu_ns([server.pid]) - before_ns) / 1e9
    stage.accounts.append(account.close(used_s))
    return {"handshakes": count, "cpu_us": used_s * 1e6 / count, "seconds": seconds}
