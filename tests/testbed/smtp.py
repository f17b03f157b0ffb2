"""Mail servers of the tests: one that says what the test wants, and Debian's Exim with a configuration of
its own."""

import base64
import email
import email.policy
import glob
import grp
import os
import pwd
import shutil
import socket
import ssl
import tempfile
import threading

from testbed.process import LOOPBACK, ServerProcess, free_port


class ScriptedMta:
    """Takes mail by SMTP. `script` maps a command's first word (CONNECT, EHLO, MAIL, RCPT, DATA, END) to a
    function of the whole line that returns the reply, or None for the usual one; it may wait as long as the
    test likes. What was accepted is in `mails`; what was asked in `commands`."""

    def __init__(self, script=None, certificate=None, password=None):
        self.script = script or {}
        self.certificate = certificate
        self.password = password
        self.mails, self.raw, self.commands, self.envelopes = [], [], [], []
        self.changed = threading.Condition()
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.ended = False
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return "smtp://%s:%d" % (LOOPBACK, self.port)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _reply(self, word, line, usual):
        reply = self.script.get(word, lambda _: None)(line)
        return usual if reply is None else reply

    def _note(self, line):
        with self.changed:
            self.commands.append(line)
            self.changed.notify_all()

    def _serve(self, connection):
        try:
            self._talk(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def _talk(self, connection):
        file = connection.makefile("rwb")

        def say(text):
            file.write(text.encode() + b"\r\n")
            file.flush()

        self._note("CONNECT")
        say(self._reply("CONNECT", "", "220 mta.example ESMTP"))
        envelope = {}
        while True:
            line = file.readline().decode("utf-8", "replace").rstrip("\r\n")
            if not line:
                return
            self._note(line)
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                extras = ["8BITMIME"]
                if self.certificate and not isinstance(connection, ssl.SSLSocket):
                    extras.append("STARTTLS")
                if self.password:
                    extras.append("AUTH PLAIN")
                say(self._reply("EHLO", line, "\r\n".join(
                    ["250-mta.example"] + ["250-" + extra for extra in extras[:-1]] +
                    ["250 " + extras[-1]])))
            elif word == "STARTTLS":
                say("220 go on")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.certificate)
                connection = context.wrap_socket(connection, server_side=True)
                file = connection.makefile("rwb")
            elif word == "AUTH":
                say("334 ")
                said = base64.b64decode(file.readline()).split(b"\0")
                say("235 welcome" if said[-1].decode() == self.password else "535 5.7.8 wrong")
            elif word == "MAIL":
                envelope = {"from": line, "to": []}
                say(self._reply("MAIL", line, "250 sender ok"))
            elif word == "RCPT":
                reply = self._reply("RCPT", line, "250 receiver ok")
                if reply.startswith("2"):
                    envelope["to"].append(line)
                say(reply)
            elif word == "DATA":
                reply = self._reply("DATA", line, "354 go on")
                say(reply)
                if reply.startswith("3"):
                    self._take(file, say, envelope)
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")

    def _take(self, file, say, envelope):
        octets = b""
        while True:
            line = file.readline()
            if not line:
                return
            if line == b".\r\n":
                break
            octets += line[1:] if line.startswith(b".") else line
        # What the other side cannot know yet: the mail is here, the reply not.
        reply = self._reply("END", octets.decode("utf-8", "replace"), "250 taken")
        if reply.startswith("2"):
            with self.changed:
                self.raw.append(octets)
                self.mails.append(email.message_from_bytes(octets, policy=email.policy.default))
                self.envelopes.append(envelope)
                self.changed.notify_all()
        say(reply)

    def wait(self, condition, seconds=60):
        """Waits until `condition(self)` is true."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), seconds), (
                "mails: %d, commands: %r" % (len(self.mails), self.commands))

    def wait_mails(self, count, **options):
        self.wait(lambda mta: len(mta.mails) >= count, **options)
        return self.mails

    def stop(self):
        self.listener.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


EXIM = """
exim_user = %(user)s
exim_group = %(group)s
spool_directory = %(folder)s/spool
log_file_path = %(folder)s/%%slog
pid_file_path = %(folder)s/exim.pid
primary_hostname = mta.example
domainlist local_domains = customer.example
local_interfaces = 127.0.0.1.%(port)d
daemon_smtp_ports = %(port)d
acl_smtp_rcpt = check_rcpt
never_users =
keep_environment =
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
smtp_accept_max = 20
begin acl
check_rcpt:
  accept condition = %(late)s
         domains = +local_domains
         local_parts = nobody-here
  deny   message = 5.1.1 no such user
         domains = +local_domains
         local_parts = nobody-here
  accept domains = +local_domains
  accept domains = desk.example
  deny   message = 5.7.1 relaying denied
begin routers
refused:
  driver = redirect
  local_parts = nobody-here
  allow_fail
  data = :fail: no such user
%(to_desk)s
boxes:
  driver = accept
  domains = customer.example : desk.example
  transport = boxes
begin transports
desk:
  driver = smtp
  protocol = lmtp
  hosts = 127.0.0.1
  hosts_override
  allow_localhost
  port = %(lmtp)d
boxes:
  driver = appendfile
  directory = %(folder)s/box
  create_directory
  maildir_format
  user = %(user)s
  group = %(group)s
  envelope_to_add
  return_path_add
begin retry
* * F,1h,1m
begin rewrite
begin authenticators
"""


TO_DESK = """
desk:
  driver = manualroute
  domains = desk.example
  route_list = * 127.0.0.1
  self = send
  transport = desk
"""


class Exim:
    """Debian's MTA, unprivileged, which keeps the mails for customer.example and desk.example in folders.
    With `lmtp`, the port of a desk, an address that is none is taken at first and answered by a bounce, and
    mail for desk.example goes to the desk."""

    name = "exim4"

    def __init__(self, lmtp=None):
        self.folder = tempfile.mkdtemp(prefix="tamis-exim-", dir="/tmp")
        self.port = free_port()
        # Exim gives up root for good: everything it writes is its own user's.
        user = "Debian-exim" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        group = user if os.getuid() == 0 else grp.getgrgid(os.getgid()).gr_name
        shutil.chown(self.folder, user, group)
        os.chmod(self.folder, 0o755)
        self.config = os.path.join(self.folder, "exim.conf")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(EXIM % {"folder": self.folder, "port": self.port, "user": user, "group": group,
                               "late": "yes" if lmtp else "no", "lmtp": lmtp or 1,
                               "to_desk": TO_DESK if lmtp else ""})
        os.chmod(self.config, 0o644)
        self.process = ServerProcess(self.name, ["/usr/sbin/exim4", "-C", self.config, "-bdf", "-q10s"],
                                     tempfile.mkdtemp(prefix="tamis-exim-log-"))
        self.process.wait_until(self._answers, "greeting")

    def _answers(self):
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=5) as connection:
                return connection.recv(4).startswith(b"220")
        except OSError:
            return False

    @property
    def url(self):
        return "smtp://%s:%d" % (LOOPBACK, self.port)

    def box(self, local_part):
        """The mails that came for a local part, as octets."""
        mails = []
        for path in sorted(glob.glob(os.path.join(self.folder, "box", "new", "*"))):
            with open(path, "rb") as file:
                octets = file.read()
            if b"Envelope-to: " + local_part.encode() + b"@" in octets:
                mails.append(octets)
        return mails

    def wait_box(self, local_part, count=1):
        self.process.wait_until(lambda: len(self.box(local_part)) >= count, "mail for " + local_part)
        return self.box(local_part)

    def stop(self):
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
