"""Measures a small GET by the connection it comes on: `python -m benchmarks.connections [SECONDS]`.

A connection that makes few requests is accepted, and with TLS agreed on, for few. The requests
differ; they come one after another, so that a row compares only with the others of this table.
"""

import os
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from time import monotonic

from rich.console import Console

from benchmarks.at_once import content_length
from benchmarks.building import OUT, MissingError
from benchmarks.growth import Curve
from benchmarks.load import cpu_s
from benchmarks.peers import ENVOY, GO, LOAD_CORE, OURS, RUST, backend, peers, running
from benchmarks.report import figure
from benchmarks.requests import requests
from benchmarks.scenarios import SMALL_GET, Setup
from benchmarks.secured import trusting

_SECONDS = 3.0
_HOST = "127.0.0.1"
_MANY = 1_000
_GATEWAYS = (OURS, GO, ENVOY, RUST)
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Kind:
    """The connections of one row."""

    name: str
    requests: int
    """The number of requests on each."""
    tls: bool = False
    resumes: bool = False
    """True if a handshake goes on with the session of the one before (RFC 8446 section 2.2)."""


KINDS = (
    Kind("1,000 requests each", _MANY),
    Kind("10 requests each", 10),
    Kind("1 request each", 1),
    Kind("TLS, 1,000 requests each", _MANY, tls=True),
    Kind("TLS, 1 request each, session resumed", 1, tls=True, resumes=True),
    Kind("TLS, 1 request each, full handshake", 1, tls=True),
)


class Client:
    """Opens connections of one kind to a port."""

    def __init__(self, kind: Kind, port: int, context: ssl.SSLContext) -> None:
        self._kind = kind
        self._port = port
        self._context = context
        self._session: ssl.SSLSession | None = None
        made = requests(SMALL_GET)
        self._wires: Iterator[bytes] = (one.wire(_HOST) for one in made)

    def work(self, seconds: float) -> int:
        """Sends requests for some time, on one connection after another; returns their number.

        Raises:
            MissingError: an answer is not 200, or a session was not resumed.
        """
        until_s, count = monotonic() + seconds, 0
        while monotonic() < until_s:
            with self._connected() as connection:
                for _ in range(self._kind.requests):
                    connection.sendall(next(self._wires))
                    _read_answer(connection)
                    count += 1
                    if monotonic() >= until_s:
                        break
                if isinstance(connection, ssl.SSLSocket):
                    self._note(connection)
        return count

    def _connected(self) -> socket.socket:
        connection = socket.create_connection((_HOST, self._port), timeout=20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._kind.tls:
            return connection
        return self._context.wrap_socket(connection, server_hostname=_HOST, session=self._session)

    def _note(self, connection: ssl.SSLSocket) -> None:
        if self._session is not None and not connection.session_reused:
            raise MissingError("the gateway does not resume sessions of TLS")
        if self._kind.resumes:
            self._session = connection.session


def _read_answer(connection: socket.socket) -> None:
    data = b""
    while _END not in data:
        piece = connection.recv(65536)
        if not piece:
            raise MissingError(f"the connection ended amid an answer: {data[:200]!r}")
        data += piece
    head, _, body = data.partition(_END)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise MissingError(f"an answer was not 200: {head[:200]!r}")
    length = content_length(head)
    while len(body) < length:
        body += connection.recv(65536)


def run(address: str, seconds: float) -> Curve:
    """The cost of a request on each kind of connection, in each gateway before `address`."""
    costs: dict[str, dict[str, float]] = {kind.name: {} for kind in KINDS}
    for peer in peers(address, {Setup.PLAIN, Setup.TLS}):
        if peer.name not in _GATEWAYS:
            continue
        is_tls = Setup.TLS in peer.setups
        context = trusting(OUT) if is_tls else ssl.create_default_context()
        with running(peer.command, peer.port) as pid:
            for kind in KINDS:
                if kind.tls is is_tls:
                    cost_us = _cost_us(Client(kind, peer.port, context), pid, peer.name, seconds)
                    costs[kind.name][peer.name] = cost_us
    columns = ("connections", *(f"{name}, CPU µs" for name in _GATEWAYS))
    curve = Curve("A small GET, by its connection", columns)
    for name, by_peer in costs.items():
        curve.rows.append((name, *(figure(by_peer.get(peer, nan)) for peer in _GATEWAYS)))
    return curve


def _cost_us(client: Client, pid: int, gateway: str, seconds: float) -> float:
    """CPU time a request; NaN, with a message, if the gateway answers wrongly."""
    try:
        client.work(seconds / 3)  # to warm up
        before_s = cpu_s(pid)
        count = client.work(seconds)
    except (MissingError, OSError) as failure:
        print(f"left out: {gateway}: {failure}", file=sys.stderr)
        return nan
    return (cpu_s(pid) - before_s) / count * 1e6


def main() -> int:
    """Measures, and prints a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else _SECONDS
    try:
        with backend() as address:
            os.sched_setaffinity(0, {int(LOAD_CORE)})  # this process is the load
            Console(width=100).print(run(address, seconds).table())
    except MissingError as missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
