"""Writes lines in a separate thread, so that a slow disk or a full pipe delays no request."""

import errno
import logging
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from gateway.status import StartUpError

_EVERY_S = 0.1
# So many waiting lines wake the thread. To wake it costs as much as several requests, and a longer
# queue would not fit into the cache of a processor.
_WAKING: Final = 1024
# The maximum number of lines in one write. While this thread joins them, the event loop waits,
# because both need Python's lock; lines can have 20 kB.
_BATCH: Final = 128
# The pause after so many lines as wake the thread, in which the event loop runs. Without it the
# loop would not run if both share a core: after a write, this thread would take Python's lock
# before the loop wakes up.
_PAUSE_S: Final = 0.001
_MOST_WAITING = 65_536
# Clients choose the length of most texts in a line, which can have 20 kB.
_MOST_BYTES: Final = 64 * 1024 * 1024
_CLOSING_S = 5.0
_RETRY_S = 0.5
_PATIENCE_S = 0.25
_SETTLING_S: Final = 0.002
_LINE_FEED: Final = 0x0A

logger = logging.getLogger("gateway.telemetry.logs")


class LogError(StartUpError):
    """A file cannot be written; the message has its path and the reason."""


class Sink(Protocol):
    """The destination of lines."""

    def write(self, data: bytes, is_closing: Callable[[], bool]) -> None:
        """Writes all bytes; it may wait until `is_closing` returns True.

        Raises:
            OSError: they cannot be written.
        """
        ...

    def close(self) -> None:
        """Closes the files that it opened."""
        ...


class Line:
    """The state of the last line: it is torn if only a part of it was written."""

    def __init__(self) -> None:
        self.is_torn = False


class StreamSink:
    """Writes to standard output or standard error, and leaves it open at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()  # a pipe mixes long writes of two threads
        self._line = Line()

    @property
    def is_terminal(self) -> bool:
        """True if it is a terminal, so that people read the lines."""
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False

    def write(self, data: bytes, is_closing: Callable[[], bool]) -> None:
        """Writes to a terminal, a pipe or a file."""
        with self._lock:
            _write_all(self._descriptor, data, is_closing, self._line)

    def close(self) -> None:
        """Does nothing, because other code may still use the stream."""


class FileSink:
    """Appends to a file, and reopens it after rotation."""

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        """Opens the file for appending; `sync` calls fsync after each write.

        Raises:
            LogError: it cannot be opened.
        """
        self._path = path
        self._sync = sync
        self._lock = threading.Lock()
        self._line = Line()
        try:
            self._descriptor = self._open()
        except OSError as error:
            raise LogError(f"cannot write the log to {path}: {why_not(error)}") from None

    def write(self, data: bytes, is_closing: Callable[[], bool]) -> None:
        """Appends to the file that has the path now."""
        with self._lock:
            self._follow()
            if _ends_amid_line(self._descriptor):
                self._line.is_torn = True
            _write_all(self._descriptor, data, is_closing, self._line)
            if self._sync:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        # O_APPEND: each worker has the file open, and must not overwrite the lines of another.
        flags = os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        # Reading finds a torn last line. It may be forbidden, and it would take data from a pipe.
        if self._path.is_file() or not self._path.exists():
            with suppress(PermissionError):
                return os.open(self._path, flags | os.O_RDWR, 0o640)
        # Without O_NONBLOCK a pipe that no process reads would block the whole process for ever.
        return os.open(self._path, flags | os.O_WRONLY | os.O_NONBLOCK, 0o640)

    def _follow(self) -> None:
        ours = os.fstat(self._descriptor)
        try:
            there = self._path.stat()
            if (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev):
                return
        except FileNotFoundError:
            pass
        # If no new file can be opened, for example without its directory, the old one is kept.
        with suppress(OSError):
            opened = self._open()
            os.close(self._descriptor)
            self._descriptor = opened
            self._line.is_torn = False


def why_not(error: OSError) -> str:
    """Returns the reason why a log cannot be opened."""
    if error.errno == errno.ENXIO:
        return "it is a pipe that no process reads"
    return error.strerror or "unknown error"


def stream_sink(name: str) -> StreamSink:
    """Returns a sink for standard output or standard error, as they are at this time."""
    stream = sys.stderr if name == "stderr" else sys.stdout
    try:
        return StreamSink(stream.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or replaced by an object without a file
        return StreamSink(2 if name == "stderr" else 1)


def _write_all(descriptor: int, data: bytes, is_closing: Callable[[], bool], line: Line) -> None:
    """Writes lines; begins with a line feed if the last line was torn."""
    rest = memoryview(b"\n" + data if line.is_torn else data)
    while rest:
        try:
            written = os.write(descriptor, rest)
            line.is_torn = rest[written - 1] != _LINE_FEED
            rest = rest[written:]
        except BlockingIOError:
            # Another process that shares the pipe can make it non-blocking.
            if not select.select([], [descriptor], [], _PATIENCE_S)[1] and is_closing():
                raise


def _ends_amid_line(descriptor: int) -> bool:
    """True if a file ends without a line feed: a disk was full, or a process was killed."""
    size = _torn_size(descriptor)
    if size == 0:
        return False
    time.sleep(_SETTLING_S)  # another worker may be writing at this moment
    return _torn_size(descriptor) == size


def _torn_size(descriptor: int) -> int:
    """Returns the size of a regular file that ends within a line; 0 for any other file."""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            return 0
        return 0 if os.pread(descriptor, 1, found.st_size - 1) == b"\n" else found.st_size
    except OSError:
        return 0


class LogWriter:
    """Takes lines from any thread without a wait, and writes them.

    Lines that a sink fails to write are dropped; their number is reported as soon as the sink works
    again. With `must_keep` they are kept and tried again.
    """

    def __init__(
        self,
        sink: Sink,
        notice: Callable[[int], str],
        *,
        must_keep: bool = False,
        most: int = _MOST_WAITING,
        every_s: float = _EVERY_S,
    ) -> None:
        """Starts the thread. It writes added lines within `every_s` seconds if the sink is free.

        `notice` formats the number of dropped lines as a line; `most` lines can wait.
        """
        self.waiting: list[bytes] = []
        """The lines to write; each can be several."""
        self.most = most
        """The maximum number of waiting lines."""
        self.dropped = 0
        """The number of lines dropped since the last report of it."""
        self.reported = 0
        """The number of dropped lines that the log itself has reported."""
        self._bytes = 0
        """The size of the waiting lines; set to zero when none wait, as threads may miscount."""
        self._sink = sink
        self._notice = notice
        self._must_keep = must_keep
        self._every_s = every_s
        self._is_failing = False
        self._closing = False
        self._is_urgent = False
        self._is_resting = False
        self._wake = threading.Event()
        self._writer = threading.Thread(target=self._run, name="gateway log", daemon=True)
        self._writer.start()

    def __repr__(self) -> str:
        return f"<LogWriter {len(self.waiting)} waiting, {self.dropped} dropped>"

    def add(self, line: bytes) -> None:
        """Adds a line, which is written soon; drops and counts it if too much waits."""
        count = len(self.waiting)
        if count >= self.most or self._bytes > _MOST_BYTES:
            self.dropped += 1
            return
        self.waiting.append(line)
        self._bytes += len(line)
        if count == _WAKING or self._is_resting:
            self._is_resting = False
            self._wake.set()

    def hurry(self) -> None:
        """Makes the thread write all waiting lines now."""
        self._is_urgent = True
        self._wake.set()

    def close(self) -> bool:
        """Writes the waiting lines, for a limited time; returns True if all were written."""
        self._closing = True
        self._wake.set()
        self._writer.join(_CLOSING_S)
        if self._writer.is_alive():
            return False  # in a write that does not return; the thread ends with the process
        return not self.waiting

    def _run(self) -> None:
        while not self._closing:
            is_due = not self._wake.wait(self._every_s)
            self._wake.clear()
            if self._is_urgent:  # reset only then: another thread may set it at any moment
                self._is_urgent, is_due = False, True
            elif is_due and not self.waiting and not self.dropped:
                self._rest()
                continue
            # The few after full batches wait for more.
            self._write_waiting(1 if is_due else _BATCH)
        self._write_waiting(1)

    def _rest(self) -> None:
        """Waits for the next line: a thread that looks again and again takes time from requests."""
        self._is_resting = True
        # A line that was added before the flag was set has not woken this thread.
        if not self.waiting and not self._closing:
            self._wake.wait()
        self._is_resting = False

    def _write_waiting(self, least: int) -> None:
        """Writes batches while at least this many lines wait."""
        written = 0
        while len(self.waiting) >= least or self.dropped:
            count = min(len(self.waiting), _BATCH)
            lost, self.dropped = self.dropped, 0
            # Each step is one call of the interpreter, between which only others may be added.
            lines = self.waiting[:count]
            del self.waiting[:count]
            if lost:
                lines.insert(0, self._notice(lost).encode())
            data = b"".join(lines)
            self._bytes -= len(data)
            if not self._write(data, count, lost):
                return
            written += count
            has_more = least <= len(self.waiting) < self.most // 2
            if written >= _WAKING and has_more and not self._closing:
                time.sleep(_PAUSE_S)
                written = 0

    def _write(self, data: bytes, count: int, lost: int) -> bool:
        """Writes lines; returns False if the sink failed."""
        if not data:
            return True
        try:
            self._sink.write(data, lambda: self._closing)
        except OSError as error:
            self._report_failure(error)
            if self._must_keep:
                # A part may be written already: better to repeat a line than to lose one.
                self.waiting.insert(0, data)
                self._bytes += len(data)
                if not self._closing:
                    threading.Event().wait(_RETRY_S)
            else:
                self.dropped += count + lost
            return False
        if self._is_failing:
            self._is_failing = False
            logger.warning("a log can be written again")
        self.reported += lost
        return True

    def _report_failure(self, error: OSError) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.error("a log cannot be written: %s", error.strerror)
