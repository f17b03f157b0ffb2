"""The benchmark's own arithmetic: bench/figures.py, targets.py, quiet.py and what the workload promises."""

import itertools
import math
import random
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "bench")]

import figures  # noqa: E402
import quiet  # noqa: E402
import targets  # noqa: E402
import workload  # noqa: E402


class Paired(unittest.TestCase):
    def test_a_steady_drift_of_the_machine_is_no_difference(self):
        drifting = [100 + number for number in range(11)]
        differences = figures.against_neighbours(drifting[::2], drifting[1::2])
        self.assertEqual(len(differences), 5)
        self.assertLess(max(map(abs, differences)), 1e-12)

    def test_a_cost_of_one_per_cent_is_found_under_drift(self):
        plain = [100.0, 102.0, 104.0]
        changed = [101.0 * 1.01, 103.0 * 1.01]
        for difference in figures.against_neighbours(plain, changed):
            self.assertAlmostEqual(difference, 0.01)

    def test_figures_that_do_not_alternate_are_refused(self):
        with self.assertRaises(ValueError):
            figures.against_neighbours([1.0, 1.0], [1.0, 1.0])

    def test_the_wobble_without_a_change_uses_plain_figures_alone(self):
        self.assertEqual(figures.plain_wobble([1.0, 2.0, 1.0]), [1.0])
        self.assertEqual(figures.plain_wobble([1.0, 2.0, 1.0, 9.0]), [1.0])
        self.assertEqual(figures.plain_wobble([1.0, 1.0]), [])


class Interval(unittest.TestCase):
    def test_its_edges_are_those_of_the_sign_test(self):
        # From tables of the binomial distribution: 95 % intervals of a median.
        for count, first, last in ((6, 1, 6), (8, 1, 8), (9, 2, 8), (15, 4, 12), (20, 6, 15), (25, 8, 18)):
            values = list(range(1, count + 1))
            random.Random(count).shuffle(values)
            self.assertEqual(figures.median_interval(values), (first, last), count)

    def test_a_few_values_prove_nothing(self):
        for count in range(1, 6):
            interval = figures.median_interval([0.5] * count)
            self.assertEqual(interval, (-math.inf, math.inf))
            self.assertEqual(targets.Target("", 0.5, 1.0, "%", interval=interval).verdict, targets.UNSURE)
        self.assertEqual(figures.interval_text([0.5] * 5, "{:.1f}"), "too few")
        self.assertEqual(figures.interval_text([0.5] * 6, "{:.1f}"), "0.5 to 0.5")


class Ratios(unittest.TestCase):
    def test_growth_of_what_is_proportional_is_one(self):
        self.assertAlmostEqual(figures.growth((1_000_000, 80e6), (20_000_000, 1600e6)), 1.0)
        self.assertAlmostEqual(figures.growth((1_000_000, 1.0), (5_000_000, 10.0)), 2.0)

    def test_workers_that_cost_the_same_scale_by_their_number_less_what_is_idle(self):
        self.assertAlmostEqual(figures.scaling(2.0, 2.0, 2, 1.0), 2.0)
        self.assertAlmostEqual(figures.scaling(2.0, 2.5, 2, 1.0), 1.6)
        self.assertAlmostEqual(figures.scaling(2.0, 2.0, 2, 0.9), 1.8)

    def test_a_quantile_is_one_of_the_values(self):
        values = list(range(1000))
        self.assertEqual(figures.quantile(values, 0.5), 500)
        self.assertEqual(figures.quantile(values, 0.999), 999)
        self.assertEqual(figures.quantile([7], 0.999), 7)


class Verdict(unittest.TestCase):
    def test_a_figure_that_may_lie_on_either_side_of_its_bound_is_no_proof(self):
        def verdict(figure, interval, at_least=False):
            return targets.Target("", figure, 1.0, "%", at_least, interval).verdict

        self.assertEqual(verdict(0.2, (-0.5, 0.9)), targets.PASS)
        self.assertEqual(verdict(0.2, (-0.5, 1.5)), targets.UNSURE)
        self.assertEqual(verdict(1.2, (0.5, 1.5)), targets.SHORT)
        self.assertEqual(verdict(1.2, (1.1, 1.3), at_least=True), targets.PASS)
        self.assertEqual(verdict(1.2, (0.9, 1.3), at_least=True), targets.UNSURE)
        self.assertEqual(verdict(0.9, None, at_least=True), targets.SHORT)
        self.assertEqual(verdict(1.0, None), targets.PASS)


class Quiet(unittest.TestCase):
    @staticmethod
    def account(total_s, foreign, steal=0.0):
        return {"total_s": total_s, "foreign": foreign, "steal": steal}

    BEFORE = {"load_before": 3.0, "others_before": 0.0}

    def test_long_measurements_count_more_than_short_ones(self):
        noise = quiet.summary(self.BEFORE, [self.account(9.9, 0.0), self.account(0.1, 1.0)])
        self.assertAlmostEqual(noise["others"], 0.01)
        self.assertEqual(quiet.complaints(noise), [])

    def test_one_disturbed_measurement_of_many_is_borne(self):
        noise = quiet.summary(self.BEFORE, [self.account(3, 0.5)] + [self.account(3, 0.0)] * 30)
        self.assertEqual(quiet.complaints(noise), [])

    def test_each_kind_of_noise_is_complained_of(self):
        for noise in (quiet.summary({"load_before": 0.0, "others_before": 0.2}, []),
                      quiet.summary(self.BEFORE, [self.account(10, 0.0, 0.05)]),
                      quiet.summary(self.BEFORE, [self.account(10, 0.05)]),
                      quiet.summary(self.BEFORE, [self.account(3, 0.2)] * 2 + [self.account(3, 0.0)] * 20)):
            self.assertEqual(len(quiet.complaints(noise)), 1, noise)


class Workload(unittest.TestCase):
    NAMES = 20_000
    SIZES = (500, 4000)

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.workload = workload.Workload(cls.NAMES, cls.SIZES, Path(cls.folder.name))

    def test_the_shares_of_each_mix_are_whole(self):
        self.assertEqual(set(workload.SHARES), set(workload.MIXES))
        for mix, shares in workload.SHARES.items():
            self.assertAlmostEqual(sum(shares), 1.0, msg=mix)

    def test_a_smaller_order_lists_the_first_names_of_a_larger(self):
        small, large = ([line for line in self.workload.orders(size, 1).names_path.read_text().split()]
                        for size in self.SIZES)
        self.assertEqual(small, large[:len(small)])
        self.assertEqual(len(set(large)), len(large))

    def test_the_parts_of_an_order_hold_each_name_once(self):
        orders = self.workload.orders(self.SIZES[1], 100)
        parts = [part.path.with_suffix(".txt").read_text().split() for part in orders.parts]
        self.assertEqual(len(parts), 100)
        self.assertEqual(sorted(itertools.chain(*parts)), sorted(orders.names_path.read_text().split()))

    def test_what_is_asked_has_the_expected_share_of_missing_names(self):
        workload_ = self.workload
        existing = {line.split()[0] + "." + zone.name for zone in workload_.provider.zones
                    for line in workload_.provider.zone_path(zone).read_text().splitlines()[3:]}
        for mix in workload.MIXES:
            questions = list(workload.Asker(workload_, "test " + mix).draw(mix, 40_000))
            missing = sum(question.name not in existing for question in questions) / len(questions)
            low, high = workload_.nxdomain_share(mix, blocks=False)
            self.assertTrue(low <= missing <= high, (mix, missing, low, high))

    def test_no_popular_name_is_listed(self):
        popular = {workload.host_name(self.workload.provider, index) for index in self.workload.popular}
        listed = itertools.islice(self.workload.listed_names(), self.SIZES[1])
        self.assertFalse(popular & set(listed))

    def test_names_without_an_ipv6_address_are_asked_for_one(self):
        with_aaaa = {line.split()[0] + "." + zone.name for zone in self.workload.provider.zones
                     for line in self.workload.provider.zone_path(zone).read_text().splitlines() if " AAAA " in line}
        asked = list(workload.Asker(self.workload, "test").draw(workload.NODATA, 5000))
        self.assertEqual({question.type for question in asked}, {"AAAA"})
        self.assertFalse({question.name for question in asked} & with_aaaa)

    def test_what_no_cache_is_to_know_is_asked_once(self):
        first, others = (path.read_text().splitlines() for path in self.workload.once_paths())
        self.assertEqual(len(first) + len(others), len(workload.ONCE_TYPES) * self.NAMES)
        self.assertEqual(len(set(first + others)), len(first) + len(others))

    def test_zones_that_last_have_the_same_records(self):
        for (_, path), (_, lasting) in zip(self.workload.zones, self.workload.lasting.zones):
            usual, longer = path.read_text().splitlines(), lasting.read_text().splitlines()
            self.assertEqual(usual[1], "$TTL 60")
            self.assertEqual(longer[1], "$TTL 86400")
            self.assertEqual(longer[2], usual[2].replace("3600 SOA", "SOA").removesuffix("60") + "86400")
            self.assertEqual(longer[3:], usual[3:])


class Updates(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.load = workload.Workload(5_000, (100,), self.folder)

    def test_every_update_gives_a_host_of_its_own_zone_a_new_address(self):
        path = self.folder / "updates"
        self.load.write_updates(path, 7, 1_000)
        blocks = path.read_text(encoding="ascii").split("send\n")[:-1]
        self.assertEqual(len(blocks), 1_000)
        for number, block in enumerate(blocks, start=7):
            name, address = self.load.update(number)
            label, _, zone = name.partition(".")
            self.assertEqual(block, f"{zone}\ndelete {label} A\nadd {label} 60 A {address}\n")
            self.assertIn(zone, [name for name, _ in self.load.zones])

    def test_no_alias_is_updated_and_no_host_twice_in_a_row(self):
        hosts = [self.load.updated_host(number) for number in range(5_000)]
        self.assertFalse(any(index % 100 == 7 for index in hosts))
        self.assertGreater(len(set(hosts)), 4_900)
        for first in range(0, 4_900, 50):
            self.assertEqual(len(set(hosts[first:first + 100])), 100)


if __name__ == "__main__":
    unittest.main()
