"""One play: phases over a world, with the clients asking all the while."""

import time

from replay.live import Live
from replay.measure import Phase, Record
from replay.world import World

LOOK_S = 0.2


class Play:
    key = title = ""
    with_transfer = False  # whether the provider gives its zones by transfer

    def __init__(self, net, data, folder, settings):
        self.settings = settings
        self.world = World(net, data, folder, settings)
        self.data, self.folder = data, folder
        self.record = Record(self.key)
        self.live = None

    @property
    def day_s(self):
        return self.data.time.day_s

    def phase(self, name, why=""):
        """Begins the next phase."""
        self.end_phase()
        self.record.phases.append(Phase(name, time.monotonic()))
        self.live.phase_began(name, why)

    def end_phase(self):
        if self.record.phases and self.record.phases[-1].ended is None:
            self.record.phases[-1].ended = time.monotonic()

    def hold(self, days):
        """Lets the phase go on for so long, in days of 2014."""
        until = time.monotonic() + days * self.day_s
        while time.monotonic() < until:
            time.sleep(LOOK_S)
            self.world.check_alive()

    def run(self):
        """Plays it; returns the record."""
        self.world.start(self.with_transfer)
        clients = self.world.start_clients()
        self.live = Live(self.record, clients.log_path)
        self.live.start()
        self.phase("warm-up", "resolvers learn of one zone after the other")
        self.hold(1.1)
        self.phase("baseline", "as it was on 29 June")
        self.hold(1)
        self.story()
        self.end_phase()
        self.world.stop_server(clients)
        self.live.stop()
        self.record.connections = self.world.connections()
        return self.record

    def story(self):
        raise NotImplementedError

    def close(self):
        if self.live is not None:
            self.live.stop()
        self.world.close()
