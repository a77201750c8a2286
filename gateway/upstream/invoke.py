"""The last handler of every call: sends it to its back end."""

import time
from collections.abc import Awaitable, Callable

from gateway.call import Call, Deadline, Handler, Method, Reply, chain
from gateway.upstream.attempts import Balanced
from gateway.upstream.channels.channel import Channel
from gateway.upstream.interfaces import UpstreamChannel, late_before_sending
from gateway.upstream.measure import Measure

Clock = Callable[[], float]
MeasureOf = Callable[[Method, str], Measure | None]
"""Returns what measures the calls of a method to the upstream of a name; None if nothing does."""


def invoke(
    channel: Channel, clock: Clock = time.monotonic, measure: Measure | None = None
) -> Handler:
    """The handler that sends each call on `channel`, with the time left as its time-out.

    The one message of a call has been decoded by the stage before (`interceptors/decode.py`).
    `measure` is told how each call ends.
    """
    if isinstance(channel, Balanced):
        return _by_balanced(channel, clock, measure)
    if measure is not None:
        return chain([measure], invoke(channel, clock))

    keyed = channel if isinstance(channel, UpstreamChannel) else None
    key_of = None if keyed is None else keyed.key_of

    def send(call: Call) -> Awaitable[Reply]:
        timeout_s = None if call.deadline is None else _left_s(call.deadline, clock())
        request = call.decoded if call.messages is None else call.messages
        metadata = call.unread_metadata or call.metadata
        if keyed is None or key_of is None:
            return channel.call(call.method, request, metadata, timeout_s)
        return keyed.call(call.method, request, metadata, timeout_s, key_of(call))

    return send


def _by_balanced(channel: Balanced, clock: Clock, measure: Measure | None) -> Handler:
    """The handler of the usual channel, which costs less: it is called without an interface."""
    key_of = channel.key_of

    def send(call: Call) -> Awaitable[Reply]:
        timeout_s = None
        if call.deadline is not None:
            now_s = clock()
            timeout_s = call.deadline.at_s - now_s
            if timeout_s <= 0:
                late = late_before_sending()
                if measure is not None:
                    measure.ended(call, late, now_s)
                raise late
        request = call.unread if call.messages is None else call.messages
        metadata = call.unread_metadata or call.metadata
        key = None if key_of is None else key_of(call)
        return channel.call(call.method, request, metadata, timeout_s, key, call, measure)

    return send


def _left_s(deadline: Deadline, now_s: float) -> float:
    """The seconds until `deadline`.

    Raises:
        StatusError: DEADLINE_EXCEEDED if there are none.
    """
    left_s = deadline.at_s - now_s
    if left_s <= 0:
        raise late_before_sending()
    return left_s
