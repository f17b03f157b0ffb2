"""The path of a query stays short: instructions of one answer, counted by callgrind.

    test_instruction_count.py MICRO

The same in every run of the same program, on a busy machine too. The bounds are some 40 % above what
is measured (bench/instructions.py shows it): compilers differ, and a fix may cost a little; what
breaks a bound is a walk, a copy or a lookup more than there was.
"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

import instructions  # noqa: E402

BOUNDS = {"hit": 1400, "nodata": 1480, "nxdomain": 1560, "wildcard": 2150, "listed": 3200, "cached": 1680}


class InstructionCount(unittest.TestCase):
    program = None

    def test_no_answer_takes_more_instructions_than_its_bound(self):
        counts = {kind: events["Ir"] for kind, events in instructions.count(self.program).items()}
        print({kind: round(count) for kind, count in counts.items()})
        self.assertEqual(set(counts), set(BOUNDS))
        for kind, count in counts.items():
            with self.subTest(kind):
                self.assertLessEqual(count, BOUNDS[kind])
                # Less than copying a question takes: then nothing was counted.
                self.assertGreater(count, 100)

    def test_the_count_repeats_exactly(self):
        self.assertEqual(instructions.count(self.program), instructions.count(self.program))


if __name__ == "__main__":
    InstructionCount.program = sys.argv.pop(1)
    unittest.main()
