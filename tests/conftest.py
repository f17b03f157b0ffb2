"""Options and fixtures of all tests that run real servers."""

import os
import re

import pytest

from testbed.desk import desk, desk_sqlite, desk_unstarted, postgresql  # noqa: F401
from testbed.desk_hosts import hosts, hosts_plain, hosts_postgresql, hosts_sqlite  # noqa: F401
from testbed.servers import Bind, Knot, Nsd, PowerDns, Tamisd, Unbound
from testbed.sink import TamisSink


def pytest_addoption(parser):
    parser.addoption("--zones", type=int, default=500, help="generated zones of the differential test")
    parser.addoption("--queries", type=int, default=200000, help="queries of the differential test")
    parser.addoption("--seed", default="tamis", help="seed of everything random")


def pytest_configure(config):
    config.addinivalue_line("markers", "once: of scripts or of others' programs more than of ours, whose code other tests "
                                       "run, too: with the plain programs alone")
    config.addinivalue_line("markers", "timed: has a bound in time, which the sanitizers' slower code may miss")


class ServerFarm:
    """Makes servers for one test, each in its own directory, and stops them at its end. A server that
    died, would not end or was caught by a sanitizer fails the test."""

    def __init__(self, directory):
        self.directory = directory
        self.servers = []

    def _add(self, kind):
        server = kind(os.path.join(self.directory, "%s-%d" % (kind.name, len(self.servers))))
        self.servers.append(server)
        return server

    def add(self, kind):
        """A server of a class of its own, which the caller starts."""
        return self._add(kind)

    def tamisd(self, config=None, **options):
        """Starts tamisd with `config`, a dict in the form of its YAML file."""
        return self._add(Tamisd).start(config, **options)

    def tamisd_unstarted(self):
        return self._add(Tamisd)

    def sink(self, config=None, **options):
        """Starts tamis-sink with `config`, a dict in the form of its YAML file."""
        return self._add(TamisSink).start(config, **options)

    def sink_unstarted(self):
        return self._add(TamisSink)

    def knot(self, zones, **options):
        return self._add(Knot).start(zones, **options)

    def knot_unstarted(self):
        return self._add(Knot)

    def nsd(self, zones, **options):
        return self._add(Nsd).start(zones, **options)

    def bind(self, zones, **options):
        return self._add(Bind).start(zones, **options)

    def powerdns(self, zones, **options):
        return self._add(PowerDns).start(zones, **options)

    def unbound(self, zones, anchors, place):
        return self._add(Unbound).start(zones, anchors, place)

    def write(self, name, text):
        """Writes a file for the test and returns its path."""
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def stop(self):
        faults = []
        for server in reversed(self.servers):
            try:
                server.stop()
            except AssertionError as fault:
                if isinstance(server, (Tamisd, TamisSink)):
                    faults.append(str(fault))
        assert not faults, "\n".join(faults)


@pytest.fixture
def farm(tmp_path, request):
    """Servers of this test; see ServerFarm."""
    made = ServerFarm(str(tmp_path))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def module_farm(tmp_path_factory, request):
    """Servers that all tests of a file share."""
    made = ServerFarm(str(tmp_path_factory.mktemp(re.sub(r"\W", "-", request.module.__name__))))
    yield made
    made.stop()
