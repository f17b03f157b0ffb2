"""Asks all servers everything, and gathers the classes of disagreement.

Also a program: /usr/bin/python3 tests/peers/differential.py --zones 100 --subject knot
"""

import argparse
import multiprocessing
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from testbed import wire, zone_signing
from testbed.asker import ask_all, ask_all_tcp
from testbed.servers import Bind, Knot, Nsd, Tamisd

import corner_zones
import verdict
import zone_generator

REFERENCES = {"knot": Knot, "nsd": Nsd, "bind": Bind}
CHUNK = 4000  # queries whose answers are in memory at a time
EXAMPLES_MAX = 3  # of each class
TCP_EVERY = 50  # of so many queries one goes over TCP as well, though nothing was truncated


class Findings:
    """What a comparison found: counts, and the first examples of each class of difference."""

    def __init__(self):
        self.queries = 0
        self.judged = {}
        self.classes = {}  # (what, ours, references...) -> [count, examples]
        self.disagreements = {}  # of the references among each other

    def merge(self, other):
        self.queries += other.queries
        for how, count in other.judged.items():
            self.judged[how] = self.judged.get(how, 0) + count
        for mine, theirs in ((self.classes, other.classes), (self.disagreements, other.disagreements)):
            for key, (count, examples) in theirs.items():
                entry = mine.setdefault(key, [0, []])
                entry[0] += count
                entry[1] = (entry[1] + examples)[:EXAMPLES_MAX]

    def count(self, how):
        self.judged[how] = self.judged.get(how, 0) + 1

    def add(self, table, key, example):
        entry = table.setdefault(key, [0, []])
        entry[0] += 1
        if len(entry[1]) < EXAMPLES_MAX:
            entry[1].append(example())

    def differences(self):
        return sum(count for count, _ in self.classes.values())

    def report(self, table=None, examples=1):
        lines = []
        for key, (count, some) in sorted((self.classes if table is None else table).items(),
                                         key=lambda item: -item[1][0]):
            lines.append("## %d x %s" % (count, " | ".join(key)))
            lines += some[:examples] + [""]
        return "\n".join(lines)


def packets(queries, server):
    return [query.wire_for_bind if server == "bind" else query.wire for query in queries]


def parse(reply):
    """A Message, None for no answer, or the error's text for what cannot be read."""
    if reply is None:
        return None
    try:
        return wire.Message(reply)
    except wire.Malformed as error:
        return str(error)


def example_text(query, messages):
    lines = ["### %s" % query, "zone %s (%s)%s" % (query.zone.name, query.zone.path,
                                                    ", " + query.zone.signing if query.zone.signing else "")]
    lines += ["    " + line for line in related_lines(query, messages)]
    same = {}
    for name, message in messages.items():
        text = wire.message_text(message) if isinstance(message, wire.Message) else str(message)
        same.setdefault(text, []).append(name)
    for text, names in same.items():
        lines += ["%s:" % ", ".join(names)] + ["    " + line for line in text.split("\n")]
    return "\n".join(lines)


def related_lines(query, messages):
    """Lines of the unsigned zone whose owner is above, below or beside a name of the chain."""
    names = {wire.fold(wire.name_from_text(query.name))}
    for message in messages.values():
        if isinstance(message, wire.Message):
            names |= {record[0] for record in message.answer} | wire.rdata_names(message.answer)
    ancestors = set()
    for name in names:
        at = 0
        while name[at]:
            ancestors.add(name[at:])
            ancestors.add(b"\1*" + name[at:])
            at += 1 + name[at]
    chosen = []
    for line in query.zone.lines:
        owner = wire.fold(wire.name_from_text(line.split(" ", 1)[0]))
        if owner in ancestors or any(owner.endswith(name) for name in names if len(name) > len(
                wire.name_from_text(query.zone.name))):
            chosen.append(line if len(line) < 200 else line[:200] + "...")
    return chosen[:40]


class Comparison:
    """One run over a set of zones that all servers hold."""

    def __init__(self, subject, places):
        self.subject = subject  # name of the server that is judged; None: only the references
        self.places = places  # name -> (address, port)

    def judges(self, query):
        return [name for name in self.places if name != self.subject and name not in query.zone.refused_by]

    def run(self, queries):
        findings = Findings()
        for start in range(0, len(queries), CHUNK):
            self.run_chunk(queries[start:start + CHUNK], findings)
        return findings

    def run_chunk(self, queries, findings):
        findings.queries += len(queries)
        udp = {name: [parse(reply) for reply in ask_all(place, packets(queries, name))]
               for name, place in self.places.items()}
        open_questions = []
        for index, query in enumerate(queries):
            messages = {name: udp[name][index] for name in self.places}
            if index % TCP_EVERY == 0 or not self.settle(query, messages, findings):
                open_questions.append(index)
        if not open_questions:
            return
        asked = [queries[index] for index in open_questions]
        tcp = {name: [parse(reply) for reply in ask_all_tcp(place, packets(asked, name))]
               for name, place in self.places.items()}
        for position, index in enumerate(open_questions):
            self.judge_whole(queries[index], {name: udp[name][index] for name in self.places},
                             {name: tcp[name][position] for name in self.places}, findings)

    def settle(self, query, messages, findings):
        """Judges by the UDP answers alone; False when these do not tell: somebody truncated, or left
        something out, or our answer is wrong."""
        references = {name: messages[name] for name in self.judges(query)}
        if any(not isinstance(one, wire.Message) or one.tc for one in references.values()):
            return False
        number = wire.type_number(query.rrtype)
        forms = {name: verdict.Form(one, number) for name, one in references.items()}
        if self.subject is None:
            return len({form.key() for form in forms.values()}) == 1
        ours = messages[self.subject]
        if not isinstance(ours, wire.Message) or ours.tc or verdict.hygiene(ours, query) or ours.size > query.limit:
            return False
        right, how = verdict.judge(verdict.Form(ours, number), forms, number)
        if right:
            findings.count(how)
            self.note_disagreement(query, forms, messages, findings)
        return right

    def judge_whole(self, query, udp, tcp, findings):
        number = wire.type_number(query.rrtype)
        judges = self.judges(query)
        forms = {name: verdict.Form(tcp[name], number) for name in judges if isinstance(tcp[name], wire.Message)}
        wrong = None
        if len(forms) < len(judges):
            # No answer at all is an answer too: what a reference says nothing to is not compared.
            findings.count("a reference without an answer")
        if self.subject is not None and forms:
            wrong = self.judge_ours(query, udp[self.subject], tcp[self.subject], forms, number,
                                    {name: udp[name] for name in judges}, findings)
        if wrong:
            findings.count("different")
            findings.add(findings.classes, (wrong, *("%s: %s" % (name, signature(tcp[name]))
                                                     for name in [self.subject] + judges)),
                         lambda: example_text(query, {**{name + " (UDP)": udp[name] for name in udp
                                                         if "UDP" in wrong or "TC" in wrong}, **tcp}))
        self.note_disagreement(query, forms, tcp, findings)

    def judge_ours(self, query, udp, tcp, forms, number, udp_references, findings):
        for message, transport in ((udp, "UDP"), (tcp, "TCP")):
            if not isinstance(message, wire.Message):
                return "%s over %s" % (message or "no answer", transport)
            fault = verdict.hygiene(message, query)
            if fault:
                return "%s over %s" % (fault, transport)
        right, how = verdict.judge(verdict.Form(tcp, number), forms, number)
        if not right:
            return how
        others = [one for one in udp_references.values() if isinstance(one, wire.Message)]
        fault = verdict.judge_truncation(udp, tcp, query.limit, others)
        if fault:
            return fault if "octets" not in fault else fault.split(" of ")[0].split(" (")[0] + " (UDP)"
        # Those whose whole answer says the same, and fits or doesn't as ours.
        mine = verdict.Form(tcp, number)
        alike = [udp_references[name].tc for name, form in forms.items()
                 if form.key() == mine.key() and (form.size > query.limit) == (tcp.size > query.limit)
                 and isinstance(udp_references[name], wire.Message)]
        if udp.tc and alike and not any(alike):
            return "TC where no reference needs it"
        findings.count(how + ", over TCP")
        return None

    def note_disagreement(self, query, forms, messages, findings):
        if len({form.key() for form in forms.values()}) > 1:
            findings.add(findings.disagreements,
                         tuple("%s: %s" % (name, signature(messages[name])) for name in forms),
                         lambda: example_text(query, {name: messages[name] for name in forms}))


def signature(message):
    return verdict.signature(message) if isinstance(message, wire.Message) or message is None else message


def prepare(directory, count, seed, signed=True):
    """Writes the zone files: generated and hand-written, some signed. Returns the zones."""
    zones = zone_generator.make_zones(count, seed) + corner_zones.all_zones()
    folder = os.path.join(directory, "zones")
    os.makedirs(folder, exist_ok=True)
    for zone in zones:
        zone.path = os.path.join(folder, ("root" if zone.name == "." else zone.name.rstrip(".")) + ".zone")
        with open(zone.path, "w", encoding="utf-8") as file:
            file.write(zone.text())
    for index, zone in enumerate(zones):
        if not zone.is_corner and "bind" not in zone.refused_by and index % 5 == 0 and signed:
            zone.signing = zone_signing.MANNERS[index // 5 % len(zone_signing.MANNERS)][0]
    zone_signing.sign_all([zone for zone in zones if zone.signing], os.path.join(directory, "keys"))
    return zones


def prepare_root(directory):
    """The root zone, beside it two zones far below that the servers hold as well."""
    zones = [corner_zones.root_zone()] + [zone for zone in corner_zones.all_zones()
                                          if zone.name in ("cuts.example.", "wildcards.example.")]
    os.makedirs(directory, exist_ok=True)
    for zone in zones:
        zone.is_corner = True
        zone.path = os.path.join(directory, zone.name.strip(".") + "-root.zone")
        with open(zone.path, "w", encoding="utf-8") as file:
            file.write(zone.text())
    zones[0].signing = "NSEC"
    zone_signing.sign_all(zones[:1], os.path.join(directory, "keys"))
    return zones


def start_servers(directory, zones, subject):
    """Starts the references and the subject with the same zones, each without those it refuses."""
    servers = {}
    try:
        for name, kind in {**REFERENCES, **({"tamisd": Tamisd} if subject == "tamisd" else {})}.items():
            server = kind(os.path.join(directory, name))
            servers[name] = server
            held = [(zone.name, zone.path) for zone in zones if name not in zone.refused_by]
            if name == "tamisd":
                server.start_zones(held, {"server": {"udp-payload-max": 4096}})
            else:
                server.start(held, wait=False)
        for name, server in servers.items():
            if name != "tamisd":
                server.wait_for_zones([zone.name for zone in zones if name not in zone.refused_by])
    except BaseException:
        stop_servers(servers, kill=True)
        raise
    return servers


def stop_servers(servers, kill=False):
    for server in servers.values():
        if kill or server.name != "tamisd":
            server.kill()
    if not kill and "tamisd" in servers:
        servers["tamisd"].stop()


_WORK = None  # (comparison, queries by share), inherited by the forked workers


def _run_share(index):
    comparison, shares = _WORK
    return comparison.run(shares[index])


def compare(directory, zones, queries_count, seed, subject="tamisd", workers=2):
    """Runs everything; returns the Findings."""
    global _WORK
    servers = start_servers(directory, zones, subject)
    try:
        each = max(1, queries_count // len(zones))
        queries = []
        for zone in zones:
            seed_here = "%s queries %s" % (seed, zone.name)
            queries += (zone_generator.corner_queries(zone, seed_here, 2000 if zone.name == "." else 120)
                        if zone.is_corner
                        else zone_generator.make_queries(zone, each, seed_here))
        comparison = Comparison(subject, {name: server.place for name, server in servers.items()})
        shares = [queries[start::workers * 4] for start in range(workers * 4)]
        _WORK = (comparison, shares)
        findings = Findings()
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            for part in pool.imap_unordered(_run_share, range(len(shares))):
                findings.merge(part)
    except BaseException:
        stop_servers(servers, kill=True)
        raise
    stop_servers(servers)
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zones", type=int, default=500)
    parser.add_argument("--queries", type=int, default=200000)
    parser.add_argument("--seed", default="tamis")
    parser.add_argument("--subject", default="tamisd", help="who is judged: tamisd, knot, nsd, bind or none")
    parser.add_argument("--directory", default="/tmp/tamis-differential")
    parser.add_argument("--unsigned", action="store_true", help="sign nothing")
    parser.add_argument("--only", help="only these zones of the set, with commas")
    parser.add_argument("--root", action="store_true", help="the root zone instead of the others")
    arguments = parser.parse_args()
    started = time.monotonic()
    directory = os.path.join(arguments.directory, str(os.getpid()))
    subject = None if arguments.subject == "none" else arguments.subject
    if arguments.root:
        zones = prepare_root(directory)
    else:
        zones = prepare(directory, arguments.zones, arguments.seed, not arguments.unsigned)
    if arguments.only:
        zones = [zone for zone in zones if zone.name in arguments.only.split(",")]
    print("seed %s: %d zones prepared in %.1f s under %s"
          % (arguments.seed, len(zones), time.monotonic() - started, directory), flush=True)
    findings = compare(directory, zones, arguments.queries, arguments.seed, subject)
    print("%d queries in %.1f s: %s" % (findings.queries, time.monotonic() - started, findings.judged))
    with open(os.path.join(directory, "disagreements.md"), "w", encoding="utf-8") as file:
        file.write(findings.report(findings.disagreements))
    with open(os.path.join(directory, "differences.md"), "w", encoding="utf-8") as file:
        file.write(findings.report(examples=EXAMPLES_MAX))
    print("%d classes of disagreement among references, %d of ours; see %s"
          % (len(findings.disagreements), len(findings.classes), directory))
    return 1 if findings.classes else 0


if __name__ == "__main__":
    sys.exit(main())
