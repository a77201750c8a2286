"""The parts of a supervisor besides its workers: the admin listener, the watch of files, the push.

Their code is imported only where it is needed, because the supervisor needs it for nothing else.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.config.model import Config
from gateway.listeners.moved_sockets import close_others, copies_of, refuse_taken, remove_files
from gateway.process.inbox import Inbox

if TYPE_CHECKING:
    from socket import socket

    from gateway.process.admin_thread import AdminThread
    from gateway.process.file_watch import FileWatch
    from gateway.process.supervised import Supervised
    from gateway.telemetry.metrics.exposition import Exposition
    from gateway.telemetry.metrics.push import MetricsPush


@dataclass(eq=False, repr=False)
class Surroundings:
    """The parts of a supervisor besides its workers, for the settings in force."""

    _config: Config
    _workers: Sequence[Any]
    _inbox: Inbox
    _want_reload: Callable[..., None]
    _files_changed: Callable[[], None]
    operations: "Supervised | None" = None
    """The operations of the admin listener; None without one."""
    _admin: "AdminThread | None" = None
    _watch: "FileWatch | None" = None
    _push: "MetricsPush | None" = None

    def open(self, exposition: "Exposition | None", admin: "list[socket] | None") -> None:
        """Opens all for the first settings; `admin` are sockets that are given.

        Raises:
            StartUpError: the admin listener cannot be opened.
        """
        config = self._config
        if config.admin.listen is not None:
            from gateway.process.admin_thread import AdminListener  # noqa: PLC0415

            self._start_admin(AdminListener(config, config.admin.listen, admin), exposition)
        self._start_watch()
        self._start_push(exposition)

    def stage(self, config: Config) -> "Any | None":
        """Opens the admin listener of new settings beside that of before; None if it stays.

        Raises:
            StartUpError: it cannot be opened.
        """
        before, listen = self._config, config.admin.listen
        if listen is None or (config.admin, config.log) == (before.admin, before.log):
            return None
        from gateway.process.admin_thread import AdminListener  # noqa: PLC0415

        own = None
        if self._admin is not None and listen == before.admin.listen:
            own = copies_of(self._admin.listener.sockets)
        else:
            refuse_taken(listen)
        return AdminListener(config, listen, own)

    def replace(
        self, config: Config, listener: "Any | None", exposition: "Exposition | None"
    ) -> None:
        """Uses new settings, with the listener that `stage` has opened for them.

        Requests to the former listener are answered.
        """
        before, self._config = self._config, config
        if listener is not None or config.admin.listen is None:
            former, self._admin = self._admin, None
            if listener is not None:
                self._start_admin(listener, exposition)
            else:
                self.operations = None
            if former is not None:
                remove_files(former.listener.sockets, listener.sockets if listener else ())
                former.retire()
        if self.operations is not None:
            self.operations.exposition = exposition
        if config.reload.watch != before.reload.watch:
            self._stop_watch()
            self._start_watch()
        if (config.metrics, config.tracing) != (before.metrics, before.tracing):
            if self._push is not None:  # it waits for the collector
                threading.Thread(target=self._push.close, daemon=True).start()
            self._start_push(exposition)

    def discard(self, listener: "Any | None") -> None:
        """Closes what `stage` has opened, and will not be used."""
        if listener is not None:
            kept = [] if self._admin is None else [self._admin.listener.sockets]
            close_others([listener.sockets], kept)

    def use(self, config: Config) -> None:
        """Notes settings that change none of these parts."""
        self._config = config

    def close(self) -> None:
        """Ends all of them; sends the metrics a last time."""
        self._stop_watch()
        if self._push is not None:
            self._push.close()
        if self._admin is not None:
            self._admin.stop()

    def _start_admin(self, listener: Any, exposition: "Exposition | None") -> None:
        from gateway.process.admin_thread import AdminThread  # noqa: PLC0415
        from gateway.process.supervised import Supervised  # noqa: PLC0415

        if self.operations is None:
            parts = self._workers, self._inbox, self._want_reload, exposition
            self.operations = Supervised(self._config, *parts)
        self._admin = AdminThread(self._config, listener, self.operations)

    def _start_watch(self) -> None:
        """Reloads when files change, if that is set."""
        if self._config.reload.watch:
            from gateway.process.file_watch import FileWatch  # noqa: PLC0415

            self._watch = FileWatch(
                lambda: self._config, lambda: self._inbox.post(self._files_changed)
            )

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _start_push(self, exposition: "Exposition | None") -> None:
        """Sends the metrics of all workers to a collector, if that is set."""
        self._push = None
        if self._config.metrics.otlp is not None and exposition is not None:
            from gateway.telemetry.metrics.push import open_push  # noqa: PLC0415

            self._push = open_push(self._config, exposition.export)
