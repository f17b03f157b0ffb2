"""Random zones of small, densely related names, and the queries that reach their corners.

Everything comes from one seed. Labels are drawn from a small set, so that owners, wildcards, cuts,
DNAMEs and empty non-terminals meet often.
"""

import random

from testbed import wire

LABELS = ["a", "b", "c", "d", "ns", "www", "x", "y"]
ODD_LABELS = ["UPPER", "_tcp", "_443", "a\\.b", "a\\032b", "\\000", "\\255\\001", "-", "xn--bcher-kva", "0",
              "\\@", "l" * 63, "**", "*x"]
PLAIN_TYPES = ["A", "AAAA", "TXT", "MX", "SRV", "PTR", "CAA", "HTTPS", "SVCB", "TYPE65280", "NAPTR",
               "HINFO", "TLSA", "SSHFP", "LOC", "RP", "URI", "KX"]
QUERY_TYPES = (["A"] * 10 + ["AAAA"] * 3 + ["TXT"] * 2 + ["MX"] * 4 + ["NS"] * 4 + ["SOA"] * 2 + ["CNAME"] * 3
               + ["DNAME"] * 3 + ["DS"] * 4 + ["SRV"] * 2 + ["HTTPS"] * 2 + ["SVCB"] * 2 + ["ANY"] * 3
               + ["RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "PTR", "CAA", "TYPE65280", "TYPE65281",
                  "TYPE128", "TYPE0", "MAILB", "MAILA", "NAPTR", "HINFO", "TLSA", "OPT", "TKEY", "TSIG",
                  "NULL", "LOC", "RP", "URI", "KX", "SPF", "CDS"])
# What BIND answers with FORMERR or NOTIMP, where others see types like any other. It is asked for a
# type that it takes and that no zone has, so that it can judge.
BIND_REFUSES = {"TYPE128", "MAILB", "MAILA", "OPT", "TKEY", "TSIG"}
STAND_IN = "TYPE65282"
TTLS = [0, 1, 60, 300, 3600, 86400]


class Zone:
    """A generated zone: its lines, the names worth asking, and which peer must not be given it."""

    def __init__(self, name, seed):
        self.name = name
        self.seed = seed
        self.lines = []
        self.names = set()
        self.refused_by = set()
        self.signing = None  # the manner, of zone_signing.MANNERS
        self.is_corner = False
        self.types = None  # of a corner zone: the only types to ask for
        self.path = None

    def text(self):
        return "; seed %s\n$ORIGIN %s\n" % (self.seed, self.name) + "\n".join(self.lines) + "\n"


def under(label, parent):
    """The name that `label` makes below the absolute name `parent`."""
    return label + "." if parent == "." else label + "." + parent


def parent_of(name):
    """The absolute name without its first label; escapes are respected."""
    at = 0
    while name[at] != ".":
        at += 2 if name[at] == "\\" else 1
    return name[at + 1:] or "."


class ZoneMaker:
    """Makes one zone. `others` are the apexes of zones that the same servers hold."""

    def __init__(self, name, seed, others):
        self.random = random.Random(seed)
        self.zone = Zone(name, seed)
        self.apex = name
        self.others = [other for other in others if other != name] or ["elsewhere.test."]
        self.owners = [name]  # every name that may become a parent
        self.taken = {name: "data"}
        self.cuts = []
        self.dnames = []

    def ttl(self):
        return self.random.choice(TTLS)

    def add(self, owner, rrtype, rdata, ttl=None):
        self.zone.lines.append("%s %d IN %s %s" % (owner, self.ttl() if ttl is None else ttl, rrtype, rdata))

    def label(self):
        pick = self.random.random()
        if pick < 0.16:
            return "*"
        if pick < 0.26:
            return self.random.choice(ODD_LABELS)
        return self.random.choice(LABELS)

    def new_owner(self):
        """A free name below a random existing one, seldom deeper than its child, so that empty
        non-terminals come up."""
        for _ in range(50):
            name = self.random.choice(self.owners)
            for _ in range(self.random.choice([1, 1, 1, 2, 2, 3])):
                name = under(self.label(), name)
            if name not in self.taken and len(wire.name_from_text(name)) <= 200 \
                    and not self.is_occluded(name):
                return name
        return None

    def is_occluded(self, name):
        while name != self.apex and name != ".":
            name = parent_of(name)
            if self.taken.get(name) in ("cut", "dname"):
                return True
        return False

    def some_name(self):
        """A name for record data: ours, missing, of another zone, or of nobody."""
        pick = self.random.random()
        if pick < 0.55:
            return self.random.choice(self.owners)
        if pick < 0.72:
            return under(self.label().replace("*", "w"), self.random.choice(self.owners))
        if pick < 0.88:
            return under(self.random.choice(LABELS + ["ns"]), self.random.choice(self.others))
        return self.random.choice(["www.elsewhere.test.", "elsewhere.test.", "a.b.c.elsewhere.test.", "."])

    def host_name(self):
        name = self.some_name()
        return "ns.elsewhere.test." if name == "." else name

    def rdata(self, rrtype):
        draw = self.random
        number = draw.randrange
        if rrtype == "A":
            return "192.0.2.%d" % number(256)
        if rrtype == "AAAA":
            return "2001:db8::%x" % number(65536)
        if rrtype == "TXT":
            return " ".join('"%s"' % ("t%d" % number(100) + "x" * draw.choice([0, 5, 200]))
                            for _ in range(draw.choice([1, 1, 2, 3])))
        if rrtype == "MX":
            return "%d %s" % (number(3) * 10, self.some_name())
        if rrtype == "SRV":
            return "%d %d %d %s" % (number(3), number(3), number(65536), self.some_name())
        if rrtype in ("PTR", "NS", "CNAME"):
            return self.host_name()
        if rrtype == "CAA":
            return '0 issue "ca%d.example"' % number(10)
        if rrtype in ("HTTPS", "SVCB"):
            if draw.random() < 0.3:
                return "0 %s" % self.host_name()
            target = "." if draw.random() < 0.3 else self.host_name()
            return "%d %s %s" % (1 + number(3), target, draw.choice(["", "alpn=h2", "port=%d" % number(65536)]))
        if rrtype.startswith("TYPE"):
            size = draw.choice([0, 1, 7, 40])
            return "\\# %d %s" % (size, bytes(number(256) for _ in range(size)).hex())
        if rrtype == "NAPTR":
            return '%d 10 "u" "E2U+sip" "!^.*$!sip:x@a.example!" %s' % (number(100), self.some_name())
        if rrtype == "HINFO":
            return '"cpu%d" "os"' % number(10)
        if rrtype == "TLSA":
            return "3 1 1 " + bytes(number(256) for _ in range(32)).hex()
        if rrtype == "SSHFP":
            return "4 2 " + bytes(number(256) for _ in range(32)).hex()
        if rrtype == "LOC":
            return "52 %d 0.000 N 4 %d 0.000 E 2m" % (number(60), number(60))
        if rrtype == "RP":
            return "%s %s" % (self.host_name(), self.host_name())
        if rrtype == "URI":
            return '10 1 "https://www%d.example/"' % number(10)
        if rrtype == "KX":
            return "%d %s" % (number(100), self.host_name())
        if rrtype == "DS":
            return "%d 13 2 %s" % (number(65536), bytes(number(256) for _ in range(32)).hex())
        raise ValueError(rrtype)

    def add_rrset(self, owner, rrtype, count=None):
        """Between one and a few records of one TTL, each different."""
        ttl = self.ttl()
        if count is None:
            count = self.random.choice([1, 1, 1, 2, 3])
        for rdata in sorted({self.rdata(rrtype) for _ in range(count)}):
            self.add(owner, rrtype, rdata, ttl)

    def add_data(self, owner):
        for rrtype in self.random.sample(PLAIN_TYPES, self.random.choice([1, 1, 2, 3, 4])):
            self.add_rrset(owner, rrtype)
        if self.random.random() < 0.5:
            self.add_rrset(owner, "A")

    def add_big(self, owner):
        """Record sets around every limit that an answer may have: 512, 1232, 4096 and beyond."""
        rrtype = self.random.choice(["A", "AAAA", "TXT", "MX", "NAPTR", "SRV"])
        self.add_rrset(owner, rrtype, self.random.choice([10, 20, 30, 40, 60, 90, 150, 250]))

    def add_cut(self, owner):
        ttl = self.ttl()
        for _ in range(self.random.choice([1, 2, 2, 3, 5])):
            pick = self.random.random()
            if pick < 0.5:
                target = under(self.random.choice(["ns", "ns2", "a"]), owner)
            elif pick < 0.58:
                target = owner
            elif pick < 0.7 and self.cuts:
                target = under("ns", self.random.choice(self.cuts))
            else:
                target = self.host_name()
            line = "%s %d IN NS %s" % (owner, ttl, target)
            if line not in self.zone.lines:
                self.zone.lines.append(line)
            if (target == owner or target.endswith("." + owner)) and self.random.random() < 0.85:
                for rrtype in self.random.choice([["A"], ["A", "AAAA"], ["AAAA"], ["A", "AAAA"]]):
                    if not any(one.startswith(target + " ") and " IN %s " % rrtype in one
                               for one in self.zone.lines):
                        self.add_rrset(target, rrtype)
                self.zone.names.add(target)
        if self.random.random() < 0.4:
            self.add_rrset(owner, "DS")
        if self.random.random() < 0.3:  # occluded data and a cut below the cut
            self.add_rrset(under("hidden", owner), "TXT")
            if self.random.random() < 0.5:
                self.add_rrset(under("deeper", owner), "NS", 1)
        self.cuts.append(owner)
        self.zone.names |= {under("hidden", owner), under("x", under("deeper", owner)), under("q", owner)}

    def add_dname(self, owner):
        pick = self.random.random()
        if pick < 0.15:
            # Long enough that names below overflow 255 octets at once or after a few labels.
            room = 253 - len(wire.name_from_text(self.apex)) - self.random.choice([0, 2, 4, 30])
            labels = []
            while room > 1:
                labels.append("l" * min(63, room - 1))
                room -= len(labels[-1]) + 1
            target = ".".join(labels + [self.apex]) if self.apex != "." else ".".join(labels) + "."
        else:
            target = self.some_name()
        self.add(owner, "DNAME", target)
        if self.random.random() < 0.4:
            self.add_data(owner)
        self.dnames.append(owner)
        for first in ("a", "www", "*", "x.y", "l" * 40):
            self.zone.names.add(under(first, owner))

    def add_wildcard_cut(self, owner):
        self.add_rrset(owner, "NS")
        self.zone.refused_by.add("bind")

    def make(self):
        draw = self.random
        soa_ttl, minimum = self.ttl(), draw.choice([0, 5, 300, 3600, 100000])
        self.add(self.apex, "SOA", "ns.%s hostmaster.%s %d 7200 900 1209600 %d"
                 % ("" if self.apex == "." else self.apex, "" if self.apex == "." else self.apex,
                    1 + draw.randrange(1000), minimum), soa_ttl)
        ns_ttl = self.ttl()
        # BIND refuses a zone whose own name server has no address in it.
        has_ns = draw.random() < 0.8
        if has_ns:
            self.add(self.apex, "NS", under("ns", self.apex), ns_ttl)
        if not has_ns or draw.random() < 0.4:
            self.add(self.apex, "NS", "ns.elsewhere.test.", ns_ttl)
        if draw.random() < 0.05:
            self.make_apex_dname()
            return self.finish()
        if not has_ns and draw.random() < 0.3:
            return self.finish()  # an apex and nothing else
        if has_ns:
            ns = under("ns", self.apex)
            self.taken[ns] = "data"
            self.owners.append(ns)
            for rrtype in draw.choice([["A"], ["A", "AAAA"]]):
                self.add_rrset(ns, rrtype)
        if draw.random() < 0.7:
            for rrtype in draw.sample(PLAIN_TYPES, draw.choice([1, 2, 3])):
                self.add_rrset(self.apex, rrtype)
        big = draw.random() < 0.25
        kinds = ["data"] * 10 + ["cname"] * 5 + ["cut"] * 4 + ["dname"] * 3 + ["big"] * (3 if big else 0)
        for _ in range(draw.choice([3, 6, 10, 16, 25])):
            kind = draw.choice(kinds)
            owner = self.new_owner()
            if owner is None:
                continue
            if kind in ("cut", "dname") and any(other.endswith("." + owner) for other in self.taken):
                kind = "data"
            if kind in ("cut", "dname") and owner.startswith("*."):
                # Servers agree on neither, and BIND refuses the cut: seldom is enough.
                kind = "data" if draw.random() < 0.9 else "wildcard cut" if kind == "cut" else "dname"
            self.taken[owner] = kind
            if kind == "data":
                self.add_data(owner)
            elif kind == "big":
                self.add_big(owner)
            elif kind == "cname":
                self.add(owner, "CNAME", owner if draw.random() < 0.03 else self.host_name())
            elif kind == "cut":
                self.add_cut(owner)
            elif kind == "dname":
                self.add_dname(owner)
            else:
                self.add_wildcard_cut(owner)
            if kind not in ("cut", "dname"):
                self.owners.append(owner)
            elif draw.random() < 0.5:
                self.zone.names.add(owner)
        if draw.random() < 0.3:
            self.add_chain()
        return self.finish()

    def make_apex_dname(self):
        """Nothing may stand below: BIND and Knot refuse data that a DNAME occludes."""
        self.zone.lines = [line for line in self.zone.lines if "IN NS ns." + self.apex not in line]
        if not any(" IN NS " in line for line in self.zone.lines):
            self.add(self.apex, "NS", "ns.elsewhere.test.")
        self.add(self.apex, "DNAME", self.some_name())
        self.zone.names |= {under("a", self.apex), under("www", self.apex), under("ns", self.apex)}

    def add_chain(self):
        """A CNAME chain, sometimes closed to a loop, sometimes longer than servers care to follow."""
        length = self.random.choice([2, 3, 5, 8, 12, 20, 30])
        names = [under("chain%d" % index, self.apex) for index in range(length)]
        for index in range(length - 1):
            self.add(names[index], "CNAME", names[index + 1])
        if self.random.random() < 0.4:
            self.add(names[-1], "CNAME", self.random.choice(names))
        elif self.random.random() < 0.5:
            self.add_rrset(names[-1], "A")
        self.zone.names |= {names[0], names[length // 2]}

    def finish(self):
        self.zone.names |= set(self.taken)
        return self.zone


def interesting_names(zone, draw):
    """Owners and what lies around them: ancestors, children, siblings, wildcard matches, literals."""
    names = set()
    suffix = "" if zone.name == "." else zone.name
    for owner in sorted(zone.names):
        names.add(owner)
        parent = owner
        while parent not in (zone.name, "."):
            parent = parent_of(parent)
            names.add(parent)
        for label in ("a", "zz", "*", draw.choice(LABELS)):
            names.add(under(label, owner))
        names.add(under(draw.choice(LABELS), under(draw.choice(LABELS), owner)))
        if owner != zone.name:
            names.add(under("zz", parent_of(owner)))
            names.add(under("*", parent_of(owner)))
            if owner.startswith("*."):
                base = parent_of(owner)
                for label in ("m", "a", "m.m", "*.m", "m.*", "ns"):
                    names.add(label + "." + base if base != "." else label + ".")
    names.add(zone.name)
    for _ in range(5):
        names.add(under(draw.choice(LABELS), zone.name))
    long_name = zone.name
    while len(wire.name_from_text(long_name)) + 2 <= 255:
        long_name = under("m", long_name)
    names.add(long_name)
    return sorted(name for name in names
                  if len(wire.name_from_text(name)) <= 255 and (name.endswith("." + suffix) or name == zone.name
                                                                or not suffix))


def random_case(name, draw):
    return bytes(octet ^ 0x20 if (65 <= octet <= 90 or 97 <= octet <= 122) and draw.random() < 0.3 else octet
                 for octet in name)


class Query:
    """One question in the form in which it goes out."""

    __slots__ = ("zone", "name", "rrtype", "edns", "do", "wire", "wire_for_bind")

    def __init__(self, zone, name, rrtype, edns, do, draw):
        self.zone, self.name, self.rrtype, self.edns, self.do = zone, name, rrtype, edns, do
        owner = wire.name_from_text(name)
        if draw.random() < 0.5:
            owner = random_case(owner, draw)
        self.wire = wire.query(owner, rrtype, edns=edns, do=do)
        self.wire_for_bind = self.wire if rrtype not in BIND_REFUSES else wire.query(owner, STAND_IN, edns=edns, do=do)

    @property
    def limit(self):
        return 512 if self.edns is None else max(512, min(self.edns, 4096))

    def __str__(self):
        return "%s %s%s%s" % (self.name, self.rrtype, "" if self.edns is None else " edns=%d" % self.edns,
                              " DO" if self.do else "")


def corner_queries(zone, seed, names_max=120):
    """For zones written by hand: every record set in every size of answer, and the types that matter
    at `names_max` of the names around."""
    draw = random.Random(seed)
    queries, seen = [], set()
    for line in zone.lines:
        owner, rrtype = line.split()[0], line.split()[2]
        if (owner, rrtype) not in seen:
            seen.add((owner, rrtype))
            for edns in (None, 512, 1232, 4096) if len(seen) < 400 else (1232,):
                queries.append(Query(zone, owner, rrtype, edns, edns is not None and bool(zone.signing), draw))
    names = interesting_names(zone, draw)
    for name in draw.sample(names, min(len(names), names_max)):
        for rrtype in zone.types or ("A", "MX", "NS", "CNAME", "DS", "ANY", draw.choice(QUERY_TYPES)):
            if zone.signing:
                queries.append(Query(zone, name, rrtype, draw.choice([1232, 4096]), draw.random() < 0.9, draw))
            else:
                queries.append(Query(zone, name, rrtype, draw.choice([None, 512, 1232, 4096]), False, draw))
    return queries


def make_queries(zone, count, seed):
    """`count` different questions about the zone (fewer where it has no more to ask)."""
    draw = random.Random(seed)
    names = interesting_names(zone, draw)
    asked, queries = set(), []
    for _ in range(count * 3):
        if len(queries) == count:
            break
        name, rrtype = draw.choice(names), draw.choice(QUERY_TYPES)
        if rrtype == "ANY" and "bind" in zone.refused_by:
            continue  # of ANY only BIND gives all sets, from which any one may be chosen
        edns = draw.choice([None, 1232, 1232, 4096, 512])
        do = edns is not None and draw.random() < (0.85 if zone.signing else 0.3)
        key = (name, rrtype, edns, do)
        if key in asked:
            continue
        asked.add(key)
        queries.append(Query(zone, name, rrtype, edns, do, draw))
    return queries


def make_zones(count, seed):
    """`count` zones that share one set of servers: z000.example. and so on, every tenth with a child
    zone that is held too."""
    names = []
    for index in range(count):
        names.append("z%03d.example." % index)
        if index % 10 == 3:
            names[-1] = "%s.%s" % (random.Random("%s child %d" % (seed, index)).choice(LABELS[:4]), names[-2])
    zones = [ZoneMaker(name, "%s %s" % (seed, name), names[max(0, index - 5):index + 5]).make()
             for index, name in enumerate(names)]
    for parent, child in zip(zones, zones[1:]):
        if child.name.endswith("." + parent.name):
            # NSD counts what one of them holds below the other's DNAME as below it, and refuses that.
            take_covering_dnames_out(parent, child)
            take_covering_dnames_out(child, parent)
    return zones


def take_covering_dnames_out(zone, other):
    """Removes DNAMEs of a zone that stand at or above an owner of the other one."""
    owners = {line.split(" ", 1)[0].lower() for line in other.lines}
    zone.lines = [line for line in zone.lines if " IN DNAME " not in line
                  or not any(("." + owner).endswith("." + line.split(" ", 1)[0].lower()) for owner in owners)]
