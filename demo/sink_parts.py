"""What the sinkhole's part of the demo consists of: two orders, a name server that leads their names to
the sinkhole, the sinkhole itself, and what machines do before they connect: they ask."""

import socket
import zlib

import dns.message

import servers

ZONE = "pool.example"
HOSTS, LISTED = 200, 24  # in the zone; and those of them that the orders list, from the first on
ADDRESSES = "127.0.0.66", "127.0.0.67"  # where the names of each order lead
ORDERS = "court-2026-0107", "court-2026-0108"
WORMS = "hworm",  # the families of the second order; the others are the first's
CONTACT = "https://sinkhole.example/"
PERSISTENCE_S, CHECKINS_MIN = 1, 3
NETWORKS_MAX = 20  # of one id in a day: ten days are played within one


def name(number):
    return f"c{number:03}.{ZONE}"


def address(number):
    return f"198.51.100.{number}"


def listed(which):
    """The names of an order."""
    half = LISTED // 2
    return [name(number) for number in range(which * half, which * half + half)]


def name_of(event):
    """The listed name that brings a machine; None for who scans addresses and knows no name."""
    if event.bot is None:
        return name(0) if event.kind == "crawler" else None
    names = listed(int(event.family in WORMS))
    return names[zlib.crc32(event.bot.bot_id.encode()) % len(names)]


def notice(which):
    return f"https://desk.example/orders/{ORDERS[which]}"


def write_orders(folder):
    """Returns the paths."""
    paths = []
    for which, order_id in enumerate(ORDERS):
        paths.append(folder / f"{order_id}.yaml")
        paths[-1].write_text(
            f"""\
id: {order_id}
kind: court
authority: "a court of example"
starts: 2026-01-01T00:00:00Z
ends: 2099-01-01T00:00:00Z
action: sinkhole
sinkhole: {{ a: [{ADDRESSES[which]}], ttl: 60 }}
notice: {notice(which)}
names: [{", ".join(listed(which))}]
"""
        )
    return paths


def name_server(folder, port, orders, answers, program):
    """tamisd with the zone and the orders; at `answers` it tells of listed names that were asked for."""
    folder.mkdir()
    hosts = "".join(f"{name(number)}. A {address(number)}\n" for number in range(HOSTS))
    (folder / "pool.zone").write_text(
        f"$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 1209600 60\n@ NS ns1\n"
        f"ns1 A 192.0.2.1\n{hosts}"
    )
    (folder / "tamisd.yaml").write_text(
        f"""\
server: {{ listen: ["{servers.HOST}@{port}"], workers: 1, state: state, control: tamisd.sock }}
zones:
  - {{ name: {ZONE}, primary: {{ file: pool.zone }} }}
orders:
  files: [{", ".join(map(str, orders))}]
  dnstap: {answers}
"""
    )
    return servers.Server("tamisd", folder, port, [str(program), "-c", str(folder / "tamisd.yaml")])


def sink(folder, ports, orders, answers, networks, rules, program):
    """The sinkhole: each of the ports at each of the addresses."""
    listen = ", ".join(f'"{address}@{port}"' for address in ADDRESSES for port in ports)
    (folder / "tamis-sink.yaml").write_text(
        f"""\
operator: Sinkhole of the demo
contact: {CONTACT}
state: state
control: tamis-sink.sock
sensor: {{ listen: [{listen}] }}
orders: [{", ".join(map(str, orders))}]
answers: {{ listen: {answers} }}
networks: {{ asn: {networks}, country: {networks} }}
events: {{ flush-ms: 100 }}
rules: {rules}
# A day is about a second here, and ten of them are one.
census:
  persistence-seconds: {PERSISTENCE_S}
  checkins-min: {CHECKINS_MIN}
  networks-max: {NETWORKS_MAX}
"""
    )
    command = [str(program), "-c", str(folder / "tamis-sink.yaml")]
    return servers.Server("tamis-sink", folder, ports[0], command)


class Resolver:
    """Asks the name server from each machine's own address, and remembers the answer as a machine does."""

    def __init__(self, server):
        self.server = server
        self.known = {}

    def address(self, client, name):
        if (client, name) not in self.known:
            self.known[client, name] = self._ask(client, name)
        return self.known[client, name]

    def _ask(self, client, name):
        query = dns.message.make_query(name, "A", use_edns=0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.bind((client, 0))
            for _ in range(3):
                sock.sendto(query.to_wire(), self.server)
                try:
                    answer = dns.message.from_wire(sock.recv(4096))
                except TimeoutError:
                    continue
                if answer.id == query.id and answer.answer:
                    return answer.answer[0][0].address
        raise servers.DemoError(f"no address for {name}")
