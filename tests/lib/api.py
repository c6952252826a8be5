"""The gRPC API as plain calls: every method of every service in proto/, without generated stubs.

    with Api("127.0.0.1:2379") as api:
        api.KV.Put(rpc.PutRequest(key=b"a"))
        for answer in api.Watch.Watch(iter([...])): ...
"""

import atexit
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

import grpc

import places

_FILES = ("mvcc", "auth", "rpc", "lock", "election", "health", "quorate")


def _generate():
    """protoc's Python messages, in a directory of this process's own."""
    out = pathlib.Path(tempfile.mkdtemp(prefix="proto-", dir=places.scratch()))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    source = places.REPOSITORY / "proto"
    subprocess.run(["protoc", f"-I{source}", f"--python_out={out}", *[f"{name}.proto" for name in _FILES]], check=True)
    sys.path.insert(0, str(out))
    return [importlib.import_module(f"{name}_pb2") for name in _FILES]


mvcc, auth, rpc, lock, election, health, quorate = _generate()

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]
TIMEOUT_SECONDS = 60


class Service:
    """Each method as an attribute: unary ones return the message, streams an iterator that can be cancelled."""

    def __init__(self, api, descriptor):
        for method, mark in zip(descriptor.methods, _marks(descriptor)):
            self.__dict__[method.name] = self._bind(api, descriptor, method, mark)

    @staticmethod
    def _bind(api, descriptor, method, mark):
        path = f"/{descriptor.full_name}/{method.name}"
        shape = ("stream" if mark.client_streaming else "unary") + "_" + (
            "stream" if mark.server_streaming else "unary")
        call = getattr(api.channel, shape)(path, request_serializer=lambda m: m.SerializeToString(),
                                       response_deserializer=message_class(method.output_type).FromString)
        if shape == "unary_unary":
            return lambda request, timeout=TIMEOUT_SECONDS, metadata=None: call(request, timeout=timeout,
                                                                                metadata=metadata or api.metadata)
        return lambda request, timeout=None, metadata=None: call(request, timeout=timeout,
                                                                 metadata=metadata or api.metadata)


def _marks(descriptor):
    from google.protobuf import descriptor_pb2
    proto = descriptor_pb2.ServiceDescriptorProto()
    descriptor.CopyToProto(proto)
    return proto.method


def message_class(descriptor):
    return descriptor._concrete_class  # pylint: disable=protected-access


class Api:
    """A channel to one endpoint with all services on it; with TLS when there are certificates.Credentials. `connect_ms`: after
    that time without a connection, handshake included, it tries again, and calls fail."""

    def __init__(self, endpoint, credentials=None, metadata=None, connect_ms=2000):
        options = [*_OPTIONS, ("grpc.min_reconnect_backoff_ms", connect_ms)]
        if credentials:
            self.channel = grpc.secure_channel(endpoint, credentials.grpc(), options=options)
        else:
            self.channel = grpc.insecure_channel(endpoint, options=options)
        self.metadata = metadata  # Of every call that brings none of its own.
        for module in (rpc, lock, election, health):
            for name, descriptor in module.DESCRIPTOR.services_by_name.items():
                self.__dict__[name] = Service(self, descriptor)
        # Ours; it has a Cluster too.
        self.Quorate = Service(self, quorate.DESCRIPTOR.services_by_name["Cluster"])

    def login(self, name, password):
        """Acts as that user from now on; returns the token."""
        self.metadata = None
        token = self.Auth.Authenticate(rpc.AuthenticateRequest(name=name, password=password)).token
        self.metadata = (("token", token),)
        return token

    def raw(self, path, payload, timeout=TIMEOUT_SECONDS):
        """Sends bytes as they are; returns bytes."""
        return self.channel.unary_unary(path)(payload, timeout=timeout)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def code_and_text(error):
    return error.code().name, error.details()


def hash_kv(api, revision=0, metadata=None):
    answer = api.Maintenance.HashKV(rpc.HashKVRequest(revision=revision), metadata=metadata)
    return answer.hash, answer.compact_revision


def every_key(api, revision=0):
    """All keys with values and revisions, as one list of messages."""
    return list(api.KV.Range(rpc.RangeRequest(key=b"\0", range_end=b"\0", revision=revision)).kvs)
