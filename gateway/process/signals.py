"""The signals that change a serving process: its log level, and its settings.

A change of the files of the settings counts as the signal to reload them.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from gateway.process.file_watch import FileWatch
from gateway.process.one_process import OneProcess, StartUpError, log_level
from gateway.telemetry.logs.levels import Levels


@contextmanager
def levels_by_signal(levels: Levels) -> Iterator[None]:
    """Lowers the log level on SIGUSR1, raises it on SIGUSR2; ignores SIGHUP until it can reload."""
    loop = asyncio.get_running_loop()

    def change(how: Callable[[], None]) -> None:
        how()
        log_level(levels)

    changes = {signal.SIGUSR1: levels.lower, signal.SIGUSR2: levels.raise_}
    for number, how in changes.items():
        loop.add_signal_handler(number, change, how)
    # By default it would end the process. The supervisor of workers reloads them.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    try:
        yield
    finally:
        for number in (*changes, signal.SIGHUP):
            loop.remove_signal_handler(number)


@contextmanager
def reload_when_told(operations: OneProcess) -> Iterator[None]:
    """Reloads the settings on SIGHUP, and when files change if that is set, in the block."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        with suppress(StartUpError):  # the log has the reason
            await operations.reload(dry_run=False)

    def hear() -> None:
        if len(tasks) < 2:  # one that runs may have read the settings already; one waits
            task = loop.create_task(reload())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def hear_from_thread() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(hear)

    watches: list[FileWatch] = []

    def watch() -> None:
        if not operations.config.reload.watch:
            while watches:
                watches.pop().stop()
        elif not watches:
            watches.append(FileWatch(lambda: operations.config, hear_from_thread))

    loop.add_signal_handler(signal.SIGHUP, hear)
    watch()
    operations.has_new_config = watch
    try:
        yield
    finally:
        for one in watches:
            one.stop()
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
