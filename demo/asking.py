"""Asking a name server, one question at a time: the demo's own eyes, apart from tamis prove."""

import json
import socket
import threading
import time

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

ANSWER_TIMEOUT_S = 2
READY_TIMEOUT_S = 0.1  # a server that does not listen yet says nothing over UDP
CONTROL_TIMEOUT_S = 10


def ask(address, name, rdtype="A"):
    """What a server says about a name: the response code and the answer's records, sorted."""
    query = dns.message.make_query(name, rdtype, use_edns=0, payload=1232)
    answer, _ = dns.query.udp_with_fallback(
        query, address[0], port=address[1], timeout=ANSWER_TIMEOUT_S
    )
    records = sorted(f"{rrset.name} {rdata}" for rrset in answer.answer for rdata in rrset)
    return dns.rcode.to_text(answer.rcode()), records


def is_authority(address, zone):
    """Whether a server answers for a zone."""
    query = dns.message.make_query(zone, "SOA")
    try:
        answer = dns.query.udp(query, address[0], port=address[1], timeout=READY_TIMEOUT_S)
    except (dns.exception.DNSException, OSError):
        return False
    return answer.rcode() == dns.rcode.NOERROR and len(answer.answer) == 1


def serial(address, zone):
    """The serial that a server has of a zone."""
    answer = dns.query.udp(
        dns.message.make_query(zone, "SOA"), address[0], port=address[1], timeout=ANSWER_TIMEOUT_S
    )
    return answer.answer[0][0].serial


class Watcher(threading.Thread):
    """Asks for one name over and over, and notes when the wanted answer first comes."""

    def __init__(self, address, name, wanted):
        super().__init__(daemon=True)
        self.address, self.name, self.wanted = address, name, wanted
        self.first_s = None  # time.monotonic() of the first wanted answer
        self.asked = 0
        self.lost = 0
        self.slowest_s = 0.0
        self._end = threading.Event()
        self._warm = threading.Event()

    def __enter__(self):
        self.start()
        self._warm.wait()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join()

    def run(self):
        while not self._end.is_set():
            asked_s = time.monotonic()
            self.asked += 1
            try:
                answer = ask(self.address, self.name)
            except (dns.exception.DNSException, OSError):
                self.lost += 1
                continue
            answered_s = time.monotonic()
            self.slowest_s = max(self.slowest_s, answered_s - asked_s)
            if self.first_s is None and answer == self.wanted:
                self.first_s = answered_s
            self._warm.set()

    def wait_first(self, timeout_s):
        """Waits for the wanted answer; returns when it came, or None."""
        until_s = time.monotonic() + timeout_s
        while self.first_s is None and time.monotonic() < until_s:
            time.sleep(0.001)
        return self.first_s


def control(path, command):
    """Asks a control socket; returns the result."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(CONTROL_TIMEOUT_S)
        sock.connect(str(path))
        sock.sendall(json.dumps({"command": command}).encode() + b"\n")
        with sock.makefile() as stream:
            return json.loads(stream.readline())["result"]
