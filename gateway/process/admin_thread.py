"""The thread in which a supervisor serves its admin listener."""

import asyncio
import threading
from contextlib import suppress
from typing import Final

from gateway.config.model import Config
from gateway.process.admin import AdminListener
from gateway.process.supervised import Supervised
from gateway.telemetry.logs.opening import Logs

__all__ = ["AdminListener", "AdminThread"]

_LAST_ANSWERS_S: Final = 10.0
"""Seconds in which a listener that was replaced can answer the requests that it has."""


class AdminThread:
    """The thread that serves the admin listener of a supervisor."""

    def __init__(self, config: Config, listener: AdminListener, operations: Supervised) -> None:
        """Starts the thread, which serves on this listener.

        Raises:
            StartUpError: the audit trail cannot be opened.
        """
        self.listener = listener
        # Only the audit trail: the other logs belong to the workers.
        trail = config.log.model_copy(update={"access": "off", "events": "off"})
        self._logs = Logs(trail)
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._finish_s = 0.0
        self._thread = threading.Thread(
            target=self._run,
            args=[operations],
            name="admin listener",
            daemon=True,  # a request that hangs must not keep the process from its end
        )
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread, and closes its sockets."""
        self._stop()
        self._thread.join(timeout=1)

    def retire(self) -> None:
        """Lets the thread answer the requests that it has, and end; does not wait for it."""
        self._finish_s = _LAST_ANSWERS_S
        self._stop()

    def _stop(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stopped.set)

    def _run(self, operations: Supervised) -> None:
        self._loop.run_until_complete(self._serve(operations))
        self._logs.close()

    async def _serve(self, operations: Supervised) -> None:
        async with self.listener.serve(operations, self._logs.audit) as server:
            await self._stopped.wait()
            server.close()
            await server.finish(self._finish_s)
