"""The servers of other libraries serve all tests: one that fails must not end them for others."""

import socket
import struct

import pytest

from tests.interop.servers import foreign_backend
from tests.support.calls import Open
from tests.support.grpc_backend import method


@pytest.mark.parametrize("server", ["go_server", "node_server"])
async def test_a_control_connection_that_is_reset_ends_no_other(
    request: pytest.FixtureRequest, open_channel: Open, server: str
) -> None:
    port = request.getfixturevalue(server)
    for unread in (False, True):
        control = socket.create_connection(("127.0.0.1", port), timeout=10)
        if not unread:
            assert b"port" in control.recv(1024)
        # RST instead of FIN when it is closed (socket(7), SO_LINGER).
        control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        control.close()
    async with foreign_backend(port) as backend, open_channel(backend.target) as channel:
        assert (await channel.call(method("Echo"), b"x", [], 10)).message == b"x"
