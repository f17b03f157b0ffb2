"""The arithmetic between what was measured and what is said about it. tests/unit/bench checks it."""

import math
import statistics


def best(figures, key="cpu_us"):
    """Noise only adds: the smallest is nearest to the truth."""
    return min(figure[key] for figure in figures)


def median(figures, key="cpu_us"):
    return statistics.median(figure[key] for figure in figures)


def spread(figures, key="cpu_us"):
    """How far the worst is above the best, as a share."""
    values = [figure[key] for figure in figures]
    return max(values) / min(values) - 1


def quantile(values, share):
    """Of sorted values."""
    return values[min(int(len(values) * share), len(values) - 1)]


def against_neighbours(plain, changed):
    """Relative differences of what was measured in turn as plain, changed, plain, ... plain: each
    changed one against the mean of the two beside it, so that a slow drift of the machine cancels."""
    if len(plain) != len(changed) + 1:
        raise ValueError("each changed figure stands between two plain ones")
    return [value / ((before + after) / 2) - 1 for value, before, after in zip(changed, plain, plain[1:])]


def plain_wobble(plain):
    """The same of the plain figures alone, which should be nothing: what this machine makes of no
    difference at all."""
    return against_neighbours(plain[::2], plain[1::2]) if len(plain) % 2 else plain_wobble(plain[:-1])


def median_interval(values, confidence=0.95):
    """Two of the values between which the true median lies with at least this confidence, whatever the
    distribution (the binomial of a sign test). Of fewer than six values no two are sure enough: then
    it may be anything."""
    ordered = sorted(values)
    count, outside = len(ordered), 1.0 - confidence
    cut, tail = 0, 0.0
    while cut < count // 2:
        tail += 2 * math.comb(count, cut) / 2 ** count
        if tail > outside:
            break
        cut += 1
    if cut == 0:
        return -math.inf, math.inf
    return ordered[cut - 1], ordered[count - cut]


def interval_text(values, form):
    low, high = median_interval(values)
    return f"{form.format(low)} to {form.format(high)}" if math.isfinite(low) else "too few"


def growth(small, large):
    """Of pairs (names, amount): how much more the larger spends on a name than the smaller does.
    1 is linear."""
    return (large[1] / large[0]) / (small[1] / small[0])


def scaling(one_us, many_us, workers, busy):
    """Queries that `workers` workers answer on as many cores, over those of one on one core. A query
    costs them `many_us` of CPU time, and one worker `one_us`; `busy` is the share of the cores' time
    in use when they were asked as fast as they answered: what was idle then they lost by waiting."""
    return workers * one_us / many_us * busy
