"""Transcodes large messages in threads, so that the event loop goes on meanwhile.

A message of megabytes takes the codec a second, in which no other request would be served. In a
thread, the interpreter gives the loop its turn every few milliseconds. Only inside one call of the
codec's own native code it cannot, so `limits.json_values` bounds what such a call may have to do.
"""

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

T = TypeVar("T")

LARGE_BYTES: Final = 64 * 1024
"""From here on a message is transcoded in a thread; less takes a few milliseconds at most."""
# Each thread at work makes the loop wait 5 ms longer for the interpreter, and two share one core.
_THREADS: Final = 2


class _GarbageCollectionPause:
    """Stops the collector of garbage while large messages are transcoded.

    Their hundreds of thousands of objects hold no cycles, and each of its runs would look through
    all of them, which multiplies the time in which nothing else happens.
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
    """What `work` returns or raises, done in a thread; more than a few wait for one another.

    Cancelled, it returns at once, and the work is not begun or comes to its end unheard.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, partial(_run, work))


def _run(work: Callable[[], T]) -> T:
    with _collection_pause:
        return work()


async def transcode(work: Callable[[bytes], T], message: bytes) -> T:
    """`work` done on a message, in a thread if it is large."""
    if len(message) < LARGE_BYTES:
        return work(message)
    return await run_in_thread(partial(work, message))
