"""What a reload needs: room for the zone that changed, not for all. The largest of the 23 changes."""

import shutil
import time
from types import SimpleNamespace

import contenders
import figures
import machine
import measure as measuring
from stage import IDLE_S, say
from table import Table
from targets import FULL_SIZE, RELOAD_ROOM_MAX, Target

NAME = "reload"
SERIAL = "2014063000"  # of every zone of the workload


def measure(stage):
    stage.clear()
    workload = stage.workload
    (name, path), *others = workload.zones
    copy = stage.folder / path.name
    shutil.copyfile(path, copy)
    runs = []
    with stage.running(stage.create(contenders.Tamis), SimpleNamespace(zones=[(name, copy)] + others)) as server:
        server.wait_for_snapshots(workload)
        for number in range(1, stage.options.starts + 1):
            copy.write_text(path.read_text(encoding="ascii").replace(SERIAL, str(int(SERIAL) + number), 1),
                            encoding="ascii")
            runs.append(reload_once(stage, server))
            say(f"reload {number} of {stage.options.starts}: {runs[-1]['took_s']:.2f} s, "
                f"{runs[-1]['room'] / 2 ** 20:.0f} MiB at the peak")
    return {"zone_names": workload.provider.zones[0].count, "runs": runs}


def reload_once(stage, server):
    measuring.wait_idle(server.pids, IDLE_S)
    before = measuring.memory(server.pids)["rss"]
    measuring.forget_peak(server.pids)
    account, cpu_before_ns, started = machine.Account(stage.all_cores), measuring.cpu_ns(server.pids), time.monotonic()
    answer = server.control("reload")
    took_s = time.monotonic() - started
    stage.accounts.append(account.close((measuring.cpu_ns(server.pids) - cpu_before_ns) / 1e9))
    if answer["findings"]:
        raise measuring.BadAnswers(f"tamisd reloaded with {answer['findings']}")
    measuring.wait_idle(server.pids, IDLE_S)
    after = measuring.memory(server.pids)
    return {"took_s": took_s, "before": before, "room": after["peak_rss"] - before, "kept": after["rss"] - before}


def _zone_share(run):
    """Octets of memory that the zone has of the whole."""
    return run["figures"]["runs"][0]["before"] / run["names"] * run["figures"]["zone_names"]


def tables(run):
    runs = run["figures"]["runs"]
    yield Table("Reload of the largest zone",
                ["", "its share of the memory, MiB", "room at the peak, MiB", "more afterwards, MiB", "seconds"],
                [[f"{run['figures']['zone_names']:,} of {run['names']:,} names"]
                 + [f"{value / 2 ** 20:,.0f}" for value in (_zone_share(run), max(item["room"] for item in runs),
                                                          max(item["kept"] for item in runs))]
                 + [f"{figures.median(runs, 'took_s'):.2f}"]])


def targets(run):
    room = max(item["room"] for item in run["figures"]["runs"])
    if run["names"] >= FULL_SIZE:  # beside a small zone, buffers weigh most
        yield Target("room for the reload of a zone: of what the zone has", room / _zone_share(run),
                     RELOAD_ROOM_MAX, "x")


def draw(*_):
    return []
