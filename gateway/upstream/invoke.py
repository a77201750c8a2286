"""The last handler of every call: sends it to its back end."""

import time
from collections.abc import Awaitable, Callable

from gateway.call import Call, Handler, Reply
from gateway.upstream.channels.channel import Channel, KeyedChannel
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

    if not isinstance(channel, KeyedChannel) or channel.key_of is None:
        return send
    keyed, key_of = channel, channel.key_of

    # A function of its own: without keys, a call must not pay for the question.
    def send_by_key(call: Call) -> Awaitable[Reply]:
        timeout_s = None
        if call.deadline is not None:
            timeout_s = call.deadline.at_s - clock()
            if timeout_s <= 0:
                raise late_before_sending()
        request = call.decoded if call.messages is None else call.messages
        metadata = call.unread_metadata or call.metadata
        return keyed.call(call.method, request, metadata, timeout_s, key_of(call))

    return send_by_key
