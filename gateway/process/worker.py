"""The place of one worker in its supervisor: starts its process, reads its reports, ends it."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

from gateway.process.orders import (
    CUT,
    Answer,
    Assignment,
    Changed,
    Config,
    Cut,
    Details,
    Drain,
    ErrandDone,
    Failed,
    Leaving,
    MetricFiles,
    Prepared,
    Question,
    Refused,
    ReloadAnswer,
    ReloadOrder,
    Retire,
    SetLevel,
    SetReady,
    Sockets,
    StandIn,
    Started,
    Swapped,
    Tell,
    Told,
    WantReload,
)
from gateway.process.pulse import LATE_S, HeartbeatReader
from gateway.telemetry.metrics.definitions import GAUGES

Work = Callable[[Config, Assignment, Connection, Connection], None]
"""The main function of a worker's process; it takes its ends of the pipes for reports and beats."""

_SPAWN = get_context("spawn")
_SETTLED_AFTER_S = 10.0
_LONGEST_DELAY_S = 15.0
_MOST_NEIGHBOURS: Final = 3
"""The number of workers that can accept for another one; each of them holds its sockets."""
_DYING_S: Final = 2.0
"""Seconds that a hung worker has to write its stack before it is killed."""


def restart_delay_s(failures: int) -> float:
    """Returns the seconds to wait before a worker is replaced that failed `failures` times."""
    return 0.0 if failures < 2 else min(_LONGEST_DELAY_S, 0.25 * 2 ** min(failures - 1, 16))


class Worker:
    """The place of one worker: its sockets, and the process that serves them, if one runs."""

    is_port_kept = False
    """True if its sockets must listen after the end of the gateway."""
    wants_reload = False
    """True if its back ends have changed, which its supervisor has not handled yet."""
    was_short = False
    """True if the last process died soon after its start."""
    generation = 1
    """The number of the settings of its next process."""
    last_code = 0
    """The exit code of the last process."""
    started: Started | None = None
    """The report of the process that it serves."""
    _parts_of = 0
    """The number of the question whose answer arrives in parts."""

    def __init__(
        self,
        number: int,
        sockets: Sockets,
        neighbours: dict[int, Sockets] | None = None,
        metric_files: MetricFiles | None = None,
    ) -> None:
        self.number = number
        self.sockets = sockets
        self.neighbours = neighbours or {}
        """The sockets of the workers that it can accept for, by their numbers."""
        self.metric_files = metric_files
        """The file that every process in this place counts into; None if metrics are off."""
        self.process: SpawnProcess | None = None
        self.reports: Connection | None = None
        self.pulse: HeartbeatReader | None = None
        self.started_s = self.due_s = 0.0
        self.killed_s: float | None = None
        """The time at which it is killed, after SIGABRT was sent."""
        self.failures = 0
        self.is_serving = False
        """True if the process accepts connections, by its last report."""
        self.has_served = False
        """True if any process in this place has served: clients may then wait in its sockets."""
        self.has_started = False
        """True if the process has reported that it serves."""
        self.is_silent = False
        """True if the process can send no more reports."""
        self.failure = ""
        """The reason why the process cannot start, from its report."""
        self._reason = ""
        """The reason why the supervisor ends the process."""
        self.last_end = self.stack = ""
        """The end of the last process, for the next one, which logs it."""
        self.told: Told | None = None
        self.reload_answer: ReloadAnswer | None = None
        """The answer to the last order of a reload."""
        self.told_s = 0.0
        """The time at which the process last reported its counts."""
        self.details: Details | None = None
        self.details_s = 0.0
        """The time at which the process last reported its details."""
        self.answers_of: dict[type, Answer] = {}
        """The last answer with a content of each type."""
        self._parts: list[bytes] = []
        self.changes: list[Changed] = []
        """Reports of changes that the other workers have not been told of yet."""
        self._missed_changes = False
        """True if the process was not told of a change, because it did not respond."""
        self._standing: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        pid = None if self.process is None else self.process.pid
        return f"<Worker {self.number}, pid {pid}, {self.failures} failures>"

    def start(self, config: Config, now_s: float, work: Work, *, is_first: bool = False) -> None:
        """Starts a process for this place, which runs `work`."""
        ours, theirs = _SPAWN.Pipe()
        pulse, beats = _SPAWN.Pipe(duplex=False)
        assignment = Assignment(
            self.number,
            self.sockets,
            self.neighbours,
            is_first,
            self.last_end,
            self.stack,
            self.metric_files,
            self.is_port_kept,
            self.generation,
        )
        process = _SPAWN.Process(
            target=work,
            args=(config, assignment, theirs, beats),
            name=f"gateway worker {self.number}",
        )
        # The process inherits this. Ctrl-C goes to every process of a terminal, and would interrupt
        # an import of the new process.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        beats.close()
        self.process, self.reports, self.started_s = process, ours, now_s
        self.pulse = HeartbeatReader(pulse, now_s)
        self.killed_s, self._reason, self.failure, self.started = None, "", "", None
        self.is_serving = self.has_started = self.is_silent = self._missed_changes = False
        self._standing = frozenset()

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        if self.process is not None and self.process.pid is not None and self.process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def take_reports(self) -> Started | None:
        """Takes the reports that have arrived; returns `Started` if it is among them."""
        found = None
        try:
            while self.reports is not None and self.reports.poll():
                report = self.reports.recv()
                if isinstance(report, Started):
                    self.started = found = report
                    self.is_serving = self.has_started = self.has_served = True
                elif isinstance(report, Told):
                    self.told, self.told_s = report, time.monotonic()
                    if report.details is not None:
                        self.details, self.details_s = report.details, self.told_s
                elif isinstance(report, Answer):
                    self._take_answer(report)
                elif isinstance(report, Changed):
                    self.changes.append(report)
                elif isinstance(report, Prepared | Refused | Swapped):
                    self.reload_answer = report
                elif isinstance(report, WantReload):
                    self.wants_reload = True
                elif isinstance(report, Leaving):
                    self.is_serving = False
                elif isinstance(report, Failed):
                    self.failure = report.reason
        except (EOFError, OSError):
            self.is_silent = True
        return found

    def _take_answer(self, answer: Answer) -> None:
        """Keeps an answer; joins the parts of a long one, which arrive in order."""
        content = answer.content
        if isinstance(content, ErrandDone):
            if answer.number != self._parts_of:
                self._parts, self._parts_of = [], answer.number
            self._parts.append(content.body)
            if answer.has_more:
                return
            content = replace(content, body=b"".join(self._parts))
            self._parts = []
        self.answers_of[type(content)] = replace(answer, content=content)

    def answers(self, now_s: float) -> bool:
        """True if the process accepts connections and sends heartbeats."""
        if self.pulse is None or not self.is_serving or self.killed_s is not None:
            return False
        return now_s - self.pulse.last_heard_s < LATE_S

    def stand_in(self, numbers: frozenset[int]) -> None:
        """Orders the process to accept for these neighbours, and for no others."""
        if numbers != self._standing and self.reports is not None:
            self._standing = numbers
            with suppress(OSError):  # it has died, which the supervisor handles next
                self.reports.send(StandIn(numbers))

    @property
    def pid(self) -> int | None:
        """The process, if one runs."""
        process = self.process  # another thread may set it to None
        return None if process is None else process.pid

    def silent_s(self, now_s: float) -> float:
        """Returns the seconds since the last heartbeat; infinite without a process."""
        pulse = self.pulse
        return math.inf if pulse is None else now_s - pulse.last_heard_s

    def next_check_s(self, now_s: float, hang_s: float) -> float:
        """Returns the next time at which its silence matters, if it lasts; or infinity."""
        if self.pulse is None:
            return math.inf
        heard_s = self.pulse.last_heard_s
        times_s = (heard_s + LATE_S, heard_s + hang_s, self.killed_s or math.inf)
        return min([time_s for time_s in times_s if time_s > now_s], default=math.inf)

    def tell(self, order: Tell | SetLevel | SetReady | Question | Changed | ReloadOrder) -> None:
        """Sends an order that changes nothing in the life of the process, if it serves."""
        if self.reports is not None and self.has_started:
            with suppress(OSError):  # it has died
                self.reports.send(order)

    def drop(self, changed: Changed, now_s: float) -> None:
        """Orders the process to drop what another one has changed; later, if it does not respond.

        Its pipe could fill up meanwhile, and then the supervisor would wait for it.
        """
        if self.silent_s(now_s) < LATE_S:
            self.tell(changed)
        else:
            self._missed_changes = True

    def catch_up(self, now_s: float) -> None:
        """Orders the process to drop everything, if it responds again and has missed changes."""
        if self._missed_changes and self.silent_s(now_s) < LATE_S:
            self._missed_changes = False
            self.tell(Changed(frozenset(), frozenset(), is_all=True))

    def order(self, order: Drain | Cut) -> None:
        """Orders the process to end; one that does not serve yet ends by SIGTERM."""
        if self.reports is None or not self.has_started:
            self.signal(signal.SIGTERM)
            return
        with suppress(OSError):  # it has died
            self.reports.send(order)

    def retire(self, order: Retire) -> None:
        """Orders the process to end, because others serve; kills one that does not serve yet."""
        if self.reports is None or not self.has_started:
            self.signal(signal.SIGKILL)
            return
        with suppress(OSError):  # it has died
            self.reports.send(order)

    @property
    def is_leaving(self) -> bool:
        """True if the supervisor has told the process to end, because of itself."""
        return bool(self._reason)

    def is_settled(self, now_s: float) -> bool:
        """True if a process runs that has served, and was started some time ago."""
        has_served = self.process is not None and self.has_started
        return has_served and now_s - self.started_s > _SETTLED_AFTER_S

    def leave(self, reason: str) -> None:
        """Lets the process finish its requests, and end; another one is started then."""
        self._reason = reason
        self.signal(signal.SIGTERM)

    def end_if_hung(self, now_s: float, hang_s: float, start_s: float) -> None:
        """Ends the process if it hangs: it writes its stack, and then it is killed."""
        if self.process is None or self.pulse is None:
            return
        if self.killed_s is not None:
            if now_s >= self.killed_s:
                self.signal(signal.SIGKILL)
            return
        reason = ""
        if self.has_started:
            if now_s - self.pulse.last_heard_s >= hang_s:
                reason = f"did not respond for {hang_s:g} s and was ended"
        elif now_s - self.started_s >= start_s:
            reason = f"did not serve within {start_s:g} s of its start and was ended"
        if reason:
            self._reason = reason
            self.killed_s = now_s + _DYING_S
            self.signal(signal.SIGABRT)
            self.signal(signal.SIGCONT)  # a stopped process must run in order to end

    def ended(self, now_s: float) -> str:
        """Notes that the process has ended; returns how, as the end of a sentence."""
        assert self.process is not None  # noqa: S101 - only a running process can end
        # A failed start counts as a failure even if it took long, as it does on a busy machine.
        settled = self.is_settled(now_s)
        self.process.join()  # its pipe closes shortly before the process ends
        code = self.last_code = self.process.exitcode or 0
        self.process.close()
        if self.reports is not None:
            self.reports.close()
        if self.pulse is not None:
            self.pulse.close(now_s)
            self.stack = self.pulse.stack
        self.process = self.reports = self.pulse = None
        if self.metric_files is not None:
            self.metric_files.own.reset(GAUGES)
        self.is_serving, self.was_short = False, not settled and code not in (0, CUT)
        self.failures = 1 if settled else self.failures + 1
        self.due_s = now_s + restart_delay_s(self.failures)
        if self.failure:
            return f"cannot start: {self.failure}"
        if self._reason:
            return self._reason
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def hand_on_changes(origin: Worker, workers: Iterable[Worker]) -> None:
    """Tells the other workers what the calls of one have changed."""
    changes, origin.changes = origin.changes, []
    for changed in changes:
        for worker in workers:
            if worker is not origin:
                worker.drop(changed, time.monotonic())


def neighbours_of(sockets: Sequence[Sockets], number: int) -> dict[int, Sockets]:
    """Returns the sockets of the next places by number; none if all places share their sockets."""
    found = {}
    for step in range(1, min(_MOST_NEIGHBOURS, len(sockets) - 1) + 1):
        at = (number - 1 + step) % len(sockets)
        if sockets[at] is not sockets[number - 1] and sockets[at] != sockets[number - 1]:
            found[at + 1] = sockets[at]
    return found


def places_of(
    sockets: Sequence[Sockets],
    files: Sequence[MetricFiles | None],
    is_port_kept: bool,  # noqa: FBT001 - as in `Worker`
) -> list[Worker]:
    """Returns a place for each worker, with its sockets and its file for counters."""
    places = [
        Worker(number, own, neighbours_of(sockets, number), files[number - 1])
        for number, own in enumerate(sockets, 1)
    ]
    for place in places:
        place.is_port_kept = is_port_kept
    return places
