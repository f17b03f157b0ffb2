"""Certificates for tests, made by openssl: an authority, and pairs that it signs."""

import base64
import hashlib
import os
import subprocess

# Small and quick, as servers' keys should be.
_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def _openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, check=True, capture_output=True,
                          timeout=60).stdout


class Pair:
    """A certificate and its private key, as files."""

    def __init__(self, directory, stem):
        self.certificate = os.path.join(directory, stem + ".pem")
        self.key = os.path.join(directory, stem + ".key")

    def pin(self):
        """SHA-256 of the public key, as tamisd.conf(5) has it made."""
        public = _openssl("x509", "-in", self.certificate, "-pubkey", "-noout")
        der = _openssl("pkey", "-pubin", "-outform", "DER", stdin=public)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def replace_by(self, other):
        """Puts another pair in this one's place, each file whole, as tools that renew do."""
        for ours, theirs in ((self.certificate, other.certificate), (self.key, other.key)):
            with open(theirs, "rb") as source, open(ours + ".new", "wb") as target:
                target.write(source.read())
            os.chmod(ours + ".new", 0o600)
            os.replace(ours + ".new", ours)


class Authority(Pair):
    """Signs certificates; its own is what clients trust."""

    def __init__(self, directory, name="authority"):
        super().__init__(directory, name)
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self.key, "-out", self.certificate,
                 "-subj", "/CN=" + name, "-days", "30")

    def issue(self, name, stem=None, days=30):
        """A pair for `name`; `days` -1: expired since yesterday."""
        pair = Pair(self.directory, stem or name)
        request = os.path.join(self.directory, "request")
        extensions = os.path.join(self.directory, "extensions")
        with open(extensions, "w", encoding="utf-8") as file:
            file.write("subjectAltName=DNS:%s\n" % name)
        _openssl("req", *_NEW_KEY, "-keyout", pair.key, "-out", request, "-subj", "/CN=" + name)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                 "-CAcreateserial", "-out", pair.certificate, "-days", str(days),
                 "-extfile", extensions)
        return pair


def encrypted_key(path):
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256",
             "-pass", "pass:secret", "-out", path)
    return path
