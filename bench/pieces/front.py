"""The front of an origin: what an answer from its cache costs and what one that it has to ask for, and
what becomes of the good names while random ones are asked for in masses."""

import contextlib
import time

import contenders
import figures
import fronts
import measure as measuring
import plots
from fronts import CAPACITY, GOOD_NAMES, GOOD_TTL_S
from table import Table
from stage import FIELD_ORDER_SIZE, WARM_UP_S, say
from targets import (FRONT_DNSDIST_RATIO_MAX, FRONT_ORIGIN_RATE_MAX, FRONT_SECONDARY_RATIO_MAX, GOOD_LATE_MAX,
                     MISS_DNSDIST_RATIO_MAX, Target)
from workload import HITS, SHARE_TOLERANCE

NAME = "front"
SECONDARY, FORWARDING, DNSDIST = "tamisd secondary", "tamisd forwarding", "dnsdist"
CACHED_MIX = 1  # the number of the hits' mix that all rounds ask: its answers are kept
LEARN_PASSES = 2  # what is lost in the first is learnt in the second
FILL_S = 2

IN_TIME_MS = 50
GOOD_RATE = 5_000  # queries a second
LEARN_RATE = CAPACITY * 3 // 8  # below what names that are not known yet may take
LEARN_TRIES = 3  # of a machine that stands still meanwhile, and then asks too fast
FLOODS = {"none": 0, "10 x the origin": 10 * CAPACITY, "10 x the good": 10 * GOOD_RATE}
FLOOD_ROUNDS = 3
FLOOD_S = 20  # twice the TTL: every good name expires


def measure(stage):
    stage.clear()
    with origin_ready(stage, fronts.Origin, stage.workload) as origin:
        found = {"hits": measure_hits(stage, origin), "misses": measure_misses(stage, origin)}
    found["floods"] = measure_floods(stage)
    return found


@contextlib.contextmanager
def origin_ready(stage, server_class, workload):
    """On the generator's core."""
    origin = stage.create(server_class)
    with stage.running(origin, workload):
        origin.even_buffers()
        measuring.pin(origin.pids, {stage.cores[0]})
        yield origin


def forwarders(stage, origin, settings=None):
    """How to make those that ask the origin, by name."""
    makers = {FORWARDING: lambda folder: fronts.Forwarding(folder, origin, settings)}
    if DNSDIST in stage.options.peers:
        makers[DNSDIST] = lambda folder: fronts.Dnsdist(folder, origin)
    return makers


# ---- hits ----


def measure_hits(stage, origin):
    found = {}
    with contextlib.ExitStack() as stack:
        entries = start_all(stage, stack, origin)
        path = stage.workload.mix_path(HITS, CACHED_MIX)
        for entry, server in entries.items():
            if server.helper_pids:
                say(f"{entry} learns the answers")
                for _ in range(LEARN_PASSES):
                    measuring.ask_once(server, path, measuring.Generator(cores=stage.cores[:1]))
            stage.saturate(server, HITS, CACHED_MIX, WARM_UP_S)
        for number in range(1, stage.options.rounds + 1):
            for entry, server in entries.items():
                figure = stage.saturate(server, HITS, CACHED_MIX)
                found.setdefault(entry, []).append(figure)
                say(f"round {number} of {stage.options.rounds}, cached: {entry} {figure['cpu_us']:.2f} us, "
                    f"{figure['qps']:,.0f} a second")
    return found


def start_all(stage, stack, origin):
    """The floor, and the others each without an order and with one of each size."""
    sizes = [size for size in stage.options.orders if size <= FIELD_ORDER_SIZE]
    all_orders = [None] + [stage.workload.orders(size, 1) for size in sizes]
    entries = {"floor": stage.create(contenders.Floor)}
    for orders in all_orders:
        listed = f", {orders.size:,} listed" if orders else ""
        entries[SECONDARY + listed] = stage.create(lambda folder: fronts.Secondary(folder, origin))
        entries[FORWARDING + listed] = stage.create(lambda folder: fronts.Remembering(folder, origin))
        if DNSDIST in stage.options.peers:
            entries[DNSDIST + listed] = stage.create(
                lambda folder, orders=orders: fronts.Dnsdist(folder, origin, orders))
    by_listed = {f"{orders.size:,} listed": orders for orders in all_orders if orders}
    for entry, server in entries.items():
        stack.enter_context(stage.running(server, stage.workload))
        orders = by_listed.get(entry.partition(", ")[2])
        if orders and isinstance(server, contenders.Tamis):
            server.put_in_force(orders)
        stage.settle(entry, server)
    return entries


# ---- misses ----


def measure_misses(stage, origin):
    """No name is asked for twice, and no process has heard any before; but it has its memory."""
    found = {}
    first, others = stage.workload.once_paths()
    for number in range(1, stage.options.rounds + 1):
        for entry, make in forwarders(stage, origin).items():
            server = stage.create(make)
            with stage.running(server, stage.workload):
                stage.settle(entry, server)
                stage.saturate_with(server, first, (0, SHARE_TOLERANCE), FILL_S)
                figure = stage.saturate_with(server, others, (0, SHARE_TOLERANCE))
            found.setdefault(entry, []).append(figure)
            say(f"round {number} of {stage.options.rounds}, asked once: {entry} {figure['cpu_us']:.2f} us, "
                f"{figure['qps']:,.0f} a second")
    return found


# ---- the flood ----


def measure_floods(stage):
    found = {}
    zone = fronts.FloodedZone(stage.folder)
    with origin_ready(stage, fronts.LimitedOrigin, zone) as origin:
        for number in range(1, min(FLOOD_ROUNDS, stage.options.rounds) + 1):
            for entry, make in forwarders(stage, origin, {"rate-max": CAPACITY}).items():
                server = stage.create(make)
                with stage.running(server, zone):
                    stage.settle(entry, server)
                    for flood, rate in FLOODS.items():
                        figure = measure_flood(stage, origin, server, zone, rate)
                        found.setdefault(flood, {}).setdefault(entry, []).append(figure)
                        say(f"round {number}, flood {flood}: {entry} {figure['in_time']:.3%} of the good in time, the "
                            f"origin got {figure['origin_rate']:,.0f} a second")
    return found


def measure_flood(stage, origin, server, zone, rate):
    """The good names are asked for at a steady rate, after each has been asked for once."""
    for _ in range(LEARN_TRIES):
        learnt = stage.finish(stage.paced(server, LEARN_RATE, zone.learn_count / LEARN_RATE, zone.learn_path))
        if learnt.lost + learnt.wrong == 0:
            break
    flood = stage.paced(server, rate, FLOOD_S, zone.flood_path(rate * FLOOD_S)) if rate else None
    load = stage.paced(server, GOOD_RATE, FLOOD_S, zone.good_path)
    asked, since = origin.asked(), time.monotonic()
    good = stage.finish(load)
    asked, took_s = origin.asked() - asked, time.monotonic() - since
    flooded = stage.finish(flood) if flood else None
    latencies = good.latencies_us()
    return {
        "in_time": good.share_in_time(IN_TIME_MS), "lost": good.lost, "wrong": good.wrong, "good_rate": good.rate,
        "p99_ms": figures.quantile(latencies, 0.99) / 1e3, "latest_ms": latencies[-1] / 1e3,
        "flood_rate": flooded.rate if flooded else 0, "origin_rate": asked / took_s,
    }


# ---- what it says ----


def _listed(entry):
    return entry.partition(", ")[2]


def _same_listed(hits, kind, entry):
    """The runs of another kind with the same order, or None."""
    return hits.get(", ".join(filter(None, (kind, _listed(entry)))))


def _ratio(runs, others):
    return f"{figures.best(runs) / figures.best(others):.2f}" if others else ""


def _cost(runs):
    fastest = max(runs, key=lambda figure: figure["qps"])
    return [f"{figures.best(runs):.2f}", f"{figures.median(runs):.2f}", f"{figures.spread(runs) * 100:.0f} %",
            f"{figures.best(runs, 'user_us'):.2f}", f"{fastest['qps']:,.0f}", f"{fastest['server_busy'] * 100:.0f} %",
            f"{figures.median(runs, 'response_size'):.0f}", f"{figures.median(runs, 'helpers_us'):.2f}",
            f"{sum(figure['lost'] for figure in runs):,}"]


def _in_time(runs):
    """Of the good queries; noise only delays."""
    return max(figure["in_time"] for figure in runs)


COST_HEAD = ["best, us", "median, us", "spread", "in the program, us", "queries a second", "core in use",
             "octets of an answer", "of the origin, us", "lost"]


def tables(run):
    found = run["figures"]
    hits, misses = found["hits"], found["misses"]
    yield Table("CPU per query, answers in the cache: the hits' mix, all of it asked before",
                ["", "x floor", "x secondary", "x dnsdist", *COST_HEAD],
                [[entry, _ratio(runs, hits["floor"]), _ratio(runs, _same_listed(hits, SECONDARY, entry)),
                  _ratio(runs, _same_listed(hits, DNSDIST, entry)), *_cost(runs)] for entry, runs in hits.items()])
    two_floors = 2 * figures.best(hits["floor"])
    yield Table("CPU per query, answers to be asked for: no name twice", ["", "x two floors", "x dnsdist", *COST_HEAD],
                [[entry, f"{figures.best(runs) / two_floors:.2f}", _ratio(runs, misses.get(DNSDIST)), *_cost(runs)]
                 for entry, runs in misses.items()])
    rows = []
    for flood, entries in found["floods"].items():
        for entry, runs in entries.items():
            rows.append([
                f"{entry}, flood: {flood}", f"{figures.median(runs, 'flood_rate'):,.0f}",
                f"{_in_time(runs):.3%}",
                f"{figures.best(runs, 'in_time'):.3%}", f"{figures.median(runs, 'p99_ms'):.2f}",
                f"{max(figure['latest_ms'] for figure in runs):,.1f}", f"{sum(figure['lost'] for figure in runs):,}",
                f"{sum(figure['wrong'] for figure in runs):,}",
                f"{max(figure['origin_rate'] for figure in runs):,.0f}"])
    yield Table(f"{GOOD_NAMES:,} good names with a TTL of {GOOD_TTL_S} s at {GOOD_RATE:,} queries a second, and random "
                f"names of their zone; the origin is to get at most {CAPACITY:,} messages a second",
                ["", "random names a second", f"right within {IN_TIME_MS} ms", "in the worst round", "99 %, ms",
                 "latest, ms", "lost", "wrong", "messages a second at the origin"], rows)


def targets(run):
    hits, misses, floods = (run["figures"][key] for key in ("hits", "misses", "floods"))
    for entry, runs in hits.items():
        if not entry.startswith(FORWARDING):
            continue
        what = ", ".join(filter(None, ("CPU per query from the cache", _listed(entry))))
        ours = figures.best(runs)
        yield Target(f"{what}: of a secondary's", ours / figures.best(_same_listed(hits, SECONDARY, entry)),
                     FRONT_SECONDARY_RATIO_MAX, "x")
        peer = _same_listed(hits, DNSDIST, entry)
        if peer:
            yield Target(f"{what}: of dnsdist's", ours / figures.best(peer), FRONT_DNSDIST_RATIO_MAX, "x")
    if DNSDIST in misses:
        yield Target("CPU per query asked of the origin: of dnsdist's",
                     figures.best(misses[FORWARDING]) / figures.best(misses[DNSDIST]), MISS_DNSDIST_RATIO_MAX, "x")
    for flood, entries in floods.items():
        if flood == "none":
            continue
        runs = entries[FORWARDING]
        yield Target(f"random names, {flood}: good ones not right within {IN_TIME_MS} ms",
                     (1 - _in_time(runs)) * 100, GOOD_LATE_MAX * 100, "%")
        yield Target(f"random names, {flood}: the origin's load, of the rate it is to get",
                     max(figure["origin_rate"] for figure in runs) / CAPACITY, FRONT_ORIGIN_RATE_MAX, "x")


def draw(run, folder):
    found = run["figures"]
    hits, floods = found["hits"], found["floods"]
    floor = figures.best(hits["floor"])
    groups = {}
    for entry, runs in hits.items():
        if entry != "floor":
            group = groups.setdefault(_listed(entry) or "no order", {})
            group[entry.partition(", ")[0]] = figures.best(runs) / floor
    plots.clusters(folder / "front-hits.svg", "CPU time of an answer from the cache, best of the rounds", groups,
                   "x floor")
    good = {f"flood: {flood}": {entry: _in_time(runs) * 100 for entry, runs in entries.items()}
            for flood, entries in floods.items()}
    plots.clusters(folder / "front-flood.svg", f"Good names answered right within {IN_TIME_MS} ms", good, "per cent")
    return [("front-hits.svg", "CPU time of an answer from the cache"),
            ("front-flood.svg", "Good names answered in time while random ones are asked for")]
