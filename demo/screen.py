"""What the demo shows: numbered steps, aligned figures, a verdict beside each that has a bound."""

import os
import sys
import time

LABEL_WIDTH = 34
FIGURE_WIDTH = 16


def duration(seconds):
    if seconds < 0.0995:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 9.95 else f"{seconds:.0f} s"


def size(octets):
    return f"{octets / 1e6:,.0f} MB" if octets >= 1e7 else f"{octets / 1e6:.1f} MB"


class Screen:
    def __init__(self, stream=sys.stdout):
        self.stream = stream
        self.colour = stream.isatty() and "NO_COLOR" not in os.environ
        self.started_s = time.monotonic()
        self.steps = 0
        self.failures = []

    def _paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def write(self, text=""):
        print(text, file=self.stream, flush=True)

    def title(self, text, *lines):
        self.write(self._paint("1", text))
        for line in lines:
            self.write(line)

    def step(self, title, *why):
        self.steps += 1
        elapsed = f"{time.monotonic() - self.started_s:6.1f} s"
        self.write()
        head = f"{self.steps}  {title}"
        self.write(f"{self._paint('1', head)}{elapsed:>{75 - len(head)}}")
        for line in why:
            self.write(self._paint("2", f"   {line}"))

    def figure(self, label, value, note=""):
        text = f"{value:,}" if isinstance(value, int) else str(value)
        self.write(f"   {label:<{LABEL_WIDTH}} {text:>{FIGURE_WIDTH}}  {note}".rstrip())

    def check(self, label, value, holds, bound):
        """A figure that must be right: holds says whether it is, bound what it must be."""
        text = f"{value:,}" if isinstance(value, int) else str(value)
        verdict = self._paint("32", "ok") if holds else self._paint("31;1", "WRONG")
        self.write(
            f"   {label:<{LABEL_WIDTH}} {text:>{FIGURE_WIDTH}}  {verdict}  "
            f"{self._paint('2', bound)}"
        )
        if not holds:
            self.failures.append(f"{label}: {text}, must be: {bound}")

    def verdict(self):
        self.write()
        took = duration(time.monotonic() - self.started_s)
        if not self.failures:
            self.write(self._paint("32;1", f"Every figure is what it must be ({took})."))
            return
        self.write(self._paint("31;1", f"Not as it must be ({took}):"))
        for failure in self.failures:
            self.write(f"   {failure}")
