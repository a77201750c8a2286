"""What the supervisor decides; what it does is seen with real processes."""

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import pytest

from gateway.config.model import Config
from gateway.process.orders import CUT, StandIn
from gateway.process.pulse import LATE_S, HeartbeatReader
from gateway.process.supervisor import Supervisor, Worker, restart_delay_s, serve_workers
from gateway.process.worker_count import worker_count
from gateway.process.worker_process import work
from gateway.status import StartUpError


@pytest.mark.parametrize(
    ("failures", "delay_s"),
    [
        pytest.param(1, 0.0, id="the first time at once"),
        pytest.param(2, 0.5, id="then after a moment"),
        pytest.param(3, 1.0, id="then twice as long"),
        pytest.param(6, 8.0, id="and so on"),
        pytest.param(7, 15.0, id="up to a quarter of a minute"),
        pytest.param(5000, 15.0, id="for as long as it takes"),
    ],
)
def test_a_worker_that_keeps_dying_is_replaced_ever_more_slowly(
    failures: int, delay_s: float
) -> None:
    assert restart_delay_s(failures) == delay_s


class Dead:
    """A process that has ended."""

    exitcode = 1

    def join(self) -> None:
        """Has ended already."""

    def close(self) -> None:
        """Holds nothing."""


@pytest.mark.parametrize(
    ("lived_s", "served", "delays_s"),
    [
        pytest.param(1.0, True, [0.0, 0.5, 1.0], id="short lives"),
        pytest.param(60.0, True, [0.0, 0.0, 0.0], id="long lives"),
        pytest.param(60.0, False, [0.0, 0.5, 1.0], id="starts that fail late, on a busy machine"),
    ],
)
def test_only_a_worker_that_has_served_for_long_is_replaced_at_once_again(
    lived_s: float, served: bool, delays_s: list[float]
) -> None:
    worker, seen = Worker(1, []), []
    for _ in delays_s:
        worker.process, worker.started_s = Dead(), 100.0  # type: ignore[assignment]
        worker.has_started = served
        worker.ended(100.0 + lived_s)
        seen.append(worker.due_s - 100.0 - lived_s)
    assert seen == delays_s


def test_as_many_workers_as_asked_for() -> None:
    assert worker_count(Config(workers=3)) == 3


def test_none_asked_for_is_one_for_each_core_we_may_use() -> None:
    assert worker_count(Config(workers=0)) == len(os.sched_getaffinity(0))


def test_none_asked_for_minds_the_quota_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.process.worker_count.usable_cpus", lambda: 7)
    assert worker_count(Config(workers=0)) == 7


def test_what_workers_have_to_share_is_not_kept_in_the_memory_of_one() -> None:
    config = Config.model_validate({"workers": 2, "auth": {"store": "memory:"}})
    with pytest.raises(StartUpError, match=r"auth\.store: workers cannot share memory:"):
        serve_workers(config, lambda _line: None, work=work)


class Pair:
    """A supervisor whose two workers serve; it learns the time from the tests."""

    def __init__(self, held: ExitStack) -> None:
        heard, other = socket.socketpair()
        held.enter_context(heard)
        held.enter_context(other)
        sockets = [[held.enter_context(socket.socket())] for _ in range(2)]
        config = Config.model_validate({"workers": 2, "metrics": {"enabled": False}})
        self.supervisor = Supervisor(config, sockets, heard, print, work=work)
        held.callback(self.supervisor._inbox.close)
        self.began_s = time.monotonic()
        self.workers = self.supervisor._workers
        self.orders = []
        for worker in self.workers:
            reports, orders = map(held.enter_context, map(closing, Pipe()))
            pulse, _ = map(held.enter_context, map(closing, Pipe(duplex=False)))
            worker.reports, worker.pulse = reports, HeartbeatReader(pulse, self.began_s)
            worker.is_serving = worker.has_started = worker.has_served = True
            self.orders.append(orders)

    def pass_at(self, after_s: float, *beating: int) -> list[object]:
        """What the workers are told in a pass at this time, in which these have sent heartbeats."""
        now_s = self.began_s + after_s
        for number in beating:
            pulse = self.workers[number - 1].pulse
            assert pulse is not None
            pulse.last_heard_s = now_s
        self.supervisor._check_workers(now_s)
        return [orders.recv() for orders in self.orders if orders.poll()]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as held:
        yield Pair(held)


def test_a_neighbour_accepts_for_a_worker_from_the_moment_it_is_late(pair: Pair) -> None:
    for tenths in range(1, 10):
        assert pair.pass_at(tenths / 10, 2) == []
    assert pair.pass_at(LATE_S, 2) == [StandIn(frozenset({1}))]
    assert pair.pass_at(LATE_S + 0.1, 1, 2) == [StandIn(frozenset())]


def test_the_supervisor_wakes_when_a_worker_is_late_and_when_it_hangs(pair: Pair) -> None:
    silent, _ = pair.workers
    began_s = pair.began_s
    assert silent.next_check_s(began_s, 10.0) == began_s + LATE_S
    assert silent.next_check_s(began_s + LATE_S, 10.0) == began_s + 10.0
    assert silent.next_check_s(began_s + 10.0, 10.0) == math.inf, "it is being ended"
    silent.killed_s = began_s + 12.0
    assert silent.next_check_s(began_s + 10.0, 10.0) == began_s + 12.0
    assert Worker(1, []).next_check_s(began_s, 10.0) == math.inf, "there is no process"


def test_only_the_time_in_which_the_supervisor_did_not_run_is_no_silence(pair: Pair) -> None:
    assert pair.pass_at(0.2, 2) == []
    # The next was due half a second later: this one is delayed by 1.7 s.
    assert pair.pass_at(2.4, 2) == []
    assert pair.pass_at(1.7 + LATE_S - 0.1, 2) == []
    assert pair.pass_at(1.7 + LATE_S + 0.1, 2) == [StandIn(frozenset({1}))], "not a second later"


def ended_by(told: Connection) -> None:
    told.recv()
    sys.exit(CUT)


class EndsAfterQuestion(SpawnProcess):
    """A process that ends right after one of the questions whether it is alive."""

    questions = 0
    last: int
    tell: Connection

    def is_alive(self) -> bool:
        """Answers by the time of the question, as the kernel does."""
        alive = super().is_alive()
        self.questions += 1
        if self.questions == self.last:
            self.tell.send(None)
            self.join()
        return alive


@pytest.mark.slow
@pytest.mark.parametrize("last", [2, 3, 4])
def test_the_code_of_a_worker_that_ends_between_two_questions_is_not_lost(
    pair: Pair, last: int
) -> None:
    told, tell = map(closing, Pipe())
    with told as theirs, tell as ours:
        process = EndsAfterQuestion(target=ended_by, args=(theirs,))
        process.start()
        process.tell, process.last = ours, last
        pair.workers[0].process = process
        assert pair.supervisor._drain() == CUT


@pytest.mark.slow
def test_who_watches_over_workers_imports_nothing_that_serves() -> None:
    code = (
        "import sys, gateway.cli.main, gateway.process.supervisor; "
        "heavy = {'aiohttp', 'grpc', 'uvloop', 'asyncio', 'gateway.app.gateway'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
