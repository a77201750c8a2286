"""New workers for settings that a process cannot change: they serve before the old ones leave."""

import signal
import time
from collections.abc import Callable, Generator, Sequence
from typing import Final

from gateway.listeners.moved_sockets import close_others
from gateway.process.orders import CUT, Config, Cut, Retire, Table
from gateway.process.worker import Work, Worker
from gateway.status import StartUpError

_PATIENCE_S: Final = 1.0
"""Seconds in which their requests can end before a further reload ends them."""
_LEAVING_S: Final = 1.0
"""Seconds for the workers before to accept no more; one that hangs is not waited for."""
_ENDING_S: Final = 10.0
"""Seconds that a former worker has beyond its time, for its last answers."""


class Replacement:
    """Workers that start beside those that serve."""

    def __init__(  # noqa: PLR0917 - the parts of a supervisor
        self,
        config: Config,
        workers: Sequence[Worker],
        before: Sequence[Worker],
        work: Work,
        former: "FormerWorkers",
        done: Callable[[Table, int], None],
        cancelled: Callable[[], None],
    ) -> None:
        """Takes the places of the new `workers`, and of those `before`.

        `done` is called with their routes and the number of their settings when the new ones serve,
        or else `cancelled`.
        """
        self.config = config
        self.workers = workers
        self._sockets = [worker.sockets for worker in workers]
        self._sockets_before = [worker.sockets for worker in before]
        self._work = work
        self._former = former
        self._done = done
        self._cancelled = cancelled
        self._is_over = False

    def start(self, generation: int) -> Generator[None, None, None]:
        """Starts all workers, the first of them alone; then they replace those before.

        Raises:
            StartUpError: one of them cannot start.
        """
        self._former.cut()
        while self._former.workers:
            yield
        first, *others = self.workers
        yield from self._start([first], generation)
        yield from self._start(others, generation)
        assert first.started is not None  # noqa: S101 - it serves
        self._is_over = True
        self._done(first.started.table, generation)
        close_others(self._sockets_before, self._sockets)
        # The reload is done when no new connection gets the settings before any more.
        until_s = time.monotonic() + _LEAVING_S
        while self._former.are_accepting and time.monotonic() < until_s:
            yield

    def cancel(self) -> None:
        """Ends the new workers, and closes the sockets that were opened for them, if they do not
        serve."""
        if self._is_over:
            return
        self._is_over = True
        for worker in self.workers:
            if worker.process is not None:
                worker.signal(signal.SIGKILL)
                worker.ended(time.monotonic())
        close_others(self._sockets, self._sockets_before)
        self._cancelled()

    def _start(self, workers: Sequence[Worker], generation: int) -> Generator[None]:
        for worker in workers:
            worker.generation = generation
            worker.start(self.config, time.monotonic(), self._work)
        while any(worker.started is None for worker in workers):
            for worker in self.workers:
                if worker.process is not None and not worker.process.is_alive():
                    worker.take_reports()
                    how = worker.ended(time.monotonic())
                    raise StartUpError(worker.failure or f"a worker with new settings {how}")
            yield


class FormerWorkers:
    """The workers that were replaced, until they have finished their requests."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self._cut_s = self._idle_until_s = 0.0
        self._is_cut = False

    def retire(
        self, workers: Sequence[Worker], keep_s: float, idle_s: float, kept: Sequence[Worker]
    ) -> None:
        """Lets workers finish their requests within `keep_s`; the sockets of those `kept` stay.

        Idle connections are closed after `idle_s`.
        """
        stay = {one for worker in kept for one in worker.sockets}
        self.workers = [worker for worker in workers if worker.process is not None]
        for worker in self.workers:
            is_port_closed = not worker.is_port_kept and stay.isdisjoint(worker.sockets)
            worker.retire(Retire(keep_s, is_port_closed))
        now_s = time.monotonic()
        self._cut_s, self._idle_until_s, self._is_cut = now_s + keep_s, now_s + idle_s, False

    @property
    def are_accepting(self) -> bool:
        """True if one of them may still accept a connection."""
        return any(worker.is_serving for worker in self.workers)

    def cut(self) -> None:
        """Ends soon what they still have in hand: at most two generations serve at a time.

        Their idle connections keep their time, in which clients get an answer that says that it is
        the last.
        """
        self._cut_s = min(self._cut_s, max(time.monotonic(), self._idle_until_s) + _PATIENCE_S)

    def step(self) -> list[str]:
        """Lets go of those that have ended, and kills those that take too long.

        Returns how they have ended, if it was not as they should.
        """
        said, now_s = [], time.monotonic()
        is_cut, self._is_cut = now_s > self._cut_s and not self._is_cut, now_s > self._cut_s
        for worker in list(self.workers):
            assert worker.process is not None  # noqa: S101 - only `step` lets go of them
            if not worker.process.is_alive():
                self.workers.remove(worker)
                how = worker.ended(time.monotonic())
                if worker.last_code not in (0, CUT):
                    said.append(f"the former worker {worker.number} {how}")
            elif now_s > self._cut_s + _ENDING_S:
                worker.signal(signal.SIGKILL)
            elif is_cut:
                worker.order(Cut())
        return said
