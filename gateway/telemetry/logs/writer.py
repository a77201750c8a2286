"""Writes lines in a thread of its own, so that a slow disk or a full pipe holds up no request."""

import errno
import logging
import os
import select
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from gateway.status import StartUpError

T = TypeVar("T")

_EVERY_S = 0.1
# While lines are made the loop waits for this thread; a batch is how long at the most.
_BATCH: Final = 64
# Between two batches it gets its turn. Without a pause it would not, where they share a core: this
# thread has Python's lock back from a write before the other has woken up.
_PAUSE_S: Final = 0.001
_MOST_WAITING = 65_536
_CLOSING_S = 5.0
_RETRY_S = 0.5
_PATIENCE_S = 0.25
_SETTLING_S: Final = 0.002
_LINE_FEED: Final = 0x0A

logger = logging.getLogger("gateway.telemetry.logs")


class LogError(StartUpError):
    """A file that cannot be written to; the text says which and why."""


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, is_closing: Callable[[], bool]) -> None:
        """Writes all of them; it may wait for as long as nobody is closing.

        Raises:
            OSError: it cannot.
        """
        ...

    def close(self) -> None:
        """Closes what it opened."""
        ...


class Line:
    """How far what was written has come: it may have ended amid a line."""

    def __init__(self) -> None:
        self.is_torn = False


class StreamSink:
    """Standard output or standard error; left open in the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Lock()  # a pipe tears long writes of two threads apart
        self._line = Line()

    @property
    def is_terminal(self) -> bool:
        """Whether people read it."""
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False

    def write(self, data: bytes, is_closing: Callable[[], bool]) -> None:
        """Writes to a terminal, a pipe or whatever it is."""
        with self._turn:
            _write_all(self._descriptor, data, is_closing, self._line)

    def close(self) -> None:
        """Does nothing: others may use it still."""


class FileSink:
    """A file that may be rotated away under it, and is then made anew."""

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        """Opens the file to append.

        Raises:
            LogError: it cannot be opened.
        """
        self._path = path
        self._sync = sync
        self._turn = threading.Lock()
        self._line = Line()
        try:
            self._descriptor = self._open()
        except OSError as error:
            raise LogError(f"cannot write the log to {path}: {why_not(error)}") from None

    def write(self, data: bytes, is_closing: Callable[[], bool]) -> None:
        """Appends, to the file that has the name now."""
        with self._turn:
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
        # Appending: each worker has the file open, and none may write over another's lines.
        flags = os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        # Reading is for how a file ends; it may not be allowed, and a pipe is not to be read.
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
        # While the place itself is gone, the old file still takes the lines.
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
    """Standard output or standard error as it is now."""
    stream = sys.stderr if name == "stderr" else sys.stdout
    try:
        return StreamSink(stream.fileno())
    except (OSError, ValueError, AttributeError):  # closed, or replaced by what is no file
        return StreamSink(2 if name == "stderr" else 1)


def _write_all(descriptor: int, data: bytes, is_closing: Callable[[], bool], line: Line) -> None:
    """Writes lines; what follows a line that was torn begins with a line feed of its own."""
    rest = memoryview(b"\n" + data if line.is_torn else data)
    while rest:
        try:
            written = os.write(descriptor, rest)
            line.is_torn = rest[written - 1] != _LINE_FEED
            rest = rest[written:]
        except BlockingIOError:
            # Whoever shares a pipe with us can have made it non-blocking.
            if not select.select([], [descriptor], [], _PATIENCE_S)[1] and is_closing():
                raise


def _ends_amid_line(descriptor: int) -> bool:
    """Whether a file ends without a line feed: a disk was full, or a process was killed."""
    size = _torn_size(descriptor)
    if size == 0:
        return False
    time.sleep(_SETTLING_S)  # or another worker is writing at this moment
    return _torn_size(descriptor) == size


def _torn_size(descriptor: int) -> int:
    """The size of a regular file that ends amid a line; 0 if it does not, or cannot be read."""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
            return 0
        return 0 if os.pread(descriptor, 1, found.st_size - 1) == b"\n" else found.st_size
    except OSError:
        return 0


class LogWriter(Generic[T]):
    """Takes lines, or what lines are made of, from any thread, and never keeps it waiting.

    A sink that fails loses what it was to write, which is counted and said as soon as it works
    again; one that `must_keep` keeps it and tries again.
    """

    def __init__(
        self,
        sink: Sink,
        render: Callable[[T], str],
        notice: Callable[[int], str],
        *,
        must_keep: bool = False,
        most: int = _MOST_WAITING,
        every_s: float = _EVERY_S,
    ) -> None:
        """What has been added is written `every_s` seconds at the latest, if the sink is free."""
        self.waiting: deque[T | str] = deque()
        """What is to be written: whole lines, or what `render` makes them of."""
        self.most = most
        """More than this may not wait."""
        self.dropped = 0
        """How many lines were lost since that was last said."""
        self._sink = sink
        self._render = render
        self._notice = notice
        self._must_keep = must_keep
        self._every_s = every_s
        self._is_failing = False
        self._closing = False
        self._wake = threading.Event()
        self._writer = threading.Thread(target=self._run, name="gateway log", daemon=True)
        self._writer.start()

    def __repr__(self) -> str:
        return f"<Scribe {len(self.waiting)} waiting, {self.dropped} dropped>"

    def add(self, item: T | str) -> None:
        """Has it written soon; drops it, and counts that, if too much waits already."""
        if len(self.waiting) < self.most:
            self.waiting.append(item)
        else:
            self.dropped += 1

    def hurry(self) -> None:
        """Has all that waits written now, in that thread."""
        self._wake.set()

    def close(self) -> bool:
        """Writes what waits, but not for ever; tells whether all of it was written."""
        self._closing = True
        self._wake.set()
        self._writer.join(_CLOSING_S)
        if self._writer.is_alive():
            return False  # stuck in a write that nothing ends; its thread ends with the process
        return not self.waiting

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while self.waiting or self.dropped:
            count = min(len(self.waiting), _BATCH)
            lost, self.dropped = self.dropped, 0
            items = [self.waiting.popleft() for _ in range(count)]
            if lost:
                items.insert(0, self._notice(lost))
            if not self._write(self._text(items), count, lost):
                return
            if self.waiting and not self._closing and len(self.waiting) < self.most // 2:
                time.sleep(_PAUSE_S)

    def _text(self, items: Sequence[T | str]) -> str:
        render = self._render
        try:
            return "".join([one if isinstance(one, str) else render(one) for one in items])
        except Exception:
            if len(items) > 1:
                return "".join([self._text([one]) for one in items])  # all but the one at fault
            logger.exception("a line of the log cannot be made")
            return ""

    def _write(self, text: str, count: int, lost: int) -> bool:
        """Writes lines; tells whether it is any use to go on."""
        if not text:
            return True
        try:
            self._sink.write(text.encode(), lambda: self._closing)
        except OSError as error:
            self._failed(error)
            if self._must_keep:
                # Half of it may be there already: rather twice than not at all.
                self.waiting.appendleft(text)
                if not self._closing:
                    threading.Event().wait(_RETRY_S)
            else:
                self.dropped += count + lost
            return False
        if self._is_failing:
            self._is_failing = False
            logger.warning("a log can be written again")
        return True

    def _failed(self, error: OSError) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.error("a log cannot be written: %s", error.strerror)
