"""Whom the census counts, against the known truth of synthetic traffic."""

import collections
import os
import socketserver
import subprocess
import threading

import pytest

from testbed.sink_traffic import HELD_OUT, PLAYED, TUNED, Mix, Population, octets, play, victim_hash

FEED = os.path.join(os.path.dirname(os.environ.get("TAMIS_BIN", "build/bin")), "tests", "load", "sink_census_feed")

# The census's defaults.
PERSISTENCE = 86400
CHECKINS = 3


def judge(population):
    """The class and reason of every id, and the figures of all."""
    done = subprocess.run([FEED], input="".join(population.lines()), capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
    verdicts, figures = {}, {}
    for line in done.stdout.splitlines():
        sort, name, rest = line.split(" ", 2)
        if sort == "id":
            verdicts[rest[:32]] = (name, rest[33:])
        else:
            figures[name] = float(rest)
    return verdicts, figures


def wrong(population, verdicts):
    """What was judged wrongly, as lines for a person."""
    for bot in population.bots:
        name, reason = verdicts.get(victim_hash(bot), ("never came", ""))
        provable = bot in population.provable(PERSISTENCE, CHECKINS)
        if (name == "proven") != provable:
            yield "%s (%s) is %s: %s" % (bot.truth, bot.kind, name, reason)


@pytest.mark.parametrize("name,mix", [("tuned", TUNED), ("held-out", HELD_OUT)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_proven_victims_are_the_victims(name, mix, seed, capsys):
    population = Population("%s-%d" % (name, seed), mix)
    verdicts, figures = judge(population)

    proven = {victim for victim, verdict in verdicts.items() if verdict[0] == "proven"}
    true = {victim_hash(bot) for bot in population.victims()}
    provable = {victim_hash(bot) for bot in population.provable(PERSISTENCE, CHECKINS)}
    precision = len(proven & true) / len(proven)
    recall = len(proven & provable) / len(provable)
    with capsys.disabled():
        print("\n%s, seed %d: %d proven, precision %.4f, recall %.4f of %d here for long enough, %.4f of all %d; "
              "%d addresses met it" % (name, seed, len(proven), precision, recall, len(provable),
                                       len(proven & true) / len(true), len(true), figures["addresses-all"]))
    faults = "\n".join(wrong(population, verdicts))
    assert precision >= 0.99, faults
    assert recall >= 0.95, faults
    assert figures["proven"] == len(proven)


def test_where_nobody_is_a_victim_nobody_is_proven():
    mix = Mix(**{**vars(HELD_OUT), "victims": 0, "hunters_perfect": 0, "hunters_replay_all": 0})
    population = Population("nobody", mix)
    verdicts, figures = judge(population)
    assert len(verdicts) > 1000
    assert figures["proven"] == 0, "\n".join(wrong(population, verdicts))
    assert figures["scanner"] > mix.scanners * 0.9
    assert figures["resolver"] == mix.resolvers


class Listener(socketserver.TCPServer):
    """Keeps what came from which address."""

    request_queue_size = 1000

    def __init__(self):
        self.came = collections.Counter()
        super().__init__(("127.0.0.1", 0), None)

    def finish_request(self, request, client_address):
        message = b"".join(iter(lambda: request.recv(4096), b""))
        self.came[client_address[0], message] += 1


def test_a_population_can_be_played_to_a_real_listener():
    population = Population("played", PLAYED)
    with Listener() as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        sent = play(population, listener.server_address, 0.5)
        while sum(listener.came.values()) < len(sent):
            assert thread.is_alive()
        listener.shutdown()
        thread.join()
    assert len(sent) > 1000
    assert listener.came == collections.Counter((event.address, octets(event)) for event in sent)
    assert {event.family for event in sent} == {"", "njrat", "njw0rm", "hworm"}
