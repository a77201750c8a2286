"""The stage that reads and decodes the request: no guard before it has waited for a body."""

from collections.abc import Awaitable

from gateway.call import Call, Handler, Reply


def decode(call: Call, proceed: Handler) -> Awaitable[Reply]:
    """Decodes the one message of a call, and hands the call on.

    A call that streams its request is handed on as it is: its messages are decoded as they come.

    Raises:
        StatusError: the request is not what its method takes.
    """
    if call.messages is None and call.message_at_hand() is None:
        return _read_and_proceed(call, proceed)
    return proceed(call)


async def _read_and_proceed(call: Call, proceed: Handler) -> Reply:
    await call.message()
    return await proceed(call)
