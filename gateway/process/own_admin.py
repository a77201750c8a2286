"""The admin listener of one process, which a reload can move."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from gateway.config.model import Config
from gateway.listeners.moved_sockets import close_others, copies_of, refuse_taken, remove_files

if TYPE_CHECKING:
    from gateway.process.admin import AdminListener

_LAST_ANSWERS_S: Final = 10.0
"""Seconds in which a listener that was replaced can answer the requests that it has."""


class OwnAdmin:
    """The admin listener that serves, and those that it has replaced while they still answer."""

    def __init__(self, config: Config, operations: Any, audit: Any) -> None:
        """Takes the settings, the operations that it serves, and the audit trail."""
        self._config = config
        self._operations = operations
        self._audit = audit
        self._serving: tuple[AdminListener, asyncio.Event] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def stage(self, config: Config) -> "AdminListener | None":
        """Opens the listener of new settings beside that of before; None if it stays.

        Raises:
            StartUpError: it cannot be opened.
        """
        listen = config.admin.listen
        if listen is None or config.admin == self._config.admin:
            return None
        if self._serving is not None and listen == self._config.admin.listen:
            return _opened(config, listen, copies_of(self._serving[0].sockets))
        refuse_taken(listen)
        return _opened(config, listen)

    def discard(self, listener: "AdminListener | None") -> None:
        """Closes what `stage` has opened, and will not be used."""
        if listener is not None:
            kept = [] if self._serving is None else [self._serving[0].sockets]
            close_others([listener.sockets], kept)

    async def use(self, config: Config, listener: "AdminListener | None") -> None:
        """Serves on what `stage` has opened for these settings; the former answers its requests."""
        self._config, former = config, self._serving
        if listener is not None:
            opened = asyncio.get_running_loop().create_future()
            stopped = asyncio.Event()
            self._serving = listener, stopped
            task = asyncio.create_task(self._serve(listener, opened, stopped))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await opened
        elif config.admin.listen is None:
            self._serving = None
        if former is not None and former != self._serving:
            remove_files(former[0].sockets, [] if listener is None else listener.sockets)
            former[1].set()

    async def close(self) -> None:
        """Ends it."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(
        self, listener: "AdminListener", opened: "asyncio.Future[None]", stopped: asyncio.Event
    ) -> None:
        try:
            async with listener.serve(self._operations, self._audit) as server:
                opened.set_result(None)
                await stopped.wait()
                server.close()
                await server.finish(_LAST_ANSWERS_S)
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)


def _opened(config: Config, listen: str, sockets: list[Any] | None = None) -> "AdminListener":
    from gateway.process.admin import AdminListener  # noqa: PLC0415 - only this listener needs it

    return AdminListener(config, listen, sockets)


@asynccontextmanager
async def served_admin(
    config: Config, operations: Any, audit: Any, sockets: list[Any] | None
) -> AsyncIterator[OwnAdmin]:
    """Serves the admin listener of these settings, if they have one, while the block runs.

    Raises:
        StartUpError: it cannot be opened.
    """
    own = OwnAdmin(config, operations, audit)
    listen = config.admin.listen
    await own.use(config, None if listen is None else _opened(config, listen, sockets))
    try:
        yield own
    finally:
        await own.close()
