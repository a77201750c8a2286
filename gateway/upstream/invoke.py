"""The last handler of every call: sends it to its back end."""

import time
from collections.abc import Awaitable, Callable

from gateway.call import Call, Deadline, Handler, Reply
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.failures import late_before_sending
from gateway.upstream.interfaces import UpstreamChannel

Clock = Callable[[], float]


def invoke(channel: Channel, clock: Clock = time.monotonic) -> Handler:
    """The handler that sends each call on `channel`, with the time left as its time-out.

    The one message of a call has been decoded by the stage before (`interceptors/decode.py`).
    """

    def send(call: Call) -> Awaitable[Reply]:
        timeout_s = None if call.deadline is None else _left_s(call.deadline, clock())
        request = call.decoded if call.messages is None else call.messages
        return channel.call(call.method, request, call.unread_metadata or call.metadata, timeout_s)

    if not isinstance(channel, UpstreamChannel) or channel.key_of is None:
        return send
    keyed, key_of = channel, channel.key_of

    # A function of its own: without keys, a call must not pay for the question.
    def send_by_key(call: Call) -> Awaitable[Reply]:
        timeout_s = None if call.deadline is None else _left_s(call.deadline, clock())
        request = call.decoded if call.messages is None else call.messages
        metadata = call.unread_metadata or call.metadata
        return keyed.call(call.method, request, metadata, timeout_s, key_of(call))

    return send_by_key


def _left_s(deadline: Deadline, now_s: float) -> float:
    """The seconds until `deadline`.

    Raises:
        StatusError: DEADLINE_EXCEEDED if there are none.
    """
    left_s = deadline.at_s - now_s
    if left_s <= 0:
        raise late_before_sending()
    return left_s
