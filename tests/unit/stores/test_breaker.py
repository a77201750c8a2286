"""The breaker in front of a store: the return of the store closes it, always and alone."""

import logging

import pytest

from gateway.stores import breaker
from gateway.stores.base import StoreUnavailableError
from gateway.stores.breaker import Breaker
from tests.support.polling import until


async def refuse() -> None:
    raise StoreUnavailableError("gone")


async def answer() -> int:
    return 1


async def test_an_unexpected_fault_of_a_probe_does_not_end_the_probing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(breaker, "_PROBE_EVERY_S", 0.01)
    faults: list[Exception] = [ValueError("a fault"), StoreUnavailableError("gone")]

    async def probe() -> None:
        if faults:
            raise faults.pop(0)

    guarded = Breaker("a store", 1.0, probe)
    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            await guarded.run(refuse)
    with pytest.raises(StoreUnavailableError):
        await guarded.run(answer)
    with caplog.at_level(logging.WARNING, logger="gateway"):
        await until(lambda: not faults and "available again" in caplog.text)
    assert await guarded.run(answer) == 1
    assert "the store cannot be probed: a store" in caplog.text
    await guarded.close()
