"""The messages in the body of a request that streams them."""

from collections.abc import AsyncGenerator, Callable

from gateway.exchange.dialects.framed_messages import framed_messages
from gateway.http.messages import Request
from gateway.message_stream import MessageStream, Parts, stream_of
from gateway.transcoding.streams.decoder import RawStreamDecoder, RequestStreamDecoder

Begin = Callable[[Callable[[], None]], RequestStreamDecoder]
"""Returns the decoder of a body; called with a function to call when the request is admitted."""


class RequestMessages(MessageStream):
    """The messages of a request's body, each as soon as it is complete.

    The body is not touched before the first one is wanted.
    """

    __slots__ = (
        *("_begin", "_decoder", "_framed", "_is_over", "_on_admitted", "_pieces", "_raw_pieces"),
        "_request",
    )

    def __init__(self, request: Request, begin: Begin, on_admitted: Callable[[], None]) -> None:
        self._request = request
        self._begin: Begin | None = begin
        self._on_admitted = on_admitted
        self._is_over = False
        self._decoder: RawStreamDecoder | None = None
        """The decoder of a raw body, each piece of which is a message; None for other bodies."""
        self._pieces: AsyncGenerator[bytes] | None = None
        self._raw_pieces: MessageStream | None = None
        """The same, if it hands out pieces as they came."""
        self._framed: AsyncGenerator[bytes] | None = None

    async def __anext__(self) -> bytes:
        """The next message, joined."""
        message = await self.following()
        return b"".join(message) if isinstance(message, list) else message

    async def following(self) -> bytes | Parts:
        """The next message; a piece of a raw body is a part of it, as it came."""
        if self._is_over:
            raise StopAsyncIteration
        message: bytes | Parts | None = None
        failure: BaseException | None = None
        try:
            begin, self._begin = self._begin, None
            if begin is not None:
                self._open(begin(self._on_admitted))
            if self._framed is not None:
                message = await anext(self._framed)
            elif self._pieces is not None and self._decoder is not None:
                pieces = self._raw_pieces
                found = await (anext(self._pieces) if pieces is None else pieces.following())
                piece: Parts = found if isinstance(found, list) else [found]
                self._request.body_bytes += sum(map(len, piece))
                message = self._decoder.parts(piece)
        except StopAsyncIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised after the body is closed
            failure = error
        if message is None:
            decoder, self._decoder = self._decoder, None
            await self.aclose()
            if failure is not None:
                raise failure
            # An empty body is one message.
            message = None if decoder is None else next(decoder.finish(), None)
            if message is None:
                raise StopAsyncIteration
        return message

    def _open(self, decoder: RequestStreamDecoder) -> None:
        if not isinstance(decoder, RawStreamDecoder):
            self._framed = framed_messages(self._request, decoder)
            return
        self._decoder = decoder
        if self._request.body is not None:
            self._pieces = self._request.body.pieces(lambda: True)
            self._raw_pieces = stream_of(self._pieces)

    async def aclose(self) -> None:
        """Reads no further."""
        self._is_over = True
        pieces = self._framed if self._pieces is None else self._pieces
        if pieces is not None:
            await pieces.aclose()
