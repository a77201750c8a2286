"""A gateway of several workers, as its operators see it; served from a thread of the supervisor.

The supervisor waits for its workers in the main thread. So the admin listener answers in a thread
of its own, also while workers hang, and hands on what it changes to the main thread (`Inbox`).
"""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, Protocol, TypeVar

from gateway.endpoints.admin import operations
from gateway.process.inbox import Inbox
from gateway.process.orders import Answer, Config, Question, SetLevel, SetReady, Tell, Told
from gateway.process.pulse import LATE_S
from gateway.status import Code, StartUpError, StatusError
from gateway.telemetry.logs.levels import Levels

_COUNTS_WITHIN_S: Final = 0.5
_PURGED_WITHIN_S: Final = 2.0
_ERRAND_S: Final = 10.0
_POLL_S: Final = 0.01
_LIVE_WITHIN_S: Final = 10.0

_Content = TypeVar("_Content")


class Watched(Protocol):
    """The part of a worker that operators see and change."""

    number: int
    started_s: float
    failures: int
    has_started: bool
    is_serving: bool
    killed_s: float | None
    told: Told | None
    told_s: float
    details: operations.Details | None
    details_s: float
    answers_of: dict[type, Answer]

    @property
    def pid(self) -> int | None:
        """The process, if one runs."""
        ...

    def silent_s(self, now_s: float) -> float:
        """Returns the seconds since the last heartbeat."""
        ...

    def answers(self, now_s: float) -> bool:
        """True if the process accepts connections and sends heartbeats."""
        ...

    def tell(self, order: Tell | SetLevel | SetReady | Question) -> None:
        """Sends an order."""
        ...


class Supervised:
    """The operations on all workers; see `Operations`."""

    def __init__(
        self,
        config: Config,
        workers: Sequence[Watched],
        inbox: Inbox,
        want_reload: Callable[..., None],
        exposition: operations.Exposition | None,
    ) -> None:
        self.config = config
        self.exposition = exposition
        self.url = ""
        self.routes: Sequence[operations.RouteRow] = ()
        self.generation = 1
        self.is_draining = False
        self.levels = Levels(config.log.level)
        """The level that the workers have, as far as the supervisor has told them."""
        self._is_ending = False
        self._workers = workers
        self._inbox = inbox
        self._want_reload = want_reload
        self._purging = asyncio.Lock()
        self._following = asyncio.Lock()
        self._errand = asyncio.Lock()
        self._inspecting = asyncio.Lock()
        self._questions = 0

    @property
    def level(self) -> operations.LogLevel:
        """The log level in force."""
        return self.levels.level

    def serves(self, url: str, table: Sequence[tuple[str, str, str]]) -> None:
        """Notes that the first worker serves, with its routes."""
        self.routes = [operations.RouteRow(*row) for row in table]
        self.url = url

    def reloaded(
        self, config: Config, table: Sequence[tuple[str, str, str]], generation: int
    ) -> None:
        """Notes the settings that the workers use from now on, and their routes."""
        self.config = config
        self.generation = generation
        self.levels.set(config.log.level)
        self.serves(self.url, table)

    def succeeded(
        self, url: str, config: Config, table: Sequence[tuple[str, str, str]], generation: int
    ) -> None:
        """Notes that other workers serve, perhaps on another address, and with which settings."""
        self.url = url
        self.reloaded(config, table, generation)

    async def reload(self, *, dry_run: bool) -> operations.ReloadReport:
        """Lets all workers use the settings as they are now; see `Operations`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[operations.ReloadReport | str] = loop.create_future()

        def done(result: operations.ReloadReport | str) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(answer.set_result, result)

        self._inbox.post(lambda: self._want_reload(done, dry_run=dry_run))
        result = await asyncio.shield(answer)
        if isinstance(result, str):
            raise StartUpError(result)
        return result

    def ends(self) -> None:
        """Notes that the drain has begun, which no operator can undo."""
        self.is_draining = self._is_ending = True

    def signalled(self, number: int) -> None:
        """Notes that a signal has changed the log level of the workers."""
        changes = {
            signal.SIGUSR1: self.levels.lower,
            signal.SIGUSR2: self.levels.raise_,
        }
        changes[signal.Signals(number)]()

    def started(self, worker: Watched) -> None:
        """Tells a worker that has just started what operators have changed; in the main thread."""
        worker.tell(SetLevel(self.level))
        if self.is_draining:
            worker.tell(SetReady(is_ready=False))

    def set_level(self, level: operations.LogLevel) -> None:
        """Changes the log level of every worker."""
        self.levels.set(level)
        self._tell(SetLevel(level))

    def set_draining(self, *, is_draining: bool) -> None:
        """Makes the gateway not ready, or ready again."""
        self.is_draining = is_draining or self._is_ending
        self._tell(SetReady(is_ready=not self.is_draining))

    def why_not_live(self) -> str:
        """Returns the reason why the gateway must be restarted.

        One that starts is live: the probe of a start has a time limit of its own.
        """
        if self.why_not_started():
            return ""
        now_s = time.monotonic()
        heard = [w.silent_s(now_s) for w in self._workers]
        return "" if min(heard) < _LIVE_WITHIN_S else "no worker responds"

    def why_not_started(self) -> str:
        """Returns the reason why nothing serves yet."""
        return "" if self.url else "starting"

    def why_not_ready(self) -> str:
        """Returns the reason why clients should go elsewhere."""
        if self.is_draining:
            return "draining"
        now_s = time.monotonic()
        if not self.url or any(worker.answers(now_s) for worker in self._workers):
            return self.why_not_started()
        return "no worker serves"

    async def workers(self) -> Sequence[operations.WorkerState]:
        """Returns the state of every worker; waits at most half a second for their counts."""
        asked_s = await self._ask_all(Tell(), lambda one: one.told_s)
        return [_state(one, asked_s, is_ending=self._is_ending) for one in self._workers]

    async def details(self) -> Mapping[int, operations.Details]:
        """Returns the details of the workers that report them within half a second."""
        asked_s = await self._ask_all(Tell(wants_details=True), lambda one: one.details_s)
        return {
            one.number: one.details
            for one in self._workers
            if one.details is not None and one.details_s > asked_s
        }

    async def _ask_all(self, order: Tell, told_s: Callable[[Watched], float]) -> float:
        """Asks all workers and waits a bounded time for their reports; returns when it asked."""
        asked_s = time.monotonic()
        self._inbox.post(lambda: _ask(self._workers, order))
        while time.monotonic() - asked_s < _COUNTS_WITHIN_S:
            await asyncio.sleep(_POLL_S)
            if all(not one.answers(asked_s) or told_s(one) > asked_s for one in self._workers):
                break
        return asked_s

    async def purge(self, purge: operations.Purge) -> operations.PurgeReport:
        """Drops stored replies in every worker; waits at most two seconds for their reports."""
        async with self._purging:
            number = self._ask(purge)
            begun_s = time.monotonic()
            while True:
                await asyncio.sleep(_POLL_S)
                # One that has not started has stored nothing. One that hangs or drains has not
                # got the order, and may still send what it has stored.
                bound = [one for one in self._workers if one.pid is not None and one.has_started]
                found = _answers(bound, number, int)
                missing = [one.number for one in bound if one.number not in found]
                if not missing or time.monotonic() - begun_s > _PURGED_WITHIN_S:
                    break
            return operations.PurgeReport(sum(found.values()), tuple(missing))

    async def follow(self, follow: operations.Follow) -> Mapping[int, operations.Followed]:
        """Returns the requests that an operator follows, of the workers that answer in time."""
        async with self._following:
            return await self._answered(follow, operations.Followed)

    async def run(self, errand: operations.Errand) -> operations.ErrandDone:
        """Lets the first worker that answers, or each for `RESET`, carry out an errand.

        Waits ten seconds at most.

        Raises:
            StatusError: UNAVAILABLE, if none serves, or it does not respond in time.
        """
        async with self._errand:
            begun_s = time.monotonic()
            asked = {one: one.pid for one in self._workers if one.answers(begun_s)}
            if errand.action != operations.RESET:
                asked = dict(islice(asked.items(), 1))
            if not asked:
                raise _unavailable("no worker serves")
            number, missing = self._ask(errand, list(asked)), dict(asked)
            done: list[operations.ErrandDone] = []
            while missing and time.monotonic() - begun_s < _ERRAND_S:
                await asyncio.sleep(_POLL_S)
                for worker in list(missing):
                    if found := _answers([worker], number, operations.ErrandDone):
                        done += found.values()
                        # Not kept: it may be large, or have a secret.
                        del worker.answers_of[operations.ErrandDone], missing[worker]
                if any(worker.pid != pid for worker, pid in missing.items()):
                    break
            if not missing:
                return max(done, key=lambda one: one.status)  # a failure, if one failed
            numbers = ", ".join(str(one.number) for one in missing)
            raise _unavailable(f"worker {numbers} did not respond in time: look, then repeat")

    async def inspect(self, inspect: operations.Inspect) -> Mapping[int, str]:
        """Returns the state of the processes of the workers that answer in time."""
        async with self._inspecting:
            found = await self._answered(inspect, operations.Inspected)
            return {number: one.text for number, one in found.items()}

    async def _answered(
        self, content: operations.Follow | operations.Inspect, kind: type[_Content]
    ) -> dict[int, _Content]:
        """Asks all workers; returns the answers that come within half a second."""
        asked_s = time.monotonic()
        number = self._ask(content)
        found: dict[int, _Content] = {}
        while time.monotonic() - asked_s < _COUNTS_WITHIN_S:
            await asyncio.sleep(_POLL_S)
            found = _answers(self._workers, number, kind)
            if all(not one.answers(asked_s) or one.number in found for one in self._workers):
                break
        return found

    def _ask(
        self,
        content: operations.Purge | operations.Follow | operations.Inspect | operations.Errand,
        workers: Sequence[Watched] | None = None,
    ) -> int:
        """Asks these workers, or all; returns the number of the question."""
        self._questions += 1
        question = Question(self._questions, content)
        self._inbox.post(lambda: _ask(self._workers if workers is None else workers, question))
        return question.number

    def _tell(self, order: SetLevel | SetReady) -> None:
        def tell_all() -> None:
            for worker in self._workers:
                worker.tell(order)

        self._inbox.post(tell_all)


def _unavailable(reason: str) -> StatusError:
    return StatusError(Code.UNAVAILABLE, reason, headers=[("Retry-After", "1")])


def _ask(workers: Sequence[Watched], order: Tell | Question) -> None:
    now_s = time.monotonic()
    for worker in workers:
        # The pipe of a worker that hangs could fill up, and then the supervisor would wait for it.
        if worker.answers(now_s):
            worker.tell(order)


def _answers(workers: Sequence[Watched], number: int, kind: type[_Content]) -> dict[int, _Content]:
    """Returns the answers to a question that have arrived, by the numbers of the workers."""
    last = {one.number: one.answers_of.get(kind) for one in workers}
    return {
        worker: answer.content
        for worker, answer in last.items()
        if answer is not None and answer.number == number and isinstance(answer.content, kind)
    }


def _state(worker: Watched, asked_s: float, *, is_ending: bool) -> operations.WorkerState:
    """Returns what operators see of a worker; its counts, if they came since `asked_s`."""
    pid, told = worker.pid, worker.told
    if pid is None:
        return operations.WorkerState(
            worker.number, None, "absent", 0.0, worker.failures, None, None
        )
    if not worker.has_started:
        state = "starting"
    elif worker.killed_s is not None or worker.silent_s(asked_s) > LATE_S:
        state = "hung"
    else:
        state = "draining" if is_ending or not worker.is_serving else "serving"
    counts: tuple[int | None, int | None] = (None, None)
    if told is not None and worker.told_s > asked_s:
        counts = (told.connections, told.requests)
    uptime_s = round(asked_s - worker.started_s, 1)
    return operations.WorkerState(worker.number, pid, state, uptime_s, worker.failures, *counts)
