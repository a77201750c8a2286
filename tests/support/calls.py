"""Calling a channel from a test."""

from collections.abc import AsyncGenerator, Callable
from random import Random
from typing import Any

import pytest

from gateway.config.retries import RetryPolicy
from gateway.config.upstreams import Balance
from gateway.status import StatusError
from gateway.upstream.attempts import Balanced
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.endpoints import Endpoints
from gateway.upstream.interfaces import EndpointChannel
from gateway.upstream.pickers import policy_of
from gateway.upstream.retrying import Retrying

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


def one_endpoint(channel: EndpointChannel) -> Balanced:
    """What makes the attempts of calls on `channel` alone."""
    policy = policy_of(Balance.ROUND_ROBIN, Random())
    endpoints = Endpoints("library", lambda _: channel, policy, drain_s=0.0)
    endpoints.replace([Endpoint(("127.0.0.1:1",))], quietly=True)
    retrying = Retrying(RetryPolicy(), Random(), here=False)
    return Balanced("library", endpoints, None, retrying=retrying)
