"""What a worker sends to its supervisor; its orders are seen with real processes."""

import asyncio
import faulthandler
import sys
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from gateway.config.model import Config
from gateway.endpoints.admin.operations import Errand, ErrandDone
from gateway.process.one_process import OneProcess
from gateway.process.orders import Assignment, Question
from gateway.process.shutdown import Shutdown
from gateway.process.watched import SupervisorLink
from gateway.process.worker import Worker
from gateway.telemetry.logs.levels import Levels
from tests.support.polling import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's sockets")

LARGE = bytes(range(256)) * 20_000


@pytest.fixture
def pipes() -> Iterator[tuple[Connection, Connection]]:
    """Both ends of the connection of a worker, its own first."""
    ours, theirs = Pipe()
    with closing(ours), closing(theirs):
        yield theirs, ours


@pytest.fixture
def link(pipes: tuple[Connection, Connection]) -> Iterator[SupervisorLink]:
    """The worker's end of the connection, in a loop that turns."""
    heard, pulse = Pipe(duplex=False)
    with closing(heard), closing(pulse):
        yield SupervisorLink(Assignment(1, [], {}, True, "", ""), pipes[0], pulse)
        faulthandler.disable()


async def test_a_large_answer_does_not_hold_up_requests(
    link: SupervisorLink, pipes: tuple[Connection, Connection]
) -> None:
    async def run(errand: Errand) -> ErrandDone:
        return ErrandDone(200, "text/plain", LARGE if errand.action == "large" else b"")

    operations = OneProcess(Config(), Levels())
    operations.run_errand = run
    link.operate(operations, lambda _: pytest.fail("no reload"))
    loop = asyncio.get_running_loop()
    link.attach(loop, Shutdown())
    worker = Worker(1, [])
    worker.reports = pipes[1]
    worker.reports.send(Question(1, Errand("large", {})))
    # The supervisor reads nothing yet: a send that waits would stop the loop here.
    await until(pipes[1].poll)

    def taken(number: int) -> bool:
        worker.take_reports()
        last = worker.answers_of.get(ErrandDone)
        return last is not None and last.number == number

    await until(lambda: taken(1))
    assert worker.answers_of[ErrandDone].content == ErrandDone(200, "text/plain", LARGE)
    worker.reports.send(Question(2, Errand("empty", {})))
    await until(lambda: taken(2))
    assert worker.answers_of[ErrandDone].content == ErrandDone(200, "text/plain", b"")
    loop.remove_reader(pipes[0].fileno())
