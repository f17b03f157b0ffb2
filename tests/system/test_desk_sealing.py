"""Secrets of second factors are sealed in the database by a key in a file."""

import base64
import os
import subprocess

import pytest

from testbed.accounts import add_second_factor, sign_up, totp
from testbed.desk import PASSWORD


@pytest.fixture
def ada(desk):
    """The desk, and somebody with a second factor: its secret and recovery codes."""
    return desk, *add_second_factor(sign_up(desk, "ada@customers.example"))


def sign_in(desk, code):
    return desk.client().post("/v1/sessions", {"email": "ada@customers.example", "password": PASSWORD, "code": code})


def key_path(desk):
    return os.path.join(desk.directory, "state", "secrets.key")


def stored(desk):
    column = "hex(totp_secret)" if desk.postgresql is None else "encode(totp_secret, 'hex')"
    return bytes.fromhex(desk.sql("SELECT %s FROM accounts" % column).strip())


def store(desk, octets):
    value = "X'%s'" if desk.postgresql is None else "'\\x%s'::bytea"
    desk.sql("UPDATE accounts SET totp_secret = " + value % octets.hex())


def refusal(desk):
    """What a desk that does not start says."""
    done = subprocess.run([*desk.program, "-c", desk.write_config()], cwd=desk.directory, check=False,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    return done.stderr


def test_the_database_tells_no_secret_without_the_key(ada):
    desk, secret, _ = ada
    assert len(stored(desk)) == 60 and base64.b32decode(secret) not in stored(desk)
    assert os.stat(key_path(desk)).st_mode & 0o777 == 0o600
    with open(key_path(desk), encoding="ascii") as file:
        key = file.read().strip()
    assert len(bytes.fromhex(key)) == 32 and key not in desk.sql("SELECT * FROM sealing_keys")
    desk.stop()
    desk.start()
    assert sign_in(desk, totp(secret, 1)).status == 201


def test_what_an_older_version_stored_is_sealed_once(ada):
    desk, secret, _ = ada
    for how in ("start", "migrate"):
        desk.stop()
        store(desk, base64.b32decode(secret))
        desk.sql("INSERT INTO totp_unsealed SELECT id FROM accounts; UPDATE accounts SET totp_last = 0")
        if how == "migrate":
            desk.run("migrate")
            assert len(stored(desk)) == 60
        desk.start()
        assert len(stored(desk)) == 60 and desk.sql("SELECT COUNT(*) FROM totp_unsealed").strip() == "0"
        assert sign_in(desk, totp(secret)).status == 201


def test_a_secret_of_another_account_opens_nothing(ada):
    desk, secret, codes = ada
    other, _ = add_second_factor(sign_up(desk, "eve@customers.example"))
    desk.sql("UPDATE accounts SET totp_last = 0, totp_secret = (SELECT totp_secret FROM accounts WHERE "
             "email = 'eve@customers.example') WHERE email = 'ada@customers.example'")
    assert sign_in(desk, totp(other)).status == 401
    assert sign_in(desk, totp(secret)).status == 401
    assert sign_in(desk, codes[0]).status == 201


def test_a_desk_does_not_start_without_its_key_or_with_another(ada):
    desk, secret, codes = ada
    desk.stop()
    os.rename(key_path(desk), key_path(desk) + ".kept")
    assert "put your copy back" in refusal(desk) and not os.path.exists(key_path(desk))

    def write(name, text, mode=0o600):
        path = os.path.join(desk.directory, name)
        with open(path, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, mode)) as file:
            file.write(text)
        os.chmod(path, mode)
        desk.config["secrets"] = {"key-file": name}

    write("other.key", os.urandom(32).hex() + "\n")
    assert "put that one back" in refusal(desk)
    write("short.key", "abc\n")
    assert "64 hexadecimal digits" in refusal(desk)
    write("open.key", os.urandom(32).hex() + "\n", 0o644)
    assert "chmod" in refusal(desk)

    # Its copy, under another name, does; where it is lost for good, recovery codes do.
    desk.config["secrets"] = {"key-file": "state/secrets.key.kept"}
    desk.start()
    assert sign_in(desk, totp(secret, 1)).status == 201
    desk.stop()
    desk.sql("DELETE FROM sealing_keys")
    desk.config["secrets"] = {"key-file": "other.key"}
    desk.start()
    desk.sql("UPDATE accounts SET totp_last = 0")
    assert sign_in(desk, totp(secret)).status == 401
    assert sign_in(desk, codes[0]).status == 201
    client = desk.client().post("/v1/sessions", {"email": "ada@customers.example", "password": PASSWORD,
                                                 "code": codes[1]})
    assert client.status == 201
