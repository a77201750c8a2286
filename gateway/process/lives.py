"""The lives of workers: how many short ones are too many, and which worker has grown too large."""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from gateway.status import StartUpError

_MOST_SHORT: Final = 5
"""The number of short lives, or of failed starts of the first worker, at which it gives up."""
_WITHIN_S: Final = 60.0
_KIB_OF_A_MB: Final = 1000 * 1000 / 1024
_RESIDENT: Final = "VmRSS:"


class Living(Protocol):
    """The part of a worker that this module needs."""

    failure: str
    last_end: str
    was_short: bool

    @property
    def pid(self) -> int | None:
        """The process, if one runs."""
        ...

    @property
    def is_leaving(self) -> bool:
        """True if the supervisor has told it to end."""
        ...

    def is_settled(self, now_s: float) -> bool:
        """True if it has served, and was started some time ago."""
        ...

    def answers(self, now_s: float) -> bool:
        """True if the process accepts connections and sends heartbeats."""
        ...

    def leave(self, reason: str) -> None:
        """Lets the process finish its requests, and end."""
        ...


class Lives:
    """The ends of all workers, from which the supervisor learns that it must give up."""

    def __init__(self) -> None:
        self._first_starts = 0
        self._short: deque[float] = deque(maxlen=_MOST_SHORT)
        """The times of the last short lives."""

    def first_start_failed(self, worker: Living) -> None:
        """Notes that the first worker has ended before it served.

        Raises:
            StartUpError: it has said why, or this was its last start.
        """
        self._first_starts += 1
        if worker.failure:
            raise StartUpError(worker.failure)
        if self._first_starts >= _MOST_SHORT:
            raise StartUpError(
                f"no worker can start: {worker.last_end} at the last of {_MOST_SHORT} starts"
            )

    def ended(self, worker: Living, workers: Iterable[Living], now_s: float) -> None:
        """Notes that a worker has ended.

        Raises:
            StartUpError: lives were short too often, and no worker has served for long: starting
                more of them is of no use, and the service manager has to know.
        """
        if not worker.was_short:
            return
        self._short.append(now_s)
        are_many = len(self._short) == _MOST_SHORT and now_s - self._short[0] <= _WITHIN_S
        if are_many and not any(one.is_settled(now_s) for one in workers):
            raise StartUpError(
                f"{_MOST_SHORT} workers died within {_WITHIN_S:g} s, each soon after its start; "
                f"the last: {worker.last_end} (supervisor.give_up: false goes on trying)"
            )


def reap_orphans(workers: Iterable[Living]) -> None:
    """Reaps processes of others that have ended, if this is the first process of a container.

    It becomes the parent of each process whose own parent ends (pid_namespaces(7)). Workers are
    left to their supervisor, which starts no other process whose end matters.
    """
    if os.getpid() != 1:
        return
    own = {worker.pid for worker in workers}
    look = os.WEXITED | os.WNOHANG | os.WNOWAIT
    with suppress(ChildProcessError):  # there is no child
        while (ended := os.waitid(os.P_ALL, 0, look)) is not None and ended.si_pid not in own:
            os.waitpid(ended.si_pid, os.WNOHANG)


def replace_too_large(workers: Sequence[Living], most_mb: int | None, now_s: float) -> None:
    """Lets the largest worker end if it takes more memory than it may; never two at once."""
    if most_mb is None or not all(w.answers(now_s) and not w.is_leaving for w in workers):
        return
    sizes = [(resident_mb(w.pid), w) for w in workers if w.pid and w.is_settled(now_s)]
    size_mb, largest = max(sizes, key=lambda one: one[0], default=(0.0, None))
    if largest is not None and size_mb > most_mb:
        largest.leave(
            f"had {size_mb:.0f} MB of memory, more than supervisor.max_memory_mb, and was drained"
        )


def resident_mb(pid: int) -> float:
    """Returns the memory of a process, in MB; 0 if the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in lines if line.startswith(_RESIDENT)]
    return int(found[0]) / _KIB_OF_A_MB if found else 0.0
