"""Metrics of attempts and endpoints, by the names of gRFC A66, A78 and A91."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest

from gateway.config.metrics import MetricsOptions
from gateway.config.upstreams import Upstream
from gateway.status import StatusError
from gateway.telemetry.metrics.cells import CellFile, MetricFiles
from gateway.telemetry.metrics.metrics import Metrics
from gateway.upstream.balancing import Balancing
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import open_pool
from tests.support.balanced import safe, servers, spreads
from tests.support.calls import failure
from tests.support.exposition import samples
from tests.support.grpc_backend import method
from tests.support.health import Health
from tests.support.load_reports import number
from tests.support.polling import until
from tests.support.upstream_server import Server

NAME = method("Name").path[1:]
SENT = "grpc_client_attempt_sent_total_compressed_message_size_bytes"
RECEIVED = "grpc_client_attempt_rcvd_total_compressed_message_size_bytes"


class Counted:
    """Servers, the channel to them, and its metrics."""

    def __init__(self, running: list[Server], channel: Channel, metrics: Metrics) -> None:
        self.servers = running
        self.channel = channel
        self._metrics = metrics
        self._before: dict[str, dict[tuple[str, ...], float]] = {}

    def read(self, name: str) -> dict[tuple[str, ...], float]:
        return samples(self._metrics.exposition.text()[1], name)

    def note(self, *names: str) -> None:
        self._before = {name: self.read(name) for name in names}

    def since(self, name: str) -> dict[tuple[str, ...], float]:
        """What was added to a metric since `note`."""
        before = self._before[name]
        found = {key: value - before.get(key, 0) for key, value in self.read(name).items()}
        return {key: value for key, value in found.items() if value}


@asynccontextmanager
async def counted(
    count: int, serves: Any = None, *, attempts: bool = True, **settings: Any
) -> AsyncIterator[Counted]:
    file = CellFile()
    options = MetricsOptions(attempts=attempts)
    metrics = Metrics(options, MetricFiles(file, (file,)), scheme="http")
    try:
        async with servers(count, serves) as running:
            settings["targets"] = [{"address": one.target} for one in running]
            upstreams = {"library": Upstream.model_validate(settings)}
            async with open_pool(upstreams, Balancing(watch=metrics)) as pool:
                await spreads(pool["library"], count)
                yield Counted(running, pool["library"], metrics)
    finally:
        file.close()


DURATIONS = "grpc_client_attempt_duration_seconds_count"
STARTED = "grpc_client_attempt_started_total"


async def test_each_attempt_of_a_repeated_call_is_counted_with_its_status() -> None:
    async with counted(2) as found:
        found.servers[0].fails_with = grpc.StatusCode.UNAVAILABLE
        found.note(STARTED, DURATIONS, f"{SENT}_sum", f"{RECEIVED}_sum", f"{SENT}_count")
        for _ in range(4):
            reply = await found.channel.call(safe("Name"), b"12345", [], 20)
        assert found.since(STARTED) == {(NAME, "library"): 6}
        statuses = {(NAME, "library", "OK"): 4, (NAME, "library", "UNAVAILABLE"): 2}
        assert found.since(DURATIONS) == found.since(f"{SENT}_count") == statuses
        assert found.since(f"{SENT}_sum") == {key: 5 * times for key, times in statuses.items()}
        assert found.since(f"{RECEIVED}_sum") == {(NAME, "library", "OK"): 4 * len(reply.message)}


async def test_an_attempt_that_reaches_nothing_is_counted_without_bytes() -> None:
    async with counted(1) as found:
        await found.servers[0].stop()
        found.note(STARTED, DURATIONS, f"{SENT}_sum")
        await failure(found.channel.call(method("Name"), b"12345", [], 5))
        assert found.since(STARTED) == {(NAME, "library"): 1}
        assert found.since(DURATIONS) == {(NAME, "library", "UNAVAILABLE"): 1}
        assert found.since(f"{SENT}_sum") == {}


async def test_without_the_option_attempts_are_not_counted() -> None:
    async with counted(1, attempts=False) as found:
        await found.channel.call(method("Name"), b"", [], 5)
        assert found.read(STARTED) == found.read(DURATIONS) == {}


async def test_ejections_are_counted_by_the_method_of_detection() -> None:
    options = {"consecutive": 2, "max_ejection_percent": 50, "base_ejection_time_s": 60}
    enforced = "grpc_lb_outlier_detection_ejections_enforced_total"
    async with counted(3, outlier=options, retries="off") as found:
        found.servers[0].fails_with = grpc.StatusCode.UNAVAILABLE
        for _ in range(9):
            with suppress(StatusError):
                await found.channel.call(method("Name"), b"", [], 5)
        assert found.read(enforced) == {("library", "consecutive_failures"): 1}


async def test_weights_are_counted_while_endpoints_take_turns_and_after() -> None:
    quick = {"blackout_period_s": 0, "weight_update_period_s": 0.1}
    settings: Any = {"balance": "weighted_round_robin", "weighted_round_robin": quick}
    weights = "grpc_lb_wrr_endpoint_weights"
    async with counted(2, **settings) as found:
        lacking = "grpc_lb_wrr_endpoint_weight_not_yet_usable_total"
        await until(lambda: found.read(lacking).get(("library",), 0) >= 2)
        assert found.read("grpc_lb_wrr_rr_fallback_total")["library",] >= 1
        for one in found.servers:
            one.load_report = number(9, 0.5) + number(6, 100)
        for _ in range(4):
            await found.channel.call(method("Name"), b"", [], 5)
        await until(lambda: found.read(f"{weights}_sum")["library",] >= 400)
        found.note("grpc_lb_wrr_rr_fallback_total", f"{weights}_count")
        await until(lambda: bool(found.since(f"{weights}_count")))
        assert found.since("grpc_lb_wrr_rr_fallback_total") == {}


async def test_health_checks_are_counted_by_their_result() -> None:
    checks = "gateway_upstream_health_checks_total"
    async with counted(2, Health, health={"watch": False, "interval_s": 0.05}) as found:
        await until(lambda: found.read(checks).get(("library", "passed"), 0) >= 4)
        assert ("library", "failed") not in found.read(checks)


@pytest.mark.parametrize("watch", [True, False], ids=["Watch", "Check"])
async def test_health_checks_are_no_attempts_of_calls(watch: bool) -> None:
    health = {"watch": watch, "interval_s": 0.02}
    async with counted(1, Health, health=health) as found:
        (only,) = found.servers
        assert only.health is not None
        asked = only.health.asked
        await until(lambda: len(asked) >= (1 if watch else 3))
        await found.channel.call(method("Name"), b"", [], 5)
        assert set(found.read(STARTED)) == {(NAME, "library")}
