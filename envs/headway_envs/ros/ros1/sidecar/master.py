"""Asks the master of a ROS 1 graph, with a limit on how long."""

from __future__ import annotations

import http.client
import socket
import struct
import urllib.parse
import xmlrpc.client
from typing import Any

MASTER_SECONDS = 1.0
"""How long the master may take to answer."""


class MasterError(Exception):
    """The master, or a node that it names, does not answer."""


class _Timed(xmlrpc.client.Transport):
    """Does not wait for ever, nor talk to a proxy."""

    def __init__(self, timeout: float):
        super().__init__()
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, timeout=self._timeout)


class Master:
    """Asks the master of a graph.

    Args:
        uri: such as http://localhost:11311.
        caller: the name of the node that asks.
    """

    def __init__(self, uri: str, caller: str):
        self.uri = uri
        self._caller = caller

    def ask(self, method: str, *arguments: Any, timeout: float = MASTER_SECONDS) -> Any:
        """Raises MasterError when it does not answer, and LookupError when it says no."""
        try:
            with xmlrpc.client.ServerProxy(self.uri, transport=_Timed(timeout)) as server:
                code, line, value = getattr(server, method)(self._caller, *arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.Error, ValueError, TypeError) as error:
            raise MasterError(f"the ROS master at {self.uri} does not answer ({error})") from None
        if code != 1:
            raise LookupError(line)
        return value

    def service_type(self, name: str, timeout: float = MASTER_SECONDS) -> str:
        """The type of a service, which only the node that answers it knows. Raises MasterError, LookupError."""
        where = urllib.parse.urlparse(self.ask("lookupService", name, timeout=timeout))
        fields = ("probe=1", "md5sum=*", f"callerid={self._caller}", f"service={name}")
        asked = b"".join(struct.pack("<I", len(each)) + each.encode() for each in fields)
        try:
            with socket.create_connection((where.hostname, where.port), timeout) as link:
                link.sendall(struct.pack("<I", len(asked)) + asked)
                stream = link.makefile("rb")
                (size,) = struct.unpack("<I", stream.read(4))
                answer = stream.read(min(size, 1 << 20))
        except (OSError, struct.error) as error:
            raise MasterError(f"the node that answers {name} cannot be reached ({error})") from None
        while len(answer) >= 4:
            (size,) = struct.unpack_from("<I", answer)
            key, _, value = answer[4 : 4 + size].decode("utf-8", "replace").partition("=")
            if key == "type":
                return value
            answer = answer[4 + size :]
        raise MasterError(f"the node that answers {name} does not tell its type")
