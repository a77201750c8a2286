"""Starts several processes that serve one port, replaces those that die or hang, and drains them.

Workers are spawned, not forked, and this process never imports code that serves: it opens no
channel and no loop that a child could inherit in a broken state. It only holds the bound sockets,
one set for each worker, so that connections that wait for a worker are kept if the worker dies. A
worker listens once it can answer. While a worker is dead, hung or starting, its neighbours accept
from its sockets as well (`StandIn`).
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Final

from gateway.config.model import Config
from gateway.listeners.sockets import (
    Sockets,
    address_of,
    end_socket,
    keep_rebindable,
    open_shared,
)
from gateway.process.announcements import are_in_log
from gateway.process.file_watch import FileWatch
from gateway.process.inbox import Inbox, heard_signals
from gateway.process.lives import Lives, reap_orphans, replace_too_large
from gateway.process.orders import CUT, ONE_SIGNAL_S, Cut, Drain, Table
from gateway.process.service_manager import ServiceManager
from gateway.process.worker import Work, Worker, hand_on_changes, neighbours_of, restart_delay_s
from gateway.process.worker_count import check_shared, worker_count
from gateway.process.workers_reload import WorkersReload
from gateway.telemetry.metrics.cells import CellFile, MetricFiles
from gateway.telemetry.metrics.exposition import Exposition

if TYPE_CHECKING:
    from gateway.process.supervised import Supervised

__all__ = ["Supervisor", "Worker", "restart_delay_s", "serve_workers", "worker_count"]

Say = Callable[[str], None]
"""Prints a line for the operator."""

# The time that workers have beyond `drain.grace_s`, for their last answers and calls.
_ENDING_S: Final = 10.0
_CHECK_EVERY_S: Final = 0.5
"""The interval of the checks that every worker has sent heartbeats."""
_ENDING = {signal.SIGINT, signal.SIGTERM}
_FORWARDED = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


def serve_workers(
    config: Config,
    say: Say,
    read: Callable[[], Config] | None = None,
    *,
    work: Work,
    given: Sockets | None = None,
    admin_sockets: Sockets | None = None,
) -> int:
    """Serves with several processes until SIGINT or SIGTERM; `read` reads the settings again.

    Each worker runs `work`. All workers share the sockets that are `given`; those that are not
    given are opened.

    Returns the exit code: 0, or 3 if requests had to be cut.

    Raises:
        StartUpError: the port is not available, the first worker cannot start, or tokens and keys
            would be kept in the memory of one worker.
    """
    check_shared(config)
    count = worker_count(config)
    sockets = [given] * count if given else open_shared(config.listen, count)
    scheme = config.scheme
    url = f"{scheme}://{address_of(config.listen, sockets[0])}"
    with heard_signals(_ENDING | _FORWARDED) as heard:
        supervisor = Supervisor(
            *(config, sockets, heard, say, read), work=work, is_port_kept=bool(given)
        )
        return supervisor.run(url, admin_sockets)


class Supervisor:
    """Keeps a process in the place of every worker, until a signal ends the gateway."""

    def __init__(
        self,
        config: Config,
        sockets: Sequence[Sockets],
        heard: socket.socket,
        say: Say,
        read: Callable[[], Config] | None = None,
        *,
        work: Work,
        is_port_kept: bool = False,
    ) -> None:
        self._config = config
        self._work = work
        cells = [CellFile() for _ in sockets] if config.metrics.enabled else []
        self.exposition = Exposition(config.metrics, cells, config.tracing) if cells else None
        """The text of the metrics of all workers; None if they are off."""
        self._workers = [
            Worker(
                number,
                own,
                neighbours_of(sockets, number),
                _metric_files(config, cells, number) if cells else None,
            )
            for number, own in enumerate(sockets, 1)
        ]
        for worker in self._workers:
            worker.is_port_kept = is_port_kept
        self._heard = heard
        self._say = say
        self._url = ""
        self._is_first = True
        """True until the first worker serves."""
        self._lives = Lives()
        self._checked_s = time.monotonic()
        self._ending = False
        self._inbox = Inbox()
        self._manager = ServiceManager(os.environ)
        self._operations: Supervised | None = None
        self._reloads = WorkersReload(
            config, self._workers, read or (lambda: config), self._reloaded
        )

    def run(self, url: str, admin_sockets: Sockets | None = None) -> int:
        """Starts the workers and watches them; returns the exit code when the last has ended.

        Raises:
            StartUpError: the first worker cannot start, so none can.
        """
        self._url = url
        try:
            with self._admin(admin_sockets), self._file_watch(), self._push():
                while not self._ending:
                    self._watch()
                return self._drain()
        except BaseException:
            self._drain()
            raise
        finally:
            self._inbox.close()

    @contextmanager
    def _admin(self, sockets: Sockets | None) -> Iterator[None]:
        """Serves the admin listener, if there is one, in a thread."""
        listen = self._config.admin.listen
        if listen is None:
            yield
            return
        # Only now, because this code is needed for nothing else in this process.
        from gateway.process.supervised import AdminThread, Supervised  # noqa: PLC0415

        self._operations = Supervised(
            self._config, self._workers, self._inbox, self._reloads.want, self.exposition
        )
        thread = AdminThread(self._config, listen, self._operations, sockets)
        try:
            yield
        finally:
            thread.stop()

    @contextmanager
    def _file_watch(self) -> Iterator[None]:
        """Reloads when files change, if that is set."""
        if not self._config.reload.watch:
            yield
            return
        watch = FileWatch(lambda: self._config, lambda: self._inbox.post(self._reloads.signalled))
        try:
            yield
        finally:
            watch.stop()

    @contextmanager
    def _push(self) -> Iterator[None]:
        """Sends the metrics of all workers to a collector, if that is set."""
        push = None
        if self._config.metrics.otlp is not None and self.exposition is not None:
            from gateway.telemetry.metrics.push import open_push  # noqa: PLC0415 - as above

            push = open_push(self._config, self.exposition.export)
        yield
        if push is not None:
            push.close()

    def _watch(self) -> None:
        """Waits for the next event, and handles it."""
        now_s = time.monotonic()
        # One worker starts first: a fault of the settings would stop all of them.
        wanted = self._workers[:1] if self._is_first else self._workers
        for worker in wanted:
            if worker.process is None and worker.due_s <= now_s:
                worker.start(self._config, now_s, self._work, is_first=self._is_first)
        ready = self._wait(wanted, now_s)
        now_s = time.monotonic()
        if self._heard in ready:
            self._handle_signals()
        if self._inbox.heard in ready:
            self._inbox.run()
        for worker in self._workers:
            if worker.pulse is not None and worker.pulse.connection in ready:
                worker.pulse.read(now_s)
            if worker.reports in ready:
                self._take_reports(worker)
            is_dead = worker.process is not None and worker.process.sentinel in ready
            if is_dead and not self._ending:
                self._replace(worker)
        self._step_reload()
        self._check_workers(now_s)

    def _step_reload(self) -> None:
        """Goes on with a reload; the service manager hears of its beginning and its end."""
        self._manager.reloading(is_going_on=self._reloads.is_pending)
        self._reloads.step()
        self._manager.reloading(is_going_on=self._reloads.is_pending)

    def _wait(self, wanted: Sequence[Worker], now_s: float) -> list[object]:
        """Waits for a report or the end of a worker, for a signal, or for the next task."""
        due_s = [now_s + _CHECK_EVERY_S]
        due_s += [worker.due_s for worker in wanted if worker.process is None]
        hang_s = self._config.supervisor.hang_s
        due_s += [worker.next_check_s(now_s, hang_s) for worker in self._workers]
        waited: list[Connection | socket.socket | int] = [self._heard, self._inbox.heard]
        for worker in self._workers:
            if worker.process is not None:
                waited.append(worker.process.sentinel)
            if worker.pulse is not None and not worker.pulse.is_over:
                waited.append(worker.pulse.connection)
            if worker.reports is not None and not worker.is_silent:
                waited.append(worker.reports)
        return list(wait(waited, max(0.0, min(due_s) - now_s)))

    def _take_reports(self, worker: Worker) -> None:
        """Takes the reports of a worker; announces the first worker that serves."""
        report = worker.take_reports()
        hand_on_changes(worker, self._workers)
        if worker.wants_reload:
            worker.wants_reload = False
            self._reloads.signalled()
        if report is None:
            return
        operations = self._operations
        if operations is not None:
            operations.started(worker)
        if not self._is_first:
            return
        self._is_first = False
        if operations is not None:
            operations.serves(self._url, report.table)
        # It listens, so no other program can bind the port: SO_REUSEADDR is safe from now on.
        keep_rebindable([one for each in self._workers for one in each.sockets])
        count = len(self._workers)
        workers = f"{count} worker" if count == 1 else f"{count} workers"
        serving = f"serving {report.routes} routes on {self._url} with {workers}"
        if not are_in_log(self._config.log):
            for warning in report.warnings:
                self._say(warning)
            self._say(serving)
        self._manager.ready(serving)

    def _replace(self, worker: Worker) -> None:
        worker.take_reports()
        how = worker.ended(time.monotonic())
        worker.last_end = f"worker {worker.number} {how}"
        if self._is_first:
            self._lives.first_start_failed(worker)
        elif self._config.supervisor.give_up:
            self._lives.ended(worker, self._workers, time.monotonic())
        delay_s = max(0.0, worker.due_s - time.monotonic())
        again = f"in {delay_s:.1f} s" if delay_s else "now"
        self._say(f"{worker.last_end}; another is started {again}")
        if worker.stack:
            self._say(worker.stack)

    def _check_workers(self, now_s: float) -> None:
        """Ends workers that hang, and lets neighbours accept for those that do not answer."""
        # While this process itself was delayed, it read no heartbeats; nor could workers send any,
        # if all were frozen together.
        delay_s = now_s - self._checked_s - _CHECK_EVERY_S
        if delay_s > 0:
            for worker in self._workers:
                if worker.pulse is not None:
                    worker.pulse.forgive(delay_s, now_s)
        self._checked_s = now_s
        options = self._config.supervisor
        for worker in self._workers:
            worker.end_if_hung(now_s, options.hang_s, options.start_s)
            worker.catch_up(now_s)
        replace_too_large(self._workers, options.max_memory_mb, now_s)
        reap_orphans(self._workers)
        absent = frozenset(
            worker.number
            for worker in self._workers
            if worker.has_served and not worker.answers(now_s)
        )
        if any(worker.answers(now_s) for worker in self._workers):
            self._manager.alive()
        for worker in self._workers:
            if worker.is_serving:
                worker.stand_in(absent.intersection(worker.neighbours))

    def _handle_signals(self) -> None:
        """Handles the signals that have arrived."""
        for number in self._heard.recv(64):
            if number in _ENDING:
                self._ending = True
            elif number == signal.SIGHUP:
                self._reloads.signalled()
            else:
                for worker in self._workers:
                    worker.signal(number)
                if self._operations is not None:
                    self._operations.signalled(number)

    def _reloaded(self, config: Config, table: Table) -> None:
        """Notes that the workers use new settings from now on, also those that start later."""
        self._config = config
        self._manager.ready(f"serving on {self._url}, reloaded at {time.strftime('%X')}")
        if self._operations is not None:
            self._operations.reloaded(config, table)

    def _drain(self) -> int:
        """Lets every worker finish its requests, and kills those that take too long.

        A second signal ends the requests at once. Returns the exit code.
        """
        options, begun_s = self._config.drain, time.monotonic()
        self._reloads.end()
        self._manager.stopping()
        alive = [w for w in self._workers if w.process is not None and w.process.is_alive()]
        if alive and not are_in_log(self._config.log):
            self._say("finishing the requests under way")
        if self._operations is not None:
            self._operations.ends()
        for worker in alive:
            worker.order(Drain())
        now_s = time.monotonic()
        closed_s, until_s = now_s + options.delay_s, now_s + options.delay_s + options.grace_s
        until_s += _ENDING_S
        codes = set()
        while alive:
            now_s = time.monotonic()
            if now_s >= closed_s:
                self._close_sockets()
            for worker in alive if now_s >= until_s else ():
                worker.signal(signal.SIGKILL)
            ready = self._wait_for(alive)
            is_told = self._heard in ready and self._is_told_to_end()
            if is_told and time.monotonic() - begun_s > ONE_SIGNAL_S:
                until_s = min(until_s, time.monotonic() + _ENDING_S)
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
        waited: list[Connection | socket.socket | int] = [self._heard, self._inbox.heard]
        waited += [worker.process.sentinel for worker in alive if worker.process]
        waited += [worker.reports for worker in alive if worker.reports and not worker.is_silent]
        ready = wait(waited, _CHECK_EVERY_S)
        self._manager.alive()  # the drain has time limits of its own
        self._inbox.run()
        for worker in alive:
            worker.take_reports()
            hand_on_changes(worker, alive)
            if worker.pulse is not None and not worker.pulse.is_over:
                worker.pulse.read(time.monotonic())
        return list(ready)

    def _is_told_to_end(self) -> bool:
        return not _ENDING.isdisjoint(self._heard.recv(64))

    def _close_sockets(self) -> None:
        """Closes the sockets: the kernel would accept connections that no process reads."""
        for worker in self._workers:
            # Its neighbours, too, have copies of its sockets.
            is_dead = worker.process is None or not worker.process.is_alive()
            for own in worker.sockets:
                end_socket(own, is_port_closed=is_dead and not worker.is_port_kept)


def _metric_files(config: Config, cells: Sequence[CellFile], number: int) -> MetricFiles:
    """Returns the file of a worker, and all files if it may be asked for the metrics of all."""
    own = cells[number - 1]
    return MetricFiles(own, tuple(cells) if config.metrics.public else (own,), number)
