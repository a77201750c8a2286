"""A reply of many messages as the pieces of one response, ended exactly once."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

from gateway.status import Code, StatusError
from gateway.transcoding.framing import Framing

logger = logging.getLogger("gateway")

Ended = Callable[[Code, int], None]
"""Told how a stream ended, and how many bytes it had."""


class StreamBrokenError(ConnectionError):
    """A stream without framing failed: only a connection cut short can tell its reader."""


class Pieces:
    """The pieces of a streamed response: each message framed, then the end or the failure.

    Whoever takes them closes it; a reader that leaves early thereby cancels the call.
    """

    def __init__(
        self,
        messages: AsyncGenerator[bytes],
        encode: Callable[[bytes], bytes],
        encode_error: Callable[[StatusError], bytes],
        framing: Framing | None,
        ended: Ended,
    ) -> None:
        self._messages = messages
        self._encode = encode
        self._encode_error = encode_error
        self._framing = framing
        self._ended = ended
        self._count = 0
        self._bytes = 0
        self._is_over = False

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        try:
            piece = self._framed(await anext(self._messages))
        except StopAsyncIteration:
            piece = await self._finish()
        except StatusError as error:
            piece = await self._fail(error)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except Exception:
            logger.exception("a stream failed")
            piece = await self._fail(StatusError(Code.INTERNAL, "internal error"))
        if not piece and self._is_over:
            raise StopAsyncIteration
        self._bytes += len(piece)
        return piece

    async def aclose(self) -> None:
        """Ends the call if it has not ended: nobody reads on."""
        await self._end(Code.CANCELLED)

    def _framed(self, message: bytes) -> bytes:
        payload = self._encode(message)
        if self._framing is not None:
            payload = self._framing.message(payload, self._count)
        self._count += 1
        return payload

    async def _finish(self) -> bytes:
        piece = b"" if self._framing is None else self._framing.end(self._count)
        await self._end(Code.OK)
        return piece

    async def _fail(self, error: StatusError) -> bytes:
        await self._end(error.code)
        if self._framing is None:
            raise StreamBrokenError
        return self._framing.failure(self._encode_error(error), self._count)

    async def _end(self, code: Code) -> None:
        if not self._is_over:
            self._is_over = True
            await self._messages.aclose()
            self._ended(code, self._bytes)
