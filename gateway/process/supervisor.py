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
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Final

from gateway.config.model import Config
from gateway.listeners.moved_sockets import close_others, moved_sockets
from gateway.listeners.sockets import Sockets, address_of, keep_rebindable, open_shared
from gateway.process.announcements import are_in_log
from gateway.process.counters import Counters
from gateway.process.inbox import Inbox, heard_signals
from gateway.process.lives import Lives, reap_orphans, replace_too_large
from gateway.process.replacement import FormerWorkers, Replacement
from gateway.process.service_manager import ServiceManager
from gateway.process.surroundings import Surroundings
from gateway.process.worker import Work, Worker, hand_on_changes, places_of, restart_delay_s
from gateway.process.worker_count import check_kept, check_shared, worker_count
from gateway.process.workers_drain import WorkersDrain
from gateway.process.workers_reload import WorkersReload

__all__ = ["Supervisor", "Worker", "restart_delay_s", "serve_workers", "worker_count"]

Say = Callable[[str], None]
"""Prints a line for the operator."""
Routes = tuple[tuple[str, str, str], ...]
"""The HTTP method, path and RPC method of each route."""

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
        self._counters = Counters(config)
        self._workers = places_of(sockets, self._counters.files(len(sockets)), is_port_kept)
        self._former = FormerWorkers()
        self._coming: Replacement | None = None
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
        self._reloads = WorkersReload(
            config, self._workers, read or (lambda: config), self._reloaded, self._succeed
        )
        self._parts = Surroundings(
            config, self._workers, self._inbox, self._reloads.want, self._reloads.signalled
        )

    def run(self, url: str, admin_sockets: Sockets | None = None) -> int:
        """Starts the workers and watches them; returns the exit code when the last has ended.

        Raises:
            StartUpError: the first worker cannot start, so none can.
        """
        self._url = url
        try:
            self._parts.open(self._counters.exposition, admin_sockets)
            while not self._ending:
                self._watch()
            return self._drain()
        except BaseException:
            self._drain()
            raise
        finally:
            self._parts.close()
            self._inbox.close()

    @property
    def _everyone(self) -> list[Worker]:
        """All workers, also those that will serve, and those that others have replaced."""
        coming = () if self._coming is None else self._coming.workers
        return [*self._workers, *self._former.workers, *coming]

    def _watch(self) -> None:
        """Waits for the next event, and handles it."""
        now_s = time.monotonic()
        # One worker starts first: a fault of the settings would stop all of them.
        wanted = self._workers[:1] if self._is_first else self._workers
        for worker in wanted:
            if worker.process is None and worker.due_s <= now_s:
                worker.generation = self._reloads.generation
                worker.start(self._config, now_s, self._work, is_first=self._is_first)
        ready = self._wait(wanted, now_s)
        now_s = time.monotonic()
        if self._heard in ready:
            self._handle_signals()
        if self._inbox.heard in ready:
            self._inbox.run()
        for worker in self._everyone:
            if worker.pulse is not None and worker.pulse.connection in ready:
                worker.pulse.read(now_s)
            if worker.reports in ready:
                self._take_reports(worker)
            is_dead = worker.process is not None and worker.process.sentinel in ready
            if is_dead and not self._ending and worker in self._workers:
                self._replace(worker)
        for said in self._former.step():
            self._say(said)
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
        everyone = self._everyone
        due_s += [worker.next_check_s(now_s, hang_s) for worker in everyone]
        waited: list[Connection | socket.socket | int] = [self._heard, self._inbox.heard]
        for worker in everyone:
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
        hand_on_changes(worker, self._everyone)
        if worker not in self._workers:
            return
        if worker.wants_reload:
            worker.wants_reload = False
            self._reloads.signalled()
        if report is None:
            return
        operations = self._parts.operations
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
            for worker in self._everyone:
                if worker.pulse is not None:
                    worker.pulse.forgive(delay_s, now_s)
        self._checked_s = now_s
        options = self._config.supervisor
        for worker in self._everyone:
            worker.end_if_hung(now_s, options.hang_s, options.start_s)
            worker.catch_up(now_s)
        replace_too_large(self._workers, options.max_memory_mb, now_s)
        reap_orphans(self._everyone)
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
                if self._parts.operations is not None:
                    self._parts.operations.signalled(number)

    def _reloaded(self, config: Config, table: Routes, generation: int) -> None:
        """Notes that the workers use new settings from now on, also those that start later."""
        self._config = config
        self._parts.use(config)
        self._former.cut()
        self._manager.ready(f"serving on {self._url}, reloaded at {time.strftime('%X')}")
        if self._parts.operations is not None:
            self._parts.operations.reloaded(config, table, generation)

    def _succeed(self, config: Config) -> Replacement:
        """Prepares other workers for settings that a process cannot change.

        Raises:
            StartUpError: a new address cannot be listened on, or tokens would be forgotten.
        """
        check_kept(config)
        before, count = self._workers, worker_count(config)
        ours = [worker.sockets for worker in before]
        moves = config.listen != self._config.listen
        sockets = moved_sockets(config.listen, count, ours, moves=moves)
        try:
            listener = self._parts.stage(config)
        except BaseException:
            close_others(sockets, ours)
            raise
        counters = self._counters.after(config)
        in_use = [one.metric_files.own for one in self._everyone if one.metric_files]
        is_port_kept = before[0].is_port_kept and not moves
        workers = places_of(sockets, counters.files(count, in_use), is_port_kept)

        def done(routes: Routes, generation: int) -> None:
            former, self._workers[:], idle_s = list(before), workers, self._config.drain.idle_s
            self._config, self._counters, self._coming = config, counters, None
            self._former.retire(former, config.reload.keep_s, idle_s, workers)
            self._parts.replace(config, listener, counters.exposition)
            self._url = f"{config.scheme}://{address_of(config.listen, sockets[0])}"
            self._manager.ready(f"serving on {self._url}, reloaded at {time.strftime('%X')}")
            if self._parts.operations is not None:
                self._parts.operations.succeeded(self._url, config, routes, generation)
                for worker in workers:
                    self._parts.operations.started(worker)

        def cancelled() -> None:
            self._coming = None
            self._parts.discard(listener)

        self._coming = Replacement(
            *(config, workers, before, self._work, self._former, done, cancelled)
        )
        return self._coming

    def _drain(self) -> int:
        """Lets every worker finish its requests; returns the exit code."""
        self._reloads.end()
        self._manager.stopping()
        drain = WorkersDrain(
            self._everyone, self._config.drain, (self._heard, self._inbox.heard), self._heed
        )
        if drain.alive and not are_in_log(self._config.log):
            self._say("finishing the requests under way")
        if self._parts.operations is not None:
            self._parts.operations.ends()
        return drain.run()

    def _heed(self) -> None:
        """Does what operators want during the drain, which has time limits of its own."""
        self._manager.alive()
        self._inbox.run()
