"""What the sinkhole writes is what doc/sink-events.md says: read by a reader that was written from the page.

    test_formats.py SINK_SAMPLE SOURCE_FOLDER
"""

import base64
import json
import random
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, str(SOURCE))

import nacl.public  # noqa: E402

from tests.testbed import sink_events  # noqa: E402

ORDER = """id: test-1
kind: court
authority: A court
starts: 2026-01-01T00:00:00Z
ends: 2026-02-01T00:00:00Z
action: nxdomain
names: [a.example]
evidence: {{ content: true, seal-to: "{key}" }}
"""


def told(output):
    """The events that the program printed: what it has in hexadecimal as octets."""
    for line in output.splitlines():
        yield {key: bytes.fromhex(value) if isinstance(value, str) else value
               for key, value in json.loads(line).items()}


def hexdumps():
    """The octets of the page's two dumps."""
    page = (SOURCE / "doc/sink-events.md").read_text()
    example = page[page.index("## An example"):page.index("## What is hashed")]
    event = re.findall(r"^    ((?:[0-9a-f]{2} ?)+)$", example, re.M)
    segment = re.findall(r"^    [0-9a-f]{4}: ([0-9a-f ]+)$", example, re.M)
    return bytes.fromhex("".join(event)), bytes.fromhex("".join(segment))


class Formats(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_sample(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True, text=True).stdout

    def test_events_are_read_as_they_were_put(self):
        seed = random.randrange(1 << 30)
        expected = list(told(self.run_sample("events", self.folder / "e", 20000, seed)))
        paths = sink_events.segments(self.folder / "e")
        self.assertGreater(len(paths), 2)
        read = [event for path in paths for event in sink_events.read_events(path.read_bytes())]
        self.assertEqual(len(read), 20000, f"seed {seed}")
        for one, other in zip(read, expected):
            self.assertEqual(one, other, f"seed {seed}")

        headers = [sink_events.read_segment_header(path.read_bytes()) for path in paths]
        self.assertEqual([header.number for header in headers], [int(path.name.split("-")[0]) for path in paths])
        self.assertEqual(len({header.node for header in headers}), 1)

    def test_the_example_of_the_page_is_what_it_says(self):
        event, segment = hexdumps()
        (expected,) = told(self.run_sample("example", self.folder / "e"))
        self.assertEqual(sink_events.read_event(sink_events.Octets(event)), expected)
        self.assertEqual(list(sink_events.read_events(segment)), [expected])
        ((_, raw),) = sink_events.read_blocks(segment)
        self.assertEqual(raw, event)
        self.assertEqual(sink_events.read_segment_header(segment).number, 1)

        (path,) = sink_events.segments(self.folder / "e")
        ((_, raw),) = sink_events.read_blocks(path.read_bytes())
        self.assertEqual(raw, event)

    def test_a_damaged_block_is_skipped(self):
        list(told(self.run_sample("events", self.folder / "e", 20000, 1)))
        path = sink_events.segments(self.folder / "e")[0]
        octets = bytearray(path.read_bytes())
        blocks = len(list(sink_events.read_blocks(bytes(octets))))
        octets[64 + 8] ^= 1
        self.assertEqual(len(list(sink_events.read_blocks(bytes(octets)))), blocks - 1)

    def test_evidence_opens_with_the_key_of_the_order(self):
        secret = nacl.public.PrivateKey.generate()
        key = base64.b64encode(bytes(secret.public_key)).decode()
        (self.folder / "order.yaml").write_text(ORDER.format(key=key))
        self.run_sample("evidence", self.folder / "kept", self.folder / "order.yaml")
        octets = (self.folder / "kept/test-1-20260101.sealed").read_bytes()
        pieces = list(sink_events.read_evidence(octets, nacl.public.SealedBox(secret)))
        self.assertEqual([content for _, content in pieces], [b"%d\r\ncontent" % i for i in range(3)])
        self.assertEqual(pieces[1][0]["at"], "2026-01-01T00:00:00.000001Z")
        self.assertEqual(pieces[1][0]["order"], "test-1")
        self.assertEqual(len(bytes.fromhex(pieces[1][0]["client"])), 16)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
