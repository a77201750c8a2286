"""The end of a gateway of several workers: each finishes its requests, within its time."""

import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from socket import socket
from typing import Final

from gateway.config.drain import DrainOptions
from gateway.listeners.sockets import end_socket
from gateway.process.orders import CUT, ONE_SIGNAL_S, Cut, Drain
from gateway.process.worker import Worker, hand_on_changes

_ENDING: Final = {signal.SIGINT, signal.SIGTERM}
# The time that workers have beyond `drain.grace_s`, for their last answers and calls.
_ENDING_S: Final = 10.0
_STEP_S: Final = 0.5


class WorkersDrain:
    """Lets every worker finish its requests, and kills those that take too long."""

    def __init__(
        self,
        workers: Sequence[Worker],
        options: DrainOptions,
        heard: tuple[socket, socket],
        heed: Callable[[], None],
    ) -> None:
        """Takes all workers; `heard` are ready on a signal or on what operators want.

        `heed` does what operators want, and tells the service manager that all is well.
        """
        self._workers = workers
        self._options = options
        self._heard = heard
        self._heed = heed
        self.alive = [w for w in workers if w.process is not None and w.process.is_alive()]
        """The workers that have not ended."""

    def run(self) -> int:
        """Returns the exit code when the last worker has ended; a second signal ends the requests.

        0, or 3 if requests were cut.
        """
        alive, options, begun_s = self.alive, self._options, time.monotonic()
        for worker in alive:
            worker.order(Drain())
        now_s = time.monotonic()
        closed_s, cut_s = now_s + options.delay_s, now_s + options.delay_s + options.grace_s
        until_s, is_cut = cut_s + _ENDING_S, False
        codes = set()
        while alive:
            now_s = time.monotonic()
            if now_s >= closed_s:
                self._close_sockets()
            for worker in alive if now_s >= until_s else ():
                worker.signal(signal.SIGKILL)
            ready = self._wait_for(alive)
            is_told = self._heard[0] in ready and self._is_told_to_end()
            if is_told and time.monotonic() - begun_s > ONE_SIGNAL_S:
                until_s = min(until_s, time.monotonic() + _ENDING_S)
                cut_s = time.monotonic()
            # One that was replaced has other time limits of its own.
            if not is_cut and time.monotonic() >= cut_s:
                is_cut = True
                for worker in alive:
                    worker.order(Cut())
            # Asked once: a process may end between two questions, and its code would be lost.
            left = [w for w in alive if w.process is not None and w.process.is_alive()]
            ended = [w for w in alive if w.has_started and w not in left]  # others had no requests
            codes |= {w.process.exitcode for w in ended if w.process}
            alive = left
        self._close_sockets()
        return CUT if any(codes) else 0

    def _wait_for(self, alive: Sequence[Worker]) -> list[object]:
        """Waits for a signal or the end of a worker; takes what workers and operators say."""
        waited: list[Connection | socket | int] = [*self._heard]
        waited += [worker.process.sentinel for worker in alive if worker.process]
        waited += [worker.reports for worker in alive if worker.reports and not worker.is_silent]
        ready = wait(waited, _STEP_S)
        self._heed()
        for worker in alive:
            worker.take_reports()
            hand_on_changes(worker, alive)
            if worker.pulse is not None and not worker.pulse.is_over:
                worker.pulse.read(time.monotonic())
        return list(ready)

    def _is_told_to_end(self) -> bool:
        return not _ENDING.isdisjoint(self._heard[0].recv(64))

    def _close_sockets(self) -> None:
        """Closes the sockets: the kernel would accept connections that no process reads."""
        for worker in self._workers:
            # Its neighbours, too, have copies of its sockets.
            is_dead = worker.process is None or not worker.process.is_alive()
            for own in worker.sockets:
                end_socket(own, is_port_closed=is_dead and not worker.is_port_kept)
