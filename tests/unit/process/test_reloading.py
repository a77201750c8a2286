"""Reloads whose settings cannot be read for a reason that nobody thought of."""

import asyncio

import pytest

from gateway.config.model import Config
from gateway.endpoints.admin.operations import ReloadReport
from gateway.process.one_process import OneProcess
from gateway.process.orders import LogRefusal, ReloadAnswer, ReloadOrder
from gateway.process.reloading import Reloader
from gateway.process.workers_reload import WorkersReload
from gateway.status import StartUpError
from gateway.telemetry.logs.levels import Levels
from tests.support.http import connected, echo_gateway
from tests.support.polling import until


class Reading:
    """A source of settings that fails at first."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.is_broken = True

    def __call__(self) -> Config:
        """Reads them."""
        if self.is_broken:
            raise ZeroDivisionError("a secret of the library")
        return self.config


class Worker:
    """A worker that serves and notes its orders."""

    number = 1
    has_started = True
    pid = 1
    reload_answer: ReloadAnswer | None = None

    def __init__(self) -> None:
        self.orders: list[ReloadOrder] = []

    def signal(self, number: int) -> None:
        """Gets no signal here."""

    def tell(self, order: ReloadOrder) -> None:
        """Notes an order."""
        self.orders.append(order)


async def test_one_process_serves_on_and_reloads_once_they_can_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        operations = OneProcess(gateway.config, Levels())
        read = Reading(gateway.config)
        reloader = Reloader(gateway, operations, read)
        for dry_run in (True, False):
            caplog.clear()
            with pytest.raises(StartUpError) as refused:
                await reloader.reload(dry_run=dry_run)
            assert str(refused.value) == "the new settings cannot be read: the log has the fault"
            (record,) = caplog.records
            assert record.exc_info is not None
            assert record.exc_info[0] is ZeroDivisionError
            assert (await client.get("/v1/echo/a")).status == 200
        read.is_broken = False
        assert (await reloader.reload(dry_run=False)).generation == 2
        assert (await client.get("/v1/echo/a")).status == 200
        await reloader.close()


async def test_one_reload_runs_and_one_waits_whoever_asks_meanwhile_gets_its_answer() -> None:
    operations, goes_on, begun = OneProcess(Config(), Levels()), asyncio.Event(), 0

    async def reloading(*, dry_run: bool) -> ReloadReport:
        nonlocal begun
        begun += 1
        number = begun
        await goes_on.wait()
        return ReloadReport(number, int(dry_run), (), ())

    operations.reloading = reloading
    first = asyncio.ensure_future(operations.reload(dry_run=False))
    await until(lambda: begun == 1)
    later = [asyncio.ensure_future(operations.reload(dry_run=False)) for _ in range(100)]
    tried = asyncio.ensure_future(operations.reload(dry_run=True))
    await asyncio.sleep(0)
    later[0].cancel()  # the reload that others wait for must go on
    goes_on.set()
    assert (await first).generation == 1
    assert {(await one).generation for one in later[1:]} == {2}
    assert (await tried).routes == 1
    assert begun == 3
    assert (await operations.reload(dry_run=False)).generation == 4


def test_the_supervisor_goes_on_and_a_worker_logs_the_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read, worker = Reading(Config()), Worker()
    swapped: list[object] = []
    reload = WorkersReload(
        Config(), [worker], read, lambda *new: swapped.append(new), lambda _: pytest.fail("starts")
    )
    said: list[object] = []
    for dry_run in (True, False):
        worker.orders.clear()
        said.clear()
        reload.want(said.append, dry_run=dry_run)
        reload.step()
        assert said == ["the new settings cannot be read: internal error"]
        reason = "the new settings cannot be read: internal error"
        assert worker.orders == [LogRefusal(reason, dry_run)]
        assert not reload.is_pending
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    read.is_broken = False
    said.clear()
    reload.want(said.append)
    reload.step()
    assert said == []
    assert len(worker.orders) == 2, "the worker is asked to check the settings"
    assert swapped == []
