"""Several processes that serve one port: started, watched, replaced when they die or hang, drained.

Workers are spawned, not forked, and this process never imports what serves: it opens no channel and
no loop that a child could inherit half-alive. It only holds the bound sockets, one set a worker, so
that connections which wait for a worker outlive it. A worker listens once it can answer. While one
is dead, hung or not there yet, its neighbours accept from its sockets as well (`StandIn`).
"""

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Final

from gateway.config.model import Config
from gateway.listeners.sockets import Sockets, address_of, keep_rebindable, open_shared
from gateway.process.announcements import are_in_log
from gateway.process.pulse import LATE_S
from gateway.process.worker import Worker, restart_delay_s
from gateway.process.worker_count import check_shared, worker_count
from gateway.status import StartUpError

__all__ = ["Supervisor", "Worker", "restart_delay_s", "serve_workers", "worker_count"]

Say = Callable[[str], None]
"""Takes a line for whoever runs the gateway."""

# Longer than a gateway gives its last requests.
_GRACE_S = 30.0
_LOOK_EVERY_S: Final = 0.5
"""How often it is looked whether every worker has shown life."""
_MOST_FIRST_STARTS: Final = 5
"""So often the first worker may die while it starts before the gateway gives up."""
_MOST_NEIGHBOURS: Final = 3
"""So many workers accept for one that cannot; each of them holds its sockets."""
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


class Supervisor:
    """Keeps every worker's place filled, until it hears a signal to end."""

    def __init__(
        self, config: Config, sockets: Sequence[Sockets], heard: socket.socket, say: Say
    ) -> None:
        self._config = config
        self._workers = [
            Worker(number, own, _neighbours(sockets, number))
            for number, own in enumerate(sockets, 1)
        ]
        self._heard = heard
        self._say = say
        self._url = ""
        self._is_first = True
        """Whether no worker has served yet."""
        self._first_starts = 0
        self._looked_s = time.monotonic()
        self._ending = False

    def run(self, url: str) -> None:
        """Starts the workers and watches them; returns when the last has ended.

        Raises:
            StartUpError: the first worker cannot start, so none can.
        """
        self._url = url
        try:
            while not self._ending:
                self._watch()
        finally:
            self._drain()

    def _watch(self) -> None:
        """Waits until something happens, and sees to it."""
        now_s = time.monotonic()
        # The first worker learns whether they can start at all.
        wanted = self._workers[:1] if self._is_first else self._workers
        for worker in wanted:
            if worker.process is None and worker.due_s <= now_s:
                worker.start(self._config, now_s, is_first=self._is_first)
        ready = self._wait(wanted, now_s)
        now_s = time.monotonic()
        if self._heard in ready:
            self._listen()
        for worker in self._workers:
            if worker.pulse is not None and worker.pulse.connection in ready:
                worker.pulse.hear(now_s)
            if worker.reports in ready:
                self._hear(worker)
            is_dead = worker.process is not None and worker.process.sentinel in ready
            if is_dead and not self._ending:
                self._bury(worker)
        self._look_after(now_s)

    def _wait(self, wanted: Sequence[Worker], now_s: float) -> list[object]:
        """Waits for what workers say, for their end, for a signal, or for the next thing to do."""
        due_s = [now_s + _LOOK_EVERY_S]
        due_s += [worker.due_s for worker in wanted if worker.process is None]
        waited: list[Connection | socket.socket | int] = [self._heard]
        for worker in self._workers:
            if worker.process is not None:
                waited.append(worker.process.sentinel)
            if worker.pulse is not None and not worker.pulse.is_over:
                waited.append(worker.pulse.connection)
            if worker.reports is not None and not worker.is_mute:
                waited.append(worker.reports)
        return list(wait(waited, max(0.0, min(due_s) - now_s)))

    def _hear(self, worker: Worker) -> None:
        """Takes what a worker reports; the first that serves is announced."""
        report = worker.hear()
        if report is None or not self._is_first:
            return
        self._is_first = False
        # It listens: from now on strangers are kept from the port by that.
        keep_rebindable([one for each in self._workers for one in each.sockets])
        if not are_in_log(self._config.log):
            for warning in report.warnings:
                self._say(warning)
            count = f"{len(self._workers)} workers"
            self._say(f"serving {report.routes} routes on {self._url} with {count}")

    def _bury(self, worker: Worker) -> None:
        worker.hear()
        how = worker.ended(time.monotonic())
        worker.fate = f"worker {worker.number} {how}"
        if self._is_first:
            self._first_starts += 1
            if worker.failure:
                raise StartUpError(worker.failure)
            if self._first_starts >= _MOST_FIRST_STARTS:
                raise StartUpError(
                    f"no worker can start: {worker.fate} at the last of {self._first_starts} starts"
                )
        delay_s = max(0.0, worker.due_s - time.monotonic())
        again = f"in {delay_s:.1f} s" if delay_s else "now"
        self._say(f"{worker.fate}; another is started {again}")
        if worker.stack:
            self._say(worker.stack)

    def _look_after(self, now_s: float) -> None:
        """Ends workers that hang, and has neighbours accept for those that do not answer."""
        if now_s - self._looked_s > LATE_S:
            # This process itself was held up, and has not heard what there was to hear.
            for worker in self._workers:
                if worker.pulse is not None:
                    worker.pulse.heard_s = now_s
        self._looked_s = now_s
        options = self._config.supervisor
        for worker in self._workers:
            worker.look_after(now_s, options.hang_s, options.start_s)
        absent = frozenset(
            worker.number
            for worker in self._workers
            if worker.has_served and not worker.answers(now_s)
        )
        for worker in self._workers:
            if worker.is_serving:
                worker.stand_in(absent.intersection(worker.neighbours))

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
        if alive and not are_in_log(self._config.log):
            self._say("finishing what is under way")
        until_s = time.monotonic() + _GRACE_S
        for worker in alive:
            assert worker.process is not None  # noqa: S101 - it is alive
            worker.process.join(max(0.0, until_s - time.monotonic()))
            worker.signal(signal.SIGKILL)
            worker.process.join()


def _neighbours(sockets: Sequence[Sockets], number: int) -> dict[int, Sockets]:
    """Sockets of the next few places, by their numbers; none where all have the same sockets."""
    found = {}
    for step in range(1, min(_MOST_NEIGHBOURS, len(sockets) - 1) + 1):
        at = (number - 1 + step) % len(sockets)
        if sockets[at] is not sockets[number - 1] and sockets[at] != sockets[number - 1]:
            found[at + 1] = sockets[at]
    return found


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
