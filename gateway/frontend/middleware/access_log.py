"""The access log: one JSON line for each request, never a credential or a query value.

A request costs the appending of a tuple; lines are made and written in batches.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from gateway.status import StartUpError

_FLUSH_EVERY_S = 0.5
_FLUSH_AT_LINES = 256

Destination = Literal["off", "stdout", "stderr"] | Path


class AccessLogError(StartUpError):
    """A file that cannot be written to; the text says which and why."""


class Entry(NamedTuple):
    """What is written down of one request."""

    at_s: float
    request_id: str
    method: str
    path: str
    template: str
    rpc: str
    status: int
    code: str
    duration_s: float
    request_bytes: int
    response_bytes: int
    peer: str
    user_agent: str


def as_line(entry: Entry) -> str:
    """An entry as one JSON object; quoting makes control characters harmless."""
    second = int(entry.at_s)
    return (
        f'{{"time":"{_date(second)}.{int((entry.at_s - second) * 1000):03}+00:00",'
        f'"request_id":{quoted(entry.request_id)},'
        f'"method":{quoted(entry.method)},"path":{quoted(entry.path)},'
        f'"template":{quoted(entry.template)},"rpc":{quoted(entry.rpc)},'
        f'"status":{entry.status},"code":"{entry.code}",'
        f'"duration_ms":{entry.duration_s * 1000:.3f},'
        f'"request_bytes":{entry.request_bytes},"response_bytes":{entry.response_bytes},'
        f'"peer":{quoted(entry.peer)},"user_agent":{quoted(entry.user_agent)}}}\n'
    )


@lru_cache(maxsize=8)
def _date(second: int) -> str:
    """Saves formatting a date for every line; there are many lines a second."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class AccessLog:
    """Collects entries and writes them now and then."""

    def __init__(self, write: "Writer | None") -> None:
        self._write = write
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Notes a request that has been answered."""
        if self._write is not None:
            self._entries.append(entry)
            if len(self._entries) >= _FLUSH_AT_LINES:
                self.flush()

    def flush(self) -> None:
        """Writes what has been noted."""
        if self._write is not None and self._entries:
            entries, self._entries = self._entries, []
            self._write.lines(map(as_line, entries))


class Writer:
    """Writes lines to a stream, or to a file that may be rotated away under it."""

    def __init__(self, destination: Literal["stdout", "stderr"] | Path) -> None:
        self._path = destination if isinstance(destination, Path) else None
        self._stream: TextIO = sys.stderr if destination == "stderr" else sys.stdout
        if self._path is not None:
            self._stream = self._open(self._path)

    def lines(self, lines: Iterable[str]) -> None:
        """Writes lines in one go; a full disk or a closed pipe loses them, not the request."""
        with suppress(OSError, ValueError):
            self._reopen_if_rotated()
            self._stream.write("".join(lines))
            self._stream.flush()

    def close(self) -> None:
        """Closes the file, if it is one."""
        if self._path is not None:
            self._stream.close()

    def _open(self, path: Path) -> TextIO:
        return path.open("a", encoding="utf-8")

    def _reopen_if_rotated(self) -> None:
        if self._path is None:
            return
        try:
            there = self._path.stat().st_ino == os.fstat(self._stream.fileno()).st_ino
        except FileNotFoundError:
            there = False
        if not there:
            # Opened first: while the place is gone, the old file still takes the lines.
            stream = self._open(self._path)
            self._stream.close()
            self._stream = stream


@asynccontextmanager
async def open_access_log(destination: Destination) -> AsyncIterator[AccessLog]:
    """A log that is flushed twice a second while the block runs, and in the end.

    Raises:
        AccessLogError: the file cannot be opened.
    """
    if destination == "off":
        yield AccessLog(None)
        return
    try:
        writer = Writer(destination)
    except OSError as error:
        raise AccessLogError(
            f"cannot write the access log to {destination}: {error.strerror}"
        ) from None
    log = AccessLog(writer)
    flusher = asyncio.create_task(_flush_regularly(log))
    try:
        yield log
    finally:
        flusher.cancel()
        with suppress(asyncio.CancelledError):
            await flusher
        log.flush()
        writer.close()


async def _flush_regularly(log: AccessLog) -> None:
    while True:
        await asyncio.sleep(_FLUSH_EVERY_S)
        log.flush()
