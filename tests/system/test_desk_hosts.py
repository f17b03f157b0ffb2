"""Customers' hosts and their updates by dyndns2, against a real tamisd."""

from testbed.desk import PASSWORD
from testbed.desk_hosts import basic


def test_an_update_reaches_the_zone_and_the_same_again_changes_nothing(hosts):
    ann = hosts.customer()
    hosts.host(ann, "home.dyn.example")
    key = hosts.key(ann, "home.dyn.example")
    reply = hosts.update("hostname=home.dyn.example&myip=192.0.2.7", "home.dyn.example", key)
    assert (reply.status, reply.text) == (200, "good 192.0.2.7\n")
    assert hosts.records("home.dyn.example") == ["192.0.2.7"]
    reply = hosts.update("hostname=home.dyn.example&myip=192.0.2.7", "home.dyn.example", key)
    assert (reply.status, reply.text) == (200, "nochg 192.0.2.7\n")
