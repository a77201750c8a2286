"""The messages in the body of a request, of every form but raw pieces.

Not compiled: mypyc has no asynchronous generators.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from functools import partial

from gateway.exchange.worker_threads import LARGE_BYTES, run_in_thread
from gateway.http.messages import Request
from gateway.http.turns import MESSAGES_PER_TURN
from gateway.transcoding.streams.decoder import RequestStreamDecoder


async def framed_messages(request: Request, decoder: RequestStreamDecoder) -> AsyncGenerator[bytes]:
    """Yields the messages of a request's body, each as soon as it is complete."""
    size = 0
    if request.body is not None:
        async for data in request.body.pieces(lambda: decoder.is_midway):
            request.body_bytes += len(data)
            if decoder.only_copies:
                for message in decoder.feed(data):
                    yield message
                continue
            size += len(data)
            async for message in _each(decoder.feed(data), is_large=size >= LARGE_BYTES):
                size = 0
                yield message
    async for message in _each(decoder.finish(), is_large=size >= LARGE_BYTES):
        yield message


async def _each(found: Iterator[bytes], *, is_large: bool) -> AsyncGenerator[bytes]:
    """Yields the messages found in one piece of a body.

    `is_large` states that the first message is large: it ends here, after many pieces, so it is
    decoded in a worker thread.
    """
    in_turn = 0
    while True:
        find = partial(next, found, None)
        message = await run_in_thread(find) if is_large else find()
        if message is None:
            return
        is_large = False
        yield message
        in_turn = in_turn + 1 if in_turn < MESSAGES_PER_TURN else 0
        if not in_turn:
            await asyncio.sleep(0)
