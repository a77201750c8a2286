"""Watches the files that settings come from, so that a change of them starts a reload.

It asks for the state of the files again and again instead of waiting for events (inotify): that
also sees the changes of ConfigMaps, which replace a symbolic link, and of network file systems.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from gateway.config.model import Config

_EVERY_S: Final = 1.0
_Stamp = tuple[int, int, int, int] | None
"""The device, number, time of change and size of a file; None if there is none."""


def watched_files(config: Config) -> Iterator[Path]:
    """Yields the files that only a reload reads again."""
    if config.file is not None:
        yield config.file
    yield from config.descriptors
    yield from config.service_config
    yield from config.secret_files
    for upstream in config.upstreams.values():
        if upstream.tls is not None:
            tls = upstream.tls
            yield from (one for one in (tls.ca_file, tls.cert_file, tls.key_file) if one)


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
        self._stamps = self._look()
        self._contents = {file: _content(file) for file in self._stamps}
        # A daemon, because a file system that hangs must not keep the process from its end.
        self._thread = threading.Thread(target=self._watch, name="file watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch; a look at the files that is going on changes nothing any more."""
        self._stopped.set()

    def _watch(self) -> None:
        is_settled = True
        while not self._stopped.wait(self._every_s):
            stamps = self._look()
            if stamps != self._stamps:
                self._stamps, is_settled = stamps, False
            elif not is_settled and None not in stamps.values():
                # A file that is missing is being replaced, or its end would only be refused.
                is_settled = True
                self._compare(stamps)

    def _look(self) -> dict[Path, _Stamp]:
        return {file: _stamp(file) for file in watched_files(self._config())}

    def _compare(self, stamps: Mapping[Path, _Stamp]) -> None:
        """Calls `on_change` if the content of a file differs from the last time."""
        contents = {file: _content(file) for file in stamps}
        known, self._contents = self._contents, contents
        # After a reload that added files, these are compared from the next change on.
        has_changed = any(known.get(file, content) != content for file, content in contents.items())
        if has_changed and not self._stopped.is_set():
            self._on_change()


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()  # of the file that a symbolic link leads to
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _content(file: Path) -> bytes:
    """Returns a digest of the content; the same for every file that cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return b""
