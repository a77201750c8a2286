"""Sends concurrent questions in batches, so that they share the cost of a round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

_MOST_TOGETHER = 100


class Batches(Generic[Q, A]):
    """Asks one batch at a time; questions that arrive meanwhile form the next.

    Under load this needs one connection, and a fraction of the time of single questions; a single
    question is sent at once.
    """

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        """`ask` answers a batch of questions, in order, or raises for all of them."""
        self._ask = ask
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self, question: Q) -> A:
        """The answer to a question; it is not asked if the caller is cancelled before its turn."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            # The task starts in the loop's next turn, so all questions of this turn share a batch.
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def close(self) -> None:
        """Stops asking; callers that still wait are cancelled."""
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
        except Exception as error:  # noqa: BLE001 - it is raised in the callers
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
