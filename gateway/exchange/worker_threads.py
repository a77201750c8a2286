"""Transcodes large messages in worker threads, so that they do not block the event loop.

A message of several megabytes keeps the codec busy for a second; on the loop, no other request
would be served in that time. With a thread, the interpreter returns to the loop after half a
millisecond. It cannot do so inside one call of native code, so `limits.json_values` bounds the work
of one such call.
"""

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

T = TypeVar("T")

LARGE_BYTES: Final = 32 * 1024
"""The size from which a message is transcoded in a thread. The costliest that are smaller, of empty
messages, take 50 ms in plain Python, and others wait that long."""
# Each busy thread makes the loop wait longer for the interpreter lock, and all threads share one
# core.
_THREADS: Final = 2


class _GarbageCollectionPause:
    """Disables the garbage collector while large messages are transcoded.

    A large message has hundreds of thousands of objects and no cycles. Each run of the collector
    would scan all of them, and block the event loop several times longer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working = 0
        self._was_enabled = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._working:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._working += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._working -= 1
            if not self._working and self._was_enabled:
                gc.enable()


_collection_pause = _GarbageCollectionPause()
_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="transcoding")


async def run_in_thread(work: Callable[[], T]) -> T:
    """Runs `work` in a worker thread and returns or raises its result.

    If all threads are busy, the work waits in a queue. If the caller is cancelled, this returns
    at once; the work is dropped if it has not started, otherwise its result is ignored.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, partial(_run, work))


def _run(work: Callable[[], T]) -> T:
    with _collection_pause:
        return work()


async def transcode(work: Callable[[bytes], T], message: bytes) -> T:
    """Applies `work` to a message; in a worker thread if the message is large."""
    if len(message) < LARGE_BYTES:
        return work(message)
    return await run_in_thread(partial(work, message))
