"""The desk's databases: migrations, one process each, and what happens when they go away."""

import signal
import threading

import pytest

from testbed.desk import PASSWORD, Desk, PostgreSql


def test_migrate_makes_the_tables_once(desk_unstarted):
    first = desk_unstarted.run("migrate").stdout.split()
    assert first[0] == first[2] != "0"
    assert desk_unstarted.run("migrate").stdout.split()[0] == "0"


def test_without_migrate_a_database_that_lacks_one_is_refused(desk_unstarted):
    desk_unstarted.write_config({"database": {"migrate": False}})
    result = desk_unstarted.run(check=False)
    assert result.returncode == 1 and "run tamis-desk migrate" in result.stderr


def test_a_newer_database_is_refused_and_left_alone(desk_unstarted):
    desk_unstarted.run("migrate")
    desk_unstarted.sql("INSERT INTO migrations VALUES (9999, 'from_the_future', 1)")
    for words in ([], ["migrate"]):
        result = desk_unstarted.run(*words, check=False)
        assert result.returncode == 1
        assert "9999_from_the_future" in result.stderr and "newer tamis-desk" in result.stderr


def test_a_second_process_is_refused(desk):
    result = desk.run("migrate", check=False)
    assert result.returncode == 1 and "another process" in result.stderr
    assert desk.client().get("/healthz").status == 200


def test_what_was_acknowledged_survives_a_kill(desk):
    email = desk.add_account("customer")
    client = desk.client().sign_in(email)
    desk.kill()
    desk.start()
    assert client.get("/v1/account").json["email"] == email


def test_what_is_killed_while_it_writes_keeps_all_that_it_acknowledged(desk):
    email = desk.add_account("customer")
    acknowledged, failures = [], []
    begun = threading.Event()

    def sign_in():
        while True:
            try:
                acknowledged.append(desk.client().sign_in(email))
            except OSError:
                return
            except Exception as failure:  # an answer cut short
                failures.append(failure)
                return
            begun.set()

    desk.description()
    threads = [threading.Thread(target=sign_in) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    desk.kill()
    for thread in threads:
        thread.join()
    desk.start()
    assert acknowledged
    for client in acknowledged:
        assert client.get("/v1/account").status == 200


@pytest.fixture
def own_postgresql():
    """One that a test may stop without cutting off the others."""
    server = PostgreSql()
    yield server
    server.remove()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_postgresql_that_was_away_is_found_again(own_postgresql, tmp_path, how):
    desk = Desk(str(tmp_path / "desk"), own_postgresql).start()
    try:
        client = desk.client().sign_in(desk.add_account("customer"))
        own_postgresql.stop(how)
        reply = client.get("/v1/account")
        assert reply.status == 503 and reply.header("retry-after")
        assert b"postgres" not in reply.body.lower()
        own_postgresql.start()
        # Every worker has a connection of its own that broke: none of them shows it.
        for _ in range(20):
            assert client.get("/v1/account").status == 200
        assert client.delete("/v1/sessions/current").status == 204
        held = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        desk.process.wait_until(lambda: desk.sql(held).strip() == "1", "lock again")
    finally:
        desk.stop()


def test_sql_in_a_text_is_a_text(desk):
    reply = desk.client().post("/v1/sessions", {"email": "x' OR '1'='1@a.example", "password": PASSWORD})
    assert reply.status == 401
    assert desk.run("staff", "add", "o'brien@a.example", "--role", "customer").returncode == 0
    assert desk.sql("SELECT email FROM accounts").strip() == "o'brien@a.example"
