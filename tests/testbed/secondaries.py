"""Knot, NSD and BIND as secondaries of one zone: transferred with a key, told by NOTIFY."""

from testbed.servers import Bind, Knot, Nsd, program


class _Secondary:
    """`key` is (name, secret) of hmac-sha256; the zone comes from `place` and is given to everyone."""

    def started(self, zone, command, config):
        self.run([*command, self.write("secondary.conf", config)])
        self.wait_for_zones([zone])
        return self


class KnotSecondary(_Secondary, Knot):
    def follow(self, zone, place, key):
        return self.started(zone, [program("knotd"), "-c"], """\
server:
    listen: %s@%d
    rundir: %s
    background-workers: 1
log:
  - target: stderr
    any: info
control:
    listen: %s
database:
    storage: %s
key:
  - id: %s
    algorithm: hmac-sha256
    secret: %s
remote:
  - id: primary
    address: %s@%d
    key: %s
acl:
  - id: told
    key: %s
    action: notify
  - id: all
    address: 127.0.0.0/8
    action: transfer
zone:
  - domain: %s
    master: primary
    acl: [told, all]
    storage: %s
    zonefile-sync: -1
    zone-max-size: 1G
""" % (*self.place, self.directory, self.path("knot.sock"), self.directory, *key, *place, key[0], key[0], zone,
       self.directory))


class NsdSecondary(_Secondary, Nsd):
    def follow(self, zone, place, key):
        return self.started(zone, [program("nsd"), "-d", "-c"], """\
server:
    ip-address: %s@%d
    server-count: 1
    database: ""
    zonesdir: "%s"
    username: ""
    pidfile: "%s"
    xfrdfile: "%s"
    xfrdir: "%s"
    zonelistfile: "%s"
    rrl-ratelimit: 0
    xfrd-reload-timeout: 0
    verbosity: 2
remote-control:
    control-enable: no
key:
    name: "%s"
    algorithm: hmac-sha256
    secret: "%s"
zone:
    name: "%s"
    zonefile: "%s"
    request-xfr: %s@%d %s
    allow-notify: 127.0.0.0/8 %s
    provide-xfr: 127.0.0.0/8 NOKEY
""" % (*self.place, self.directory, self.path("nsd.pid"), self.path("xfrd.state"), self.directory,
       self.path("zone.list"), *key, zone, self.path("secondary.zone"), *place, key[0], key[0]))


class BindSecondary(_Secondary, Bind):
    def follow(self, zone, place, key):
        return self.started(zone, [program("named"), "-4", "-g", "-n", "1", "-c"], """\
key "%s" { algorithm hmac-sha256; secret "%s"; };
options {
    directory "%s"; listen-on port %d { %s; }; listen-on-v6 { none; };
    pid-file none; session-keyfile none; lock-file none;
    recursion no; allow-query { any; }; allow-transfer { any; }; notify no;
    dnssec-validation no; empty-zones-enable no; serial-query-rate 1000; min-refresh-time 1; min-retry-time 1;
};
controls { };
zone "%s" {
    type secondary; file "secondary.zone"; masterfile-format text;
    primaries { %s port %d key "%s"; }; allow-notify { key "%s"; };
};
""" % (*key, self.directory, self.port, self.address, zone, *place, key[0], key[0]))
