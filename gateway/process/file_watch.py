"""Watches the files that settings come from, so that a change of them starts a reload.

It asks for the state of the files again and again instead of waiting for events (inotify): that
also sees the changes of ConfigMaps, which replace a symbolic link, and of network file systems.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.config.model import Config
from gateway.config.watched import states_of, watched_files

_EVERY_S: Final = 1.0


class FileWatch:
    """A thread that calls `on_change` after files have changed and then stayed for a second."""

    def __init__(
        self,
        config: Callable[[], Config],
        on_change: Callable[[], None],
        every_s: float = _EVERY_S,
    ) -> None:
        """Starts the thread; `config` returns the settings in force, `on_change` must not wait."""
        self._config = config
        self._on_change = on_change
        self._every_s = every_s
        self._stopped = threading.Event()
        self._states = self._look()
        self._contents = {file: _content(file) for file in self._states}
        # A start takes a while: what has changed since the settings were read is a change, too.
        read = config().states
        missed = [file for file, seen in self._states.items() if read.get(file, seen) != seen]
        self._contents |= dict.fromkeys(missed, b"")
        self._is_settled = not missed
        # A daemon, because a file system that hangs must not keep the process from its end.
        self._thread = threading.Thread(target=self._watch, name="file watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch; a look at the files that is going on changes nothing any more."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(self._every_s):
            states = self._look()
            if states != self._states:
                self._states, self._is_settled = states, False
            elif not self._is_settled and None not in states.values():
                # A file that is missing is being replaced, or its end would only be refused.
                self._is_settled = True
                self._compare(states)

    def _look(self) -> dict[Path, object]:
        return states_of(watched_files(self._config()))

    def _compare(self, states: Mapping[Path, object]) -> None:
        """Calls `on_change` if the content of a file differs from the last time."""
        contents = {file: _content(file) for file in states}
        known, self._contents = self._contents, contents
        # After a reload that added files, these are compared from the next change on.
        has_changed = any(known.get(file, content) != content for file, content in contents.items())
        if has_changed and not self._stopped.is_set():
            self._on_change()


def _content(file: Path) -> bytes:
    """Returns a digest of the content; the same for every file that cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return b""
