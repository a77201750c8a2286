"""When the supervisor gives up, and which worker it replaces because of its memory."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from gateway.config.model import Config
from gateway.process.lives import resident_mb
from gateway.process.orders import CUT, Leaving
from gateway.status import StartUpError
from tests.support.polling import until_sync
from tests.unit.process.test_supervisor import Dead, Pair

LIMIT_MB = 1
SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as held:
        made = Pair(held)
        made.supervisor._is_first = False
        yield made


def die(pair: Pair, number: int, *, lived_s: float = 1.0, code: int = -signal.SIGSEGV) -> None:
    """Lets the process of a worker end, after it has served for this time."""
    worker, dead = pair.workers[number - 1], Dead()
    dead.exitcode = code
    worker.process, worker.has_started = dead, True  # type: ignore[assignment]
    worker.started_s = time.monotonic() - lived_s
    pair.supervisor._replace(worker)


def test_the_gateway_ends_when_all_workers_keep_dying_soon(pair: Pair) -> None:
    for number in (1, 2, 1, 2):
        die(pair, number)
    with pytest.raises(
        StartUpError, match=r"5 workers died within 60 s.*worker 1 was ended by SIG"
    ):
        die(pair, 1)


def test_it_goes_on_while_a_worker_serves_steadily(pair: Pair) -> None:
    steady = pair.workers[1]
    steady.process, steady.started_s = Dead(), time.monotonic() - 60  # type: ignore[assignment]
    for _ in range(10):
        die(pair, 1)


def test_workers_that_end_by_themselves_or_have_served_for_long_do_not_count(pair: Pair) -> None:
    for _ in range(10):
        die(pair, 1, code=0)
        die(pair, 2, code=CUT)
        die(pair, 1, lived_s=60)


def test_it_can_be_told_to_go_on_trying(pair: Pair) -> None:
    pair.supervisor._config = Config.model_validate({"supervisor": {"give_up": False}})
    for _ in range(10):
        die(pair, 1)


def _has_grown(pid: int) -> bool:
    """True once a new process has taken the memory of its program."""
    return resident_mb(pid) > LIMIT_MB


class Running(subprocess.Popen[bytes]):
    """A process that runs, in the place of a worker's."""

    def is_alive(self) -> bool:
        """True until it has ended."""
        return self.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_workers_that_grow_too_large_are_drained_one_after_another(pair: Pair) -> None:
    settings = {"supervisor": {"max_memory_mb": LIMIT_MB}}
    pair.supervisor._config = Config.model_validate(settings)
    with ExitStack() as held:
        for worker in pair.workers:
            process = held.enter_context(Running(SLEEPS))
            held.callback(process.kill)
            until_sync(partial(_has_grown, process.pid))
            worker.process = process  # type: ignore[assignment]
            worker.started_s = pair.began_s
        assert pair.pass_at(0.2, 1, 2) == []
        assert [one.is_leaving for one in pair.workers] == [False, False], "just started"
        for worker in pair.workers:
            worker.started_s -= 60
        for after_s in (0.4, 0.6, 0.8):
            pair.pass_at(after_s, 1, 2)
        leaving = [one for one in pair.workers if one.is_leaving]
        assert len(leaving) == 1, "never two at once"
        assert leaving[0].process is not None
        assert leaving[0].process.wait(5) == -signal.SIGTERM  # type: ignore[attr-defined]
        assert leaving[0].killed_s is None, "it is not taken for hung"
        pair.pass_at(0.9, 1, 2)
        pair.orders[leaving[0].number - 1].send(Leaving())
        leaving[0].take_reports()
        pair.pass_at(1.0, 1, 2)
        assert len([one for one in pair.workers if one.is_leaving]) == 1, "it has not ended yet"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_memory_of_a_process_is_known_and_that_of_none_is_zero() -> None:
    assert resident_mb(os.getpid()) > LIMIT_MB
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(10)
    assert resident_mb(ended.pid) == 0
