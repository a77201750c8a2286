"""Questions that come at once, asked together: what a round trip costs is shared by all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

_MOST_TOGETHER = 100


class Batches(Generic[Q, A]):
    """Asks one batch at a time; what comes meanwhile is the next.

    Under load that takes one connection, and a fraction of the time that asking one by one does;
    a question that comes alone goes at once.
    """

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        """`ask` answers many questions, in order, or raises for all of them."""
        self._ask = ask
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self, question: Q) -> A:
        """The answer to a question; one whose asker leaves before its turn is not asked at all."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            # A task begins with the loop's next turn: all that ask in this one go together.
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def close(self) -> None:
        """Asks no more; whoever still waits is cancelled."""
        for _, answer in self._waiting:
            answer.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:_MOST_TOGETHER]
                del self._waiting[:_MOST_TOGETHER]
                await self._ask_batch([one for one in batch if not one[1].done()])
        finally:
            self._asking = None

    async def _ask_batch(self, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._ask([question for question, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - it is for those who asked
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
