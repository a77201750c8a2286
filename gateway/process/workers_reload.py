"""The reload of several workers: first each of them checks the new settings, then all use them.

The supervisor calls `step` whenever a worker has reported, so a reload is a generator that waits by
yielding. If one worker refuses, ends or does not respond, no worker uses the new settings.
"""

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.config.process_settings import process_changes
from gateway.endpoints.admin.operations import Config, ReloadReport
from gateway.process import orders
from gateway.process.worker_count import check_shared
from gateway.status import StartUpError

logger = logging.getLogger("gateway")

_CANNOT_READ: Final = "the new settings cannot be read: internal error"
_PREPARE_S: Final = 120.0
"""The time limit for one worker to compose a site from the new settings."""
_SWAP_S: Final = 30.0
"""The time limit for all workers to use them."""
_MOST_WAITING: Final = 8

Done = Callable[[ReloadReport | str], None]
"""Receives the result of a reload: its report, or the reasons why it was refused."""


class Reloadable(Protocol):
    """The part of a worker that a reload needs."""

    number: int
    has_started: bool
    reload_answer: orders.ReloadAnswer | None
    """The answer to the last order."""

    @property
    def pid(self) -> int | None:
        """The process, if one runs."""
        ...

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        ...

    def tell(self, order: orders.ReloadOrder) -> None:
        """Sends an order."""
        ...


class Successors(Protocol):
    """Workers for new settings of the process, which are not started yet."""

    def start(self, generation: int) -> Generator[None, None, None]:
        """Starts them; then they serve, and the old ones leave: these settings are in force.

        `generation` is their number.

        Raises:
            StartUpError: they cannot serve; the settings before stay in force.
        """
        ...

    def cancel(self) -> None:
        """Forgets them, unless they serve."""
        ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    dry_run: bool
    done: Done


class WorkersReload:
    """Reloads all workers, one reload after another. All methods belong to the main thread."""

    def __init__(
        self,
        config: Config,
        workers: Sequence[Reloadable],
        read: Callable[[], Config],
        on_swap: Callable[[Config, orders.Table, int], None],
        succeed: Callable[[Config], Successors],
    ) -> None:
        """Reads settings with `read`; `on_swap` takes those that are in force from now on.

        They have their routes and the number of their generation with them. `succeed` prepares
        other workers for settings that a process cannot change.
        """
        self._config = config
        self.generation = 1
        """The number of the settings in force."""
        self._succeed = succeed
        self._workers = workers
        self._read = read
        self._on_swap = on_swap
        self._waiting: deque[_Wanted] = deque()
        self._running: tuple[_Wanted, Generator[None, None, ReloadReport]] | None = None
        self._is_ending = False

    def want(self, done: Done, *, dry_run: bool = False) -> None:
        """Starts a reload, or lets it wait for the end of the one that is going on."""
        if self._is_ending:
            done("the gateway is ending")
        elif len(self._waiting) >= _MOST_WAITING:
            done("too many reloads are waiting")
        else:
            self._waiting.append(_Wanted(dry_run, done))

    @property
    def is_pending(self) -> bool:
        """True while a reload goes on or waits that would change the settings."""
        running = [] if self._running is None else [self._running[0]]
        return any(not wanted.dry_run for wanted in (*running, *self._waiting))

    def signalled(self) -> None:
        """Starts a reload after SIGHUP, unless one waits: that will read the same settings."""
        if not self._waiting:
            self.want(lambda _: None)

    def end(self) -> None:
        """Ends the reload that is going on, and refuses further ones: the gateway ends."""
        self._is_ending = True
        running = [] if self._running is None else [self._running[0]]
        for wanted in (*running, *self._waiting):
            wanted.done("the gateway is ending")
        if self._running is not None:
            self._running[1].close()
        self._running = None
        self._waiting.clear()

    def step(self) -> None:
        """Goes on with the reload, as far as the reports of the workers allow."""
        if self._running is None and self._waiting:
            wanted = self._waiting.popleft()
            self._running = wanted, self._reload(dry_run=wanted.dry_run)
        if self._running is None:
            return
        wanted, steps = self._running
        try:
            next(steps)
        except StopIteration as stop:
            self._running = None
            wanted.done(stop.value)
        except StartUpError as error:
            self._running = None
            wanted.done(str(error))

    def _reload(self, *, dry_run: bool) -> Generator[None, None, ReloadReport]:
        serving = [worker for worker in self._workers if worker.has_started and worker.pid]
        if not serving:
            raise StartUpError("no worker serves")
        config = self._settings(serving[0], dry_run=dry_run)
        changes = tuple(process_changes(self._config, config).values())
        if changes:
            successors = self._successors(config, serving[0], dry_run=dry_run)
            try:
                # One worker compares the routes; the new ones will check everything themselves.
                report, _ = yield from self._check(serving[:1], config, dry_run=dry_run)
                report = replace(report, settings=changes)
                if not dry_run:
                    yield from self._begin(successors, serving[0], report)
                    self._config, self.generation = config, report.generation
            finally:
                _tell(serving[:1], orders.Discard())
                successors.cancel()
            return report
        pids = {worker.number: worker.pid for worker in serving}
        report, table = yield from self._check(serving, config, dry_run=dry_run)
        if dry_run:
            _tell(serving, orders.Discard())
            return report
        self._config, self.generation = config, report.generation
        self._on_swap(config, table, report.generation)
        yield from self._swap(serving, pids)
        return report

    def _settings(self, worker: Reloadable, *, dry_run: bool) -> Config:
        """Reads the settings; `worker` logs why they cannot be used."""
        try:
            config = self._read()
            check_shared(config)
        except StartUpError as error:
            worker.tell(orders.LogRefusal(str(error), dry_run))
            raise
        except Exception:
            # The supervisor must not end by it, nor all workers with it.
            logger.exception(_CANNOT_READ)
            worker.tell(orders.LogRefusal(_CANNOT_READ, dry_run))
            raise StartUpError(_CANNOT_READ) from None
        return config

    def _successors(self, config: Config, worker: Reloadable, *, dry_run: bool) -> Successors:
        """Prepares other workers; `worker` logs why that is not possible."""
        try:
            return self._succeed(config)
        except StartUpError as error:
            worker.tell(orders.LogRefusal(str(error), dry_run))
            raise

    def _begin(
        self, successors: Successors, worker: Reloadable, report: ReloadReport
    ) -> Generator[None]:
        """Lets others serve in the place of the workers; `worker` logs why they cannot."""
        try:
            yield from successors.start(report.generation)
        except StartUpError as error:
            worker.tell(orders.LogRefusal(str(error)))
            raise
        self._workers[0].tell(orders.LogReload(report))

    def _check(
        self, workers: Sequence[Reloadable], config: Config, *, dry_run: bool
    ) -> Generator[None, None, tuple[ReloadReport, orders.Table]]:
        """Lets workers check the settings, one after another; none of them keeps a failure."""
        first: orders.Prepared | None = None
        try:
            for worker in workers:
                order = orders.Prepare(config, self.generation + 1, dry_run, compares=first is None)
                prepared = yield from self._prepare(worker, order)
                first = first or prepared
        except BaseException:
            _tell(workers, orders.Discard())
            raise
        assert first is not None  # noqa: S101 - at least one worker was asked
        return first.report, first.table

    def _prepare(
        self, worker: Reloadable, order: orders.Prepare
    ) -> Generator[None, None, orders.Prepared]:
        """Lets a worker check the new settings."""
        pid, until_s = worker.pid, time.monotonic() + _PREPARE_S
        worker.reload_answer = None
        worker.tell(order)
        while (answer := _answer(worker)) is None:
            if worker.pid != pid:
                raise StartUpError(f"worker {worker.number} ended; try again")
            if time.monotonic() > until_s:
                raise StartUpError(f"worker {worker.number} did not check the settings in time")
            yield
        if isinstance(answer, orders.Refused):
            raise StartUpError(answer.reason)
        assert isinstance(answer, orders.Prepared)  # noqa: S101 - it was asked only this
        return answer

    def _swap(self, serving: Sequence[Reloadable], pids: dict[int, int | None]) -> Generator[None]:
        """Lets all workers use the new settings; one that started meanwhile starts again."""
        for worker in self._workers:
            if worker.pid is not None and worker.pid != pids.get(worker.number):
                worker.signal(signal.SIGTERM)
        for worker in serving:
            worker.reload_answer = None
            worker.tell(orders.Swap(logs_changes=worker is serving[0]))
        until_s = time.monotonic() + _SWAP_S
        while time.monotonic() < until_s and any(
            worker.reload_answer is None and worker.pid == pids[worker.number] for worker in serving
        ):
            yield


def _answer(worker: Reloadable) -> orders.ReloadAnswer | None:
    return worker.reload_answer


def _tell(workers: Sequence[Reloadable], order: orders.Discard) -> None:
    for worker in workers:
        worker.tell(order)
