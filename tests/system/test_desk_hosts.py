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


def made(hosts, name="home.dyn.example", **options):
    """A customer with a host and a key."""
    ann = hosts.customer()
    hosts.host(ann, name, **options)
    return ann, hosts.key(ann, name)


def nic(hosts, query, user="any", password="", headers=None):
    """Status and text of an update."""
    reply = hosts.update(query, user, password, headers=headers)
    return reply.status, reply.text


def test_both_families_are_one_update_and_each_alone_leaves_the_other(hosts_plain):
    hosts = hosts_plain
    ann, key = made(hosts)
    name = "home.dyn.example"
    assert nic(hosts, "hostname=%s&myip=192.0.2.7,2001:db8::7" % name, name, key) == (
        200, "good 192.0.2.7,2001:db8::7\n")
    assert hosts.records(name) == ["192.0.2.7"] and hosts.records(name, "AAAA") == ["2001:db8::7"]
    assert nic(hosts, "hostname=%s&myip=2001:db8::7,192.0.2.7" % name, name, key) == (
        200, "nochg 192.0.2.7,2001:db8::7\n")
    assert nic(hosts, "hostname=%s&myip=192.0.2.8" % name, name, key) == (200, "good 192.0.2.8\n")
    assert nic(hosts, "hostname=%s&myipv6=2001:db8::8" % name, name, key) == (200, "good 2001:db8::8\n")
    assert hosts.records(name) == ["192.0.2.8"] and hosts.records(name, "AAAA") == ["2001:db8::8"]
    assert ann.get("/v1/hosts/" + name).json["addresses"] == {"a": "192.0.2.8", "aaaa": "2001:db8::8"}


def test_every_way_to_sign_in_opens_its_hosts_and_no_others(hosts):
    ann, key = made(hosts)
    name, query = "home.dyn.example", "hostname=home.dyn.example&myip=192.0.2.%d"
    bob = hosts.customer("bob@customers.example")
    hosts.host(bob, "bob.dyn.example")
    bob_key = hosts.key(bob, "bob.dyn.example")
    # The host's key, an account's address and password.
    assert nic(hosts, query % 1, name, key)[1] == "good 192.0.2.1\n"
    assert nic(hosts, query % 2, "Ann@customers.example", PASSWORD)[1] == "good 192.0.2.2\n"
    assert nic(hosts, query % 2, "ann@customers.example", PASSWORD)[1] == "nochg 192.0.2.2\n"
    # Another's key or password; a wrong one; none.
    assert nic(hosts, query % 3, name, bob_key) == (401, "badauth\n")
    assert nic(hosts, query % 3, "bob@customers.example", PASSWORD) == (200, "nohost\n")
    assert nic(hosts, query % 3, "ann@customers.example", "wrong") == (401, "badauth\n")
    assert nic(hosts, query % 3, "nobody@customers.example", PASSWORD) == (401, "badauth\n")
    reply = hosts.desk.client().get("/nic/update?" + query % 3)
    assert (reply.status, reply.text) == (401, "badauth\n")
    assert reply.header("www-authenticate").startswith("Basic")
    # A key opens its host among others, and another's host is none.
    assert nic(hosts, "hostname=%s,bob.dyn.example,none.dyn.example&myip=192.0.2.4" % name, name, key) == (
        200, "good 192.0.2.4\nnohost\nnohost\n")
    # A key that was taken away opens nothing.
    key_id = ann.get("/v1/hosts/" + name).json["keys"][0]["id"]
    assert ann.delete("/v1/hosts/%s/keys/%s" % (name, key_id)).status == 204
    assert nic(hosts, query % 5, name, key) == (401, "badauth\n")
    assert hosts.records(name) == ["192.0.2.4"]


def test_what_is_wrong_with_a_request_has_dyns_words(hosts_plain):
    hosts = hosts_plain
    _, key = made(hosts)
    names = ",".join("h%d.dyn.example" % i for i in range(21))
    assert nic(hosts, "myip=192.0.2.1", "home.dyn.example", key) == (200, "notfqdn\n")
    assert nic(hosts, "hostname=&myip=192.0.2.1", "home.dyn.example", key) == (200, "notfqdn\n")
    assert nic(hosts, "hostname=" + names, "home.dyn.example", key) == (200, "numhost\n")
    assert nic(hosts, "hostname=home.dyn.example,home,a_b.dyn.example&myip=192.0.2.1", "home.dyn.example",
               key) == (200, "good 192.0.2.1\nnotfqdn\nnotfqdn\n")


def test_nothing_is_changed_by_asking_for_the_headers_alone(hosts_plain):
    hosts = hosts_plain
    _, key = made(hosts)
    query = "/nic/update?hostname=home.dyn.example&myip=192.0.2.1"
    reply = hosts.desk.client().ask("HEAD", query, headers=basic("home.dyn.example", key), check=False)
    assert reply.status == 405 and reply.header("allow") == "GET, OPTIONS"
    assert hosts.records("home.dyn.example") == []


def test_twenty_hosts_are_answered_line_by_line_in_their_order(hosts):
    ann = hosts.customer()
    lines = "name\n" + "".join("h%d.dyn.example\n" % i for i in range(0, 20, 2))
    reply = ann.post("/v1/hosts/imports", body=lines, headers={"Content-Type": "text/csv"})
    assert reply.json["made"] and reply.json["hosts"] == 10, reply.text
    names = ["h%d.dyn.example" % i for i in range(20)]
    expected = "".join("nohost\n" if i % 2 else "good 203.0.113.9\n" for i in range(20))
    query = "hostname=%s&myip=203.0.113.9" % ",".join(names)
    assert nic(hosts, query, "ann@customers.example", PASSWORD) == (200, expected)
    assert nic(hosts, query, "ann@customers.example", PASSWORD) == (
        200, expected.replace("good", "nochg"))
    for name in names[::2]:
        assert hosts.records(name) == ["203.0.113.9"]


def test_without_an_address_it_is_the_clients_behind_trusted_proxies_too(hosts_sqlite):
    hosts = hosts_sqlite.start({"http": {"trusted-proxies": ["127.0.0.1"]}})
    _, key = made(hosts)
    name = "home.dyn.example"

    def behind(query, address):
        return nic(hosts, query, name, key, {"X-Forwarded-For": address})[1]

    assert behind("hostname=" + name, "198.51.100.3") == "good 198.51.100.3\n"
    # ddclient sends an empty one; what is no address counts as none.
    assert behind("hostname=%s&myip=" % name, "2001:db8::5") == "good 2001:db8::5\n"
    assert behind("hostname=%s&myip=999.1.1.1" % name, "198.51.100.4") == "good 198.51.100.4\n"
    assert behind("hostname=%s&myip=0.0.0.0" % name, "198.51.100.5") == "good 198.51.100.5\n"
    assert hosts.records(name) == ["198.51.100.5"] and hosts.records(name, "AAAA") == ["2001:db8::5"]


def test_offline_takes_all_away_and_the_next_update_brings_it_back(hosts):
    ann, key = made(hosts, wildcard=True)
    name = "home.dyn.example"
    assert nic(hosts, "hostname=%s&myip=192.0.2.1,2001:db8::1" % name, name, key)[1].startswith("good")
    hosts.wait_for("any." + name, "A", ["192.0.2.1"])
    assert nic(hosts, "hostname=%s&offline=YES" % name, name, key) == (200, "good\n")
    assert hosts.records(name) == [] and hosts.records(name, "AAAA") == []
    assert hosts.records("any." + name) == []
    assert nic(hosts, "hostname=%s&offline=YES" % name, name, key) == (200, "nochg\n")
    assert ann.get("/v1/hosts/" + name).json["state"] == "offline"
    assert nic(hosts, "hostname=%s&myip=192.0.2.2" % name, name, key) == (200, "good 192.0.2.2\n")
    assert hosts.records("any." + name) == ["192.0.2.2"]
    assert ann.get("/v1/hosts/" + name).json["state"] == "active"


def test_agents_are_refused_by_configuration_alone(hosts_sqlite):
    hosts = hosts_sqlite.start({"hosts": {"agent-required": True, "agents-refused": ["BadBox"]}})
    _, key = made(hosts)
    name, query = "home.dyn.example", "hostname=home.dyn.example&myip=192.0.2.1"
    assert nic(hosts, query, name, key, {"User-Agent": "The badbox/1.0"}) == (200, "badagent\n")
    assert nic(hosts, query, name, key, {"User-Agent": ""}) == (200, "badagent\n")
    assert nic(hosts, query, name, key) == (200, "good 192.0.2.1\n")


def test_changes_are_limited_and_neither_nochg_nor_the_other_family_counts(hosts_sqlite):
    hosts = hosts_sqlite.start({"plans": [{"name": "free", "hosts-max": 5, "updates-per-hour": 3}]})
    _, key = made(hosts)
    name = "home.dyn.example"
    for i in (1, 2, 3):
        assert nic(hosts, "hostname=%s&myip=192.0.2.%d" % (name, i), name, key)[1] == "good 192.0.2.%d\n" % i
        for _ in range(5):
            assert nic(hosts, "hostname=%s&myip=192.0.2.%d" % (name, i), name, key)[1].startswith("nochg")
    reply = hosts.update("hostname=%s&myip=192.0.2.4" % name, name, key)
    assert (reply.status, reply.text) == (200, "911\n")
    assert reply.header("x-tamis-reason") == name + " too-many-updates"
    for i in (1, 2, 3):
        assert nic(hosts, "hostname=%s&myip=2001:db8::%d" % (name, i), name, key)[1].startswith("good")
    assert nic(hosts, "hostname=%s&myip=192.0.2.3" % name, name, key)[1] == "nochg 192.0.2.3\n"
    assert hosts.records(name) == ["192.0.2.3"]


def test_a_delegated_prefix_gets_the_hosts_suffix(hosts_plain):
    hosts = hosts_plain
    ann, key = made(hosts, aaaa_suffix="::1:2:3:4")
    name = "home.dyn.example"
    assert nic(hosts, "hostname=%s&myip=2001:db8:1:2:aaaa::1" % name, name, key) == (
        200, "good 2001:db8:1:2:1:2:3:4\n")
    assert hosts.records(name, "AAAA") == ["2001:db8:1:2:1:2:3:4"]
    assert nic(hosts, "hostname=%s&myip=2001:db8:1:2:bbbb::1" % name, name, key)[1].startswith("nochg")
    assert ann.patch("/v1/hosts/" + name, {"aaaa_suffix": "::ff:0:0:0:9/56"}).json["aaaa_suffix"] == (
        "::ff:0:0:0:9/56")
    assert nic(hosts, "hostname=%s&myip=2001:db8:1:2200::1" % name, name, key)[1] == (
        "good 2001:db8:1:22ff::9\n")
    assert ann.patch("/v1/hosts/" + name, {"aaaa_suffix": None}).json["aaaa_suffix"] is None
    assert nic(hosts, "hostname=%s&myip=2001:db8::1" % name, name, key)[1] == "good 2001:db8::1\n"


def test_acme_values_are_added_and_removed_one_by_one(hosts):
    ann, _ = made(hosts)
    name, path = "home.dyn.example", "/v1/hosts/home.dyn.example/txt"
    challenge = "_acme-challenge." + name
    # As a hook for two names of one certificate does.
    assert ann.put(path, {"value": "first-token"}).status == 200
    assert hosts.records(challenge, "TXT") == ["first-token"]
    assert ann.put(path, {"value": "second-token"}).json["txt"] == ["first-token", "second-token"]
    assert hosts.records(challenge, "TXT") == ["first-token", "second-token"]
    assert ann.delete(path + "?value=first-token").json["txt"] == ["second-token"]
    assert hosts.records(challenge, "TXT") == ["second-token"]
    assert ann.put(path, {"values": ["a", "b"]}).json["txt"] == ["a", "b"]
    assert hosts.records(challenge, "TXT") == ["a", "b"]
    assert ann.delete(path).json["txt"] == []
    assert hosts.records(challenge, "TXT") == []
    assert ann.put(path, {"values": ["v%d" % i for i in range(9)]}).status == 400
    assert ann.put(path, {"values": ["line\nfeed"]}).status == 400


def test_a_wildcard_follows_the_host(hosts_plain):
    hosts = hosts_plain
    ann, key = made(hosts)
    name = "home.dyn.example"
    nic(hosts, "hostname=%s&myip=192.0.2.1" % name, name, key)
    assert hosts.records("www." + name) == []
    assert ann.patch("/v1/hosts/" + name, {"wildcard": True}).json["wildcard"]
    assert hosts.records("www." + name) == ["192.0.2.1"]
    nic(hosts, "hostname=%s&myip=192.0.2.2" % name, name, key)
    assert hosts.records("www." + name) == ["192.0.2.2"]
    ann.patch("/v1/hosts/" + name, {"wildcard": False})
    assert hosts.records("www." + name) == [] and hosts.records(name) == ["192.0.2.2"]


def test_names_are_refused_that_are_taken_reserved_or_misleading(hosts):
    ann, _ = made(hosts)
    bob = hosts.customer("bob@customers.example")
    assert bob.post("/v1/hosts", {"name": "HOME.dyn.example."}).status == 409
    for name in ("www.dyn.example", "vvww.dyn.example", "h\u043eme.dyn.example", "a.b.dyn.example",
                 "x.other.example", "dyn.example", "-a.dyn.example", "", "a b"):
        reply = bob.post("/v1/hosts", {"name": name})
        assert reply.status == 400 and reply.json["pointer"] == "/name", name
    assert bob.post("/v1/hosts", {"name": "b\u00fccher.dyn.example"}).json["name"] == (
        "xn--bcher-kva.dyn.example")
    # Another's hosts are not there.
    for answer in (bob.get("/v1/hosts/home.dyn.example"), bob.delete("/v1/hosts/home.dyn.example"),
                   bob.patch("/v1/hosts/home.dyn.example", {"wildcard": True}),
                   bob.put("/v1/hosts/home.dyn.example/txt", {"value": "x"}),
                   bob.post("/v1/hosts/home.dyn.example/keys", {})):
        assert answer.status == 404
    assert [host["name"] for host in bob.get("/v1/hosts").json["items"]] == ["xn--bcher-kva.dyn.example"]
    assert len(hosts.desk.signed_in("auditor").get("/v1/hosts").json["items"]) == 2


def test_a_plan_bounds_the_hosts_of_an_account(hosts_sqlite):
    hosts = hosts_sqlite.start({"plans": [{"name": "free", "hosts-max": 2}]})
    ann = hosts.customer()
    for name in ("a", "b"):
        hosts.host(ann, name + ".dyn.example")
    assert ann.post("/v1/hosts", {"name": "c.dyn.example"}).status == 403
    assert ann.delete("/v1/hosts/a.dyn.example").status == 204
    hosts.host(ann, "c.dyn.example")


def test_hosts_come_from_csv_all_or_nothing_or_in_part(hosts):
    ann, _ = made(hosts)

    def send(text, query=""):
        return ann.post("/v1/hosts/imports" + query, body=text.encode(), headers={"Content-Type": "text/csv"})

    text = ('name,wildcard,aaaa_suffix\r\n"one.dyn.example",yes,\r\ntwo.dyn.example,no,::5\r\n'
            "www.dyn.example,,\r\nhome.dyn.example,,\r\nthree.dyn.example,maybe,\r\n")
    for query, are_made in (("?dry_run=yes", False), ("", False), ("?partial=yes", True)):
        reply = send(text, query)
        assert reply.status == 200, reply.text
        answer = reply.json
        assert answer["made"] == are_made and answer["hosts"] == 2 and answer["errors_count"] == 3
        assert sorted(error["line"] for error in answer["errors"]) == [4, 5, 6]
        assert answer["names"] == (["one.dyn.example", "two.dyn.example"] if are_made else [])
        assert len(ann.get("/v1/hosts").json["items"]) == (3 if are_made else 1)
    assert ann.get("/v1/hosts/one.dyn.example").json["wildcard"]
    assert ann.get("/v1/hosts/two.dyn.example").json["aaaa_suffix"] == "::5/64"
    assert send("name\nfour.dyn.example\n").json["made"]
    for wrong in ("", "host\na.dyn.example\n", 'name\n"open.dyn.example\n', "name,name\n"):
        assert send(wrong).status == 400, wrong


def test_a_deleted_host_leaves_nothing_to_who_takes_its_name_next(hosts):
    ann, key = made(hosts, wildcard=True)
    name = "home.dyn.example"
    nic(hosts, "hostname=%s&myip=192.0.2.1,2001:db8::1" % name, name, key)
    ann.put("/v1/hosts/%s/txt" % name, {"value": "x"})
    hosts.server.end(kill=True)  # the removal has to wait
    assert ann.delete("/v1/hosts/" + name).status == 204
    bob = hosts.customer("bob@customers.example")
    hosts.host(bob, name)
    bob_key = hosts.key(bob, name)
    assert nic(hosts, "hostname=%s&myip=192.0.2.9" % name, name, key) == (401, "badauth\n")
    assert nic(hosts, "hostname=%s&myip=192.0.2.9" % name, name, bob_key) == (200, "dnserr\n")
    hosts.server.start_again()
    hosts.wait_for_update("hostname=%s&myip=192.0.2.9" % name, name, bob_key, "good 192.0.2.9\n")
    assert hosts.records(name) == ["192.0.2.9"] and hosts.records(name, "AAAA") == []
    assert hosts.records("x." + name) == [] and hosts.records("_acme-challenge." + name, "TXT") == []


def test_good_outlives_a_kill_of_the_desk(hosts):
    _, key = made(hosts)
    name = "home.dyn.example"
    for i in range(1, 4):
        assert nic(hosts, "hostname=%s&myip=192.0.2.%d" % (name, i), name, key)[1].startswith("good")
        hosts.desk.kill()
        assert hosts.records(name) == ["192.0.2.%d" % i]
        hosts.desk.start()
        # What it forgot it asks the name server for.
        assert nic(hosts, "hostname=%s&myip=192.0.2.%d" % (name, i), name, key)[1].startswith("nochg")


def test_without_the_name_server_it_says_so_and_later_works_by_itself(hosts_plain):
    hosts = hosts_plain
    _, key = made(hosts)
    name, query = "home.dyn.example", "hostname=home.dyn.example&myip=192.0.2.2"
    assert nic(hosts, "hostname=%s&myip=192.0.2.1" % name, name, key)[1] == "good 192.0.2.1\n"
    hosts.server.end(kill=True)
    assert nic(hosts, query, name, key) == (200, "dnserr\n")
    hosts.server.start_again()
    hosts.wait_for_update(query, name, key, "good 192.0.2.2\n")
    assert nic(hosts, query, name, key) == (200, "nochg 192.0.2.2\n")
    assert hosts.records(name) == ["192.0.2.2"]


def test_a_blocked_host_is_removed_and_answered_with_abuse_and_the_reason(hosts):
    ann, key = made(hosts, wildcard=True)
    name = "home.dyn.example"
    nic(hosts, "hostname=%s&myip=192.0.2.1" % name, name, key)
    # As a decision leaves it when the desk is killed before it could act.
    hosts.desk.kill()
    hosts.desk.sql("INSERT INTO blocks (name, reason, since) VALUES ('%s', 'phishing', 1700000000)" % name)
    hosts.desk.sql("INSERT INTO outbox (id, kind, payload, state, due_at, attempts, created_at) VALUES "
                   "('out_00000000000000000000', 'host', '{\"name\":\"%s\"}', 'waiting', 0, 0, 0)" % name)
    hosts.desk.start()
    hosts.wait_for(name, "A", [])
    assert hosts.records("any." + name) == []
    reply = hosts.update("hostname=%s&myip=192.0.2.1" % name, name, key)
    assert (reply.status, reply.text) == (200, "abuse\n")
    assert reply.header("x-tamis-reason") == name + " phishing"
    account = ann.get("/v1/hosts/" + name).json
    assert account["state"] == "suspended" and account["block"]["reason"] == "phishing"
    # It outlives the host and binds whoever comes next.
    assert ann.delete("/v1/hosts/" + name).status == 204
    bob = hosts.customer("bob@customers.example")
    reply = bob.post("/v1/hosts", {"name": name})
    assert reply.status == 403 and "phishing" in reply.json["detail"]


def test_duckdns_clients_get_their_shape(hosts_plain):
    hosts = hosts_plain
    ann, key = made(hosts)

    def duck(query):
        reply = hosts.desk.client().get("/update?" + query)
        assert reply.status == 200
        return reply.text

    assert duck("domains=home&token=%s&ip=192.0.2.1" % key) == "OK"
    assert hosts.records("home.dyn.example") == ["192.0.2.1"]
    assert duck("domains=home&token=%s&ip=192.0.2.1&verbose=true" % key) == "OK\n192.0.2.1\n\nNOCHANGE"
    assert duck("domains=home.dyn.example&token=%s&ip=192.0.2.2&ipv6=2001:db8::2&verbose=true" % key) == (
        "OK\n192.0.2.2\n2001:db8::2\nUPDATED")
    assert duck("domains=home&token=%s&clear=true" % key) == "OK"
    assert hosts.records("home.dyn.example") == [] and hosts.records("home.dyn.example", "AAAA") == []
    for wrong in ("domains=home&token=wrong", "domains=home", "token=" + key, "domains=none&token=" + key,
                  "domains=home&token=%s&ip=nonsense" % key, "domains=home&token=%s&txt=x" % key):
        assert duck(wrong) == "KO", wrong
    assert ann.get("/v1/hosts/home.dyn.example").json["txt"] == []


def test_desec_clients_get_their_shape(hosts_plain):
    hosts = hosts_plain
    _, key = made(hosts)
    name = "home.dyn.example"
    token = {"Authorization": "Token " + key}

    def desec(query, headers):
        reply = hosts.desk.client().get("/?" + query, headers=headers)
        return reply.status, reply.text

    assert desec("hostname=%s&myipv4=192.0.2.1&myipv6=2001:db8::1" % name, token) == (200, "good")
    assert hosts.records(name) == ["192.0.2.1"] and hosts.records(name, "AAAA") == ["2001:db8::1"]
    assert desec("myipv4=192.0.2.2&myipv6=preserve", basic(name, key)) == (200, "good")
    assert hosts.records(name) == ["192.0.2.2"] and hosts.records(name, "AAAA") == ["2001:db8::1"]
    # What is not told is the client's, and the other family goes.
    assert desec("hostname=" + name, token) == (200, "good")
    assert hosts.records(name) == ["127.0.0.1"] and hosts.records(name, "AAAA") == []
    assert desec("hostname=%s&myipv4=&myipv6=2001:db8::3" % name, token) == (200, "good")
    assert hosts.records(name) == [] and hosts.records(name, "AAAA") == ["2001:db8::3"]
    assert desec("hostname=%s&username=x&password=%s&ip=192.0.2.4" % (name, key), {}) == (200, "good")
    assert desec("hostname=" + name, {}) == (401, "badauth")
    assert desec("hostname=" + name, {"Authorization": "Token wrong"}) == (401, "badauth")
    assert desec("hostname=nodots", token) == (404, "notfqdn")
