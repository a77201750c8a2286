"""The body of a streamed response: a reply of many messages as pieces, ended exactly once."""

import asyncio
import logging
from collections.abc import Callable

from gateway.exchange.streaming_call import StreamingCall
from gateway.exchange.unreadable import log_unreadable
from gateway.exchange.worker_threads import transcode
from gateway.http.connection import StreamBrokenError
from gateway.status import Code, StatusError
from gateway.transcoding.response import Encode
from gateway.transcoding.streams.framing import Framing

logger = logging.getLogger("gateway")

Ended = Callable[[Code, int], None]
"""Called when a stream has ended, with its code and its size in bytes."""


class ResponseStream:
    """The pieces of a streamed response: each message framed, then the end or the failure.

    The reader must close it; closing it before its end cancels the call.
    """

    def __init__(
        self,
        call: StreamingCall,
        encode: Encode,
        encode_error: Callable[[StatusError], bytes],
        framing: Framing | None,
    ) -> None:
        self.opening = b""
        """The bytes before the first message."""
        self.count = 0
        """The number of the last message."""
        self.length: int | None = None
        """The total size in bytes, if it is known."""
        self.heartbeat_s: float | None = None
        """Seconds of silence after which a heartbeat is due; None for no heartbeats."""
        self.ended: Ended = _ignore
        self._call = call
        self._encode = encode
        self._encode_error = encode_error
        self._framing = framing
        self._bytes = 0
        self._is_over = False
        self._interruption: StatusError | None = None
        self._is_waiting = False
        """True while a task waits for the next message."""

    def __aiter__(self) -> "ResponseStream":
        return self

    @property
    def heartbeat(self) -> bytes:
        """The bytes to send between two pieces to show that the stream is alive."""
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

    def interrupt(self, error: StatusError) -> bool:
        """Makes `error` the end of the stream; True if a waiting task must be cancelled."""
        self._interruption = error
        return self._is_waiting

    async def aclose(self) -> None:
        """Ends the call as cancelled, if it has not ended."""
        await self._end(Code.CANCELLED)

    async def _next(self) -> bytes:
        if (interruption := self._interrupted_by()) is not None:
            return await self._fail(interruption)
        self._is_waiting = True
        try:
            return await self._framed(await anext(self._call))
        except StopAsyncIteration:
            return await self._finish()
        except StatusError as error:
            return await self._fail(error)
        except asyncio.CancelledError:
            interruption, task = self._interrupted_by(), asyncio.current_task()
            if interruption is None or task is None:
                await self.aclose()
                raise
            task.uncancel()  # only the wait was cancelled
            return await self._fail(interruption)
        except Exception:
            logger.exception("a stream failed")
            return await self._fail(StatusError(Code.INTERNAL, "internal error"))
        finally:
            self._is_waiting = False

    def _interrupted_by(self) -> StatusError | None:
        return self._interruption

    async def _framed(self, message: bytes) -> bytes:
        if self._framing is None:  # raw bytes: a slice of the message, cheap on the event loop
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
    """Ignores the end of a stream; the default of `ResponseStream.ended`."""
