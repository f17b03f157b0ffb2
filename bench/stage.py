"""What all pieces of the benchmark share: the options, the workload, the cores, and the servers that
stand ready."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import contenders
import machine
import measure
import workload as workloads
from workload import HITS

WARM_UP_S = 1
IDLE_S = 0.5  # without work: the server has done what it does after its start
FIELD_ORDER_SIZE = 1_000_000  # names listed in the server that stands for all with an order


def say(text):
    """Progress goes to standard error: standard output is the table's."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


class Stage:
    def __init__(self, options):
        self.options = options
        self.cores = machine.pick_cores()
        self.all_cores = sorted(os.sched_getaffinity(0))
        self.folder = Path(tempfile.mkdtemp(prefix="tamis-bench-"))
        self.workloads = {}
        self.accounts = []  # of the piece under way
        self._field = {}
        self._best_qps = {}

    # ---- the workload ----

    def workload_of(self, names):
        if names not in self.workloads:
            say(f"making {names:,} names in 23 zones")
            self.workloads[names] = workloads.Workload(names, self.options.orders, Path(self.options.work))
        return self.workloads[names]

    @property
    def workload(self):
        return self.workload_of(self.options.names)

    # ---- servers ----

    def create(self, server_class):
        return server_class(tempfile.mkdtemp(dir=self.folder))

    @contextlib.contextmanager
    def running(self, server, workload):
        """Started, and ended in order; at once when something goes wrong."""
        try:
            server.start(workload)
            yield server
            server.stop()
        except BaseException:
            server.kill()
            raise

    @property
    def field(self):
        """All that are compared, together in memory; only one at a time is asked. By name."""
        if not self._field:
            self._start_field()
        return self._field

    def _start_field(self):
        sizes = [size for size in self.options.orders if size <= FIELD_ORDER_SIZE]
        orders = self.workload.orders(max(sizes or self.options.orders[:1]), 1)
        with_order = f"tamisd, {orders.size:,} listed"
        entries = [("floor", contenders.Floor), ("tamisd", contenders.Tamis), (with_order, contenders.Tamis)]
        entries += [(name, contenders.PEERS[name]) for name in self.options.peers]
        for entry, server_class in entries:
            server = self._field[entry] = self.create(server_class)
            server.prepare(self.workload)
            server.start(self.workload)
            if entry == with_order:
                server.put_in_force(orders)
            say(f"started {entry}")
        for entry, server in self._field.items():
            self.settle(entry, server)

    def settle(self, entry, server):
        """Once it has done what it does after its start: to the servers' core, with the buffers of all."""
        measure.wait_idle(server.pids, IDLE_S)
        granted = server.even_buffers()
        if granted < contenders.BUFFER_SIZE:
            say(f"{entry}: the system grants only {granted:,} octets of socket buffer")
        measure.pin(server.pids, {self.cores[1]})

    def clear(self):
        """Leaves the machine to what comes next."""
        for server in self._field.values():
            server.kill()
        self._field.clear()

    def close(self):
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- measuring ----

    def saturate(self, server, mix, number, seconds=None, workload=None, generator=None):
        """One measurement. Unless told otherwise, the generator has a core of its own."""
        workload = workload or self.workload
        expected = workload.nxdomain_share(mix, server.blocks) if server.answers else None
        return self.saturate_with(server, workload.mix_path(mix, number), expected, seconds, generator)

    def saturate_with(self, server, path, nxdomain_share, seconds=None, generator=None):
        """The same with the queries of a file."""
        generator = generator or measure.Generator(cores=self.cores[:1])
        figure = measure.saturate(server, path, seconds or self.options.seconds, generator, self.cores, nxdomain_share)
        self.accounts.append(figure)
        return figure

    def paced(self, server, rate, seconds, queries=None):
        """A steady load, under way."""
        return measure.PacedLoad(server, queries or self.workload.paced_path(), rate, seconds, self.cores,
                                 tempfile.mkdtemp(dir=self.folder))

    def finish(self, load):
        result = load.finish()
        self.accounts.append(result.shares)
        return result

    def saturate_entry(self, mix, entry, number, seconds=None):
        figure = self.saturate(self.field[entry], mix, number, seconds)
        if mix == HITS:
            self._best_qps[entry] = max(self._best_qps.get(entry, 0), figure["qps"])
        return figure

    def best_qps(self, entry):
        """Popular names that a server of the field answers a second."""
        if entry not in self._best_qps:
            self.saturate_entry(HITS, entry, 0, WARM_UP_S)
            self.saturate_entry(HITS, entry, 1)
        return self._best_qps[entry]
