"""A listener that moves to another address, or to other TLS files, while it serves."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.model import Config
from gateway.listeners.draining import drain
from gateway.listeners.listener import Listener, open_listener, read_tls
from gateway.listeners.moved_sockets import (
    close_others,
    copies_of,
    moved_sockets,
    remove_files,
)

_STEP_S: Final = 0.01


@dataclass(slots=True)
class Move:
    """The bound sockets of a listener that does not accept yet."""

    config: Config
    sockets: list[Any]
    is_done: bool = False

    async def undo(self) -> None:
        """Closes the sockets, unless a listener has them."""
        if not self.is_done:
            self.is_done = True
            close_others([self.sockets], [])


class MovableListener:
    """The listener that accepts connections, and those before it until their connections end."""

    def __init__(self, config: Config, first: Listener, responder: Any) -> None:
        """Takes the first listener, its settings, and what answers its requests."""
        self.current = first
        """The listener that accepts connections."""
        self.connections: Collection[Any] = _Connections(self)
        """The open connections (`HttpProtocol`) at any time, also those of before."""
        self._config = config
        self._responder = responder
        self._stack = AsyncExitStack()
        self._cut = asyncio.Event()
        self._former: dict[Listener, asyncio.Task[int]] = {}

    @property
    def listeners(self) -> list[Listener]:
        """The listener that accepts connections, and those before it."""
        return [self.current, *self._former]

    def apply(self, limits: Any) -> None:
        """Applies new limits; open connections keep those of their messages' sizes."""
        self.current.apply(limits)

    def load(self) -> tuple[int, int, int]:
        """Returns the number of open connections, of those with a request in progress, and of
        those that are WebSockets."""
        connections, busy, upgraded = zip(*(one.load() for one in self.listeners), strict=True)
        return sum(connections), sum(busy), sum(upgraded)

    def tls_reloads(self) -> tuple[int, int]:
        """Returns how many changes of the TLS files were put into use, and how many refused."""
        return self.current.tls_reloads()

    def stage(self, config: Config) -> Move | None:
        """Opens the sockets of another address, or copies of these for other TLS files.

        None if neither differs.

        Raises:
            StartUpError: the address cannot be listened on, or a TLS file cannot be used.
        """
        if (config.listen, config.tls) == (self._config.listen, self._config.tls):
            return None
        read_tls(config.tls)
        ours = self.current.own_sockets
        if config.listen == self._config.listen:
            return Move(config, copies_of(ours))
        return Move(config, moved_sockets(config.listen, 1, [ours], moves=True)[0])

    async def move(self, move: Move) -> None:
        """Accepts connections there from now on; those of before end with their next answer.

        Idle ones are closed after `drain.idle_s`; others have `reload.keep_s`.

        Raises:
            StartUpError: another program listens there by now.
        """
        config, stack = move.config, AsyncExitStack()
        opening = open_listener(
            config.listen, self._responder, tls=config.tls, sockets=move.sockets
        )
        listener = await stack.enter_async_context(opening)
        move.is_done = True
        former, self.current = self.current, listener
        former_stack, self._stack = self._stack, stack
        closes_port = config.listen != self._config.listen
        self._config = config
        ending = self._end(former, former_stack, closes_port=closes_port)
        self._former[former] = asyncio.create_task(ending)

    async def drain(
        self, options: Any, cut: asyncio.Event, *, is_port_closed: bool, keeps_upgrades: bool
    ) -> int:
        """Drains all within the time of `options`; see `draining.drain`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + options.grace_s
        count = await drain(
            *(self.current, options, cut),
            is_port_closed=is_port_closed,
            keeps_upgrades=keeps_upgrades,
        )
        former = list(self._former.values())
        while self._former and loop.time() < until_s and not cut.is_set():  # noqa: ASYNC110 - once
            await asyncio.sleep(_STEP_S)
        self._cut.set()
        return count + sum(await asyncio.gather(*former))

    async def close(self) -> None:
        """Ends all connections."""
        self._cut.set()
        if self._former:
            await asyncio.wait(list(self._former.values()))
        await self._stack.aclose()

    async def _end(self, former: Listener, stack: AsyncExitStack, *, closes_port: bool) -> int:
        """Lets the connections of a former listener end; returns how many requests were cut."""
        keep_s = self._config.reload.keep_s
        options = self._config.drain.model_copy(update={"streams_s": keep_s, "grace_s": keep_s})
        if closes_port:
            remove_files(former.own_sockets, self.current.own_sockets)
        try:
            return await drain(
                *(former, options, self._cut), is_port_closed=closes_port, keeps_upgrades=True
            )
        finally:
            await former.close(0)
            await stack.aclose()
            del self._former[former]


class _Connections(Collection[Any]):
    """The open connections of all listeners of one."""

    def __init__(self, movable: MovableListener) -> None:
        self._movable = movable

    def __contains__(self, connection: object) -> bool:
        return any(connection in one.connections for one in self._movable.listeners)

    def __iter__(self) -> Iterator[Any]:
        return iter([each for one in self._movable.listeners for each in one.connections])

    def __len__(self) -> int:
        return sum(len(one.connections) for one in self._movable.listeners)


@asynccontextmanager
async def open_movable_listener(
    config: Config, responder: Any, sockets: list[Any] | None = None
) -> AsyncIterator[MovableListener]:
    """Opens a listener for these settings; see `open_listener`."""
    opening = open_listener(config.listen, responder, tls=config.tls, sockets=sockets)
    async with opening as first:
        movable = MovableListener(config, first, responder)
        try:
            yield movable
        finally:
            await movable.close()
