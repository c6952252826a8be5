"""A certificate factory on the openssl command line. Keys are EC P-256, so that a whole test's worth costs little.

    ca = Authority(directory)
    server = ca.issue("server", names=("127.0.0.1", "localhost"))
    client = ca.issue("alice", common_name="alice", usage="clientAuth")
    ca.revoke(client); ca.write_crl(path)
    trusted = ca.credentials(client)      # What a client needs: for grpc, urllib, curl and etcdctl alike.
"""

import datetime
import ipaddress
import os
import pathlib
import shutil
import ssl
import subprocess

LOOPBACK = ("127.0.0.1", "localhost")
BOTH = "serverAuth,clientAuth"
_DAY = datetime.timedelta(days=1)


def _openssl(*arguments):
    result = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"openssl {arguments} ended with {result.returncode}: {result.stderr}")
    return result.stdout


def _new_key(path):
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)


def _utc(time):
    return time.strftime("%Y%m%d%H%M%SZ")


def _alternatives(names):
    """The value of subjectAltName: addresses as IP, all else as DNS."""
    entries = []
    for name in names:
        try:
            entries.append(f"IP:{ipaddress.ip_address(name)}")
        except ValueError:
            entries.append(f"DNS:{name}")
    return ",".join(entries)


class Certificate:
    """A certificate and its key, as files."""

    def __init__(self, cert, key):
        self.cert = pathlib.Path(cert)
        self.key = pathlib.Path(key)

    @property
    def serial(self):
        return int(_openssl("x509", "-in", self.cert, "-noout", "-serial").strip().partition("=")[2], 16)

    def lives_for(self, days):
        """Whether it is valid for so many days from now."""
        command = ["openssl", "x509", "-in", self.cert, "-noout", "-checkend", str(days * 24 * 3600)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def copy(self, directory):
        """The same in another place, to be replaced there later."""
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        copied = Certificate(directory / "cert.pem", directory / "key.pem")
        copied.become(self)
        return copied

    def become(self, other):
        """Replaces the files' content by the other's, each file at once, as a rotating operator does."""
        for mine, its in ((self.cert, other.cert), (self.key, other.key)):
            fresh = mine.with_suffix(".new")
            shutil.copy(its, fresh)
            os.replace(fresh, mine)

    def flags(self, prefix=""):
        return [f"--{prefix}cert-file", str(self.cert), f"--{prefix}key-file", str(self.key)]


class Credentials:
    """What a client knows: whom it trusts, and who it is (no certificate: nobody)."""

    def __init__(self, ca=None, certificate=None):
        self.ca = ca
        self.certificate = certificate

    def ssl_context(self):
        context = ssl.create_default_context(cafile=self.ca)
        if self.ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            context.load_cert_chain(self.certificate.cert, self.certificate.key)
        return context

    def grpc(self):
        import grpc
        read = lambda path: pathlib.Path(path).read_bytes()
        if self.certificate is None:
            return grpc.ssl_channel_credentials(read(self.ca))
        return grpc.ssl_channel_credentials(read(self.ca), read(self.certificate.key), read(self.certificate.cert))

    def etcdctl(self):
        flags = ["--cacert", str(self.ca)] if self.ca else ["--insecure-transport=false", "--insecure-skip-tls-verify"]
        if self.certificate:
            flags += ["--cert", str(self.certificate.cert), "--key", str(self.certificate.key)]
        return flags

    def curl(self):
        flags = ["--cacert", str(self.ca)] if self.ca else ["--insecure"]
        if self.certificate:
            flags += ["--cert", str(self.certificate.cert), "--key", str(self.certificate.key)]
        return flags


def self_signed(directory, name, common_name="", names=LOOPBACK):
    """A certificate that nobody vouches for."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificate(directory / f"{name}.pem", directory / f"{name}-key.pem")
    _new_key(made.key)
    _openssl("req", "-x509", "-new", "-key", made.key, "-out", made.cert, "-days", 30, "-subj",
             f"/O=tests/CN={common_name}" if common_name else "/O=tests", "-addext",
             f"subjectAltName={_alternatives(names)}", "-addext", f"extendedKeyUsage={BOTH}")
    return made


class Authority:
    """A certificate authority with all it issues below one directory."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory) / name
        (self.directory / "issued").mkdir(parents=True)
        self.cert = self.directory / "ca.pem"
        self._key = self.directory / "ca-key.pem"
        self._config = self.directory / "ca.conf"
        self._settings = self.directory / "extensions.conf"
        self._count = 0
        _new_key(self._key)
        _openssl("req", "-x509", "-new", "-key", self._key, "-out", self.cert, "-days", 3650, "-subj",
                 f"/O=tests/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        # Random serials: two authorities of one test must not number alike.
        (self.directory / "index.txt").touch()
        (self.directory / "crlnumber").write_text("01\n")
        self._config.write_text(
            f"[ca]\ndefault_ca=this\n[this]\ndatabase={self.directory}/index.txt\ncrlnumber={self.directory}/crlnumber\n"
            f"new_certs_dir={self.directory}/issued\nrand_serial=yes\ncertificate={self.cert}\nprivate_key={self._key}\n"
            "default_md=sha256\npolicy=any\nunique_subject=no\ncopy_extensions=none\ndefault_crl_days=30\n"
            "[any]\nO=optional\nCN=optional\n")

    def issue(self, name, common_name="", names=LOOPBACK, usage=BOTH, begin=None, end=None):
        """`names` are addresses and host names; begin and end are times, default: yesterday and in a month."""
        self._count += 1
        stem = self.directory / f"{self._count}-{name}"
        made = Certificate(f"{stem}.pem", f"{stem}-key.pem")
        now = datetime.datetime.now(datetime.timezone.utc)
        _new_key(made.key)
        request = f"{stem}.csr"
        _openssl("req", "-new", "-key", made.key, "-out", request, "-subj",
                 f"/O=tests/CN={common_name}" if common_name else "/O=tests")
        extensions = ["[made]", "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
                      f"extendedKeyUsage={usage}", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
        if names:
            extensions.append(f"subjectAltName={_alternatives(names)}")
        self._settings.write_text("\n".join(extensions) + "\n")
        _openssl("ca", "-batch", "-notext", "-config", self._config, "-in", request, "-out", made.cert, "-extfile",
                 self._settings, "-extensions", "made", "-startdate", _utc(begin or now - _DAY), "-enddate",
                 _utc(end or now + 30 * _DAY))
        return made

    def issue_expired(self, name, **options):
        now = datetime.datetime.now(datetime.timezone.utc)
        return self.issue(name, begin=now - 2 * _DAY, end=now - _DAY, **options)

    def issue_for_tomorrow(self, name, **options):
        now = datetime.datetime.now(datetime.timezone.utc)
        return self.issue(name, begin=now + _DAY, end=now + 2 * _DAY, **options)

    def revoke(self, certificate):
        _openssl("ca", "-config", self._config, "-revoke", certificate.cert)

    def write_crl(self, path, der=False):
        """The list of all that is revoked by now, replaced at once."""
        fresh = f"{path}.new"
        _openssl("ca", "-config", self._config, "-gencrl", "-out", fresh)
        if der:
            _openssl("crl", "-in", fresh, "-outform", "DER", "-out", fresh)
        os.replace(fresh, path)
        return path

    def credentials(self, certificate=None):
        """A client's that trusts this authority."""
        return Credentials(self.cert, certificate)
