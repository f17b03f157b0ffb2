"""The desk: updates of hosts over HTTP as their clients send them (dyndns2), a second, on one core.

tamis-desk has one core for all of its threads. tamisd, which makes the changes durable, shares the other
with the generator; so does PostgreSQL. Each request is about another host, with that host's key; every
answer is compared. `good` is counted when it has come, which is after tamisd has made the change durable.
"""

import hashlib
import json
import random
import sqlite3
import statistics
import subprocess
import time
from pathlib import Path

import figures
import machine
import measure as measuring
import plots
from stage import IDLE_S, say
from table import Table
from targets import DESK_FULL_SIZE, DESK_GOOD_PER_S_MIN, DESK_NOCHG_PER_S_MIN, Target
from testbed import wire
from testbed.desk import Desk, PostgreSql
from testbed.process import LOOPBACK
from testbed.servers import Tamisd, repository

NAME = "desk"
ZONE = "dyn.example"
SECRET = "bm90LWEtcmVhbC1zZWNyZXQ="
DATABASES = ("sqlite", "postgresql")
STEP = 7_368_787  # as in nic_load: the order of the hosts
HOSTS_OF_ACCOUNT = 5
CACHE_ROOM = 1.25  # for all hosts, whichever part of the cache they fall into
NOCHG, GOOD = "nochg", "good"
CONNECTIONS = {NOCHG: 64, GOOD: 256}  # a change waits for the disk, meanwhile others have to be under way
ROUNDS = 5
CHECKED = 1_000  # acknowledged changes that are asked for after kill -9
COLD_S_MAX = 60  # what the desk got to know by then is what it is asked for
ADDRESSES = 250


def octet(host, round_number):
    """The last of a host's address in a round; in round 0 it is as seeded."""
    return (host + round_number) % ADDRESSES + 1


def measure(stage):
    stage.clear()
    result = {}
    for database in DATABASES:
        postgresql = PostgreSql() if database == "postgresql" else None
        try:
            with Provider(stage, postgresql) as provider:
                result[database] = provider.measure()
        finally:
            if postgresql is not None:
                postgresql.remove()
    return result


class Provider:
    """The desk and its name server, with all hosts in both."""

    def __init__(self, stage, postgresql):
        self.stage, self.postgresql, self.hosts = stage, postgresql, stage.options.names
        self.folder = Path(stage.folder, "desk-" + ("postgresql" if postgresql else "sqlite"))
        self.folder.mkdir()
        self.tamisd = Tamisd(str(self.folder / "tamisd"))
        self.desk = Desk(str(self.folder / "desk"), postgresql)
        self.done = 0  # changes so far
        self.known = 0  # hosts that the desk has met since its start
        self.now_s = int(time.time())  # nothing is old enough to be cleared away

    def __enter__(self):
        try:
            self.tamisd.start({
                "server": {"workers": 1}, "keys": [{"name": "desk", "algorithm": "hmac-sha256", "secret": SECRET}],
                "zones": [{"name": ZONE, "primary": {"file": str(self._zone_file())}, "allow-update": ["desk"]}]})
            self.desk.write_config({
                "http": {"connections-per-address-max": 2 * max(CONNECTIONS.values())},
                "keys": [{"name": "desk", "algorithm": "hmac-sha256", "secret": SECRET}],
                "servers": [{"name": "ns1", "address": f"{LOOPBACK}@{self.tamisd.port}", "key": "desk",
                             "update": True}],
                "zones": [{"name": ZONE, "ttl": 60, "free": True}],
                "plans": [{"name": "bench", "hosts-max": HOSTS_OF_ACCOUNT, "updates-per-hour": 3600}],
                "hosts": {"cache-max": int(self.hosts * CACHE_ROOM)}})
            self.desk.run("migrate")
            self._seed()
            self.desk.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.desk.process is not None:
            self.desk.kill()
        self.tamisd.kill()

    # ---- hosts ----

    def _zone_file(self):
        path = Path(self.stage.options.work, f"desk-{self.hosts}.zone")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write(f"$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 1209600 60\n@ NS ns1\n"
                           "ns1 A 192.0.2.1\n")
                file.writelines(f"h{host} A 198.51.100.{octet(host, 0)}\n" for host in range(self.hosts))
        return path

    def _accounts(self):
        for account in range(-(-self.hosts // HOSTS_OF_ACCOUNT)):
            yield (f"acc_{account:020}", f"a{account}@customers.example", self.now_s, "customer", "bench", "active",
                   "en", self.now_s, self.now_s)

    def _hosts(self):
        for host in range(self.hosts):
            yield (f"hst_{host:020}", f"h{host}.{ZONE}", f"acc_{host // HOSTS_OF_ACCOUNT:020}", ZONE, "active", 0,
                   self.now_s, self.now_s, self.now_s, 1, 0)

    def _keys(self):
        for host in range(self.hosts):
            key = f"tmh_{host:043}".encode()
            yield (f"key_{host:020}", f"hst_{host:020}",
                   hashlib.blake2b(key, digest_size=32, person=b"host-key").digest(), "", self.now_s)

    def _seed(self):
        """In bulk, past the desk, which is not running yet."""
        say(f"desk: putting {self.hosts:,} hosts into the database")
        tables = {
            "accounts (id, email, email_confirmed_at, role, plan, state, language, created_at, updated_at)":
                self._accounts(),
            "hosts (id, name, account, zone, state, wildcard, created_at, updated_at, seen_at, clean, notices)":
                self._hosts(),
            "host_keys (id, host, hash, label, created_at)": self._keys()}
        for table, rows in tables.items():
            if self.postgresql:
                self._copy(table, rows)
            else:
                self._insert(table, rows)
        if self.postgresql:
            self.postgresql.sql(self.desk.database, "ANALYZE")

    def _insert(self, table, rows):
        with sqlite3.connect(self.folder / "desk" / "desk.db") as database:
            marks = ", ".join("?" * (table.count(",") + 1))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    def _copy(self, table, rows):
        command = ["psql", "-q", "-h", LOOPBACK, "-p", str(self.postgresql.port), "-U", "desk", "-d",
                   self.desk.database, "-v", "ON_ERROR_STOP=1", "-c", f"COPY {table} FROM STDIN"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as psql:
            for row in rows:
                psql.stdin.write("\t".join(r"\\x" + cell.hex() if isinstance(cell, bytes) else str(cell)
                                           for cell in row) + "\n")
            psql.stdin.close()
            if psql.wait() != 0:
                raise RuntimeError("psql could not take the hosts")

    # ---- measuring ----

    @property
    def pids(self):
        return [self.desk.process.process.pid]

    @property
    def helper_pids(self):
        pids = [self.tamisd.process.process.pid]
        return pids + (measuring.descendants(self.postgresql.process.process.pid) if self.postgresql else [])

    def measure(self):
        measuring.wait_idle(self.pids + self.helper_pids, IDLE_S)
        measuring.pin(self.pids, {self.stage.cores[1]})
        measuring.pin(self.helper_pids, {self.stage.cores[0]})
        figure = {"cold": self._load(NOCHG, COLD_S_MAX, count=self.hosts, connections=CONNECTIONS[GOOD])}
        self.known = figure["known"] = figure["cold"]["next"]
        figure["memory"] = measuring.memory(self.pids)["rss"]
        runs = {NOCHG: [], GOOD: []}
        for number in range(min(ROUNDS, self.stage.options.rounds)):
            for word in runs:
                first = self.done if word == GOOD else number * self.known // ROUNDS
                runs[word].append(self._load(word, self.stage.options.seconds, first))
        figure["runs"] = runs
        figure["found_after_kill"] = self._check_after_kill()
        say(f"desk: tamisd has all of {figure['found_after_kill']:,} acknowledged changes after kill -9 of both")
        return figure

    def _load(self, word, seconds, first=0, count=0, connections=None):
        round_number = 1
        if word == NOCHG:
            round_number = self.done // self.hosts  # of those that the round under way has not reached
        if word == NOCHG and not count:
            first, count = self._unchanged(first)
        program = str(Path(repository(), "build", "bench", "nic_load"))
        command = ["taskset", "-c", str(self.stage.cores[0]), program, str(self.desk.port), ZONE, str(self.hosts),
                   word, str(first), str(count), str(round_number), str(connections or CONNECTIONS[word]), str(seconds)]
        account = machine.Account(self.stage.cores)
        before_ns, helpers_ns = measuring.cpu_ns(self.pids), measuring.cpu_ns(self.helper_pids)
        result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        self.desk.process.check_alive()  # says why it ended
        result.check_returncode()
        load = json.loads(result.stdout)
        used_s, helped_s = ((measuring.cpu_ns(pids) - ns) / 1e9
                            for pids, ns in ((self.pids, before_ns), (self.helper_pids, helpers_ns)))
        shares = account.close(used_s + helped_s)
        self.stage.accounts.append(shares)
        if load["right"] != load["answered"] or not load["answered"]:
            raise measuring.BadAnswers(f"tamis-desk answered \"{load['other']}\" instead of {word}, "
                                       f"{load['answered'] - load['right']} times")
        if word == GOOD:
            self.done = load["next"]
        say(f"desk: {self.desk.config['database']['driver']}: {load['per_s']:,.0f} {word} a second, "
            f"{used_s * 1e6 / load['answered']:.1f} us of the desk each")
        return {**load, "cpu_us": used_s * 1e6 / load["answered"], "helpers_us": helped_s * 1e6 / load["answered"],
                "generator_us": shares["generator_s"] * 1e6 / load["answered"], "core": used_s / load["seconds"]}

    def _unchanged(self, first):
        """Where hosts begin that the round under way has not reached, and how many there are at least."""
        rest = self.known - self.done % self.known
        return self.done + first % max(rest // 2, 1), rest // 2

    def _check_after_kill(self):
        """Asks the name server for some of the changes that were acknowledged."""
        self.desk.kill()
        self.tamisd.restart(kill=True)
        numbers = random.Random(self.done).sample(range(max(self.done - self.hosts, 0), self.done),
                                                  min(CHECKED, self.done))
        for number in numbers:
            host = number * STEP % self.hosts
            wanted = f"198.51.100.{octet(host, 1 + number // self.hosts)}"
            answer = wire.ask(self.tamisd.place, f"h{host}.{ZONE}", "A", timeout_s=10).answer
            found = [wire.rdata_text(1, rdata) for *_, rdata in answer]
            if found != [wanted]:
                raise measuring.BadAnswers(f"after kill -9 h{host} has {found} and not the acknowledged {wanted}")
        return len(numbers)


# ---- what it says ----


def tables(run):
    rows = []
    for database, figure in run["figures"].items():
        cold = figure["cold"]
        kinds = [(f"{word}, kept alive", runs) for word, runs in figure["runs"].items()]
        for what, runs in [("first of each host since the start", [cold]), *kinds]:
            rows.append([f"{database}: {what}", f"{figures.median(runs, 'per_s'):,.0f}",
                         f"{max(each['per_s'] for each in runs):,.0f}", f"{figures.median(runs):.1f}",
                         f"{figures.median(runs, 'core') * 100:.0f} %", f"{figures.median(runs, 'helpers_us'):.1f}",
                         f"{figures.median(runs, 'p50_ms'):.2f}", f"{figures.median(runs, 'p99_ms'):.2f}"])
    yield Table(f"Updates over HTTP a second, {run['names']:,} hosts, tamis-desk on one core",
                ["", "median", "best", "CPU of the desk, us", "of its core",
                 "of tamisd and PostgreSQL, us", "50 % within, ms", "99 %, ms"], rows)
    rows = [[database, f"{figure['memory'] / 2 ** 20:,.0f}", f"{figure['known']:,}",
             f"{figure['memory'] / figure['known']:,.0f}",
             f"{figure['found_after_kill']:,} of {figure['found_after_kill']:,}"]
            for database, figure in run["figures"].items()]
    yield Table("The desk with the hosts that it has met in memory",
                ["", "MiB", "hosts", "octets a host", "acknowledged, there after kill -9"], rows)


def targets(run):
    if run["names"] < DESK_FULL_SIZE:
        return
    for database, figure in run["figures"].items():
        for word, bound in ((NOCHG, DESK_NOCHG_PER_S_MIN), (GOOD, DESK_GOOD_PER_S_MIN)):
            yield Target(f"{word} a second over HTTP, {database}", figures.median(figure["runs"][word], "per_s"), bound,
                         "", at_least=True)


def draw(run, folder):
    groups = {word: {database: statistics.median(each["per_s"] for each in figure["runs"][word])
                     for database, figure in run["figures"].items()} for word in (NOCHG, GOOD)}
    plots.clusters(folder / "desk.svg", f"Updates over HTTP a second, {run['names']:,} hosts", groups,
                   "updates a second")
    return [("desk.svg", "Updates over HTTP a second")]
