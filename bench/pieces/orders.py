"""Orders of any size, as one document and as a hundred: what they cost a query, what they weigh, and what
a swap does to the answers under way.

A single server has them and has them not, in turn, so that no difference between two processes is taken
for the order's: where a page or a hash seed happens to lie makes a per cent.
"""

import math
import statistics
import time

import contenders
import figures
import measure as measuring
import plots
from table import Table
from stage import IDLE_S, WARM_UP_S, say
from targets import ACTIVE_S_MAX, LATE_MS_MAX, LISTED_BYTES_MAX, ORDER_COST_MAX, Target
from workload import HITS

NAME = "orders"
SWAP_ROUNDS = 3
SWAP_RATE = 20_000  # queries a second while orders come and go
SWAP_LEAD_S = 1.5
SWAP_TAIL_S = 1.5
SWAP_S_PER_NAME = 3e-6  # that the load goes on for the activation and the clearing up behind it
SWAP_S_PER_ORDER = 0.02
SLICE_MS, SLICES_MAX = 10, 500  # of the plot: a pixel can show no more
LATE_BEFORE_MS = 10  # a query sent so long before the change may still meet it
CLEARED_S = 1.5  # without work: the marks of a lifted order go at the next second's tick


def measure(stage):
    stage.clear()
    variants = {}
    for size in stage.options.orders:
        for part_count in stage.options.parts:
            orders = stage.workload.orders(size, part_count)
            variants[orders.key] = measure_orders(stage, orders)
    return variants


def measure_orders(stage, orders):
    server = stage.create(contenders.Tamis)
    with stage.running(server, stage.workload):  # for the snapshots, so that the next starts are quick
        server.wait_for_snapshots(stage.workload)
    swaps = []
    for number in range(SWAP_ROUNDS):
        # Each in a new process: what an order before it has freed would hide what this one takes.
        with stage.running(server, stage.workload):
            swap = measure_swap(stage, server, orders)
            swaps.append(swap)
            say(f"orders {orders.key}, swap {number + 1} of {SWAP_ROUNDS}: in force after "
                f"{sum(swap['activations_s']) * 1e3:.0f} ms, {swap['grown'] / orders.size:.1f} octets a listed name, "
                f"latest answer {swap['latest_ms']:.2f} ms, {swap['lost']} lost")
    with stage.running(server, stage.workload):
        cost = measure_cost(stage, server, orders)
    for swap in swaps:
        if swap is not best_swap(swaps):
            del swap["slices"]
    return {"size": orders.size, "parts": len(orders.parts), "swaps": swaps, "cost": cost}


def best_swap(swaps):
    return min(swaps, key=lambda swap: swap["latest_ms"])


def measure_swap(stage, server, orders):
    """Under load, the orders go in force; then they are weighed and lifted. The server has all cores, as
    it would have at work."""
    stage.saturate(server, HITS, 0, WARM_UP_S)  # so that what answers need is in memory already
    measuring.wait_idle(server.pids, IDLE_S)
    before = measuring.memory(server.pids)["rss"]

    work_s = orders.size * SWAP_S_PER_NAME + len(orders.parts) * SWAP_S_PER_ORDER
    load = stage.paced(server, SWAP_RATE, SWAP_LEAD_S + work_s + SWAP_TAIL_S)
    time.sleep(SWAP_LEAD_S)
    changed_ns = time.monotonic_ns()
    activations_s = server.put_in_force(orders)
    active_ns = time.monotonic_ns()
    result = stage.finish(load)
    measuring.wait_idle(server.pids, IDLE_S)
    memory = measuring.memory(server.pids)
    lifted_s = time.monotonic()
    server.lift_all(orders)
    since_ns = changed_ns - LATE_BEFORE_MS * 1_000_000
    after = result.latencies_us(since_ns)
    slice_ms = max(SLICE_MS, round(len(result.records) / SWAP_RATE * 1e3 / SLICES_MAX))
    return {
        "activations_s": activations_s, "active_s": (active_ns - changed_ns) / 1e9,
        "lift_s": time.monotonic() - lifted_s,
        "covered": result.records[-1][0] > active_ns,
        "grown": memory["rss"] - before, "peak_grown": memory["peak_rss"] - before,
        "asked": len(result.records), "lost": result.lost, "wrong": result.wrong,
        "latest_ms": after[-1] / 1e3, "p999_ms": figures.quantile(after, 0.999) / 1e3,
        "latest_before_ms": result.latencies_us(until_ns=since_ns)[-1] / 1e3,
        "slice_ms": slice_ms, "slices": result.latest_by_slice(changed_ns, slice_ms),
    }


def measure_cost(stage, server, orders):
    """CPU time of a query: without, with, without, ... without."""
    measuring.pin(server.pids, {stage.cores[1]})
    server.even_buffers()
    stage.saturate(server, HITS, 0, WARM_UP_S)
    without, with_orders = [stage.saturate(server, HITS, 1)["cpu_us"]], []
    for number in range(stage.options.pairs):
        server.put_in_force(orders)
        measuring.wait_idle(server.pids, CLEARED_S)
        with_orders.append(stage.saturate(server, HITS, 1)["cpu_us"])
        server.lift_all(orders)
        measuring.wait_idle(server.pids, CLEARED_S)
        without.append(stage.saturate(server, HITS, 1)["cpu_us"])
        difference = figures.against_neighbours(without[-2:], with_orders[-1:])[0]
        say(f"orders {orders.key}, cost {number + 1} of {stage.options.pairs}: {difference:+.2%}")
    return {"without_us": without, "with_us": with_orders}


# ---- what it says ----


def _costs(order):
    return figures.against_neighbours(order["cost"]["without_us"], order["cost"]["with_us"])


def _title(order):
    return f"{order['size']:,} names in {order['parts']} order{'s' if order['parts'] > 1 else ''}"


def _percentages(values):
    """Median and the interval that it lies in."""
    return [f"{statistics.median(values):+.2%}", figures.interval_text(values, "{:+.2%}")] if values else ["", ""]


def tables(run):
    orders = list(run["figures"].values())
    rows = []
    for order in orders:
        costs, wobble = _costs(order), figures.plain_wobble(order["cost"]["without_us"])
        rows.append([_title(order), *_percentages(costs), f"{min(costs):+.2%}, {max(costs):+.2%}",
                     *_percentages(wobble)])
    yield Table("CPU per query with an order in force over that without, in turn in the same server",
                ["", "median", "95 % interval of it", "smallest, largest", "without, over without", "interval"], rows)
    rows = []
    for order in orders:
        swaps = order["swaps"]
        rows.append([
            _title(order), f"{figures.median(swaps, 'grown') / order['size']:.1f}",
            f"{figures.median(swaps, 'peak_grown') / order['size']:.1f}",
            f"{figures.best(swaps, 'active_s') * 1e3:,.0f}", f"{figures.median(swaps, 'active_s') * 1e3:,.0f}",
            f"{max(max(swap['activations_s']) for swap in swaps) * 1e3:,.0f}",
            f"{figures.median(swaps, 'lift_s') * 1e3:,.0f}",
            f"{figures.best(swaps, 'latest_ms'):.2f}", f"{figures.median(swaps, 'latest_ms'):.2f}",
            f"{figures.median(swaps, 'latest_before_ms'):.2f}",
            f"{sum(swap['lost'] + swap['wrong'] for swap in swaps):,} of {sum(swap['asked'] for swap in swaps):,}"])
    yield Table(f"Orders, activated at {SWAP_RATE:,} queries a second",
                ["", "octets a listed name", "at the peak", "all in force, best, ms", "median, ms",
                 "slowest single, ms", "lifted, ms", "latest answer, best, ms", "median, ms", "before the swap, ms",
                 "lost or wrong"], rows)


def targets(run):
    for order in run["figures"].values():
        what, swaps, costs = _title(order), order["swaps"], _costs(order)
        yield Target(f"{what}: cost of a query", statistics.median(costs) * 100, ORDER_COST_MAX * 100, "%",
                     interval=tuple(edge * 100 for edge in figures.median_interval(costs)))
        yield Target(f"{what}: memory of each", figures.median(swaps, "grown") / order["size"], LISTED_BYTES_MAX,
                     "octets")
        if order["size"] in ACTIVE_S_MAX:
            yield Target(f"{what}: in force after", figures.best(swaps, "active_s"), ACTIVE_S_MAX[order["size"]], "s")
        # A swap that outlasted its load has proved nothing about the answers after it.
        latest_ms = min((swap["latest_ms"] for swap in swaps if swap["covered"]), default=math.inf)
        yield Target(f"{what}: latest answer in the swap", latest_ms, LATE_MS_MAX, "ms")
        yield Target(f"{what}: answers lost or wrong", max(swap["lost"] + swap["wrong"] for swap in swaps), 0, "")


def draw(run, folder):
    orders = list(run["figures"].values())
    plots.scattered(folder / "order-cost.svg", "CPU per query with an order over that without, pair by pair",
                {_title(order): [cost * 100 for cost in _costs(order)] for order in orders}, "per cent",
                ORDER_COST_MAX * 100)
    largest = max(orders, key=lambda order: (order["size"], -order["parts"]))
    plots.swap(folder / "swap.svg", f"Latest answers while orders go in force: {_title(largest)}",
               best_swap(largest["swaps"]), SWAP_RATE, LATE_MS_MAX)
    return [("order-cost.svg", "Cost of an order"), ("swap.svg", "Latest answers while an order goes in force")]
