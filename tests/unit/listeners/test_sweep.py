"""The time limits of connections are enforced whatever fails in one of them."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.config.limits import Limits
from gateway.exchange.exchange import Exchange
from gateway.listeners.listener import Listener
from gateway.listeners.tls import TlsContexts


class Connection:
    """A connection whose check fails if it is broken."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.is_broken = is_broken
        self.swept = 0
        self.aborted = 0
        self.transport = SimpleNamespace(abort=self._abort)

    def sweep(self, now_s: float, limits: Limits) -> None:
        self.swept += 1
        if self.is_broken:
            raise ZeroDivisionError

    def _abort(self) -> None:
        self.aborted += 1


class BrokenTls:
    """Certificates whose renewal fails."""

    def renewed(self) -> bool:
        raise OSError(24, "Too many open files")


@pytest.mark.parametrize("tls", [None, BrokenTls()], ids=["plain", "tls that cannot be renewed"])
async def test_a_fault_in_one_connection_does_not_end_the_time_limits_of_others(
    tls: Any, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = cast("Exchange", SimpleNamespace(limits=Limits(keep_alive_s=0.04)))
    listener = Listener(exchange, "127.0.0.1:0", cast("TlsContexts | None", tls))
    broken, others = Connection(is_broken=True), [Connection(), Connection()]
    listener.port.connections.update((broken, *others))
    sweeping = asyncio.create_task(listener.sweep())
    async with asyncio.timeout(5):
        while min(one.swept for one in others) < 3:
            assert not sweeping.done()
            await asyncio.sleep(0.01)
    sweeping.cancel()
    assert broken.aborted >= 1
    assert not any(one.aborted for one in others)
    assert "the time limits of a connection could not be enforced" in caplog.text
