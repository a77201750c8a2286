"""The cells of metrics: numbers in a file in memory, which one process writes and others read.

A worker counts into the file of its place, and the process that replaces it goes on with the same
file. So no counter falls, and readers need no message from the worker. Requests are counted
elsewhere first, and added four times a second: a worker that is killed loses no more than that.

The file is an array of numbers of eight bytes. The first is the length in use. Then come the
children, one after another: the length of the key in bytes and the number of cells (32 bits each),
the key, padded to eight bytes, and the cells. The key is JSON: the metric's name and the values of
its labels. A child becomes visible when the length in use has grown over it, which is one write.
"""

import json
import logging
import mmap
import os
import struct
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.telemetry.event import about

logger = logging.getLogger("gateway.telemetry.metrics")

_FILE_BYTES: Final = 24 * 1024 * 1024
"""The size of a file; only the pages that are used take memory."""
_WORD: Final = 8
_HEAD: Final = struct.Struct("=II")
_LENGTH: Final = struct.Struct("=Q")
_SCRATCH_CELLS: Final = 256
MOST_CHILDREN: Final = 10_000
"""The most children of one metric in one file; see `CellFile.child`."""
OVERFLOW: Final = "_OVERFLOW"
"""The value of the first label of children for which there is no more room."""
_MOST_OVERFLOWS: Final = 200


class CellFile:
    """The cells of one process, which other processes can read at any time.

    It can be passed to a process that is being spawned, as sockets can.
    """

    def __init__(self, fd: int | None = None) -> None:
        """Creates a file, or opens the one that `fd` names, and takes ownership of `fd`."""
        self._fd = _new_file() if fd is None else fd
        self.flushes: list[Callable[[], None]] = []
        """Each adds what a writer of this process has counted, but not yet added to the cells."""
        self._memory = mmap.mmap(self._fd, _FILE_BYTES)
        self.octets = memoryview(self._memory)
        self.cells = self.octets.cast("d")
        """All numbers of the file; a child's cells begin at the index that `child` returns."""
        # Cells that nobody reads: for children that find no room.
        self._scratch = 1
        self._end = max(self._length(), 1 + _SCRATCH_CELLS)
        self._places = {key: at for key, at, _ in self._walk()}
        self.was_used = bool(self._places)
        """True if another process has counted into this file before."""
        self._children = Counter(json.loads(key)[0] for key in self._places)
        self._said: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd  # noqa: PLC0415 - only for several workers

        return _inherited, (DupFd(self._fd),)

    def close(self) -> None:
        """Closes the file; other processes that have it open can go on.

        Its memory stays for those that still write to it.
        """
        self.flush()
        del self.cells, self.octets, self._memory
        os.close(self._fd)

    def flush(self) -> None:
        """Adds to the cells all that this process has counted."""
        for flush in self.flushes:
            flush()

    def child(self, name: str, values: Sequence[str], slots: int) -> int:
        """Returns the index of the first cell of a child, which is created if there is none.

        Beyond `MOST_CHILDREN` children of a metric, the first label has the value `OVERFLOW`: a
        label that takes ever more values must fill neither the memory nor the scraper's.
        """
        return self._child(name, values, slots, MOST_CHILDREN, _FILE_BYTES)

    def own_child(self, name: str, values: Sequence[str], slots: int, most: int) -> int:
        """Does the same for a metric that is not the gateway's, with `most` children.

        These have no room in the second half of the file, so that they leave some to the others.
        """
        return self._child(name, values, slots, most, _FILE_BYTES // 2)

    def _child(self, name: str, values: Sequence[str], slots: int, most: int, room: int) -> int:
        key = json.dumps([name, *values])
        at = self._places.get(key)
        if at is not None:
            return at
        is_over = bool(values) and values[0] == OVERFLOW
        if self._children[name] < (most + _MOST_OVERFLOWS if is_over else most):
            at = self._add(key, slots, room)
            if at is not None:
                self._children[name] += 1
                return at
            self._say(name, "finds no room for more combinations of labels; they are not counted")
        elif values and not is_over:
            self._say(name, f"has {most} combinations of labels; more are counted as {OVERFLOW}")
            return self._child(name, (OVERFLOW, *values[1:]), slots, most, room)
        return self._scratch

    def _say(self, name: str, what: str) -> None:
        """Logs once that a metric has too many children."""
        if name not in self._said:
            self._said.add(name)
            extra = about("gateway.metrics.overflow")
            # Without the digest that the names of interceptors' metrics end with.
            logger.warning("the metric %s %s", name.partition("#")[0], what, extra=extra)

    def _add(self, key: str, slots: int, room: int) -> int | None:
        """Returns the place of a new child; None if the file has no room up to that byte."""
        data = key.encode()
        padded = -(-len(data) // _WORD)
        at = self._end + 1 + padded
        if (at + slots) * _WORD > room or slots > _SCRATCH_CELLS:
            return None
        begin = self._end * _WORD
        _HEAD.pack_into(self.octets, begin, len(data), slots)
        self.octets[begin + _WORD : begin + _WORD + len(data)] = data
        self.cells[at : at + slots] = array("d", bytes(slots * _WORD))
        self._end = at + slots
        # Last: readers look no further than this.
        _LENGTH.pack_into(self.octets, 0, self._end)
        self._places[key] = at
        return at

    def children(self) -> Iterator[tuple[str, "array[float]"]]:
        """Yields the key and a copy of the cells of each child, as they are now."""
        self.flush()
        end = self._length()
        copy = array("d")
        copy.frombytes(self.octets[: end * _WORD])
        for key, at, slots in self._walk():
            if at + slots > end:
                return
            yield key, copy[at : at + slots]

    def reset(self, names: Container[str]) -> None:
        """Sets the cells of every child of these metrics to zero."""
        for key, at, slots in self._walk():
            if json.loads(key)[0] in names:
                self.cells[at : at + slots] = array("d", bytes(slots * _WORD))

    def _length(self) -> int:
        length: int = _LENGTH.unpack_from(self.octets, 0)[0]
        return length

    def _walk(self) -> Iterator[tuple[str, int, int]]:
        """Yields the key, the first cell and the number of cells of each child."""
        at, end = 1 + _SCRATCH_CELLS, self._length()
        while at < end:
            size, slots = _HEAD.unpack_from(self.octets, at * _WORD)
            begin = (at + 1) * _WORD
            key = bytes(self.octets[begin : begin + size]).decode()
            at += 1 - (-size // _WORD)
            yield key, at, slots
            at += slots


@dataclass(frozen=True, slots=True)
class MetricFiles:
    """The files of one process: the one it counts into, and those whose sums it can show."""

    own: CellFile
    shown: tuple[CellFile, ...]
    worker: int = 1
    """The number of the worker that this process is."""


def _new_file() -> int:
    """Returns an open file without a name, of the full size, that takes no memory yet."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("gateway-metrics")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, _FILE_BYTES)
    return fd


def _inherited(fd: Any) -> CellFile:
    return CellFile(fd.detach())
