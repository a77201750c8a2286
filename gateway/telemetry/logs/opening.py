"""Opens and closes all logs of one gateway together."""

import errno
import getpass
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from gateway.audit import NO_AUDIT, Audit
from gateway.config.log import Destination, LogFormat, LogOptions
from gateway.telemetry.logs.access import AccessLines, AccessLog, Levels, Style
from gateway.telemetry.logs.events import AuditLog, ProgramHandler, lost_lines, taken_over
from gateway.telemetry.logs.line_format import Value, json_line
from gateway.telemetry.logs.writer import (
    FileSink,
    LogError,
    LogWriter,
    Sink,
    StreamSink,
    stream_sink,
    why_not,
)
from gateway.telemetry.record import Observer

__all__ = ["NO_LOGS", "Logs", "Observer", "check_log_files", "open_command_audit", "open_logs"]

_TERMINAL_EVERY_S = 0.01
"""Seconds by which lines of several workers can be out of order on a terminal."""
_NOT_WRITTEN = "gateway: the end of the audit trail could not be written"


class Logs:
    """The access log, the audit trail, and the log of the program's events."""

    def __init__(self, options: LogOptions) -> None:
        """Opens the destinations in `options`.

        Raises:
            LogError: a file cannot be opened.
        """
        self.levels = Levels(options.level)
        """The log level, for the access log and the events."""
        self._options = options
        self._sinks: dict[Destination, Sink] = {}
        self._writers: dict[Destination, LogWriter] = {}
        try:
            self._open(options)
        except BaseException:
            self._close_sinks()
            raise

    def _open(self, options: LogOptions) -> None:
        # All files before the first thread: if a file cannot be opened, no thread is left running.
        for destination in (options.access, options.events, options.audit):
            self._sink(destination)
        access = self._writer(options.access)
        lines = AccessLines(options, self.levels, self._style(options.access))
        self.observers: list[Observer] = [] if access is None else [AccessLog(access, lines)]
        """The receivers of the record of every request: the access log, unless it is off."""
        self.handler = ProgramHandler(
            self._writer(options.events), self.levels, self._style(options.events)
        )
        """Writes the events of the program."""
        self._audit_writer = self._open_audit_writer(options.audit)
        self.audit: Audit = NO_AUDIT
        """Writes changes to credentials, and refusals."""
        if self._audit_writer is not None:
            self.audit = AuditLog(self._audit_writer, self._style(options.audit))

    @contextmanager
    def speaking_for_program(self) -> Iterator[None]:
        """Makes the loggers `gateway.*` write only here while the block runs."""
        with taken_over(self.handler):
            yield

    def lost_lines(self) -> int:
        """Returns the number of lines that could not be written since the start."""
        return sum(one.reported + one.dropped for one in self._writers.values())

    def close(self) -> None:
        """Writes the waiting lines, and closes files."""
        written = [writer.close() for writer in self._writers.values()]
        audit = self._audit_writer
        if audit is not None:
            written.append(audit.close())  # a second time does no harm
            if not written[-1]:
                print(_NOT_WRITTEN, file=sys.stderr)
        if all(written):
            self._close_sinks()

    def _close_sinks(self) -> None:
        for sink in self._sinks.values():
            sink.close()

    def _sink(self, destination: Destination) -> Sink | None:
        if destination == "off":
            return None
        if destination not in self._sinks:
            if isinstance(destination, Path):
                sync = self._options.audit_fsync and destination == self._options.audit
                self._sinks[destination] = FileSink(destination, sync=sync)
            else:
                self._sinks[destination] = stream_sink(destination)
        return self._sinks[destination]

    def _writer(self, destination: Destination) -> LogWriter | None:
        sink = self._sink(destination)
        if sink is None:
            return None
        if destination not in self._writers:
            if _is_terminal(sink):
                self._writers[destination] = LogWriter(sink, _lost, every_s=_TERMINAL_EVERY_S)
            else:
                self._writers[destination] = LogWriter(sink, _lost)
        return self._writers[destination]

    def _open_audit_writer(self, destination: Destination) -> LogWriter | None:
        """Opens a separate writer, because the audit trail must not lose lines.

        On a terminal it is the writer of the other logs, so that all lines appear in order.
        """
        sink = self._sink(destination)
        if sink is None:
            return None
        if _is_terminal(sink):
            return self._writer(destination)
        return LogWriter(sink, lost_lines, must_keep=True)

    def _style(self, destination: Destination) -> Style:
        sink = self._sink(destination)
        as_text = self._options.format is LogFormat.TEXT
        if not isinstance(sink, StreamSink):
            return Style(text=as_text and destination != self._options.audit)
        is_auto = self._options.format is LogFormat.AUTO
        is_text = as_text or (is_auto and sink.is_terminal)
        # no-color.org: any value that is not empty turns colours off.
        colour = sink.is_terminal and not os.environ.get("NO_COLOR")
        return Style(is_text, is_text and colour and os.environ.get("TERM") != "dumb")


def check_log_files(options: LogOptions) -> None:
    """Checks that each file can be written, without creating it.

    Raises:
        LogError: a file cannot be written.
    """
    for path in dict.fromkeys((options.access, options.events, options.audit)):
        if isinstance(path, Path):
            _check_writable(path)


def _check_writable(path: Path) -> None:
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # A file that does not exist yet is created later, in its directory.
        target = path if path.exists() else path.parent
        target.stat()
        if not target.is_dir() and target is not path:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if target.is_fifo():
            os.close(os.open(target, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        raise LogError(f"cannot write the log to {path}: {why_not(error)}") from None


NO_LOGS = LogOptions(access="off", events="off", audit="off")
"""Options for no logs at all: nothing is written, and no file is opened."""


@asynccontextmanager
async def open_logs(options: LogOptions) -> AsyncIterator[Logs]:
    """Opens the logs for the block, and writes all waiting lines at its end.

    Raises:
        LogError: a file cannot be opened.
    """
    logs = Logs(options)
    try:
        yield logs
    finally:
        logs.close()


@contextmanager
def open_command_audit(options: LogOptions) -> Iterator[Audit]:
    """Opens the audit trail for a command, with the local user as the author of its events.

    Nothing is written if the trail is not a file: a command's standard streams are for its user.

    Raises:
        LogError: the file cannot be opened.
    """
    if not isinstance(options.audit, Path):
        yield NO_AUDIT
        return
    sink = FileSink(options.audit, sync=options.audit_fsync)
    writer = LogWriter(sink, lost_lines, must_keep=True)
    try:
        yield AuditLog(writer, Style(), by=_user())
    finally:
        if writer.close():
            sink.close()
        else:
            print(_NOT_WRITTEN, file=sys.stderr)


def _is_terminal(sink: Sink) -> bool:
    return isinstance(sink, StreamSink) and sink.is_terminal


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no names for its users
        return str(os.getuid())


def _lost(count: int) -> str:
    fields: dict[str, Value] = {
        "event.name": "gateway.log.lost",
        "body": f"{count} lines of the log were lost: they could not be written in time",
        "gateway.lines": count,
    }
    return json_line(time.time(), "WARN", "gateway.telemetry.logs", fields)
