"""What happens to hosts with time and with their account, and `tamis host`."""

import http.client
import json
import os
import subprocess
import threading
import time

import pytest

from testbed.desk import PASSWORD
from testbed.desk_hosts import basic
from testbed.process import LOOPBACK
from testbed.servers import tamis_program
from test_desk_hosts import made, nic

NAME = "home.dyn.example"
DAY = 86400


def restarted_after(hosts, sql):
    """Restarts the desk with the tables changed as time would change them; its jobs run at once."""
    hosts.desk.stop()
    hosts.desk.sql(sql)
    hosts.desk.sql("DELETE FROM jobs")
    hosts.desk.start()


def wait_for_sql(hosts, sql, expected):
    until = time.monotonic() + 20
    while hosts.desk.sql(sql).strip() != expected and time.monotonic() < until:
        time.sleep(0.05)
    assert hosts.desk.sql(sql).strip() == expected


def test_an_unused_free_host_expires_after_two_notices_and_its_name_becomes_free(hosts):
    ann, key = made(hosts, wildcard=True)
    nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key)
    state = "SELECT state, notices FROM hosts"
    mails = "SELECT COUNT(*) FROM outbox WHERE kind = 'mail' AND payload LIKE '%%%s%%'" % NAME

    def days_pass(days):
        restarted_after(hosts, "UPDATE hosts SET seen_at = seen_at - %d, noticed_at = noticed_at - %d, "
                        "expired_at = expired_at - %d" % ((days * DAY,) * 3))

    days_pass(22)
    wait_for_sql(hosts, state, "active|0")
    days_pass(1)
    wait_for_sql(hosts, state, "active|1")
    assert hosts.desk.sql(mails).strip() == "1"
    days_pass(6)
    wait_for_sql(hosts, state, "active|2")
    assert hosts.desk.sql(mails).strip() == "2" and hosts.records(NAME) == ["192.0.2.1"]
    days_pass(1)
    wait_for_sql(hosts, state, "expired|2")
    hosts.wait_for(NAME, "A", [])
    assert hosts.records("x." + NAME) == []
    assert nic(hosts, "hostname=%s&myip=192.0.2.2" % NAME, NAME, key) == (200, "nohost\n")
    assert ann.get("/v1/hosts/" + NAME).json["state"] == "expired"
    # Its owner may have it back, and then it is as before.
    assert ann.patch("/v1/hosts/" + NAME, {"wildcard": True}).json["state"] == "active"
    assert nic(hosts, "hostname=%s&myip=192.0.2.3" % NAME, NAME, key)[1] == "good 192.0.2.3\n"
    assert hosts.records("x." + NAME) == ["192.0.2.3"]
    days_pass(60)  # a long pause of the desk: notice first, and a day's time
    wait_for_sql(hosts, state, "active|2")
    days_pass(1)
    wait_for_sql(hosts, state, "expired|2")
    days_pass(31)
    wait_for_sql(hosts, "SELECT COUNT(*) FROM hosts", "0")


def test_an_update_that_changes_nothing_keeps_a_host_alive(hosts_sqlite):
    hosts = hosts_sqlite.start()
    _, key = made(hosts)
    nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key)
    restarted_after(hosts, "UPDATE hosts SET seen_at = seen_at - %d, notices = 1" % (25 * DAY))
    wait_for_sql(hosts, "SELECT COUNT(*) FROM jobs WHERE name = 'host.expire'", "1")
    assert nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key)[1] == "nochg 192.0.2.1\n"
    hosts.desk.stop()
    assert hosts.desk.sql("SELECT notices, seen_at > created_at - %d FROM hosts" % DAY).strip() == "0|1"
    hosts.desk.start()


def test_a_block_ends_by_its_time_and_what_the_host_had_comes_back(hosts):
    _, key = made(hosts, wildcard=True)
    nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key)
    restarted_after(hosts, "INSERT INTO blocks (name, reason, since, until) VALUES "
                    "('%s', 'phishing', 1700000000, 4000000000)" % NAME)
    assert nic(hosts, "hostname=%s&myip=192.0.2.2" % NAME, NAME, key) == (200, "abuse\n")
    restarted_after(hosts, "UPDATE blocks SET until = 1750000000")
    wait_for_sql(hosts, "SELECT COUNT(*) FROM blocks", "0")
    assert nic(hosts, "hostname=%s&myip=192.0.2.2" % NAME, NAME, key) == (200, "good 192.0.2.2\n")
    hosts.wait_for("x." + NAME, "A", ["192.0.2.2"])


def test_a_suspended_account_goes_off_the_net_and_comes_back(hosts):
    ann, key = made(hosts, wildcard=True)
    operator = hosts.desk.signed_in("operator")
    nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key)
    path = "/v1/accounts/" + ann.account
    assert operator.patch(path, {"state": "suspended", "reason": "spam"}).status == 200
    hosts.wait_for(NAME, "A", [])
    reply = hosts.update("hostname=%s&myip=192.0.2.1" % NAME, NAME, key)
    assert (reply.text, reply.header("x-tamis-reason")) == ("abuse\n", NAME + " account-suspended")
    assert operator.patch(path, {"state": "active"}).status == 200
    hosts.wait_for_update("hostname=%s&myip=192.0.2.2" % NAME, NAME, key, "good 192.0.2.2\n")
    hosts.wait_for("x." + NAME, "A", ["192.0.2.2"])
    # Its hosts end with it.
    assert operator.patch(path, {"state": "closed", "reason": "asked"}).status == 200
    hosts.wait_for(NAME, "A", [])
    assert nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key) == (401, "badauth\n")


def test_a_password_that_was_changed_opens_nothing_from_then_on(hosts_plain):
    hosts = hosts_plain
    ann, _ = made(hosts)
    query, user = "hostname=%s&myip=192.0.2.%%d" % NAME, "ann@customers.example"
    assert nic(hosts, query % 1, user, PASSWORD)[1].startswith("good")
    assert ann.put("/v1/account/password", {"current": PASSWORD, "password": "another password"}).status == 204
    assert nic(hosts, query % 2, user, PASSWORD) == (401, "badauth\n")
    assert nic(hosts, query % 2, user, "another password")[1].startswith("good")


def test_guessing_passwords_is_slowed_down_and_right_ones_still_open(hosts_sqlite):
    hosts = hosts_sqlite.start({"http": {"trusted-proxies": ["127.0.0.1"]}})
    made(hosts)
    query, user = "hostname=%s&myip=192.0.2.1" % NAME, "ann@customers.example"
    assert nic(hosts, query, user, PASSWORD)[1].startswith("good")
    answers = [nic(hosts, query, user, "wrong %d" % i, {"X-Forwarded-For": "198.51.100.9"}) for i in range(22)]
    assert answers[:20] == [(401, "badauth\n")] * 20 and answers[-1] == (200, "911\n")
    # Who is known already is not looked up, and others are not touched.
    assert nic(hosts, query, user, PASSWORD, {"X-Forwarded-For": "198.51.100.9"})[1].startswith("nochg")
    assert nic(hosts, query, user, "wrong", {"X-Forwarded-For": "198.51.100.10"}) == (401, "badauth\n")


@pytest.mark.parametrize("kind", ["tmh_wrong%d", "tms_wrong%d"])
def test_wrong_keys_of_many_behind_one_address_are_each_told(hosts_sqlite, kind):
    hosts = hosts_sqlite.start({"http": {"trusted-proxies": ["127.0.0.1"]}})
    made(hosts)
    user = "ann@customers.example"
    # Each costs a look-up: a wrong key is looked for with a host that nobody has asked about yet.
    answers = [nic(hosts, "hostname=x%d.dyn.example" % i, user, kind % i, {"X-Forwarded-For": "198.51.100.9"})
               for i in range(300)]
    assert answers == [(401, "badauth\n")] * 300


def test_the_database_is_restarted_under_updates_and_they_work_again(hosts_postgresql):
    hosts = hosts_postgresql
    _, key = made(hosts)
    nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key)
    hosts.desk.postgresql.stop()
    try:
        # What is known needs no database; what is not is not guessed at.
        assert nic(hosts, "hostname=%s&myip=192.0.2.2" % NAME, NAME, key)[1] == "good 192.0.2.2\n"
        assert nic(hosts, "hostname=other.dyn.example&myip=192.0.2.2", NAME, key) == (200, "911\n")
    finally:
        hosts.desk.postgresql.start()
    hosts.wait_for_update("hostname=%s,other.dyn.example&myip=192.0.2.3" % NAME, NAME, key,
                          "good 192.0.2.3\nnohost\n")


# ---- tamis host ----

def tamis(hosts, token, *words, code=0):
    done = subprocess.run([tamis_program("tamis"), "host", *words], check=False, capture_output=True, text=True,
                          env={**os.environ, "TAMIS_DESK": "http://%s:%d" % (LOOPBACK, hosts.desk.port),
                               "TAMIS_DESK_TOKEN": token}, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def test_tamis_host_does_all_that_its_owner_does(hosts_sqlite):
    hosts = hosts_sqlite.start()
    ann = hosts.customer()
    token = ann.post("/v1/tokens", {"label": "cli", "scopes": ["hosts:read", "hosts:write"]}).json["token"]
    assert "home.dyn.example" in tamis(hosts, token, "create", NAME, "--wildcard", "yes")
    key = tamis(hosts, token, "key", "add", NAME, "--label", "router").split()[0]
    assert nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key)[1] == "good 192.0.2.1\n"
    shown = tamis(hosts, token, "show", NAME)
    assert "192.0.2.1" in shown and "router" in shown and "active" in shown
    assert json.loads(tamis(hosts, token, "show", NAME, "--json"))["addresses"]["a"] == "192.0.2.1"
    assert [host["name"] for host in json.loads(tamis(hosts, token, "list", "--json"))] == [NAME]
    assert "NAME" in tamis(hosts, token, "list") and NAME in tamis(hosts, token, "list")
    assert "offline" in tamis(hosts, token, "set", NAME, "--state", "offline", "--aaaa-suffix", "::7")
    assert hosts.records(NAME) == []
    assert "some-value" in tamis(hosts, token, "txt", "add", NAME, "some-value")
    tamis(hosts, token, "set", NAME, "--state", "active")
    assert hosts.records("_acme-challenge." + NAME, "TXT") == ["some-value"]
    assert "some-value" not in tamis(hosts, token, "txt", "delete", NAME)
    path = os.path.join(hosts.directory, "hosts.csv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("name\none.dyn.example\nwww.dyn.example\n")
    said = tamis(hosts, token, "import", path, code=1)
    assert "nothing is" in said and "reserved" in said
    assert "1 hosts are made" in tamis(hosts, token, "import", path, "--partial", code=1)
    key_id = json.loads(tamis(hosts, token, "show", NAME, "--json"))["keys"][0]["id"]
    tamis(hosts, token, "key", "delete", NAME, key_id)
    assert nic(hosts, "hostname=%s&myip=192.0.2.1" % NAME, NAME, key) == (401, "badauth\n")
    tamis(hosts, token, "delete", NAME)
    assert "there is no host" in tamis(hosts, token, "show", NAME, code=1)
    assert "--help" in tamis(hosts, token, "key", "add", code=2)


# ---- Many at once ----

class Storm:
    """Clients that update one host all the time, each over a connection of its own."""

    def __init__(self, hosts, name, key, clients=6):
        self.stopping = threading.Event()
        self.answers = [[] for _ in range(clients)]
        self.threads = [threading.Thread(target=self.run, args=(hosts, name, key, i)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, hosts, name, key, index):
        connection = http.client.HTTPConnection(LOOPBACK, hosts.desk.port, timeout=60)
        count = 0
        while not self.stopping.is_set():
            count += 1
            connection.request("GET", "/nic/update?hostname=%s&myip=192.0.2.%d" % (name, (index * 40 + count) % 250 + 1),
                               headers={"User-Agent": "storm", **basic(name, key)})
            self.answers[index].append(connection.getresponse().read().decode())
        connection.close()

    def count(self):
        return sum(len(answers) for answers in self.answers)

    def wait_for_more(self, more):
        until, enough = time.monotonic() + 30, self.count() + more
        while self.count() < enough and time.monotonic() < until:
            time.sleep(0.01)
        assert self.count() >= enough

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return [answer for answers in self.answers for answer in answers]


def test_what_memory_knows_is_what_the_zone_has_however_many_update_at_once(hosts_sqlite):
    hosts = hosts_sqlite.start({"plans": [{"name": "free", "updates-per-hour": 36000}]})
    _, key = made(hosts)
    storm = Storm(hosts, NAME, key)
    storm.wait_for_more(500)
    answers = storm.stop()
    assert {answer.split()[0] for answer in answers} <= {"good", "nochg"}
    [address] = hosts.records(NAME)
    assert nic(hosts, "hostname=%s&myip=%s" % (NAME, address), NAME, key)[1] == "nochg %s\n" % address
    assert nic(hosts, "hostname=%s&myip=198.51.100.1" % NAME, NAME, key)[1] == "good 198.51.100.1\n"
    assert hosts.records(NAME) == ["198.51.100.1"]


def test_no_update_slips_in_behind_a_suspension(hosts_sqlite):
    hosts = hosts_sqlite.start({"plans": [{"name": "free", "updates-per-hour": 36000}]})
    ann, key = made(hosts)
    operator = hosts.desk.signed_in("operator")
    path = "/v1/accounts/" + ann.account
    for _ in range(5):
        storm = Storm(hosts, NAME, key)
        storm.wait_for_more(50)
        assert operator.patch(path, {"state": "suspended", "reason": "spam"}).status == 200
        storm.wait_for_more(50)
        assert "abuse\n" in storm.stop()
        # All updates are answered and the removal is done: whatever came in between is gone.
        wait_for_sql(hosts, "SELECT COUNT(*) FROM outbox WHERE kind = 'host'", "0")
        assert hosts.records(NAME) == []
        assert nic(hosts, "hostname=%s&myip=198.51.100.1" % NAME, NAME, key) == (200, "abuse\n")
        assert operator.patch(path, {"state": "active"}).status == 200
        hosts.wait_for_update("hostname=%s&myip=198.51.100.1" % NAME, NAME, key, "good 198.51.100.1\n")
