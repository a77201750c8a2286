"""Several processes that serve one port: started, watched, replaced when they die, drained.

Workers are spawned, not forked, and this process never imports what serves: it opens no channel and
no loop that a child could inherit half-alive. It only holds the listening sockets, one set a
worker, so that connections which wait for a dead worker are served by its successor.
"""

import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from gateway.config.model import Config
from gateway.listeners.sockets import Sockets, address_of, open_shared
from gateway.status import StartUpError

if TYPE_CHECKING:
    from gateway.app.gateway import Gateway

Say = Callable[[str], None]
"""Takes a line for whoever runs the gateway."""

_SPAWN = get_context("spawn")
# Longer than a gateway gives its last requests.
_GRACE_S = 30.0
_SETTLED_AFTER_S = 10.0
_LONGEST_DELAY_S = 15.0
_ENDING = {signal.SIGINT, signal.SIGTERM}
_FORWARDED = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


def serve_workers(config: Config, say: Say) -> None:
    """Serves with several processes until SIGINT or SIGTERM.

    Raises:
        StartUpError: the port cannot be had, the first worker cannot start, or what they have to
            share is kept in the memory of one.
    """
    check_shared(config)
    count = worker_count(config)
    sockets = open_shared(config.listen, count)
    scheme = config.scheme
    url = f"{scheme}://{address_of(config.listen, sockets[0])}"
    with _signals() as heard:
        Supervisor(config, sockets, heard, say).run(url)


def check_shared(config: Config) -> None:
    """Refuses settings that several workers could not share.

    Raises:
        StartUpError: tokens and keys would be kept in the memory of one.
    """
    if worker_count(config) > 1 and (config.auth.store or "").startswith("memory:"):
        raise StartUpError(
            "auth.store: memory: is one worker's own; with several, use sqlite:///file.db or redis://"
        )


def worker_count(config: Config) -> int:
    """How many processes are to serve."""
    if config.workers:
        return config.workers
    # What this process may use: a container has fewer cores than its machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def restart_delay_s(failures: int) -> float:
    """Seconds to wait before replacing a worker whose last `failures` lives were short."""
    return 0.0 if failures < 2 else min(_LONGEST_DELAY_S, 0.25 * 2 ** min(failures - 1, 16))


@dataclass(frozen=True, slots=True)
class Started:
    """What a worker reports when it serves."""

    routes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """What a worker reports when it cannot start."""

    reason: str


class Worker:
    """The place of one worker: its sockets, and the process that serves them now, if there is."""

    def __init__(self, number: int, sockets: Sockets) -> None:
        self.number = number
        self.sockets = sockets
        self.process: SpawnProcess | None = None
        self.reports: Connection | None = None
        self.started_s = 0.0
        self.due_s = 0.0
        self.failures = 0
        self.fate = ""
        """What became of the process before this one, until its successor has taken it down."""

    def __repr__(self) -> str:
        pid = None if self.process is None else self.process.pid
        return f"<Worker {self.number}, pid {pid}, {self.failures} failures>"

    def start(self, config: Config, now_s: float) -> None:
        """Starts a process for this place."""
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=_work,
            args=(config, self.sockets, theirs, self.fate),
            name=f"gateway worker {self.number}",
        )
        # Inherited: Ctrl-C is for every process of a terminal, and would break off an import.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        self.process, self.reports, self.started_s = process, ours, now_s

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        if self.process is not None and self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def ended(self, now_s: float, *, could_start: bool = True) -> str:
        """Takes note that the process has ended; says how.

        The life of one that could not start was short, however long a busy machine took over it.
        """
        assert self.process is not None  # noqa: S101 - only what runs can end
        self.process.join()  # its pipe closes a moment before it is gone
        code = self.process.exitcode or 0
        self.process.close()
        if self.reports is not None:
            self.reports.close()
        self.process = self.reports = None
        settled = could_start and now_s - self.started_s > _SETTLED_AFTER_S
        self.failures = 1 if settled else self.failures + 1
        self.due_s = now_s + restart_delay_s(self.failures)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


class Supervisor:
    """Keeps every worker's place filled, until it hears a signal to end."""

    def __init__(
        self, config: Config, sockets: Sequence[Sockets], heard: socket.socket, say: Say
    ) -> None:
        self._config = config
        self._workers = [Worker(number, own) for number, own in enumerate(sockets, 1)]
        self._heard = heard
        self._say = say
        self._serving = 0
        self._ending = False

    def run(self, url: str) -> None:
        """Starts the workers and watches them; returns when the last has ended.

        Raises:
            StartUpError: the first worker cannot start, so none can.
        """
        try:
            first = self._start_first()
            for worker in self._workers[1:]:
                worker.start(self._config, time.monotonic())
            if first is not None:
                for warning in first.warnings:
                    self._say(warning)
                many = f"{len(self._workers)} workers"
                self._say(f"serving {first.routes} routes on {url} with {many}")
            while not self._ending:
                self._watch()
        finally:
            self._drain()

    def _start_first(self) -> Started | None:
        """Starts one worker, to learn whether they can; None if a signal ended that."""
        worker = self._workers[0]
        worker.start(self._config, time.monotonic())
        assert worker.process is not None  # noqa: S101 - it has just been started
        assert worker.reports is not None  # noqa: S101
        while not self._ending:
            ready = wait([self._heard, worker.reports])
            if self._heard in ready:
                self._listen()
            if worker.reports in ready:
                report = _received(worker.reports)
                if isinstance(report, Started):
                    return report
                raise StartUpError(
                    report.reason if report else "a worker died while it was starting"
                )
        return None

    def _watch(self) -> None:
        """Waits until something happens, and sees to it."""
        now_s = time.monotonic()
        for worker in self._workers:
            if worker.process is None and worker.due_s <= now_s:
                worker.start(self._config, now_s)
        due_s = [worker.due_s for worker in self._workers if worker.process is None]
        sentinels = {w.process.sentinel: w for w in self._workers if w.process is not None}
        timeout_s = max(0.0, min(due_s) - now_s) if due_s else None
        ready = wait([self._heard, *sentinels], timeout_s)
        if self._heard in ready:
            self._listen()
        for sentinel, worker in sentinels.items():
            if sentinel in ready and not self._ending:
                self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        report = _last(worker.reports)
        how = worker.ended(time.monotonic(), could_start=not isinstance(report, Failed))
        if isinstance(report, Failed):
            how = f"cannot start: {report.reason}"
        worker.fate = f"worker {worker.number} {how}"
        delay_s = max(0.0, worker.due_s - time.monotonic())
        again = f"in {delay_s:.1f} s" if delay_s else "now"
        self._say(f"{worker.fate}; another is started {again}")

    def _listen(self) -> None:
        """Does what the signals heard ask for."""
        for number in self._heard.recv(64):
            if number in _ENDING:
                self._ending = True
            else:
                for worker in self._workers:
                    worker.signal(number)

    def _drain(self) -> None:
        """Has every worker finish what is under way, and ends those that take too long."""
        for own in {one for worker in self._workers for one in worker.sockets}:
            own.close()  # or the kernel would go on taking connections for nobody
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        alive = [w for w in self._workers if w.process is not None and w.process.is_alive()]
        if alive:
            self._say("finishing what is under way")
        until_s = time.monotonic() + _GRACE_S
        for worker in alive:
            assert worker.process is not None  # noqa: S101 - it is alive
            worker.process.join(max(0.0, until_s - time.monotonic()))
            worker.signal(signal.SIGKILL)
            worker.process.join()


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket on which each signal heard is a byte; before and after, signals do what they did."""
    heard, told = socket.socketpair()
    told.settimeout(0)  # as signal.set_wakeup_fd wants it: a signal must not wait
    before = {n: signal.signal(n, _noted) for n in _ENDING | _FORWARDED}
    wakeup = signal.set_wakeup_fd(told.fileno())
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.close()
        told.close()


def _noted(_number: int, _frame: object) -> None:
    """Python itself writes the number of a signal that has a handler (signal.set_wakeup_fd)."""


def _received(reports: "Connection") -> Started | Failed | None:
    """The next report, or None if the worker died without one."""
    try:
        report = reports.recv()
    except (EOFError, OSError):
        return None
    return report if isinstance(report, Started | Failed) else None


def _last(reports: "Connection | None") -> Started | Failed | None:
    """The last report of a worker that has ended."""
    report = None
    while reports is not None and reports.poll() and (found := _received(reports)):
        report = found
    return report


def _work(config: Config, sockets: Sockets, reports: "Connection", before: str) -> None:
    """What a worker does; `before` is what became of the one in its place."""
    gc.disable()  # until it serves, as in a process of its own
    from gateway.process.serve import run, serve  # noqa: PLC0415 - for workers alone

    def started(gateway: "Gateway") -> None:
        warnings = tuple(gateway.warnings)
        reports.send(Started(len(gateway.transcoder.bindings), warnings))

    try:
        run(
            serve(
                config,
                started=started,
                stopping=lambda: None,
                sockets=sockets,
                until=reports.fileno(),
                before=before,
            )
        )
    except StartUpError as error:
        reports.send(Failed(str(error)))
        raise SystemExit(1) from None
