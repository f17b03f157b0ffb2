"""What a person sees while it runs: a line a phase, and on a terminal one that follows the clients."""

import os
import sys
import threading
import time

INTERVAL_S = 0.5


def percent(share):
    if share is None:
        return "-"
    # Never rounded up to 100.
    return "100 %" if share == 1 else f"{int(share * 10000) / 100:.2f} %"


class Live(threading.Thread):
    """Reads what the clients write, keeps the record, and shows it."""

    def __init__(self, record, path, stream=sys.stdout):
        super().__init__(daemon=True)
        self.record, self.path, self.stream = record, path, stream
        self.is_terminal = stream.isatty()
        self.colour = self.is_terminal and "NO_COLOR" not in os.environ
        self.summed_up = 0  # phases
        self._end = threading.Event()
        self._lock = threading.Lock()

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def write(self, text):
        with self._lock:
            print(("\r\033[K" if self.is_terminal else "") + text, file=self.stream, flush=True)

    def phase_began(self, name, why):
        self.write(f"  {self._paint('1', name)}: {self._paint('2', why)}")

    def _sum_up(self, at_last=False):
        """Phases all of whose lookups have ended: a timeout takes its time."""
        told = max(self.record.seconds, default=0)
        while self.summed_up < len(self.record.phases):
            phase = self.record.phases[self.summed_up]
            if phase.ended is None or (told < phase.ended and not at_last):
                return
            seconds = self.record.during(phase)
            text = self._shares(seconds) if seconds else "nothing measured"
            self.write(f"      {phase.name:<22}{phase.ended - phase.began:6.1f} s  {text}")
            self.summed_up += 1

    def _shares(self, seconds):
        good, bad = self.record.share(seconds, "good"), self.record.share(seconds, "bad")
        code = "32" if good is not None and good >= 0.999 else "33" if good is not None and good >= 0.9 else "31;1"
        kinds = ", ".join(f"{kind} {percent(self.record.share(seconds, 'good', kind))}"
                          for kind in self.record.kinds())  # fmt: skip
        return f"good {self._paint(code, percent(good))} ({kinds})   bad at the sinkhole {percent(bad)}"

    def run(self):
        while not self._end.wait(INTERVAL_S):
            self.record.read(self.path)
            self._sum_up()
            if self.is_terminal and self.record.seconds:
                last = max(self.record.seconds)
                age = f"{time.monotonic() - last:.0f} s ago"
                with self._lock:
                    print(f"\r\033[K      {age:<30}  {self._shares([last])}", end="", file=self.stream, flush=True)

    def stop(self):
        if self._end.is_set():
            return
        self._end.set()
        self.join()
        self.record.read(self.path)
        self._sum_up(at_last=True)
