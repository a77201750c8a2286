"""Reads and decodes the request, after all checks that need no body."""

from collections.abc import Awaitable

from gateway.call import Call, Handler, Reply


def decode(call: Call, proceed: Handler) -> Awaitable[Reply]:
    """Decodes the one message of a call and proceeds with the call.

    A call that streams its request proceeds at once: its messages are decoded as they arrive.

    Raises:
        StatusError: the request is not valid for its method.
    """
    if call.messages is None and call.message_at_hand() is None:
        return _read_and_proceed(call, proceed)
    return proceed(call)


async def _read_and_proceed(call: Call, proceed: Handler) -> Reply:
    await call.message()
    return await proceed(call)
