"""Addresses to listen on, and the sockets that do."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.listeners.sockets import (
    ListenError,
    Sockets,
    address_of,
    open_shared,
    open_sockets,
    parse_address,
)

spreads = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: it spreads connections")


@contextmanager
def opened(listen: str, count: int = 1) -> Iterator[list[Sockets]]:
    """The sockets of so many processes, closed in the end."""
    sockets = open_shared(listen, count)
    try:
        yield sockets
    finally:
        for one in {one for own in sockets for one in own}:
            one.close()


def ports(sockets: list[Sockets]) -> set[int]:
    return {one.getsockname()[1] for own in sockets for one in own}


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("localhost:0", "localhost", 0),
        ("[::1]:80", "::1", 80),
        (":8080", "0.0.0.0", 8080),
        ("gateway.test:65535", "gateway.test", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port(listen: str, host: str, port: int) -> None:
    assert parse_address(listen) == (host, port)


@pytest.mark.parametrize(
    "listen", ["", "8080", "a:", "a:b", "a:-1", "a:65536", "a:８０", "::1", "[::1]", "a:1 "]
)
def test_anything_else_is_refused(listen: str) -> None:
    with pytest.raises(ListenError, match=r"expected HOST:PORT or unix:/path"):
        parse_address(listen)


def test_a_socket_of_one_process_listens_before_anything_serves() -> None:
    (only,) = open_sockets("127.0.0.1:0")
    with only, socket.create_connection(only.getsockname()):
        assert address_of("127.0.0.1:0", [only]) == f"127.0.0.1:{only.getsockname()[1]}"


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_for_several_refuses_clients_until_one_can_answer(count: int) -> None:
    with opened("127.0.0.1:0", count) as sockets:
        address = sockets[0][0].getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        sockets[-1][0].listen()
        socket.create_connection(address).close()


@spreads
def test_each_process_has_a_socket_of_its_own_on_one_port() -> None:
    with opened("127.0.0.1:0", 3) as sockets:
        assert len({one.fileno() for own in sockets for one in own}) == 3
        assert len(ports(sockets)) == 1


@spreads
def test_connections_are_spread_over_the_processes() -> None:
    with opened("127.0.0.1:0", 2) as [[first], [second]]:
        first.listen()
        second.listen()
        clients = [socket.create_connection(first.getsockname()) for _ in range(64)]
        for one in (first, second):
            one.settimeout(2)
            one.accept()[0].close()  # nothing waits where nothing was sent
        for client in clients:
            client.close()


@pytest.mark.parametrize("mine", [1, 2], ids=["one process", "two processes"])
@pytest.mark.parametrize("theirs", [1, 2], ids=["held by one", "held by two"])
def test_a_port_that_another_gateway_has_is_taken(mine: int, theirs: int) -> None:
    with opened("127.0.0.1:0", theirs) as sockets:
        (port,) = ports(sockets)
        with pytest.raises(ListenError, match="the port is taken; choose another"):
            open_shared(f"127.0.0.1:{port}", mine)


def test_a_port_is_free_again_when_its_sockets_are_closed() -> None:
    with opened("127.0.0.1:0", 2) as sockets:
        (port,) = ports(sockets)
    with opened(f"127.0.0.1:{port}", 2) as sockets:
        assert ports(sockets) == {port}


def test_all_addresses_of_a_name_have_one_port() -> None:
    with opened("localhost:0", 2) as sockets:
        assert len(ports(sockets)) == 1


def test_a_refused_address_leaves_no_socket_open(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(ListenError, match="this machine has no such address"):
        open_sockets("203.0.113.1:0")
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]


def test_processes_share_the_one_socket_of_a_path(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path / 'gateway.sock'}"
    with opened(listen, 2) as [[first], [second]]:
        assert first is second
        assert address_of(listen, [first]) == listen
    with opened(listen) as [[again]]:
        assert again.getsockname() == str(tmp_path / "gateway.sock")
