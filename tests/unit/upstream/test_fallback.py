"""The change to a fallback and back, with a clock that is simulated."""

import logging

import pytest

from gateway.call import Call, Reply
from gateway.upstream.channels.failures import unreachable
from gateway.upstream.fallback import Fallback
from tests.support.grpc_backend import method


async def test_a_switch_to_the_fallback_and_back_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    now_s, is_up = [0.0], [False]

    async def first(_: Call) -> Reply:
        if is_up[0]:
            return Reply(b"first")
        raise unreachable("near")

    async def second(_: Call) -> Reply:
        return Reply(b"second")

    send = Fallback("near", "far", lambda: now_s[0]).between(first, second)

    async def answer() -> bytes:
        return (await send(Call(method("Echo"), message=b""))).message

    assert [await answer() for _ in range(3)] == [b"second"] * 3
    is_up[0] = True
    for now_s[0] in (1.0, 9.9):
        assert await answer() == b"first"
    is_up[0] = False
    assert await answer() == b"second", "it was not steady yet, so that is no news"
    is_up[0] = True
    for now_s[0] in (19.8, 19.9, 30.0):
        assert await answer() == b"first"
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events == ["gateway.upstream.fallback", "gateway.upstream.fallback_over"]
