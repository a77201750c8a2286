"""A reply of many messages as the pieces of one response, ended exactly once."""

import asyncio
import logging
from collections.abc import Callable

from gateway.exchange.streaming_call import StreamingCall
from gateway.exchange.unreadable import log_unreadable
from gateway.exchange.worker_threads import transcode
from gateway.status import Code, StatusError
from gateway.transcoding.response import Encode
from gateway.transcoding.streams.framing import Framing

logger = logging.getLogger("gateway")

Ended = Callable[[Code, int], None]
"""Told how a stream ended, and how many bytes it had."""


class StreamBrokenError(ConnectionError):
    """A stream failed that has no word for it: only a connection cut short can tell its reader."""


class ResponseStream:
    """The pieces of a streamed response: each message framed, then the end or the failure.

    Whoever takes them closes it; a reader that leaves early thereby cancels the call.
    """

    def __init__(
        self,
        call: StreamingCall,
        encode: Encode,
        encode_error: Callable[[StatusError], bytes],
        framing: Framing | None,
    ) -> None:
        self.opening = b""
        """What goes before the first message."""
        self.count = 0
        """The number of the last message."""
        self.length: int | None = None
        """How many bytes all pieces will be, where that is known."""
        self.heartbeat_s: float | None = None
        """How long to be silent before saying so, or None for ever."""
        self.ended: Ended = _ignore
        self._call = call
        self._encode = encode
        self._encode_error = encode_error
        self._framing = framing
        self._bytes = 0
        self._is_over = False

    def __aiter__(self) -> "ResponseStream":
        return self

    @property
    def heartbeat(self) -> bytes:
        """What can be sent between two pieces to show that somebody is there."""
        return b"" if self._framing is None else self._framing.heartbeat

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        if self.opening:
            piece, self.opening = self.opening, b""
        else:
            piece = await self._next()
            if not piece and self._is_over:
                raise StopAsyncIteration
        self._bytes += len(piece)
        return piece

    async def aclose(self) -> None:
        """Ends the call if it has not ended: nobody reads on."""
        await self._end(Code.CANCELLED)

    async def _next(self) -> bytes:
        try:
            return await self._framed(await anext(self._call))
        except StopAsyncIteration:
            return await self._finish()
        except StatusError as error:
            return await self._fail(error)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except Exception:
            logger.exception("a stream failed")
            return await self._fail(StatusError(Code.INTERNAL, "internal error"))

    async def _framed(self, message: bytes) -> bytes:
        if self._framing is None:  # raw bytes, which are cut out of the message
            payload = self._encode(message).body
        else:
            payload = (await transcode(self._encode, message)).body
            payload = self._framing.message(payload, self.count)
        self.count += 1
        return payload

    async def _finish(self) -> bytes:
        piece = b"" if self._framing is None else self._framing.end(self.count)
        await self._end(Code.OK)
        return piece

    async def _fail(self, error: StatusError) -> bytes:
        log_unreadable(error)
        await self._end(error.code)
        if self._framing is None or self._framing.failure is None:
            raise StreamBrokenError
        return self._framing.failure(self._encode_error(error), self.count)

    async def _end(self, code: Code) -> None:
        if not self._is_over:
            self._is_over = True
            try:
                await self._call.end(code)
            finally:
                self.ended(code, self._bytes)


def _ignore(code: Code, size: int) -> None:
    """Stands in for who is to be told."""
