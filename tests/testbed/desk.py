"""tamis-desk on SQLite and on a PostgreSQL of the tests' own, a client for it, and the check of every answer
against the OpenAPI description."""

import http.client
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import jsonschema
import pytest
import yaml

from testbed.process import LOOPBACK, ServerProcess, free_port
from testbed.servers import tamis_program

PASSWORD = "a password of tests"


# ---- PostgreSQL ----

def _postgresql_program(name):
    folders = sorted((entry.path for entry in os.scandir("/usr/lib/postgresql")),
                     key=lambda path: int(os.path.basename(path)))
    return os.path.join(folders[-1], "bin", name)


class PostgreSql:
    """A cluster in a temporary folder. PostgreSQL refuses to run as root: then it runs as postgres."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tamis-pg-", dir="/tmp")
        self.as_user = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", "--reuid=%d" % user.pw_uid, "--regid=%d" % user.pw_gid,
                            "--clear-groups"]
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.process = None
        self.count = 0
        subprocess.run(self.as_user + [_postgresql_program("initdb"), "-D", self.data, "-U", "desk",
                                       "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/")
        self.start()

    def start(self):
        command = self.as_user + [
            _postgresql_program("postgres"), "-D", self.data, "-p", str(self.port), "-k", self.folder,
            "-c", "listen_addresses=" + LOOPBACK, "-c", "shared_buffers=32MB",
            "-c", "max_connections=60", "-c", "fsync=on"]
        # The folder of the log is root's; the process only gets the open file.
        self.log_folder = tempfile.mkdtemp(prefix="tamis-pg-log-")
        self.process = ServerProcess("postgresql", command, self.log_folder)
        self.process.wait_until(self.is_ready, "connection")

    def is_ready(self):
        return subprocess.run([_postgresql_program("pg_isready"), "-q", "-h", LOOPBACK, "-p",
                               str(self.port)], check=False).returncode == 0

    def stop(self, how=signal.SIGINT):
        """SIGINT cuts every connection off and ends in order; SIGKILL is a crash."""
        self.process.signal(how)
        self.process.process.wait(30)
        self.process.kill()
        shutil.rmtree(self.log_folder, ignore_errors=True)

    def sql(self, database, text):
        return subprocess.run(["psql", "-qAt", "-h", LOOPBACK, "-p", str(self.port), "-U", "desk",
                               "-d", database, "-v", "ON_ERROR_STOP=1", "-c", text],
                              check=True, capture_output=True, text=True).stdout

    def new_database(self):
        self.count += 1
        name = "desk%d" % self.count
        self.sql("postgres", "CREATE DATABASE " + name)
        return name

    def remove(self):
        try:
            if self.process.process.poll() is None:
                self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


# ---- OpenAPI ----

class Description:
    """Checks answers against /openapi.json: an operation that it lacks, a status that it does not name and
    a body that does not fit fail the test."""

    def __init__(self, document):
        self.document = document
        self.paths = [(re.compile("^" + re.sub(r"\\{[^/}]*\\}", "[^/]+", re.escape(path)) + "$"),
                       path, operations) for path, operations in document["paths"].items()]
        self.paths.sort(key=lambda entry: entry[1].count("{"))
        self.resolver = jsonschema.RefResolver.from_schema(document)

    def _resolve(self, value):
        while "$ref" in value:
            value = self.resolver.resolve(value["$ref"])[1]
        return value

    def operation(self, method, path):
        for pattern, _, operations in self.paths:
            if pattern.match(path) and method.lower() in operations:
                return operations[method.lower()]
        return None

    def check(self, method, path, reply):
        operation = self.operation(method, path)
        if operation is None:
            assert reply.status in (400, 404, 405), "%s %s is not described" % (method, path)
            return
        responses = operation["responses"]
        answer = responses.get(str(reply.status))
        if answer is None:
            assert reply.status >= 400, "%s %s answered %d, which is not described" % (
                method, path, reply.status)
            answer = responses["default"]
        content = self._resolve(answer).get("content", {})
        kind = (reply.header("content-type") or "").split(";")[0]
        if not content:
            assert reply.body == b"", "%s %s: a body that is not described" % (method, path)
            return
        assert kind in content, "%s %s: %s is not described" % (method, path, kind)
        if "json" in kind:
            jsonschema.Draft202012Validator(content[kind]["schema"], resolver=self.resolver).validate(
                json.loads(reply.body))


# ---- Client ----

class Reply:
    def __init__(self, answer):
        self.status = answer.status
        self.headers = answer.getheaders()
        self.body = answer.read()

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Somebody who speaks to the desk: nobody at first, an account after sign_in(). Every answer is held
    against the OpenAPI description."""

    def __init__(self, desk):
        self.desk = desk
        self.cookie = self.csrf = self.token = self.account = None

    def ask(self, method, path, json_body=None, body=None, headers=None, check=True):
        sent = dict(headers or {})
        if json_body is not None:
            body = json.dumps(json_body)
            sent.setdefault("Content-Type", "application/json")
        if self.token:
            sent.setdefault("Authorization", "Bearer " + self.token)
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
            sent.setdefault("X-CSRF-Token", self.csrf)
        connection = http.client.HTTPConnection(LOOPBACK, self.desk.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=sent)
            reply = Reply(connection.getresponse())
        finally:
            connection.close()
        if check and method != "HEAD":
            self.desk.description().check(method, path.split("?")[0], reply)
        return reply

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, json_body=None, **options):
        return self.ask("POST", path, json_body, **options)

    def patch(self, path, json_body=None, **options):
        return self.ask("PATCH", path, json_body, **options)

    def put(self, path, json_body=None, **options):
        return self.ask("PUT", path, json_body, **options)

    def delete(self, path, **options):
        return self.ask("DELETE", path, **options)

    def sign_in(self, email, password=PASSWORD):
        reply = self.post("/v1/sessions", {"email": email, "password": password})
        assert reply.status == 201, reply.text
        self.cookie = reply.header("set-cookie").split(";")[0]
        self.csrf = reply.json["csrf_token"]
        self.account = reply.json["account"]
        return self


# ---- The desk ----

class Desk:
    name = "tamis-desk"

    def __init__(self, directory, postgresql=None):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.port = free_port()
        self.postgresql = postgresql
        self.database = postgresql.new_database() if postgresql else None
        self.config = {
            "http": {"listen": ["%s@%d" % (LOOPBACK, self.port)], "insecure-cookies": True},
            "database": {"driver": "sqlite", "path": "desk.db"} if postgresql is None else {
                "driver": "postgresql",
                "connection": "host=%s port=%d user=desk dbname=%s" % (LOOPBACK, postgresql.port,
                                                                        self.database)},
            "state": "state",
        }
        self.process = None
        self.program = [tamis_program(self.name)]
        self.starts = 0
        self._description = None

    def write_config(self, changes=None):
        """Merges `changes`, section by section, and writes the file."""
        for section, values in (changes or {}).items():
            if isinstance(values, dict):
                self.config.setdefault(section, {}).update(values)
            else:
                self.config[section] = values
        path = os.path.join(self.directory, "tamis-desk.yaml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(self.config, file)
        return path

    def start(self, changes=None):
        path = self.write_config(changes)
        self.process = ServerProcess(self.name, self.program + ["-c", path],
                                     self.directory)
        # The log goes on over restarts.
        self.starts += 1
        self.process.wait_until(lambda: self.process.log().splitlines().count("ready") == self.starts,
                                "line 'ready'")
        return self

    def run(self, *words, check=True):
        """Runs a command of tamis-desk with this configuration."""
        return subprocess.run(self.program + ["-c", self.write_config(), *words],
                              check=check, capture_output=True, text=True, cwd=self.directory)

    def sql(self, text):
        """Runs SQL beside the desk; returns lines of columns apart by '|'."""
        if self.postgresql:
            return self.postgresql.sql(self.database, text)
        return subprocess.run(["sqlite3", "-cmd", ".timeout 10000",
                               os.path.join(self.directory, "desk.db"), text],
                              check=True, capture_output=True, text=True).stdout

    def client(self):
        return Client(self)

    def add_account(self, role, email=None):
        """Makes a confirmed account with PASSWORD; returns its address."""
        email = email or "%s@staff.example" % role
        token = self.run("staff", "add", email, "--role", role).stdout.split()[1]
        reply = self.client().post("/v1/password-resets/confirmations",
                                   {"token": token, "password": PASSWORD})
        assert reply.status == 204, reply.text
        return email

    def signed_in(self, role, email=None):
        """A client that has signed in with a new account of the role."""
        return self.client().sign_in(self.add_account(role, email))

    def description(self):
        if self._description is None:
            reply = Client(self).ask("GET", "/openapi.json", check=False)
            self._description = Description(reply.json)
        return self._description

    def routes(self):
        return json.loads(self.run("routes", "--json").stdout)

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process is not None and self.process.process.poll() is None:
            assert self.process.stop() == 0
        elif self.process is not None:
            self.process.check_sanitizers()


# ---- Fixtures, which conftest.py makes known ----

@pytest.fixture(scope="session")
def postgresql():
    """One PostgreSQL for all tests of a process; each desk has a database of its own in it."""
    server = PostgreSql()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def desk_unstarted(request, tmp_path):
    """A desk with its configuration, on each of the databases."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    made = Desk(str(tmp_path / "desk"), server)
    yield made
    made.stop()


@pytest.fixture
def desk(desk_unstarted):
    """A desk that serves, on each of the databases."""
    return desk_unstarted.start()


@pytest.fixture
def desk_sqlite(tmp_path):
    """A desk with its configuration on SQLite, for what has nothing to do with the database."""
    made = Desk(str(tmp_path / "desk"))
    yield made
    made.stop()
