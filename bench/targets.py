"""What we promised, and whether a run kept it."""

from dataclasses import dataclass
from typing import Optional

FLOOR_RATIO_MAX = 1.1
PEER_RATIO_MAX = 0.8
NAME_BYTES_MAX = 80
READY_S_MAX = 5.0
SNAPSHOT_S_MAX = 1.0
FULL_SIZE = 5_000_000  # names that the absolute start times are meant for
KNOT_START_RATIO_MAX = 0.25
GROWTH_MAX = 1.1  # memory of a name with the most names, over that with the fewest
GROWTH_TIME_MAX = 1.25  # the same of the time to ready, which wobbles more
RELOAD_ROOM_MAX = 2.0  # over the zone's own memory: its new data, and what reading the text takes
SCALING_MIN = 1.8  # of two workers, over one
LISTED_BYTES_MAX = 24
ORDER_COST_MAX = 0.01
LATE_MS_MAX = 5.0
UPDATES_PER_S_MIN = 50_000
UPDATES_BIND_RATIO_MIN = 20
UPDATE_COST_MAX = 0.05  # of a query's CPU time, beside 10,000 updates a second
UPDATE_LATER_MS_MAX = 1.0
FRONT_SECONDARY_RATIO_MAX = 1.1  # of an answer from the cache over one from a copy of the zone
FRONT_DNSDIST_RATIO_MAX = 1.0
MISS_DNSDIST_RATIO_MAX = 0.5  # of an answer that has to be asked for
GOOD_LATE_MAX = 0.001  # of the queries for names that exist, in a flood of random ones
FRONT_ORIGIN_RATE_MAX = 1.0  # of what the origin is to get
DESK_FULL_SIZE = 1_000_000  # hosts that the rates of the desk are meant for
DESK_NOCHG_PER_S_MIN = 15_000
DESK_GOOD_PER_S_MIN = 5_000
LEDGER_PEAK_MIB_MAX = 64  # however many entries there are
SINK_OPEN_MIN = 100_000  # connections at once
SINK_IDLE_OCTETS_MAX = 1024
SINK_CHECKINS_PER_S_MIN = 30_000
SINK_RECORDED_MIN = 1.0  # of them, as events on the disk
SINK_EVENTS_PER_S_MIN = 50_000
SINK_CENSUS_MIB_MAX = 512  # of a million victims; what the census may have by default
SINK_SERVED_MIN = 0.99  # of the new clients, while a few sources have taken all places
ACTIVE_S_MAX = {18_472: 0.1, 1_000_000: 1.5, 5_000_000: 5.0}

PASS, SHORT, UNSURE = "PASS", "short", "unsure"


@dataclass(frozen=True)
class Target:
    what: str
    figure: float
    bound: float
    unit: str
    at_least: bool = False
    interval: Optional[tuple] = None  # where the true figure may lie

    def _keeps(self, figure):
        return figure >= self.bound if self.at_least else figure <= self.bound

    @property
    def verdict(self):
        """A figure that may lie on either side of its bound is no proof: more rounds are."""
        if not self._keeps(self.figure):
            return SHORT
        return PASS if all(map(self._keeps, self.interval or ())) else UNSURE

    @property
    def met(self):
        return self.verdict == PASS
