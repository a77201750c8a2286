"""Copies calls to an upstream whose replies nobody gets, without a change for the callers."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from random import Random
from typing import Final

from gateway.call import Call, Deadline, Handler, Reply
from gateway.config.mirrors import Mirror
from gateway.telemetry.event import about

logger = logging.getLogger("gateway.upstream")

_WARN_AGAIN_S: Final = 60.0
_now_s: Final = time.monotonic


class Mirroring:
    """The copies for one mirror.

    They have no credentials, and of their metadata only what the settings name. The number under
    way is bounded, so that a mirror that hangs costs no more than that; others are left out.
    """

    def __init__(self, mirror: Mirror, random: Random) -> None:
        self._mirror = mirror
        self._random = random
        self._kept = frozenset(mirror.metadata)
        self._under_way: set[asyncio.Task[None]] = set()
        self._warn_at_s = 0.0
        self._dropped = 0

    def beside(self, first: Handler, copies: Handler) -> Handler:
        """The handler that passes unary calls to `first`, and copies of some to `copies`."""

        def send(call: Call) -> Awaitable[Reply]:
            self._copy(call, copies)
            return first(call)

        return send

    def _copy(self, call: Call, to: Handler) -> None:
        if self._random.random() * 100 >= self._mirror.percent:
            return
        if len(self._under_way) >= self._mirror.max_in_flight:
            self._drop()
            return
        now_s = _now_s()
        until_s = now_s + self._mirror.timeout_s
        if call.deadline is not None:
            until_s = min(until_s, call.deadline.at_s)
        head = call.unread_metadata  # to read the metadata of the call itself would change its path
        found = [] if not self._kept else call.metadata if head is None else head.metadata()
        copied = Call(
            call.method,
            message=call.decoded,
            metadata=[*[one for one in found if one[0] in self._kept], ("x-mirror", "1")],
            headers={},
            deadline=Deadline(until_s),
        )
        task = asyncio.create_task(self._run(copied, to))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Cancels the copies under way."""
        running = tuple(self._under_way)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, copied: Call, to: Handler) -> None:
        try:
            await to(copied)
        except Exception as error:  # noqa: BLE001 - nothing of a copy reaches anybody
            logger.debug(
                "a copy of a call to upstream %s failed: %s", self._mirror.to, type(error).__name__
            )

    def _drop(self) -> None:
        self._dropped += 1
        now_s = _now_s()
        if now_s >= self._warn_at_s:
            self._warn_at_s = now_s + _WARN_AGAIN_S
            logger.warning(
                "upstream %s is too slow for its copies: %d were left out (max_in_flight)",
                self._mirror.to,
                self._dropped,
                extra=about("gateway.upstream.mirror_full", gateway__upstream=self._mirror.to),
            )
