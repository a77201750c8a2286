"""Bodies that come after their heads: taken without the parser exactly as with it.

A difference in where a body ends would let a client smuggle a request (RFC 9112 section 11.2).
"""

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.config.limits import Limits
from gateway.http.messages import Request
from gateway.listeners.http1.body import WholeBody
from gateway.listeners.http1.plain_head import PLAIN_UPLOAD
from gateway.listeners.http1.request_reader import ReceivedRequest, RequestReader
from tests.property.test_plain_heads import Read, seen

LENGTHS = [
    *("0", "1", "+5", "-5", "05", " 5", "5 ", "5, 5", "0x5", "5.0", "", "1_000", "\u0665"),
    *("999999999", "1000000000", "18446744073709551615", "18446744073709551616", "9" * 40),
]
"""Lengths that are no length, that say the wrong one, or that are too large."""
SMUGGLED = b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
"""What stands in the bodies, again and again: it is read if the end of a body is misplaced."""
SIZES = [1, 2, 9, 60, 900, 3_000, 70_000, 140_000, 262_144, 262_145, 400_000, 600_000]
LINES = [
    *("Accept: */*", "X-Request-Id: a-1", "Connection: keep-alive", "Content-Type: text/plain"),
    *("User-Agent: probe", "Authorization: Bearer abc"),
]
ATTACKS = [
    *("Connection: close", "Expect: 100-continue", "Transfer-Encoding: chunked", "X-A:b"),
    *("Transfer-Encoding: identity", "Upgrade: websocket", "Connection: Upgrade", "TE: trailers"),
    *("Content-Encoding: gzip", "Content-Length: 7", "Content-Length : 7", " folded: a"),
]
MOST_BYTES = 200_000
"""The most bytes of one read: fewer than make a body full, so that one in one read never is."""


class Connection:
    """A connection that reads all its requests as they are read, or with the parser alone."""

    connected = True

    def __init__(self, *, parser_only: bool) -> None:
        loop = asyncio.get_running_loop()
        self._reader = RequestReader(self, loop, Limits(), websockets=True)
        self._read: Callable[[bytes], Read] = self._read_either
        if parser_only:
            self._read = self._reader.parse
        self._received: list[ReceivedRequest] = []
        self._texts: list[bytes] = []
        self.is_paused = self.is_over = self._is_view = False
        self.uploads = self.pauses = 0

    def _read_either(self, data: bytes) -> Read:
        """Reads bytes, or a view of the same, in turn."""
        self._is_view = not self._is_view
        return self._reader.read(memoryview(data) if self._is_view else data)

    def on_body_read(self, body: object, *, whole: bool) -> None:
        """Called when the reading of a body starts."""

    on_awaited_read = on_body_read

    def pause_reading(self) -> None:
        """Called by a body that is full."""
        self.is_paused = True
        self.pauses += 1
        self._reader.pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called by a body that has room again."""
        if self.is_paused:
            self.is_paused = False
            if resume_parser:
                self.found += self.receive(b"")

    def receive(self, data: bytes) -> list[object]:
        """Returns all that these bytes bring."""
        try:
            requests, upgraded, rest = self._read(data)
        except HttpProcessingError as error:
            self.is_over = True
            return [type(error), str(error).partition("\n\n")[0]]
        self.is_over = upgraded
        self._received += requests
        self._texts += [b""] * len(requests)
        self.uploads += sum(one.head is PLAIN_UPLOAD for one in requests)
        return [*map(seen, requests), upgraded, bytes(rest)]

    def step(self, data: bytes | None) -> list[object]:
        """Receives bytes, or reads what has come of the first body that is not read to its end."""
        self.found: list[object] = []
        if data is not None:
            self.found += self.receive(data)
        else:
            self._take()
        bodies = [(self._total(one), one.body.is_eof()) for one in self._received]
        return [*self.found, self.is_paused, max(0, self._reader.body_left()), bodies]

    def texts(self) -> Sequence[bytes]:
        """What was read of all bodies that `seen` has not compared."""
        return self._texts

    def _take(self) -> None:
        for number, received in enumerate(self._received):
            request, stream = received.request, received.body
            whole = request.body if isinstance(request, Request) else None
            if isinstance(whole, WholeBody):
                text = b"" if self._texts[number] or whole.is_buffered else whole.read_now()
                if text:
                    self.resume_reading()  # as a body from the parser does when it is read
            else:
                text = b"" if stream is EMPTY_PAYLOAD else stream.read_nowait()
            if text:
                self._texts[number] += text
                return

    def _total(self, received: ReceivedRequest) -> int:
        request, stream = received.request, received.body
        if isinstance(request, Request) and isinstance(request.body, WholeBody):
            return len(request.body.read_now())
        return stream.total_bytes


def request(chance: random.Random) -> bytes:
    """A request with a body, mostly one that is well-formed and states its length."""
    size = chance.choice(SIZES)
    body = (SMUGGLED * (size // len(SMUGGLED) + 1))[chance.randrange(9) :][:size]
    stated = str(len(body))
    kind = chance.random()
    if kind < 0.1:
        stated = chance.choice(LENGTHS)
    elif kind < 0.2:
        stated = str(max(1, len(body) + chance.choice([-60, -2, -1, 1, 2, 60])))
    lines = ["Host: a", f"Content-Length: {stated}"]
    lines += chance.sample(LINES, k=chance.randint(0, 4))
    if chance.random() < 0.1:
        lines.append(chance.choice(ATTACKS))
    chance.shuffle(lines)
    version = "1.1" if chance.random() < 0.97 else "1.0"
    text = "\r\n".join([f"POST /v1/items HTTP/{version}", *lines, "", ""])
    return text.encode() + body


def reads(chance: random.Random, requests: Sequence[bytes]) -> list[bytes]:
    """The reads in which requests come: whole heads, then the rest cut anywhere."""
    data, places = b"".join(requests), {0}
    if chance.random() < 0.7:
        starts = [sum(map(len, requests[:number])) for number in range(len(requests))]
        places |= {one for one in starts if chance.random() < 0.8}
    places |= {chance.randrange(len(data)) for _ in range(chance.randint(0, 6))}
    places |= {*range(0, len(data), chance.randint(40_000, MOST_BYTES))}
    ordered = sorted(places)
    return [data[a:b] for a, b in zip(ordered, [*ordered[1:], len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(4))
async def test_every_body_ends_where_it_ends_with_the_parser(seed: int) -> None:
    chance = random.Random(seed)
    uploads = pauses = 0
    for _ in range(250):
        pieces = reads(chance, [request(chance) for _ in range(chance.randint(1, 4))])
        if chance.random() < 0.2:  # the client leaves amid a body
            del pieces[chance.randrange(len(pieces)) :]
        made, known = Connection(parser_only=False), Connection(parser_only=True)
        eager = chance.random()
        while (pieces and not known.is_over) or made.is_paused:
            # TLS may bring bytes that had come before the pause.
            is_read = not pieces or known.is_over or chance.random() < eager / 2
            if known.is_paused and chance.random() < 0.9:
                is_read = True
            data = None if is_read else pieces.pop(0)
            assert made.step(data) == known.step(data)
            assert made.is_over == known.is_over
        for _ in range(20):
            assert made.step(None) == known.step(None)
        assert made.texts() == known.texts()
        uploads += made.uploads
        pauses += made.pauses
    # Otherwise the parser would only be compared with itself, or no body would be full.
    assert uploads > 100
    assert pauses > 40
