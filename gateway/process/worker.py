"""The place of one worker, as its supervisor sees it: started, heard, ended when it hangs."""

import os
import signal
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

from gateway.config.model import Config
from gateway.listeners.sockets import Sockets
from gateway.process.orders import Failed, Leaving, Post, StandIn, Started
from gateway.process.pulse import LATE_S, Listening
from gateway.process.worker_process import work

_SPAWN = get_context("spawn")
_SETTLED_AFTER_S = 10.0
_LONGEST_DELAY_S = 15.0
_DYING_S: Final = 2.0
"""How long a hung worker has to write down its stack before it is killed."""


def restart_delay_s(failures: int) -> float:
    """Seconds to wait before replacing a worker whose last `failures` lives were short."""
    return 0.0 if failures < 2 else min(_LONGEST_DELAY_S, 0.25 * 2 ** min(failures - 1, 16))


class Worker:
    """The place of one worker: its sockets, and the process that serves them now, if there is."""

    def __init__(
        self, number: int, sockets: Sockets, neighbours: dict[int, Sockets] | None = None
    ) -> None:
        self.number = number
        self.sockets = sockets
        self.neighbours = neighbours or {}
        """The sockets that it can accept from for others, by their numbers."""
        self.process: SpawnProcess | None = None
        self.reports: Connection | None = None
        self.pulse: Listening | None = None
        self.started_s = 0.0
        self.due_s = 0.0
        self.killed_s: float | None = None
        """When it is killed, if it has been told to die."""
        self.failures = 0
        self.is_serving = False
        """Whether the process accepts connections, as far as it has said."""
        self.has_served = False
        """Whether any process in this place has: then clients may wait in its sockets."""
        self.has_started = False
        """Whether the process has said that it serves."""
        self.is_mute = False
        """Whether the process has nothing more to say."""
        self.failure = ""
        """Why the process cannot start, in its own words."""
        self._reason = ""
        """Why the process is told to die."""
        self.fate = self.stack = ""
        """What became of the process before this one, until its successor has taken it down."""
        self._standing: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        pid = None if self.process is None else self.process.pid
        return f"<Worker {self.number}, pid {pid}, {self.failures} failures>"

    def start(self, config: Config, now_s: float, *, is_first: bool = False) -> None:
        """Starts a process for this place."""
        ours, theirs = _SPAWN.Pipe()
        pulse, beats = _SPAWN.Pipe(duplex=False)
        post = Post(self.number, self.sockets, self.neighbours, is_first, self.fate, self.stack)
        process = _SPAWN.Process(
            target=work, args=(config, post, theirs, beats), name=f"gateway worker {self.number}"
        )
        # Inherited: Ctrl-C is for every process of a terminal, and would break off an import.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        beats.close()
        self.process, self.reports, self.started_s = process, ours, now_s
        self.pulse = Listening(pulse, now_s)
        self.killed_s, self._reason, self.failure = None, "", ""
        self.is_serving = self.has_started = self.is_mute = False
        self._standing = frozenset()

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        if self.process is not None and self.process.pid is not None and self.process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def hear(self) -> Started | None:
        """Takes the reports that have come; the one that says that the process serves now."""
        found = None
        try:
            while self.reports is not None and self.reports.poll():
                report = self.reports.recv()
                if isinstance(report, Started):
                    found = report
                    self.is_serving = self.has_started = self.has_served = True
                elif isinstance(report, Leaving):
                    self.is_serving = False
                elif isinstance(report, Failed):
                    self.failure = report.reason
        except (EOFError, OSError):
            self.is_mute = True
        return found

    def answers(self, now_s: float) -> bool:
        """Whether the process accepts connections, as far as can be seen."""
        if self.pulse is None or not self.is_serving or self.killed_s is not None:
            return False
        return now_s - self.pulse.heard_s < LATE_S

    def stand_in(self, numbers: frozenset[int]) -> None:
        """Has the process accept for these neighbours, and for no others."""
        if numbers != self._standing and self.reports is not None:
            self._standing = numbers
            with suppress(OSError):  # it has died, which is seen in a moment
                self.reports.send(StandIn(numbers))

    def look_after(self, now_s: float, hang_s: float, start_s: float) -> None:
        """Ends the process if it hangs: it writes down its stack, and then it is killed."""
        if self.process is None or self.pulse is None:
            return
        if self.killed_s is not None:
            if now_s >= self.killed_s:
                self.signal(signal.SIGKILL)
            return
        if self.has_started:
            if now_s - self.pulse.heard_s >= hang_s:
                self._reason = f"did nothing for {hang_s:g} s and was ended"
        elif now_s - self.started_s >= start_s:
            self._reason = f"did not serve {start_s:g} s after its start and was ended"
        if self._reason:
            self.killed_s = now_s + _DYING_S
            self.signal(signal.SIGABRT)
            self.signal(signal.SIGCONT)  # one that is stopped has to run in order to die

    def ended(self, now_s: float) -> str:
        """Takes note that the process has ended; says how."""
        assert self.process is not None  # noqa: S101 - only what runs can end
        self.process.join()  # its pipe closes a moment before it is gone
        code = self.process.exitcode or 0
        self.process.close()
        if self.reports is not None:
            self.reports.close()
        if self.pulse is not None:
            self.pulse.close(now_s)
            self.stack = self.pulse.stack
        self.process = self.reports = self.pulse = None
        # A start that fails is a short life, however long a busy machine took over it.
        settled = self.has_started and now_s - self.started_s > _SETTLED_AFTER_S
        self.is_serving = False
        self.failures = 1 if settled else self.failures + 1
        self.due_s = now_s + restart_delay_s(self.failures)
        if self.failure:
            return f"cannot start: {self.failure}"
        if self._reason:
            return self._reason
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
