"""Tries several ways to one server, each soon after the other, until one leads there (RFC 8305)."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

Won = TypeVar("Won")
Attempt = Callable[[], Coroutine[Any, Any, Won]]


async def first_of(
    attempts: Sequence[Attempt[Won]], next_s: float, discard: Callable[[Won], None]
) -> Won:
    """The result of the first attempt that succeeds; the others are cancelled.

    The next one begins after `next_s`, or at once when one fails; earlier ones go on. `discard`
    gets the result of each that succeeds besides. There must be at least one attempt.

    Raises:
        OSError: all have failed; it is the failure of the last.
    """
    if len(attempts) == 1:
        return await attempts[0]()
    left, running = list(attempts), set[asyncio.Task[Won]]()
    failures: list[BaseException] = []
    try:
        while left or running:
            if left:
                running.add(asyncio.ensure_future(left.pop(0)()))
            done, _ = await asyncio.wait(
                running,
                timeout=next_s if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                running.discard(task)
                failure = task.exception()
                if failure is None:
                    running |= done
                    running.discard(task)
                    return task.result()
                failures.append(failure)
    finally:
        _end(running, discard)
    raise failures[-1]


def _end(tasks: Iterable[asyncio.Task[Won]], discard: Callable[[Won], None]) -> None:
    """Cancels what is under way, and discards what has succeeded, also at the last moment."""

    def ended(task: asyncio.Task[Won]) -> None:
        with suppress(asyncio.CancelledError, Exception):
            discard(task.result())

    for task in tasks:
        task.cancel()
        task.add_done_callback(ended)


def interleaved(found: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Addresses as of `getaddrinfo` in their order, but of their families in turn (section 4)."""
    families: dict[object, list[tuple[Any, ...]]] = {}
    for one in found:
        families.setdefault(one[0], []).append(one)
    most = max(map(len, families.values()), default=0)
    return [group[at] for at in range(most) for group in families.values() if at < len(group)]
