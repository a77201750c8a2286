"""Removes the fields from replies that only clients set, for example passwords (AIP-203)."""

from collections.abc import AsyncGenerator

from gateway.call import Call, Handler, Reply
from gateway.transcoding.unwanted_fields import Remove


class HideInputOnly:
    """Removes these fields from the replies of one method."""

    def __init__(self, remove: Remove) -> None:
        self._remove = remove

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Returns the reply without these fields; of a stream, each message."""
        reply = await proceed(call)
        if reply.messages is None:
            reply.message = self._remove(reply.message)
        else:
            reply.messages = self._each(reply.messages)
        return reply

    async def _each(self, messages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        try:
            async for message in messages:
                yield self._remove(message)
        finally:
            await messages.aclose()
