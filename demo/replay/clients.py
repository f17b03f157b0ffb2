"""The clients: people who look up good names, and infected machines that look up listed ones, through
every resolver alike. Runs in a namespace of its own; one line of JSON a second on standard output:

    {"second": 12, "unbound": {"good": {"right": 190, "servfail": 2}, "bad": {"sinkhole": 20}, "slow": 1}}

A lookup counts for the second in which it began. "slow" are those that ended rightly, but late. Good ones end as right, wrong, empty (NODATA),
nxdomain, servfail or timeout. Bad ones as sinkhole when the connection there stands, controller when
the address is another one, else like good ones.
"""

import argparse
import asyncio
import collections
import itertools
import json
import random
import signal
import sys
import time

from replay import wire

TIMEOUT_S = 5.0
AGAIN_S = (1.0, 3.0)  # after so long it is asked once more, as the stub of Windows does
SLOW_S = 1.0
TICK_S = 0.01
PORTS = 8  # sockets for each resolver
SINKHOLE_PORT = 1177  # njRAT's own
CONNECT_TIMEOUT_S = 3.0
ZIPF_EXPONENT = 1.0


class Names:
    """Good names by popularity, bad ones evenly."""

    def __init__(self, good_path, bad_path, seed):
        with open(good_path, encoding="ascii") as file:
            self.good = [tuple(line.split()) for line in file]
        with open(bad_path, encoding="ascii") as file:
            self.bad = [line.strip() for line in file]
        ranks = range(1, len(self.good) + 1)
        self.weights = list(itertools.accumulate(1 / rank**ZIPF_EXPONENT for rank in ranks))
        self.chooser = random.Random(seed)

    def pick(self, is_good):
        """A name and its right address."""
        if is_good:
            return self.chooser.choices(self.good, cum_weights=self.weights)[0]
        return self.chooser.choice(self.bad), None


class Port(asyncio.DatagramProtocol):
    """One socket towards one resolver."""

    def __init__(self, clients):
        self.clients = clients
        self.flying = {}
        self.identities = itertools.count()
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def error_received(self, exc):
        """The resolver's port is shut: the lookup runs into its timeout, as a stub's would."""

    def ask(self, lookup):
        identity = next(self.identities) & 0xFFFF
        lookup.identity = identity
        self.flying[identity] = lookup
        self.send(lookup)

    def send(self, lookup):
        self.transport.sendto(wire.query(lookup.identity, lookup.name))

    def datagram_received(self, data, addr):
        if len(data) < wire.HEADER.size:
            return
        lookup = self.flying.get(data[0] << 8 | data[1])
        if lookup is None or wire.question_name(data) != lookup.name:
            return
        del self.flying[lookup.identity]
        self.clients.answered(lookup, data)


class Lookup:
    __slots__ = ("kind", "is_good", "name", "address", "began", "second", "port", "identity", "done")

    def __init__(self, kind, is_good, name, address, began, second, port):
        self.kind, self.is_good, self.name, self.address = kind, is_good, name, address
        self.began, self.second, self.port, self.identity = began, second, port, None
        self.done = False


class Clients:
    def __init__(self, arguments):
        self.arguments = arguments
        self.names = Names(arguments.good, arguments.bad, arguments.seed)
        self.chooser = random.Random(arguments.seed + 1)
        self.kinds = [pair.split("=")[0] for pair in arguments.resolver]
        self.ports = collections.defaultdict(list)
        self.began = time.monotonic()
        self.waiting = [collections.deque() for _ in range(len(AGAIN_S) + 1)]  # by how often it was asked
        self.open = collections.Counter()  # lookups of a second that have not ended
        self.counts = {}
        self.told = 0
        self.joins = {}
        self.tasks = set()
        self.ended = False

    # ---- Asking ----

    def joined(self, kind, name, now):
        """Resolvers learn of the zones one after the other, so that their delegations run out so, too."""
        zone = name.partition(".")[2]
        join = self.joins.setdefault((kind, zone), self.chooser.uniform(0, self.arguments.ramp))
        return now - self.began >= join

    def ask(self, is_good, now):
        kind = self.chooser.choice(self.kinds)
        name, address = self.names.pick(is_good)
        if not self.joined(kind, name, now):
            return
        second = int(now)
        port = self.chooser.choice(self.ports[kind])
        lookup = Lookup(kind, is_good, name, address, now, second, port)
        self.open[second] += 1
        self.waiting[0].append(lookup)
        port.ask(lookup)

    # ---- What became of it ----

    def end(self, lookup, outcome):
        if lookup.done:
            return
        lookup.done = True
        self.open[lookup.second] -= 1
        of_second = self.counts.setdefault(lookup.second, {})
        of_kind = of_second.setdefault(lookup.kind, {"good": {}, "bad": {}})
        counts = of_kind["good" if lookup.is_good else "bad"]
        counts[outcome] = counts.get(outcome, 0) + 1
        if outcome == "right" and time.monotonic() - lookup.began > SLOW_S:
            of_kind["slow"] = of_kind.get("slow", 0) + 1
        if outcome != "right" and lookup.is_good and self.arguments.failures is not None:
            print(f"{lookup.began:.3f} {lookup.kind} {lookup.name} {outcome}",
                  file=self.arguments.failures, flush=True)

    def answered(self, lookup, message):
        try:
            address = wire.answer_address(message)
        except (IndexError, ValueError):
            self.end(lookup, "wrong")
            return
        code = wire.rcode(message)
        if code == wire.NXDOMAIN:
            self.end(lookup, "nxdomain")
        elif code != wire.NOERROR:
            self.end(lookup, "servfail" if code == wire.SERVFAIL else "refused")
        elif address is None:
            self.end(lookup, "empty")
        elif lookup.is_good:
            self.end(lookup, "right" if address == lookup.address else "wrong")
        elif address == self.arguments.sinkhole:
            task = asyncio.ensure_future(self.check_in(lookup))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self.end(lookup, "controller")

    async def check_in(self, lookup):
        """An infected machine reports to what it takes for its controller."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(self.arguments.sinkhole, SINKHOLE_PORT)
                writer.write(b"ll|'|'|replay|'|'|\n")
                await writer.drain()
                writer.close()
        except (OSError, TimeoutError):
            self.end(lookup, "unreached")
            return
        self.end(lookup, "sinkhole")

    def ask_again(self, now):
        """Lookups without an answer: once more, or given up."""
        for asked, patience_s in enumerate((*AGAIN_S, TIMEOUT_S)):
            waiting = self.waiting[asked]
            while waiting and (waiting[0].done or now - waiting[0].began > patience_s):
                lookup = waiting.popleft()
                if lookup.port.flying.get(lookup.identity) is not lookup:
                    continue
                if asked < len(AGAIN_S):
                    lookup.port.send(lookup)
                    self.waiting[asked + 1].append(lookup)
                else:
                    del lookup.port.flying[lookup.identity]
                    self.end(lookup, "timeout")

    def tell(self, now):
        """The seconds that nothing is open of any more, in their order."""
        if self.told == 0:
            self.told = int(self.began)
        while self.told < int(now) and self.open[self.told] == 0:
            del self.open[self.told]
            line = {"second": self.told, **self.counts.pop(self.told, {})}
            print(json.dumps(line), flush=True)
            self.told += 1

    # ---- The run ----

    async def run(self):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        for pair in self.arguments.resolver:
            kind, address = pair.split("=")
            for _ in range(PORTS):
                _, port = await loop.create_datagram_endpoint(lambda: Port(self), remote_addr=(address, 53))
                self.ports[kind].append(port)
        asked = {True: 0, False: 0}
        while not self.ended or any(self.open.values()):
            now = time.monotonic()
            for is_good, rate in ((True, self.arguments.rate), (False, self.arguments.bad_rate)):
                due = (now - self.began) * rate
                while asked[is_good] < due and not self.ended:
                    asked[is_good] += 1
                    self.ask(is_good, now)
            self.ask_again(now)
            self.tell(now)
            await asyncio.sleep(TICK_S)
        self.tell(time.monotonic() + 1)

    def stop(self):
        self.ended = True


def main():
    parser = argparse.ArgumentParser(description="clients of the replay")
    parser.add_argument("--good", required=True)
    parser.add_argument("--bad", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--bad-rate", type=float, required=True)
    parser.add_argument("--ramp", type=float, default=0)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--sinkhole", required=True)
    parser.add_argument("--failures", type=argparse.FileType("w"))
    parser.add_argument("resolver", nargs="+", metavar="KIND=ADDRESS")
    asyncio.run(Clients(parser.parse_args()).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
