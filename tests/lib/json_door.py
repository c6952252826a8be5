"""The JSON gateway of one server: paths, requests as JSON, answers as they came."""

import base64
import contextlib
import http.client
import json
import re

from google.protobuf import json_format

# Where 3.4.23 serves what is asked of both servers; all of it below /v3beta, too.
PATHS = {
    "KV.Range": ("/kv/range",),
    "KV.Put": ("/kv/put",),
    "KV.DeleteRange": ("/kv/deleterange",),
    "KV.Txn": ("/kv/txn",),
    "Lease.LeaseGrant": ("/lease/grant",),
    "Lease.LeaseRevoke": ("/lease/revoke", "/kv/lease/revoke"),
    "Auth.AuthEnable": ("/auth/enable",),
    "Auth.AuthDisable": ("/auth/disable",),
    "Auth.Authenticate": ("/auth/authenticate",),
    "Auth.UserAdd": ("/auth/user/add",),
    "Auth.UserGet": ("/auth/user/get",),
    "Auth.UserList": ("/auth/user/list",),
    "Auth.UserDelete": ("/auth/user/delete",),
    "Auth.UserChangePassword": ("/auth/user/changepw",),
    "Auth.UserGrantRole": ("/auth/user/grant",),
    "Auth.UserRevokeRole": ("/auth/user/revoke",),
    "Auth.RoleAdd": ("/auth/role/add",),
    "Auth.RoleGet": ("/auth/role/get",),
    "Auth.RoleList": ("/auth/role/list",),
    "Auth.RoleDelete": ("/auth/role/delete",),
    "Auth.RoleGrantPermission": ("/auth/role/grant",),
    "Auth.RoleRevokePermission": ("/auth/role/revoke",),
}
VERSIONS = ("/v3", "/v3beta")
# Headers that carry a token.
TOKEN_HEADERS = ("Authorization", "Grpc-Metadata-Token", "Grpc-Metadata-Authorization")
# Of a response's header: what differs between two servers that have seen the same.
_IDENTITY = re.compile(r'"(cluster_id|member_id|raft_term)":"\d+"')


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def spelled(message, camel_case=False, defaults=False):
    """A request as JSON: names as in the .proto file or camelCase, fields with their default value left out or not."""
    return json_format.MessageToJson(message, preserving_proto_field_name=not camel_case,
                                     including_default_value_fields=defaults, indent=None)


def without_identity(text):
    return _IDENTITY.sub(r'"\1"', text)


class Door:
    """One server's HTTP."""

    def __init__(self, server):
        self.server = server
        self.token = None

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.server.client_port, timeout=timeout)

    def ask(self, path, body=None, method="POST", headers=None):
        """(status, content type, body) of one request."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        body = body.encode() if isinstance(body, str) else body
        sent = dict(headers or {})
        if self.token:
            sent["Authorization"] = self.token
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type"), answer.read().decode()

    def json(self, path, body=None, **more):
        status, _, text = self.ask(path, body if body is not None else {}, **more)
        if status != 200:
            raise AssertionError(f"{path} {str(body)[:200]}: {status} {text[:500]}")
        return json.loads(text)

    @contextlib.contextmanager
    def stream(self, path, body):
        """The lines of a streaming answer, decoded, as an iterator."""
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", path, body=body if isinstance(body, (str, bytes)) else json.dumps(body),
                               headers={"Authorization": self.token} if self.token else {})
            answer = connection.getresponse()
            yield (json.loads(line) for line in answer)
