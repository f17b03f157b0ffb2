"""An answer by itself, without a network: bench/micro."""

import re
import subprocess

import instructions
from table import Table
from stage import say
from testbed.servers import repository

NAME = "answers"


def measure(stage):
    stage.clear()
    program = f"{repository()}/build/bench/micro"
    say("answers without a network")
    answers = instructions.count_with_misses(program)
    output = subprocess.run(["taskset", "-c", str(stage.cores[1]), program],
                            capture_output=True, text=True, check=True).stdout
    for kind, nanoseconds in re.findall(r"^(\w+) +([\d.]+) ns", output, re.MULTILINE):
        answers[kind]["ns"] = float(nanoseconds)
    return answers


def tables(run):
    rows = [[kind, f"{figure['ns']:.0f}", f"{figure['instructions']:,.0f}", f"{figure['cache_misses']:.1f}"]
            for kind, figure in run["figures"].items()]
    yield Table("One answer without a network (time with 1,000,000 names; instructions and misses by callgrind)",
                ["", "ns", "instructions", "cache misses"], rows)


def targets(_):
    return []


def draw(*_):
    return []
