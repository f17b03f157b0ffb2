"""NATS servers with JetStream on loopback, one or a cluster of three, and a client that speaks their protocol over a
plain socket: what it reads is read by nothing that the programs under test are made of."""

import base64
import binascii
import hashlib
import itertools
import json
import os
import socket
import time

from nacl.signing import SigningKey

from testbed.process import LOOPBACK, ServerProcess, free_port


class NatsServer:
    """One server, whose ports and folder outlive its process. `settings` are lines of its configuration."""

    def __init__(self, directory, name="nats", settings="", cluster="", scheme="nats"):
        self.directory = os.path.join(directory, name)
        self.name, self.settings, self.cluster, self.scheme = name, settings, cluster, scheme
        self.port = free_port()
        self.process = None
        os.makedirs(self.directory)

    @property
    def url(self):
        return "%s://%s:%d" % (self.scheme, LOOPBACK, self.port)

    def start(self, wait=True):
        config = os.path.join(self.directory, "nats.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("server_name: %s\nlisten: %s:%d\njetstream { store_dir: store, max_file_store: 1GB }\n%s\n%s\n"
                       % (self.name, LOOPBACK, self.port, self.cluster, self.settings))
        self.process = ServerProcess("nats-server", ["/usr/sbin/nats-server", "-c", config], self.directory)
        if wait:
            self.process.wait_until(self.is_listening, "listening")
        return self

    def is_listening(self):
        try:
            socket.create_connection((LOOPBACK, self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self):
        self.process.kill()

    def stop(self):
        self.process.stop()


class NatsCluster:
    """Three servers that keep streams together."""

    def __init__(self, directory):
        routes = [free_port() for _ in range(3)]
        self.servers = [
            NatsServer(directory, "nats-%d" % i, cluster="cluster { name: test, listen: %s:%d, routes: [%s] }" % (
                LOOPBACK, route, ", ".join("nats://%s:%d" % (LOOPBACK, other) for other in routes if other != route)))
            for i, route in enumerate(routes)]

    def start(self):
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.process.wait_until(server.is_listening, "listening")
        self.wait_until_ready()
        return self

    def wait_until_ready(self):
        """Until JetStream has a leader that all answer through."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with NatsClient(self.servers[0]) as client:
                    if "error" not in client.api("INFO"):
                        return
            except (OSError, NatsError):
                pass
            assert time.monotonic() < deadline, self.servers[0].process.log()[-4000:]
            time.sleep(0.05)

    def leader_of(self, stream):
        """The server that leads a stream, and one that doesn't; None while there is no leader."""
        try:
            with NatsClient(self.servers[0]) as client:
                name = client.stream(stream).get("cluster", {}).get("leader")
        except (OSError, NatsError):
            name = None
        leader = next((server for server in self.servers if server.name == name), None)
        return leader, next(server for server in self.servers if server is not leader)

    def kill(self):
        for server in self.servers:
            server.kill()


class NatsError(Exception):
    """The server says no, or nothing."""


class NatsClient:
    """A connection, for requests and their answers."""

    def __init__(self, server, **login):
        self.socket = socket.create_connection((LOOPBACK, server.port), 2)
        self.file = self.socket.makefile("rb")
        self.numbers = itertools.count(1)
        if not self.file.readline().startswith(b"INFO "):
            raise NatsError("no server of NATS")
        self.write("CONNECT " + json.dumps({"verbose": False, "headers": True, "no_responders": True, **login}))
        self.write("SUB inbox.%d.* 1" % id(self))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def write(self, line, octets=None):
        self.socket.sendall(line.encode() + b"\r\n" + (b"" if octets is None else octets + b"\r\n"))

    def request(self, subject, octets=b""):
        """The answer's octets."""
        reply = "inbox.%d.%d" % (id(self), next(self.numbers))
        self.write("PUB %s %s %d" % (subject, reply, len(octets)), octets)
        while True:
            words = self.file.readline().decode().split()
            if not words:
                raise NatsError("the connection has ended")
            if words[0] == "PING":
                self.write("PONG")
            elif words[0] in ("MSG", "HMSG"):
                header = int(words[-2]) if words[0] == "HMSG" else 0
                answer = self.file.read(int(words[-1]) + 2)[:-2]
                if words[1] == reply:
                    if b" 503" in answer[:header]:
                        raise NatsError("nobody answers")
                    return answer[header:]
            elif words[0] == "-ERR":
                raise NatsError(" ".join(words[1:]))

    def api(self, subject, **members):
        return json.loads(self.request("$JS.API." + subject, json.dumps(members).encode()))

    def stream(self, name):
        """Its description, {} where there is none."""
        answer = self.api("STREAM.INFO." + name)
        return {} if "error" in answer else answer

    def last_message(self, stream):
        """The octets of the last message, or None. It is asked for by its number: nats-server 2.9.10 crashes when an
        empty stream is asked for its last one."""
        number = self.stream(stream).get("state", {}).get("last_seq", 0)
        answer = self.api("STREAM.MSG.GET." + stream, seq=number) if number > 0 else {"error": None}
        return None if "error" in answer else base64.b64decode(answer["message"].get("data", ""))

    def messages(self, stream):
        """The id and the octets of each message of a stream."""
        state = self.stream(stream)["state"]
        for number in range(state["first_seq"], state["last_seq"] + 1):
            answer = self.api("STREAM.MSG.GET." + stream, seq=number)
            if "error" in answer:
                continue
            message = answer["message"]
            headers = dict(line.split(": ", 1) for line in
                           base64.b64decode(message.get("hdrs", "")).decode().split("\r\n")[1:] if line)
            yield headers.get("Nats-Msg-Id"), base64.b64decode(message.get("data", ""))


class Key:
    """An nkey: Ed25519, written in base32 with a first octet for its kind and a CRC behind."""

    PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
    SEED = 18 << 3

    def __init__(self, kind):
        self.prefix = self.PREFIXES[kind]
        self.key = SigningKey.generate()

    @staticmethod
    def _text(octets):
        return base64.b32encode(octets + binascii.crc_hqx(octets, 0).to_bytes(2, "little")).decode().rstrip("=")

    def public(self):
        return self._text(bytes([self.prefix]) + bytes(self.key.verify_key))

    def seed(self):
        return self._text(bytes([self.SEED | self.prefix >> 5, self.prefix << 3 & 0xFF]) + bytes(self.key))

    def sign(self, kind, subject, nats):
        """A token about `subject`, signed by this key."""
        claims = {"iat": 0, "iss": self.public(), "name": kind, "sub": subject.public(),
                  "nats": {"type": kind, "version": 2, **nats}}
        claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")

        def part(octets):
            return base64.urlsafe_b64encode(octets).decode().rstrip("=")

        body = ".".join(part(json.dumps(one).encode()) for one in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims))
        return body + "." + part(self.key.sign(body.encode()).signature)


class Operator:
    """An operator with one account, which may use JetStream, and one user: what `nsc` would make."""

    def __init__(self):
        unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage",
                                   "disk_storage", "streams", "consumer"), -1)
        self.operator, self.account, self.user = Key("operator"), Key("account"), Key("user")
        self.system = Key("account")  # of the server's own; JetStream needs it
        self.system_token = self.operator.sign("account", self.system, {"limits": {**unlimited, "wildcards": True,
                                                                                   "mem_storage": 0, "disk_storage": 0}})
        self.operator_token = self.operator.sign("operator", self.operator, {})
        self.account_token = self.operator.sign("account", self.account, {"limits": {**unlimited, "wildcards": True}})
        self.user_token = self.account.sign("user", self.user, {"subs": -1, "data": -1, "payload": -1})

    def settings(self):
        return "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }" % (
            self.operator_token, self.system.public(), self.system.public(), self.system_token,
            self.account.public(), self.account_token)

    def credentials(self):
        """The text of a credentials file."""
        return ("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n"
                "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n"
                % (self.user_token, self.user.seed()))
