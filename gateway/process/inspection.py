"""Looks into this process: the stacks of its threads and tasks, a profile, and its memory.

A worker answers in its event loop, and what takes long runs in a thread until it is asked for.
"""

import asyncio
import gc
import sys
import threading
import time
import traceback
import tracemalloc
from collections import Counter
from types import FrameType
from typing import Final

from gateway.endpoints.admin.operations import Inspect, Inspected

_EVERY_S: Final = 0.01
_MOST_TASKS: Final = 200
_MOST_CALLS: Final = 60
"""The innermost calls of a stack that are shown."""
_MOST_STACKS: Final = 2000
_MOST_LINES: Final = 50
_MOST_CHARACTERS: Final = 200_000
_PATIENCE_S: Final = 5.0
"""The time after which the memory is no longer traced, if nobody has asked for the result."""


class Inspector:
    """Answers questions about this process. It is created in the thread of the event loop."""

    def __init__(self) -> None:
        self._watched = threading.get_ident()
        self._profile: _Profile | None = None
        self._end_of_trace: asyncio.TimerHandle | None = None

    def answer(self, asked: Inspect) -> Inspected:
        """Returns the answer; empty if it only begins to measure."""
        match asked.what:
            case "stacks":
                text = _stacks()
            case "gc":
                text = _garbage()
            case "memory":
                text = self._memory(asked.seconds)
            case _:
                text = self._profiled(asked.seconds)
        return Inspected(text[:_MOST_CHARACTERS])

    def _profiled(self, seconds: int) -> str:
        if seconds:
            self._profile = _Profile(self._watched, seconds)
            return ""
        profile, self._profile = self._profile, None
        return "" if profile is None else profile.text()

    def _memory(self, seconds: int) -> str:
        if seconds:
            tracemalloc.start()
            loop = asyncio.get_running_loop()
            self._end_of_trace = loop.call_later(seconds + _PATIENCE_S, tracemalloc.stop)
            return ""
        if self._end_of_trace is not None:
            self._end_of_trace.cancel()
        if not tracemalloc.is_tracing():
            return "the memory was not traced"
        current, most = tracemalloc.get_traced_memory()
        found = tracemalloc.take_snapshot().statistics("lineno")[:_MOST_LINES]
        tracemalloc.stop()
        head = f"{current} bytes of what was allocated meanwhile are in use; at most {most} were"
        return "\n".join([head, *map(str, found)])


class _Profile:
    """Counts the stacks of one thread, from another, a hundred times a second."""

    def __init__(self, watched: int, seconds: int) -> None:
        self._watched = watched
        self._until_s = time.monotonic() + seconds
        self._counts: Counter[str] = Counter()
        self._is_over = threading.Event()
        threading.Thread(target=self._run, name="profile", daemon=True).start()

    def text(self) -> str:
        """Ends the profile; returns a line for each stack, with its count."""
        self._is_over.set()
        return "\n".join(f"{stack} {count}" for stack, count in self._counts.most_common())

    def _run(self) -> None:
        while time.monotonic() < self._until_s and not self._is_over.wait(_EVERY_S):
            stack = _collapsed(sys._current_frames().get(self._watched))  # noqa: SLF001 - documented
            if stack in self._counts or len(self._counts) < _MOST_STACKS:
                self._counts[stack] += 1


def _collapsed(frame: FrameType | None) -> str:
    """Returns the calls of a stack, the outermost first, separated by semicolons."""
    calls: list[str] = []
    while frame is not None and len(calls) < _MOST_CALLS:
        code = frame.f_code
        file = code.co_filename.rpartition("/")[2]
        calls.append(f"{code.co_qualname} ({file})")
        frame = frame.f_back
    return ";".join(reversed(calls)).replace("\n", " ")


def _stacks() -> str:
    names = {one.ident: one.name for one in threading.enumerate()}
    parts = [f"a thread that computes yields after {sys.getswitchinterval() * 1e3:g} ms\n"]
    parts += [
        f"thread {names.get(ident, ident)}\n"
        + "".join(traceback.format_stack(frame)[-_MOST_CALLS:])
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented
    ]
    tasks = list(asyncio.all_tasks())
    for task in tasks[:_MOST_TASKS]:
        frames = task.get_stack(limit=_MOST_CALLS)
        lines = [f"  {f.f_code.co_filename}:{f.f_lineno} {f.f_code.co_qualname}\n" for f in frames]
        parts.append(f"task {task.get_name()}\n" + "".join(lines))
    if len(tasks) > _MOST_TASKS:
        parts.append(f"{len(tasks) - _MOST_TASKS} more tasks\n")
    return "\n".join(parts)


def _garbage() -> str:
    lines = [f"enabled {gc.isenabled()}, thresholds {gc.get_threshold()}, counts {gc.get_count()}"]
    lines.append(f"objects that are never looked at (frozen): {gc.get_freeze_count()}")
    lines += [f"generation {number}: {stats}" for number, stats in enumerate(gc.get_stats())]
    return "\n".join(lines)
