"""The pieces of the benchmark, in the order in which they run. Each can be run by itself.

A piece is a module with NAME, and
    measure(stage)          takes the figures: a dict that JSON can hold
    tables(run), targets(run)   what a run of it says; run["figures"] is what measure() returned, the
                            rest of `run` is about the circumstances
    draw(run, folder)       its plots, as pairs (file name, what it shows)
Each stands for itself: what it compares, it measures in the same run.
"""

from pieces import answers, desk, front, latency, ledger, orders, queries, reload, scale, sink, starts, updates, workers

PIECES = {piece.NAME: piece for piece in (answers, starts, scale, reload, queries, latency, front, orders, updates,
                                         workers, desk, ledger, sink)}
