"""The sinkhole on one core: connections open at once, new ones a second, events, the census of a million
victims, what it costs to tell what came, and who is served while few sources flood it."""

import re
import time
from pathlib import Path

import figures
import measure as measuring
import plots
from sinkhole import Bare, Clients, Sinkhole, check_in, handshake, kernel_octets, program, run_text, threads_for
from stage import IDLE_S, say
from table import Table
from targets import (SINK_CENSUS_MIB_MAX, SINK_CHECKINS_PER_S_MIN, SINK_EVENTS_PER_S_MIN, SINK_IDLE_OCTETS_MAX,
                     SINK_OPEN_MIN, SINK_RECORDED_MIN, SINK_SERVED_MIN, Target)
from testbed.servers import repository

NAME = "sink"
OPEN = 100_000
SOURCES = 20_000  # of check-ins; of idle connections as many as the limit of a source makes it
PER_SOURCE = 500
FLOOR, SENSOR, WHOLE = "floor: accept, read, close", "the sensor alone", "tamis-sink"
ROUNDS_MAX = 5
TLS_S = 2
VICTIMS = 1_000_000
CENSUS_EVENTS = 9_000_000
LOOKS = 50_000

# The flood: many times the places, from a few sources; meanwhile others come that wait before they speak.
FLOOD_PLACES = 10_000
FLOOD_RATE = 5_000
FLOOD_SOURCES = 20
FLOOD_S = 6
FILL_S_MAX = 30
NEW_RATE = 500
NEW_WAIT_MS = 500


def measure(stage):
    stage.clear()
    folder = Path(stage.folder, "sink")
    folder.mkdir()
    return {"idle": measure_idle(stage, folder / "idle"), "checkins": measure_checkins(stage, folder),
            "flood": measure_flood(stage, folder / "flood"), "events": measure_events(folder),
            "census": measure_census(), "recognition": measure_recognition()}


# ---- connections that say nothing ----


def measure_idle(stage, folder):
    with_threads = threads_for(OPEN)
    sink = Sinkhole(folder, stage.cores[1])
    try:
        sink.begin(threads=with_threads, **{"connections-max": OPEN, "connections-per-source-max": PER_SOURCE})
        measuring.wait_idle([sink.pid], IDLE_S)
        used_ns, before, kernel_before = measuring.cpu_ns([sink.pid]), measuring.memory([sink.pid]), kernel_octets()
        clients = Clients(stage.cores[0], "hold", sink.port, OPEN, OPEN // PER_SOURCE)
        opened = clients.line()
        measuring.wait_idle([sink.pid], IDLE_S)
        figure = {
            "open": sink.figure("connections_open"), "threads": with_threads, "opened_s": opened["seconds"],
            "cpu_us": (measuring.cpu_ns([sink.pid]) - used_ns) / 1e3 / OPEN,
            "octets": (measuring.memory([sink.pid])["rss"] - before["rss"]) / OPEN,
            "kernel_octets": (kernel_octets() - kernel_before) / OPEN,
            "left_open": clients.finish()["still_open"]}
        sink.stop()
    except BaseException:
        sink.kill()
        raise
    say(f"sink: {figure['left_open']:,} connections open at once, {figure['octets']:.0f} octets each, and "
        f"{figure['kernel_octets']:,.0f} in the kernel for both ends")
    return figure


# ---- new connections ----


def measure_checkins(stage, folder):
    """Floor, sensor and the whole in turn."""
    sink = Sinkhole(folder / "checkins", stage.cores[1])
    bare = []
    try:
        sink.begin(**{"connections-max": FLOOD_PLACES})
        bare += [Bare(folder, stage.cores[1], "floor"), Bare(folder, stage.cores[1], "sensor")]
        servers = dict(zip((FLOOR, SENSOR, WHOLE), [*bare, sink]))
        runs = {name: [] for name in servers}
        for _ in range(min(ROUNDS_MAX, stage.options.rounds)):
            for name, server in servers.items():
                runs[name].append(check_in(stage, server, SOURCES, stage.options.seconds))
                say(f"sink: {name}: {runs[name][-1]['per_s']:,.0f} connections a second, "
                    f"{runs[name][-1]['cpu_us']:.1f} us each")
        count = sum(run["connections"] for run in runs[WHOLE])
        octets = sink.figure("event_octets_total") / count
        tls = handshake(stage, sink, TLS_S)
        sink.wait_written(count + tls["handshakes"])
        found = sink.count_events() - tls["handshakes"]
        sink.stop()
    except BaseException:
        sink.kill()
        raise
    finally:
        for server in bare:
            server.stop()
    say(f"sink: {found:,} of {count:,} connections are events on the disk; a TLS handshake takes "
        f"{tls['cpu_us']:.0f} us")
    return {"runs": runs, "connections": count, "events": found, "event_octets": octets, "tls": tls}


# ---- a flood of few sources ----


def measure_flood(stage, folder):
    sink = Sinkhole(folder, stage.cores[1])
    flood = None
    try:
        sink.begin(**{"connections-max": FLOOD_PLACES})
        flood = Clients(stage.cores[0], "flood", sink.port, FLOOD_RATE, FLOOD_SOURCES, FILL_S_MAX + FLOOD_S)
        sink.process.wait_until(lambda: sink.figure("shed_per_source_total") > 0, "places that are all taken",
                                FILL_S_MAX)
        flooded = sink.handled()
        new = Clients(stage.cores[0], "rate", sink.port, NEW_RATE, f"{SOURCES}+{FLOOD_SOURCES}", FLOOD_S,
                      NEW_WAIT_MS).finish()
        figure = {"new": new["connections"] + new["failed"], "open": sink.figure("connections_open"),
                  "shed": sink.figure("shed_per_source_total")}
        time.sleep(IDLE_S)  # what was sent last is read
        figure["served"] = sink.figure('flights_total{kind="check-in"}')
        figure["flood"] = sink.handled() - flooded - figure["served"]
        sink.stop()
    except BaseException:
        sink.kill()
        raise
    finally:
        if flood is not None:
            flood.process.kill()
            flood.process.communicate()
    say(f"sink: in a flood {figure['served']:,} of {figure['new']:,} new clients were served")
    return figure


# ---- the parts ----


def number(pattern, text):
    return float(re.search(pattern, text)[1])


def measure_events(folder):
    text = run_text(program("bench", "micro_events"), "--folder", str(folder))
    result = {
        "per_s": number(r"written and synced: ([\d.]+)", text),
        "writer_per_s": number(r"writer's own time: ([\d.]+)", text),
        "octets": number(r"octets an event: ([\d.]+)", text),
        "packed_octets": number(r"compressed ([\d.]+);", text),
        "privacy_us": dict(re.findall(r"sealing an event, ([^:]+): ([\d.]+) us", text))}
    say(f"sink: {result['per_s']:,.0f} events a second written")
    return result


def measure_census():
    text = run_text(program("bench", "micro_census"), "--victims", str(VICTIMS), "--events", str(CENSUS_EVENTS))
    result = {"per_s": number(r"events a second\s+([\d.]+)", text), "mib": number(r"memory, MiB\s+([\d.]+)", text),
              "proven": int(number(r"proven\s+(\d+)", text)), "all_ms": number(r"by all\s+([\d.]+)", text),
              "network_ms": number(r"by network\s+([\d.]+)", text)}
    say(f"sink: {result['proven']:,} victims in {result['mib']:.0f} MiB")
    return result


def measure_recognition():
    text = run_text(program("bench", "micro_recognise"), str(Path(repository(), "rules")), str(LOOKS))
    rows = re.findall(r"^(\S.*?)\s+([\d.]+) us\s+([\d.]+) us$", text, re.MULTILINE)
    return {kind: {"parsers_us": float(parsers), "rules_us": float(rules)} for kind, parsers, rules in rows}


# ---- what it says ----


def tables(run):
    found = run["figures"]
    idle, checkins, flood, events, census = (found[key] for key in ("idle", "checkins", "flood", "events", "census"))
    yield Table(f"{OPEN:,} connections that say nothing, tamis-sink on one core",
                ["", "open", "left open", "octets each", "kernel, both ends", "CPU to accept, us", "threads"],
                [["idle", f"{idle['open']:,}", f"{idle['left_open']:,}", f"{idle['octets']:.0f}",
                  f"{idle['kernel_octets']:,.0f}", f"{idle['cpu_us']:.1f}", str(idle["threads"])]])
    floor_us = figures.median(checkins["runs"][FLOOR])
    yield Table("New connections on one core: connect, a check-in, close",
                ["", "a second, best", "median", "of its core", "CPU, us", "of it in the program", "of the floor",
                 "one core's worth, a second", "CPU of the client, us"],
                [[name, f"{max(each['per_s'] for each in runs):,.0f}", f"{figures.median(runs, 'per_s'):,.0f}",
                  f"{figures.median(runs, 'core') * 100:.0f} %", f"{figures.median(runs):.1f}",
                  f"{figures.median(runs, 'user_us'):.1f}", f"{figures.median(runs) / floor_us:.2f} x",
                  f"{1e6 / figures.median(runs):,.0f}", f"{figures.median(runs, 'generator_us'):.1f}"]
                 for name, runs in checkins["runs"].items()])
    tls = checkins["tls"]
    yield Table("What these connections left", ["", "", "CPU, us", "one core's worth, a second"],
                [["events on the disk", f"{checkins['events']:,} of {checkins['connections']:,}", "", ""],
                 ["octets of a check-in's event", f"{checkins['event_octets']:.0f}", "", ""],
                 ["TLS handshakes", f"{tls['handshakes']:,}", f"{tls['cpu_us']:.0f}", f"{1e6 / tls['cpu_us']:,.0f}"]])
    yield Table(f"A flood of {FLOOD_SOURCES} sources, {FLOOD_RATE:,} connections a second that stay, {FLOOD_PLACES:,} "
                "places", ["", "new clients", "served", "of the flood", "shed"],
                [["all places taken", f"{flood['new']:,}", f"{flood['served']:,}", f"{flood['flood']:,}",
                  f"{flood['shed']:,}"]])
    yield Table("Events",
                ["", "a second", "of the writer's core, us", "octets raw", "compressed"],
                [["written and synced", f"{events['per_s']:,.0f}", f"{1e6 / events['writer_per_s']:.2f}",
                  f"{events['octets']:.0f}", f"{events['packed_octets']:.0f}"]])
    yield Table("Hashing and sealing an event", ["addresses", "us"],
                [[kind, us] for kind, us in events["privacy_us"].items()])
    yield Table("The census of a million victims", ["", "events a second", "MiB", "proven", "figures, ms",
                                                    "by network, ms"],
                [["fed and asked", f"{census['per_s']:,.0f}", f"{census['mib']:.0f}", f"{census['proven']:,}",
                  f"{census['all_ms']:.0f}", f"{census['network_ms']:.0f}"]])
    yield Table("To tell what came", ["", "parsers, us", "with the rules, us"],
                [[kind, f"{each['parsers_us']:.2f}", f"{each['rules_us']:.2f}"]
                 for kind, each in found["recognition"].items()])


def targets(run):
    found = run["figures"]
    yield Target("connections open at once", found["idle"]["left_open"], SINK_OPEN_MIN, "", at_least=True)
    yield Target("memory of an idle connection", found["idle"]["octets"], SINK_IDLE_OCTETS_MAX, "octets")
    yield Target("new connections a second", max(each["per_s"] for each in found["checkins"]["runs"][WHOLE]),
                 SINK_CHECKINS_PER_S_MIN, "", at_least=True)
    yield Target("of them recorded", found["checkins"]["events"] / found["checkins"]["connections"] * 100,
                 SINK_RECORDED_MIN * 100, "%", at_least=True)
    yield Target("new connections a second that one core's time is worth",
                 1e6 / figures.median(found["checkins"]["runs"][WHOLE]), SINK_CHECKINS_PER_S_MIN, "", at_least=True)
    yield Target("events a second, written and synced", found["events"]["per_s"], SINK_EVENTS_PER_S_MIN, "",
                 at_least=True)
    yield Target("memory of the census of a million victims", found["census"]["mib"], SINK_CENSUS_MIB_MAX, "MiB")
    yield Target("new clients served in a flood of few sources", found["flood"]["served"] / found["flood"]["new"] * 100,
                 SINK_SERVED_MIN * 100, "%", at_least=True)


def draw(run, folder):
    runs = run["figures"]["checkins"]["runs"]
    plots.bars(folder / "sink.svg", "CPU time of a new connection with its check-in",
               [(name, figures.median(each)) for name, each in runs.items()], "us")
    return [("sink.svg", "CPU time of a new connection with its check-in")]
