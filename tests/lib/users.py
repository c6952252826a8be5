"""Users and roles for tests, and what a server tells whom."""

import grpc

import api
from api import auth, rpc

READ, WRITE, READWRITE = auth.Permission.READ, auth.Permission.WRITE, auth.Permission.READWRITE

OK = ("OK", "")
EMPTY = ("INVALID_ARGUMENT", "etcdserver: user name is empty")
INVALID_TOKEN = ("UNAUTHENTICATED", "etcdserver: invalid auth token")
DENIED = ("PERMISSION_DENIED", "etcdserver: permission denied")
OLD_REVISION = ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old")
WRONG_PASSWORD = ("INVALID_ARGUMENT", "etcdserver: authentication failed, invalid user ID or password")
NOT_ENABLED = ("FAILED_PRECONDITION", "etcdserver: authentication is not enabled")
OF_PERMISSION = (EMPTY, INVALID_TOKEN, DENIED, OLD_REVISION)


def outcome(call):
    """(code, text) of a call; the first message of a stream is awaited."""
    try:
        answer = call()
        if isinstance(answer, grpc.Call):
            next(iter(answer), None)
            answer.cancel()
        return OK
    except grpc.RpcError as error:
        return api.code_and_text(error)


def add(service, name, password, permissions):
    """A user with a role of the same name that grants (type, key, range_end)s."""
    service.Auth.UserAdd(rpc.AuthUserAddRequest(name=name, password=password))
    service.Auth.RoleAdd(rpc.AuthRoleAddRequest(name=name))
    for kind, key, end in permissions:
        grant(service, name, kind, key, end)
    service.Auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=name, role=name))


def grant(service, role, kind, key, end=b""):
    perm = auth.Permission(permType=kind, key=key, range_end=end)
    service.Auth.RoleGrantPermission(rpc.AuthRoleGrantPermissionRequest(name=role, perm=perm))


def revoke(service, role, key, end=b""):
    service.Auth.RoleRevokePermission(rpc.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=end))


def enable(service, password="rootpw"):
    """User root, and authentication on."""
    service.Auth.UserAdd(rpc.AuthUserAddRequest(name="root", password=password))
    service.Auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
    service.Auth.AuthEnable(rpc.AuthEnableRequest())


class Watching:
    """One watch; its responses are asked for one by one."""

    def __init__(self, service, key, end=b"", metadata=None, start=0):
        self._call = service.Watch.Watch(self._requests(rpc.WatchRequest(create_request=rpc.WatchCreateRequest(
            key=key, range_end=end, start_revision=start))), metadata=metadata, timeout=60)
        self._stream = iter(self._call)
        self.created = next(self._stream)

    def _requests(self, first):
        import threading
        self._ended = threading.Event()
        yield first
        self._ended.wait()

    def next(self):
        return next(self._stream)

    def close(self):
        self._ended.set()
        self._call.cancel()
