"""What the clients saw, second by second, and what is made of it."""

import json
from dataclasses import dataclass, field

GOOD_ENDS = ("right", "wrong", "empty", "nxdomain", "servfail", "refused", "timeout")
WHOLE = 0.999


@dataclass
class Phase:
    name: str
    began: float  # time.monotonic()
    ended: float | None = None


@dataclass
class Record:
    """One play. Seconds are those of the clients: the whole ones of time.monotonic()."""

    play: str
    phases: list[Phase] = field(default_factory=list)
    seconds: dict[int, dict] = field(default_factory=dict)
    connections: int = 0  # as the sinkhole counted them
    _read: int = 0

    def read(self, path):
        """Takes in what the clients have written since."""
        with open(path, "rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                if line.startswith(b"{"):
                    entry = json.loads(line)
                    self.seconds[entry.pop("second")] = entry

    def phase(self, name):
        return next(phase for phase in self.phases if phase.name == name)

    def between(self, began, ended):
        """The seconds that lie wholly between two moments, and in which good names were asked for: on a
        machine that stands still, the clients do, too."""
        return [
            second
            for second in sorted(self.seconds)
            if began <= second and second + 1 <= ended and self.counts([second], "good")
        ]

    def during(self, phase):
        return self.between(phase.began, phase.ended)

    def counts(self, seconds, which, kind=None):
        """How lookups of these seconds ended, by all resolvers or by one."""
        total = {}
        for second in seconds:
            for of_kind, entry in self.seconds[second].items():
                if kind in (None, of_kind):
                    for end, count in entry[which].items():
                        total[end] = total.get(end, 0) + count
        return total

    def slow(self, seconds):
        """Good lookups that were answered rightly, but took longer than a second."""
        return sum(entry.get("slow", 0) for second in seconds for entry in self.seconds[second].values())

    def share(self, seconds, which, kind=None):
        """Good lookups that were answered rightly, or bad ones that reached the sinkhole. None: there
        was none."""
        counts = self.counts(seconds, which, kind)
        whole = sum(counts.values())
        return counts.get("right" if which == "good" else "sinkhole", 0) / whole if whole else None

    def shares(self, which, kind=None):
        """Pairs of second and share, over the whole play without the warm-up."""
        first, last = self.phase("baseline").began, self.phases[-1].ended
        pairs = [(second, self.share([second], which, kind)) for second in self.between(first, last)]
        return [(second, share) for second, share in pairs if share is not None]

    # ---- The figures ----

    def baseline(self):
        """The lowest share of good lookups in any second before the takeover. Where no lookup failed
        then, none may fail later."""
        seconds = self.during(self.phase("baseline"))
        return min(self.share([second], "good") for second in seconds)

    def breaches(self):
        """Seconds after the baseline in which good lookups fell below it."""
        bound, ended = self.baseline(), self.phase("baseline").ended
        return [(second, share) for second, share in self.shares("good") if second >= ended and share < bound]

    def failures(self):
        """How good lookups ended that were not answered rightly, after the baseline."""
        ended = self.phase("baseline").ended
        seconds = [second for second, _ in self.shares("good") if second >= ended]
        counts = self.counts(seconds, "good")
        return {end: counts[end] for end in GOOD_ENDS if end != "right" and end in counts}

    def figures(self):
        ended = self.phase("baseline").ended
        after = [(second, share) for second, share in self.shares("good") if second >= ended]
        counts = self.counts([second for second, _ in after], "good")
        return {
            "baseline": self.baseline(),
            "lookups": sum(counts.values()),
            "failed": sum(counts.values()) - counts.get("right", 0),
            "lowest": min(share for _, share in after),
            "below_whole_s": sum(share < WHOLE for _, share in after),
            "below_baseline_s": len(self.breaches()),
            "slow": self.slow([second for second, _ in after]),
            "connections": self.connections,
        }

    def phase_figures(self):
        rows = []
        for phase in self.phases:
            seconds = self.during(phase)
            counts = self.counts(seconds, "good")
            whole = sum(counts.values())
            if phase.name == "warm-up" or whole == 0:
                continue
            bad = self.share(seconds, "bad")
            rows.append(
                {
                    "phase": phase.name,
                    "seconds": phase.ended - phase.began,
                    "lookups": whole,
                    "failed": whole - counts.get("right", 0),
                    "slow": self.slow(seconds),
                    "share": counts.get("right", 0) / whole,
                    "lowest": min(self.share([second], "good") for second in seconds),
                    "by_kind": {kind: self.share(seconds, "good", kind) for kind in self.kinds()},
                    "sinkholed": bad if bad is not None else 0.0,
                }
            )
        return rows

    def kinds(self):
        return sorted({kind for entry in self.seconds.values() for kind in entry})

    # ---- Kept ----

    def to_json(self):
        return {
            "play": self.play,
            "phases": [[phase.name, phase.began, phase.ended] for phase in self.phases],
            "seconds": [{"second": second, **entry} for second, entry in sorted(self.seconds.items())],
            "connections": self.connections,
        }
