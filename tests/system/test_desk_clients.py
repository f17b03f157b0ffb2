"""Unmodified clients, as Debian has them, against a desk and its name server."""

import os
import subprocess

from testbed.desk import PASSWORD
from testbed.process import LOOPBACK
from testbed.servers import program

NAMES = ["home.dyn.example", "nas.dyn.example"]


def prepared(hosts):
    ann = hosts.customer()
    for name in NAMES:
        hosts.host(ann, name)
    return ann, hosts.key(ann, NAMES[0])


def write(hosts, name, text):
    path = os.path.join(hosts.directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)  # ddclient looks
    return path


def ddclient(hosts, address, login, password, names):
    """Runs ddclient once, with an address that it is told."""
    config = write(hosts, "ddclient.conf", """\
protocol=dyndns2
use=ip, ip=%s
server=%s:%d
login=%s
password='%s'
%s
""" % (address, LOOPBACK, hosts.desk.port, login, password, ",".join(names)))
    done = subprocess.run(
        [program("ddclient"), "-foreground", "-daemon=0", "-verbose", "-noquiet", "-force", "-nossl", "-file", config,
         "-cache", os.path.join(hosts.directory, "ddclient.cache"),
         "-pid", os.path.join(hosts.directory, "ddclient.pid")],
        check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_ddclient_updates_hosts_by_password_and_by_key(hosts_plain):
    hosts = hosts_plain
    _, key = prepared(hosts)
    said = ddclient(hosts, "192.0.2.11", "ann@customers.example", PASSWORD, NAMES)
    assert said.count("SUCCESS:") == 2 and "good: IP address set to 192.0.2.11" in said, said
    assert [hosts.records(name) for name in NAMES] == [["192.0.2.11"], ["192.0.2.11"]]
    said = ddclient(hosts, "192.0.2.12", NAMES[0], key, NAMES[:1])
    assert "good: IP address set to 192.0.2.12" in said, said
    said = ddclient(hosts, "192.0.2.12", NAMES[0], key, NAMES[:1])
    assert "nochg: No update required" in said, said
    said = ddclient(hosts, "192.0.2.13", NAMES[0], "wrong", NAMES[:1])
    assert "authorization failed" in said, said
    said = ddclient(hosts, "192.0.2.13", NAMES[0], key, NAMES)
    assert "nohost: The hostname specified does not exist" in said, said
    assert [hosts.records(name) for name in NAMES] == [["192.0.2.13"], ["192.0.2.11"]]


def inadyn(hosts, address, user, password, name):
    """Runs inadyn once. It asks the desk's own test page for its address: here a command tells it."""
    script = write(hosts, "address.sh", "#!/bin/sh\necho %s\n" % address)
    os.chmod(script, 0o700)
    config = write(hosts, "inadyn.conf", """\
allow-ipv6 = true
period = 60
iterations = 1
custom tamis {
    username = "%s"
    password = "%s"
    hostname = "%s"
    ssl = false
    ddns-server = "%s:%d"
    ddns-path = "/nic/update?hostname=%%h&myip=%%i"
    checkip-command = "%s"
}
""" % (user, password, name, LOOPBACK, hosts.desk.port, script))
    cache = os.path.join(hosts.directory, "inadyn-cache")
    os.makedirs(cache, exist_ok=True)
    done = subprocess.run([program("inadyn"), "-1", "-n", "-f", config, "--cache-dir", cache, "-P",
                           os.path.join(hosts.directory, "inadyn.pid"), "-l", "debug", "--force"],
                          check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_inadyn_updates_a_host_in_both_families(hosts_plain):
    hosts = hosts_plain
    _, key = prepared(hosts)
    code, said = inadyn(hosts, "192.0.2.21", NAMES[0], key, NAMES[0])
    assert code == 0 and hosts.records(NAMES[0]) == ["192.0.2.21"], said
    code, said = inadyn(hosts, "192.0.2.21", NAMES[0], key, NAMES[0])
    assert code == 0, said
    code, said = inadyn(hosts, "2001:db8::21", NAMES[0], key, NAMES[0])
    assert code == 0 and hosts.records(NAMES[0], "AAAA") == ["2001:db8::21"], said
    code, said = inadyn(hosts, "192.0.2.22", NAMES[0], "wrong", NAMES[0])
    assert code != 0 and hosts.records(NAMES[0]) == ["192.0.2.21"], said


def curl(hosts, *words):
    return subprocess.run([program("curl"), "-sS", "--max-time", "30", *words], check=True,
                          capture_output=True, text=True).stdout


def test_curl_updates_in_all_shapes_and_proves_a_name_to_a_certificate_authority(hosts):
    ann, key = prepared(hosts)
    token = ann.post("/v1/tokens", {"label": "acme", "scopes": ["hosts:read", "hosts:write"]}).json["token"]
    base = "http://%s:%d" % (LOOPBACK, hosts.desk.port)
    name = NAMES[0]
    assert curl(hosts, "-u", "%s:%s" % (name, key), base + "/nic/update?hostname=%s&myip=192.0.2.31" % name) == (
        "good 192.0.2.31\n")
    assert curl(hosts, "-u", "any:" + token, base + "/nic/update?hostname=%s&myip=192.0.2.32" % ",".join(NAMES)) == (
        "good 192.0.2.32\ngood 192.0.2.32\n")
    assert curl(hosts, base + "/update?domains=home&token=%s&ip=192.0.2.33" % token) == "OK"
    assert curl(hosts, "-H", "Authorization: Token " + token,
                base + "/?hostname=%s&myipv4=192.0.2.34&myipv6=" % name) == "good"
    assert hosts.records(name) == ["192.0.2.34"]
    # What certbot's manual hooks do for a name and its wildcard: two values at once, then away.
    challenge = "_acme-challenge." + name
    for value in ("gfj9Xq-Rg85nM", "evaGxfADs6pSR"):
        curl(hosts, "-X", "PUT", "-H", "Authorization: Bearer " + token, "-H", "Content-Type: application/json",
             "-d", '{"value": "%s"}' % value, base + "/v1/hosts/%s/txt" % name)
        assert value in hosts.records(challenge, "TXT")
    assert len(hosts.records(challenge, "TXT")) == 2
    curl(hosts, "-X", "DELETE", "-H", "Authorization: Bearer " + token,
         base + "/v1/hosts/%s/txt?value=gfj9Xq-Rg85nM" % name)
    assert hosts.records(challenge, "TXT") == ["evaGxfADs6pSR"]
    assert curl(hosts, base + "/update?domains=home&token=%s&txt=hello&verbose=true" % token) == "OK\nhello\nUPDATED"
    assert hosts.records(challenge, "TXT") == ["hello"]
    assert curl(hosts, base + "/update?domains=home&token=%s&txt=&clear=true" % token) == "OK"
    assert hosts.records(challenge, "TXT") == []
