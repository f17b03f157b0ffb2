"""When is our answer right? When it is a reference's answer.

Compared is what an answer means: RCODE, AA, and each section as a set of records with names folded
and TTLs exact. One freedom of RFC 1034 is taken out before: the NS set of the zone (and its
addresses) that some servers add to a positive answer.

The answer is right when it equals one reference's entirely; or when it has RCODE, AA and answer
section of one or more references, and each further section equals that of one of these.
"""

from testbed import wire

CNAME, DNAME, NS, SOA, RRSIG, ANY = 5, 39, 2, 6, 46, 255

PROOFS = (47, 50)  # NSEC, NSEC3
PROOFS_COVERED = (b"\0\x2f", b"\0\x32")


class Form:
    """A message in comparable form."""

    __slots__ = ("rcode", "aa", "tc", "answer", "authority", "additional", "repeated", "has_opt", "size")

    def __init__(self, message, rrtype):
        self.rcode, self.aa, self.tc = message.rcode, message.aa, message.tc
        self.size = message.size
        self.has_opt = message.opt is not None
        authority, additional = message.authority, message.additional
        if self.aa and self.rcode == 0 and is_positive(message.answer, rrtype):
            kept = [record for record in authority if not is_ns(record)]
            if len(kept) != len(authority):
                wanted = wire.rdata_names(record for record in message.answer if record[1] not in (CNAME, DNAME))
                additional = [record for record in additional if record[0] in wanted]
                authority = kept
        # Knot adds proofs that a target's missing address is missing; nobody needs them (RFC 4035, 3.1.1
        # asks for none), and nobody else sends them.
        additional = [record for record in additional if not is_proof(record)]
        self.answer = tuple(sorted(set(message.answer)))
        self.authority = tuple(sorted(set(authority)))
        # Knot also repeats there what it has just answered with (RFC 2181, 5: no duplicates).
        self.additional = tuple(sorted(set(additional) - set(message.answer)))
        self.repeated = [record for record in additional if record in message.answer]

    def key(self):
        return (self.rcode, self.aa, self.answer, self.authority, self.additional, self.has_opt)

    def head(self):
        return (self.rcode, self.aa, self.answer, self.has_opt)


def is_ns(record):
    return record[1] == NS or (record[1] == RRSIG and record[4][:2] == b"\0\2")


def is_positive(answer, rrtype):
    """Whether the answer section ends in data and not in an alias."""
    return any(record[1] not in (CNAME, DNAME, RRSIG) or record[1] == rrtype or rrtype == ANY
               for record in answer)


def judge(ours, references, rrtype):
    """Returns (right, how): how is "entire", "by section", or what differs."""
    key = ours.key()
    for form in references.values():
        if form.key() == key:
            return True, "entire"
    if rrtype == ANY and is_one_of_all(ours, references.values()):
        return True, "one set for ANY"
    heads = [form for form in references.values() if form.head() == ours.head()]
    if not heads:
        same_codes = [form for form in references.values() if (form.rcode, form.aa) == (ours.rcode, ours.aa)]
        return False, "answer section" if same_codes else "rcode or aa"
    authority = any(form.authority == ours.authority for form in heads) or has_all_proofs(ours, heads)
    additional = any(is_same_additional(ours, form) for form in heads)
    if authority and additional:
        return True, "by section"
    return False, " and ".join(text for well, text in ((authority, "authority section"),
                                                       (additional, "additional section")) if not well)


def has_all_proofs(ours, heads):
    """Knot and BIND leave out the proof that an empty non-terminal wildcard has no data, NSD the one that
    no closer name exists behind a DNAME; RFC 4035, 3.1.3.4 asks for both. Right is one of their
    authority sections with proofs of another's beside it."""
    mine, everybody = set(ours.authority), {record for form in heads for record in form.authority}
    return mine <= everybody and any(
        set(form.authority) <= mine and all(is_proof(record) for record in mine - set(form.authority))
        for form in heads)


def is_proof(record):
    return record[1] in PROOFS or (record[1] == RRSIG and record[4][:2] in PROOFS_COVERED)


def is_same_additional(ours, theirs):
    """Knot adds some records of a wildcard under the wildcard's own name, where ours have the name
    that was asked for: these are compared without their owners."""
    if ours.additional == theirs.additional:
        return True
    whole = [*theirs.additional, *theirs.repeated]
    return any(record[0].startswith(b"\1*") for record in whole) \
        and {record[1:] for record in ours.additional} == {record[1:] for record in whole}


def is_one_of_all(ours, references):
    """RFC 8482, 4.1: one record set of the name, whichever, answers ANY. BIND gives all of them; ours
    must be one of those, whole, and BIND's answer in all else."""
    for form in references:
        if (form.rcode, form.aa, form.has_opt, form.authority) != (ours.rcode, ours.aa, ours.has_opt, ours.authority):
            continue
        whole, chosen = rrsets(form.answer), rrsets(ours.answer)
        types = {rrtype if rrtype != RRSIG else int.from_bytes(covered, "big") for _, rrtype, covered in chosen}
        if len(types) == 1 and all(whole.get(key) == value for key, value in chosen.items()):
            return True
    return False


def rrsets(records):
    """Records by set: owner and type, signatures by the type that they cover."""
    sets = {}
    for record in records:
        covered = record[4][:2] if record[1] == RRSIG else b""
        sets.setdefault((record[0], record[1], covered), []).append(record)
    return {key: sorted(value) for key, value in sets.items()}


def judge_truncation(udp, tcp, limit, references):
    """Whether our UDP answer is the honest short form of our TCP answer: whole record sets, and TC
    where an answer or authority record is missing. `references` are the others' UDP answers. Returns
    what is wrong, or None."""
    if udp.size > limit:
        return "UDP answer of %d octets above the limit of %d" % (udp.size, limit)
    if tcp.tc:
        return "TC over TCP"
    # A server may stop before it knows the end of a chain, and then says NOERROR with TC.
    if (udp.rcode, udp.aa) != (tcp.rcode, tcp.aa) and (udp.rcode, udp.aa, udp.tc) not in [
            (one.rcode, one.aa, True) for one in references]:
        return "rcode or aa differ between UDP and TCP"
    missing = 0
    for section in ("answer", "authority", "additional"):
        whole, short = rrsets(getattr(tcp, section)), rrsets(getattr(udp, section))
        for key, records in short.items():
            if whole.get(key) != records:
                return "a record set in the UDP answer's %s section is not whole" % section
        if len(short) < len(whole):
            missing += 1
            if section != "additional" and not udp.tc:
                return "record sets of the %s section left out without TC" % section
    if not udp.tc and misses_glue(udp, tcp):
        return "glue of the referral left out without TC"
    if udp.tc and tcp.size <= limit:
        return "TC although the whole answer (%d octets) fits %d" % (tcp.size, limit)
    if missing and tcp.size <= limit:
        return "record sets left out although the whole answer (%d octets) fits %d" % (tcp.size, limit)
    return None


def misses_glue(udp, tcp):
    """Whether an address of a server at or below the cut is left out (RFC 9471, 3.1)."""
    cuts = {record[0] for record in tcp.authority if record[1] == NS} if not tcp.aa else set()
    there = rrsets(udp.additional)
    return any(owner.endswith(cut) for owner, rrtype, _ in rrsets(tcp.additional)
               for cut in cuts if rrtype in (1, 28) and (owner, rrtype, b"") not in there)


def hygiene(message, query):
    """What any answer must keep, whatever it says. Returns what is wrong, or None."""
    if message.question != query.wire[12:12 + len(message.question)] or message.question_count != 1:
        return "question not echoed in its letter case"
    if not message.flags & wire.QR or message.flags & (wire.RA | wire.AD | wire.CD | wire.RD | 0x40):
        return "flags %04x" % message.flags
    if (message.opt is not None) != (query.edns is not None) or message.opt_count > 1:
        return "OPT presence"
    if message.opt is not None and (message.opt[2] != 0 or message.opt[3] != query.do):
        return "OPT version or DO"
    for section in (message.answer, message.authority, message.additional):
        if len(set(section)) != len(section):
            return "duplicate records"
    return None


def signature(message):
    """A short text by which differences are grouped."""
    if message is None:
        return "no answer"
    sections = []
    for title, records in (("an", message.answer), ("ns", message.authority), ("ar", message.additional)):
        if records:
            sections.append("%s=%s" % (title, ",".join(sorted({wire.type_text(one[1]) for one in records}))))
    return " ".join([wire.RCODES[message.rcode] if message.rcode < 17 else str(message.rcode)]
                    + (["aa"] if message.aa else []) + (["tc"] if message.tc else []) + sections)
