"""Calling a channel from a test."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from gateway.status import StatusError

Open = Callable[..., Any]
"""Opens a channel of one kind: `async with open_channel(target, **settings) as channel`."""


async def sent(*messages: bytes) -> AsyncGenerator[bytes]:
    """A request of these messages."""
    for message in messages:
        yield message


async def failure(call: Any) -> StatusError:
    """The error that `call` must raise."""
    with pytest.raises(StatusError) as raised:
        await call
    return raised.value
