"""Metrics of several workers: one scrape shows all of them, and a death takes nothing away."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as text_families
from prometheus_client.samples import Sample

from tests.integration.process.test_workers import Supervised, running
from tests.support.http import RawClient

REQUESTS = "http_server_request_duration_seconds_count"
CALLS = "rpc_client_call_duration_seconds_count"
FRESH_S = 1.1
"""More than the time for which a worker may send the same text again."""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


async def samples(gateway: Supervised) -> list[Sample]:
    """All samples, as any worker shows them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    async with asyncio.timeout(10):
        answer = await RawClient(reader, writer).get("/metrics")
    writer.close()
    assert answer.status == 200
    return [one for family in text_families(answer.body.decode()) for one in family.samples]


async def totals(gateway: Supervised) -> dict[str, float]:
    """The sums of all samples, by name."""
    found: dict[str, float] = {}
    for sample in await samples(gateway):
        found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def test_any_worker_shows_all_and_a_killed_one_takes_nothing_away(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("metrics: {public: true}\n")
    async with running(tmp_path, "--config", str(settings)) as gateway:
        await gateway.answering(2)
        before = await totals(gateway)
        for _ in range(10):
            assert (await gateway.ask())[0] == 200
        await asyncio.sleep(FRESH_S)
        found = await totals(gateway)
        for _ in range(4):  # of different workers
            assert (await totals(gateway))[REQUESTS] == found[REQUESTS]
        assert found[REQUESTS] >= before[REQUESTS] + 10
        assert found[CALLS] == found[REQUESTS]
        os.kill(min(gateway.workers), signal.SIGKILL)
        await gateway.until(r"was ended by SIGKILL")
        async with asyncio.timeout(40):
            while (after := await totals(gateway))["gateway_worker_restarts_total"] < 1:
                assert after[REQUESTS] == found[REQUESTS]
                await asyncio.sleep(0.1)
        assert after[REQUESTS] == found[REQUESTS]


async def test_any_worker_can_show_each_alone(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("metrics: {public: true, per_worker: true}\n")
    async with running(tmp_path, "--config", str(settings)) as gateway:
        await gateway.answering(2)
        found = await samples(gateway)
    for name in ("gateway_connections", "gateway_config_generation", "process_cpu_seconds_total"):
        assert {one.labels["worker"] for one in found if one.name == name} == {"1", "2"}
