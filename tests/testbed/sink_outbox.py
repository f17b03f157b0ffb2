"""tests/load/sink_outbox, which writes events and passes them on to NATS, and what of them has arrived there."""

import pytest

from testbed.load import load_program
from testbed.nats import NatsClient, NatsError
from testbed.process import ServerProcess
from testbed.sink_events import Octets, read_blocks, read_event, segments

STREAM, SUBJECT = "SINK", "sink.events"
FIGURES = ("written", "sent", "failures", "reconnects", "behind", "connected", "lost")


def events_of(octets):
    for (count, _, _), raw in read_blocks(octets, start=0):
        taken = Octets(raw)
        yield from (read_event(taken) for _ in range(count))


def last_number(server):
    """Of the last event in the stream; None where there is none, or nobody answers."""
    try:
        with NatsClient(server) as client:
            octets = client.last_message(STREAM)
    except (OSError, NatsError):
        return None
    return max((event["received"] for event in events_of(octets or b"")), default=None)


class Outbox:
    """tests/load/sink_outbox over one folder, which may be started again."""

    def __init__(self, directory, servers, replicas=1, credentials="-", ca="-", stream=STREAM):
        self.directory = str(directory)
        self.events, self.place = directory / "events", directory / "place"
        self.urls = [server if isinstance(server, str) else server.url for server in servers]
        self.replicas, self.credentials, self.ca, self.stream = replicas, credentials, ca, stream
        self.first, self.process = 0, None

    def start(self, count, each=200):
        """Writes `count` more events, so many each 10 ms."""
        self.process = ServerProcess(
            "outbox-%d" % self.first,
            [load_program("sink_outbox"), str(self.events), str(self.place), self.stream, SUBJECT, str(self.replicas),
             str(self.first), str(count), str(each), str(self.credentials), str(self.ca), *self.urls], self.directory)
        self.first += count
        return self

    def figures(self):
        lines = [line.split() for line in self.process.log().split("\n")[:-1]]
        told = [line for line in lines if len(line) == len(FIGURES) and all(word.isdigit() for word in line)]
        return dict(zip(FIGURES, map(int, told[-1] if told else [0] * len(FIGURES))))

    def wait(self, condition, what):
        self.process.wait_until(lambda: condition(self.figures()), what)

    def wait_until_sent(self, server):
        """Until the last event is the last one of the stream."""
        self.process.wait_until(lambda: last_number(server) == self.first - 1, "last event")

    def wait_sending(self, messages=1):
        """Until so many more messages are acknowledged."""
        sent = self.figures()["sent"]
        self.wait(lambda told: told["sent"] >= sent + messages, "messages are sent")

    def wait_failing(self, text):
        self.process.wait_until(lambda: text in self.process.log(), text)

    def written(self):
        """How many events are in the log."""
        return sum(count for path in segments(self.events) for (count, _, _), _ in read_blocks(path.read_bytes()))

    def stop(self):
        assert self.process.stop() == 0


@pytest.fixture
def running():
    """What a test starts, so that nothing of it is left."""
    started = []
    yield lambda thing: started.append(thing) or thing
    for thing in started:
        if thing.process is not None:
            thing.process.kill()
            thing.process.check_sanitizers()


def arrived(server, stream=STREAM):
    """The ids of all messages, and the numbers of their events."""
    ids, numbers = [], []
    with NatsClient(server) as client:
        for name, octets in client.messages(stream):
            ids.append(name)
            numbers += [event["received"] for event in events_of(octets)]
    return ids, numbers


def place_of(name):
    return tuple(int(part) for part in name.split("-")[1:])


def check_all_arrived_once_in_order(server, count):
    ids, numbers = arrived(server)
    assert numbers == list(range(count))
    assert len(set(ids)) == len(ids)
    assert [place_of(name) for name in ids] == sorted(map(place_of, ids))
