"""Resolvers with a response policy zone: BIND, Unbound and Knot Resolver. Each asks the authoritative
server at `place` about `zone`, and applies the policy zone in the file `policy`."""

from testbed import wire
from testbed.servers import Server, program


class PolicyResolver(Server):
    def start(self, zone, place, policy_name, policy):
        self.run(self.command(zone.rstrip("."), place, policy_name.rstrip("."), policy))
        self.process.wait_until(
            lambda: wire.ask_or_none(self.place, wire.query("ns." + zone, "A", flags=0x0100), timeout_s=0.5)
            is not None, "answer", 25.0)
        return self


class PolicyBind(PolicyResolver):
    name = "bind-rpz"

    def command(self, zone, place, policy_name, policy):
        config = self.write("named.conf", """\
options {
    directory "%s"; listen-on port %d { %s; }; listen-on-v6 { none; };
    pid-file none; session-keyfile none; lock-file none;
    recursion yes; allow-query { any; }; allow-recursion { any; };
    dnssec-validation no; empty-zones-enable no; qname-minimization off; notify no;
    response-policy { zone "%s"; } qname-wait-recurse no;
};
controls { };
zone "." { type hint; file "/dev/null"; };
zone "%s" { type forward; forward only; forwarders { %s port %d; }; };
zone "%s" { type primary; file "%s"; check-names fail; };
""" % (self.directory, self.port, self.address, policy_name, zone, *place, policy_name, policy))
        return [program("named"), "-4", "-g", "-n", "1", "-c", config]


class PolicyUnbound(PolicyResolver):
    name = "unbound-rpz"

    def command(self, zone, place, policy_name, policy):
        config = self.write("unbound.conf", """\
server:
    interface: %s
    port: %d
    num-threads: 1
    directory: "%s"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    do-ip6: no
    do-not-query-localhost: no
    qname-minimisation: no
    module-config: "respip iterator"
remote-control:
    control-enable: no
stub-zone:
    name: "%s"
    stub-addr: %s@%d
rpz:
    name: "%s"
    zonefile: "%s"
""" % (self.address, self.port, self.directory, zone, *place, policy_name, policy))
        return [program("unbound"), "-d", "-c", config]


class PolicyKnotResolver(PolicyResolver):
    name = "kresd-rpz"

    def command(self, zone, place, policy_name, policy):
        config = self.write("kresd.conf", """\
net.listen('%s', %d, { kind = 'dns' })
net.ipv6 = false
trust_anchors.remove('.')
modules.load('policy')
-- A name that passes goes on to the rules behind, here to the server of the zone.
local rpz = policy.rpz(policy.DENY, '%s', false)
policy.add(function (request, query)
    local action = rpz(request, query)
    return action ~= policy.PASS and action or nil
end)
policy.add(policy.suffix(policy.STUB('%s@%d'), policy.todnames({'%s'})))
cache.size = 10 * MB
""" % (self.address, self.port, policy, *place, zone + "."))
        return [program("kresd"), "-n", "-c", config, self.directory]


POLICY_RESOLVERS = {"bind": PolicyBind, "unbound": PolicyUnbound, "knot-resolver": PolicyKnotResolver}
