"""The last handler of every call: sends it to its back end."""

import time
from collections.abc import Awaitable, Callable

from gateway.call import Call, Handler, Reply
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.failures import late_before_sending

Clock = Callable[[], float]


def invoke(channel: Channel, clock: Clock = time.monotonic) -> Handler:
    """The handler that sends each call on `channel`, with the time left as its time-out.

    The one message of a call has been decoded by the stage before (`interceptors/decode.py`).
    """

    def send(call: Call) -> Awaitable[Reply]:
        timeout_s = None
        if call.deadline is not None:
            timeout_s = call.deadline.at_s - clock()
            if timeout_s <= 0:
                raise late_before_sending()
        request = call.decoded if call.messages is None else call.messages
        return channel.call(call.method, request, call.unread_metadata or call.metadata, timeout_s)

    return send
