"""tamis sink rules: text that nft takes, and in namespaces the ports that it leads to tamis-sink."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from testbed.servers import program, tamis_program
from testbed.sink import Namespace

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

TRANSPARENT = ["0.0.0.0@4000", "::@4000", "udp:0.0.0.0@4000", "udp:::@4000"]

# Neither address is the host's own: they are routed to it.
ADDRESSES = ["192.0.2.66", "2001:db8::66"]

# This one is, and the sinkhole's as well.
SHARED = "192.0.2.77"

ORDER = """\
id: nv-2014-00987
kind: court
authority: "US District Court, D. Nevada, 2:14-cv-00987"
starts: 2014-06-30T12:00:00Z
ends: 2034-07-14T12:00:00Z
action: sinkhole
sinkhole: { a: [192.0.2.66], aaaa: ["2001:db8::66"], ttl: 60 }
notice: https://desk.example/orders/nv-2014-00987
names: [listed.dyn.example]
"""


def rules(path, *arguments):
    return subprocess.run([tamis_program("tamis"), "sink", "rules", "-c", path, *arguments],
                          capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def config(farm):
    """Writes a configuration with these values besides the required ones; returns its path."""
    def write(**values):
        return farm.write("tamis-sink.yaml", yaml.safe_dump(
            {"operator": "Tests", "contact": "https://sinkhole.example/", **values}))
    return write


def nft_takes(text):
    checked = subprocess.run(["unshare", "--map-root-user", "--net", program("nft"), "-c", "-f", "-"], input=text,
                             capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr + text


def test_nft_takes_the_rules_in_every_form(config, farm):
    order = farm.write("order.yaml", ORDER)
    path = config(sensor={"transparent": TRANSPARENT}, orders=[order])
    for arguments in ([], ["--except", "none"], ["--except", "22,8000-8999"],
                      ["--interface", "eth0", "--interface", "wg*"],
                      ["--address", "198.51.100.0/24", "--address", "2001:db8:1::/48", "--address", "192.0.2.66"]):
        made = rules(path, *arguments)
        assert made.returncode == 0, made.stderr
        nft_takes(made.stdout)
    own = rules(config(sensor={"transparent": ["192.0.2.9@4000", "udp:2001:db8::9@4001", "127.0.0.1@4002"]}))
    nft_takes(own.stdout)
    assert "ip daddr 192.0.2.9 meta l4proto tcp tproxy ip to 192.0.2.9:4000" in own.stdout
    assert "ip6 daddr 2001:db8::9 meta l4proto udp tproxy ip6 to [2001:db8::9]:4001" in own.stdout


def test_json_has_the_same_rules_and_the_routes(config, farm):
    path = config(sensor={"transparent": TRANSPARENT}, orders=[farm.write("order.yaml", ORDER)])
    made = json.loads(rules(path, "--json").stdout)
    assert made["rules"] == rules(path).stdout and made["addresses"] == ADDRESSES
    for command in made["routes"]:
        assert "#     %s\n" % command in made["rules"]
    assert len(made["routes"]) == 4


def test_what_is_missing_is_told(config):
    plain = rules(config(sensor={"listen": ["127.0.0.1@8080"]}))
    assert plain.returncode == 1 and "no transparent listener: write sensor" in plain.stderr
    path = config(sensor={"transparent": TRANSPARENT})
    nowhere = rules(path)
    assert nowhere.returncode == 1 and "give --address" in nowhere.stderr
    for arguments, code, says in [(["--address", "nowhere"], 1, "not an address"),
                                  (["--address", "192.0.2.66@80"], 1, "has a port"),
                                  (["--except", "0"], 2, "are no ports"),
                                  (["--except", "9-1"], 2, "are no ports"),
                                  (["--except", "1 return; accept"], 2, "are no ports"),
                                  (["--interface", 'a"b'], 2, "no name of an interface"),
                                  (["--bogus"], 2, "unknown option --bogus")]:
        made = rules(path, *arguments)
        assert made.returncode == code and says in made.stderr, made.stderr
        assert made.stdout == ""


@pytest.fixture
def network():
    """A host and its client, with a link between them; the sinkhole's addresses are routed to the host."""
    host, client = Namespace(), Namespace()
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", str(client.holder.pid))
    for namespace, link, number in ((host, "up0", 1), (client, "down0", 2)):
        namespace.run("ip", "address", "add", "198.51.100.%d/24" % number, "dev", link)
        namespace.run("ip", "address", "add", "2001:db8:1::%d/64" % number, "dev", link, "nodad")
        namespace.run("ip", "link", "set", link, "up")
    host.run("ip", "address", "add", SHARED + "/32", "dev", "lo")
    client.run("ip", "route", "add", "192.0.2.0/24", "via", "198.51.100.1")
    client.run("ip", "route", "add", "2001:db8::/64", "via", "2001:db8:1::1")
    yield host, client
    client.close()
    host.close()


CLIENT = """
import socket, sys
kind, address, port, octets = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
    sock.settimeout(20)
    sock.connect((address, int(port)))
    sock.sendall(octets.encode())
    if kind == "tcp":
        sock.shutdown(socket.SHUT_WR)
        print(sock.recv(100).decode())
"""

# Answers in the host's namespace where no rule may lead anything away.
OTHER = """
import socket
server = socket.create_server(("::", 9000), family=socket.AF_INET6, dualstack_ipv6=True)
print("listens", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"of the host")
    connection.close()
"""


@needs_root
def test_every_port_leads_to_the_sinkhole_and_says_which_it_was(farm, network):
    host, client = network
    sink = farm.sink_unstarted()
    sink.before = host.enter
    sink.start({"sensor": {"listen": [], "transparent": TRANSPARENT},
                "orders": [farm.write("order.yaml", ORDER)]})
    made = json.loads(rules(sink.path("tamis-sink.yaml"), "--json", "--interface", "up0", "--address", SHARED,
                            "--except", "22").stdout)
    other = subprocess.Popen([*host.enter, sys.executable, "-c", OTHER], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "listens\n"
        for _ in range(2):  # again: the rules replace themselves
            host.run(program("nft"), "-f", "-", stdin=made["rules"])
        for command in made["routes"]:
            host.run(*command.split())

        def send(kind, address, port, text):
            return client.run(sys.executable, "-c", CLIENT, kind, address, str(port), text)

        expected = set()
        for kind in ("tcp", "udp"):
            for address in [*ADDRESSES, SHARED]:
                for port in (1, 53, 80, 5552, 65535):
                    send(kind, address, port, "hello")
                    expected.add((kind, port))

        def seen():
            events = sink.events()
            return (len(events) == 3 * len(expected)
                    and {(event["transport"], event["local_port"]) for event in events} == expected)

        sink.process.wait_until(seen, "event of every port")

        # What is the host's stays the host's: programs that listen, its other addresses, and port 22.
        for address in ("198.51.100.1", "2001:db8:1::1", SHARED):
            assert send("tcp", address, 9000, "") == "of the host\n"
        for address, port in (("198.51.100.1", 5552), (SHARED, 22)):
            with pytest.raises(subprocess.CalledProcessError) as refused:
                send("tcp", address, port, "")
            assert "ConnectionRefusedError" in refused.value.stderr
        assert len(sink.events()) == 3 * len(expected)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
