"""The last handler of every call: sends it to its back end."""

import time
from collections.abc import Callable

from gateway.call import Call, Handler, Reply
from gateway.upstream.channel import Channel
from gateway.upstream.status_details import deadline_exceeded

Clock = Callable[[], float]


def invoke(channel: Channel, clock: Clock = time.monotonic) -> Handler:
    """The handler that answers calls with what `channel`'s back end answers, in the time left."""

    async def handle(call: Call) -> Reply:
        request = call.messages if call.messages is not None else await call.message()
        timeout_s = None
        if call.deadline is not None:
            timeout_s = call.deadline.remaining_s(clock())
            if timeout_s <= 0:
                raise deadline_exceeded()
        return await channel.call(call.method, request, call.metadata, timeout_s)

    return handle
