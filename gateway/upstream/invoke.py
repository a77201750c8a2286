"""The last handler of every call: sends it to its back end."""

import time
from collections.abc import Awaitable, Callable

from gateway.call import Call, Handler, Reply
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.status_details import deadline_exceeded

Clock = Callable[[], float]


def invoke(channel: Channel, clock: Clock = time.monotonic) -> Handler:
    """The handler that answers calls with what `channel`'s back end answers, in the time left."""

    def send(call: Call) -> Awaitable[Reply]:
        request = call.message_at_hand() if call.messages is None else call.messages
        if request is None:
            return wait_and_send(call)
        timeout_s = None
        if call.deadline is not None:
            timeout_s = call.deadline.at_s - clock()
            if timeout_s <= 0:
                raise deadline_exceeded()
        return channel.call(call.method, request, call.metadata, timeout_s)

    async def wait_and_send(call: Call) -> Reply:
        await call.message()
        return await send(call)

    return send
