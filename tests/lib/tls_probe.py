"""What a TLS port says to one client: by curl, by openssl, by gRPC, or by a bare handshake."""

import collections
import http.client
import os
import socket
import ssl
import subprocess

# Refused handshakes are what these tests are about; gRPC would print each.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

import api
import places
from api import rpc

# Suites of TLS 1.2 by the original's names, and what openssl calls them.
SUITE = ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256")
OTHER_SUITE = ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384")

Answer = collections.namedtuple("Answer", "exit status version body error")  # Of curl; version: "1.1", "2".


def etcd_in_our_role():
    return os.path.basename(places.quorate()) == "etcd"


def curl(url, credentials=None, *flags, timeout=60):
    secured = credentials.curl() if credentials else []
    result = subprocess.run(["curl", "--silent", "--show-error", "--max-time", str(timeout), "--noproxy", "*", *secured,
                             *flags, "--write-out", "\n%{http_code} %{http_version}", url],
                            capture_output=True, text=True, errors="replace", check=False)
    body, _, status = result.stdout.rpartition("\n")
    code, version = status.split()
    return Answer(result.returncode, int(code), version, body, result.stderr.strip())


def openssl(endpoint, *flags):
    """(whether the handshake was completed, what openssl s_client printed). The endpoint may be a Unix socket's path."""
    connect = "-unix" if endpoint.startswith("/") else "-connect"
    result = subprocess.run(["openssl", "s_client", connect, endpoint, *map(str, flags)], capture_output=True, text=True,
                            errors="replace", stdin=subprocess.DEVNULL, timeout=60, check=False)
    return result.returncode == 0, result.stdout + result.stderr


def certificate_in(text):
    """The server's certificate, as DER, in what openssl s_client printed; None when it was shown none."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, found, rest = text.partition(begin)
    return ssl.PEM_cert_to_DER_cert(begin + rest.partition(end)[0] + end) if found else None


def handshake(endpoint, credentials, alpn=()):
    """(the server's certificate as DER, the protocol that ALPN chose). Raises OSError when it is refused."""
    host, port = endpoint.rsplit(":", 1)
    context = credentials.ssl_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname=host) as secured:
            return secured.getpeercert(binary_form=True), secured.selected_alpn_protocol()


def serial(endpoint, credentials):
    """The serial number of the certificate that a fresh connection is shown."""
    der, _ = handshake(endpoint, credentials)
    shown = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-serial"], input=der, capture_output=True,
                           check=True).stdout
    return int(shown.decode().strip().partition("=")[2], 16)


def put(endpoint, credentials, key="probe", timeout=60):
    """A Put over gRPC on a connection of its own. The code's name when it fails, else "OK"."""
    with api.Api(endpoint, credentials, connect_ms=timeout * 1000) as service:
        try:
            service.KV.Put(rpc.PutRequest(key=key.encode(), value=b"x"), timeout=timeout)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"


def python_etcd3(one, *tls_files):
    """The outcomes of every step of a program on python3-etcd3."""
    program = places.REPOSITORY / "tests/clients/python_etcd3.py"
    result = subprocess.run(["/usr/bin/python3", program, "127.0.0.1", str(one.client_port), one.root / "backup", *tls_files],
                            capture_output=True, text=True, timeout=120, check=False, cwd=one.root)
    if result.returncode != 0:
        raise AssertionError(f"{one.binary}: {result.stdout}\n{result.stderr}")
    return result.stdout.splitlines()


class UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over a Unix socket, with TLS when there are credentials (whose names are not checked)."""

    def __init__(self, path, credentials=None):
        super().__init__("localhost", timeout=60)
        self._path = path
        self._credentials = credentials

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)
        if self._credentials:
            self.sock = self._credentials.ssl_context().wrap_socket(self.sock, server_hostname="localhost")


def get_unix(path, target, credentials=None):
    """(status, body)"""
    connection = UnixConnection(path, credentials)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
