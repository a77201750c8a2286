"""What the supervisor decides; what it does is seen with real processes."""

import os
import subprocess
import sys

import pytest

from gateway.config.model import Config
from gateway.process.supervisor import Worker, restart_delay_s, serve_workers
from gateway.process.worker_count import worker_count
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
        serve_workers(config, lambda _line: None)


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
