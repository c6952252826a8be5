"""Ports for servers that a test starts, stops and starts again: nobody else takes one meanwhile.

They lie below those that the kernel gives to connections and to whoever asks for any port. Tests that run at the same time
keep out of each other's way by claims: a port is a process's own until that ends, running server or not. A claim is a name
among the abstract Unix sockets, which the kernel lets one socket have, and which goes with its process.
"""

import atexit
import os
import random
import socket

_FIRST, _LAST = 15_000, 32_000
_chance = random.Random(os.urandom(8))
_claims = {}  # Port -> the socket that stands for the claim.


@atexit.register
def _give_back():
    for claim in _claims.values():
        claim.close()


def free_port(*addresses):
    """A port of this process's own on which nobody listens at any of these addresses (none named: 127.0.0.1)."""
    while True:
        port = _chance.randrange(_FIRST, _LAST)
        if _claim(port) and all(_is_free(address, port) for address in addresses or ("127.0.0.1",)):
            return port


def _claim(port):
    """A port that is not taken after all stays claimed: it is no loss."""
    if port in _claims:
        return False
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0quorate-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True


def _is_free(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
