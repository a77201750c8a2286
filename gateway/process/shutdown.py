"""The shutdown of a serving process: begun by a signal or an order, cut short by a second one."""

import asyncio
import signal
import time

from gateway.config.drain import DrainOptions
from gateway.process.orders import ONE_SIGNAL_S, Retire


class Shutdown:
    """The events of a shutdown."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        """Set when the process must end."""
        self.cut = asyncio.Event()
        """Set when it must end at once."""
        self._signalled_s: float | None = None
        self._keep_s: float | None = None
        self.is_for_all = True
        """True if no other process serves the port in its place."""

    def listen_to(self, loop: asyncio.AbstractEventLoop, *, is_worker: bool) -> None:
        """Makes SIGTERM begin the shutdown, and a second one cut it; SIGINT too, in one process.

        A terminal sends SIGINT to every process, but a worker's order comes from its supervisor.
        """
        loop.add_signal_handler(signal.SIGTERM, self._on_signal, is_worker)
        if is_worker:
            loop.add_signal_handler(signal.SIGINT, _ignore)
        else:
            loop.add_signal_handler(signal.SIGINT, self._on_signal, is_worker)

    def begin(self, *, is_for_all: bool) -> None:
        """Begins the shutdown of this process, or of all that serve the port."""
        if not self.begun.is_set() or is_for_all:
            self.is_for_all = is_for_all
        self.begun.set()

    def retire(self, order: Retire) -> None:
        """Begins the shutdown of a process in whose place others serve."""
        self._keep_s = order.keep_s
        self.begin(is_for_all=order.is_port_closed)

    @property
    def is_retirement(self) -> bool:
        """True if others serve: WebSockets may last as long as other requests."""
        return self._keep_s is not None

    def limits(self, options: DrainOptions) -> DrainOptions:
        """Returns the time limits of the drain; they are longer if others serve."""
        keep_s = self._keep_s
        if keep_s is None:
            return options
        update = {"delay_s": 0.0, "streams_s": keep_s, "grace_s": keep_s}
        return options.model_copy(update=update)

    def end_at_once(self) -> None:
        """Begins the shutdown, and ends the requests in progress."""
        self.begun.set()
        self.cut.set()

    async def wait(self, seconds: float) -> None:
        """Waits; returns earlier if the shutdown is cut."""
        try:
            async with asyncio.timeout(seconds):
                await self.cut.wait()
        except TimeoutError:
            return

    def _on_signal(self, is_worker: bool) -> None:  # noqa: FBT001 - asyncio passes it by position
        now_s = time.monotonic()
        if self._signalled_s is not None:
            if now_s - self._signalled_s > ONE_SIGNAL_S:
                self.end_at_once()
            return
        self._signalled_s = now_s
        if not self.begun.is_set():
            # A worker that ends alone leaves its socket to the others.
            self.begin(is_for_all=not is_worker)


def _ignore() -> None:
    """Does nothing."""
