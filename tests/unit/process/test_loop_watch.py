"""The stack of a loop that is blocked is logged while it is blocked."""

import asyncio
import logging
import time

import pytest

from gateway.process.loop_watch import LoopWatch


def waits_in_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """Blocks the loop until that is logged, or for twenty seconds."""
    until_s = time.monotonic() + 20
    while not caplog.records and time.monotonic() < until_s:
        time.sleep(0.01)


async def test_the_stack_of_a_blocked_loop_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = LoopWatch()
    try:
        with caplog.at_level(logging.WARNING, "gateway"):
            await asyncio.sleep(0.6)
            assert caplog.records == []
            waits_in_the_loop(caplog)
            waited = [vars(record) for record in caplog.records]
            await asyncio.sleep(0.6)
    finally:
        watch.stop()
    (record,) = caplog.records
    assert vars(record) == waited[0]
    assert "the event loop has been blocked for " in record.getMessage()
    assert "in waits_in_the_loop" in str(waited[0])
