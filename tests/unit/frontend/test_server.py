"""Addresses to listen on."""

import pytest

from gateway.frontend.server import ListenError, parse_address


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
