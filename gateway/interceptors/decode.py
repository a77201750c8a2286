"""Reads and decodes the request, after all checks that need no body."""

from collections.abc import Awaitable

from gateway.call import Call, Handler, Reply
from gateway.status import Refused, StatusError


def decode(call: Call, proceed: Handler) -> Awaitable[Reply]:
    """Decodes the one message of a call and proceeds with the call.

    A call that streams its request proceeds at once: its messages are decoded as they arrive. One
    whose request is not valid for its method is refused.
    """
    if call.messages is None:
        try:
            message = call.message_at_hand()
        except StatusError as error:
            return Refused(error)
        if message is None:
            return _read_and_proceed(call, proceed)
    return proceed(call)


async def _read_and_proceed(call: Call, proceed: Handler) -> Reply:
    await call.message()
    return await proceed(call)
