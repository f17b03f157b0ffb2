"""The provider's customers: they get new addresses all the while, and tell by dynamic update (RFC 2136)."""

import random
import threading
import time

import dns.exception
import dns.name
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update

UPDATES_A_SECOND = 100
ANSWER_TIMEOUT_S = 5


class Customers(threading.Thread):
    """Updates one host after the other at `address`, each message signed with the key."""

    def __init__(self, address, key_name, key_secret, hosts, seed):
        """`hosts` are pairs of a name and its zone."""
        super().__init__(daemon=True)
        self.address, self.key_name = address, key_name
        self.keyring = dns.tsigkeyring.from_text({key_name: key_secret})
        self.hosts = hosts
        self.chooser = random.Random(seed)
        self.last = {}  # of each host that was changed, its acknowledged address
        self.acknowledged = 0
        self.failed = 0
        self._end = threading.Event()

    def run(self):
        started_s = time.monotonic()
        number = 0
        while not self._end.wait(max(0, started_s + number / UPDATES_A_SECOND - time.monotonic())):
            number += 1
            name, zone = self.chooser.choice(self.hosts)
            value = f"203.0.113.{self.chooser.randrange(256)}"
            if self.update(name, zone, value):
                self.acknowledged += 1
                self.last[name] = value
            else:
                self.failed += 1

    def update(self, name, zone, value):
        message = dns.update.UpdateMessage(zone, keyring=self.keyring, keyname=self.key_name)
        message.replace(dns.name.from_text(name), 300, "A", value)
        try:
            reply = dns.query.udp(
                message, self.address[0], port=self.address[1], timeout=ANSWER_TIMEOUT_S
            )
        except (dns.exception.DNSException, OSError):
            return False
        return reply.rcode() == dns.rcode.NOERROR

    def stop(self):
        self._end.set()
        if self.is_alive():
            self.join()
