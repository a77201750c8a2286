"""Metrics of stores, certificates, reloads, repeats, streams, stored replies and keys."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from gateway.app.gateway import Gateway
from gateway.config.metrics import MetricsOptions
from gateway.config.upstreams import Upstream
from gateway.status import StartUpError
from gateway.telemetry.metrics.cells import CellFile, MetricFiles
from gateway.telemetry.metrics.metrics import Metrics
from gateway.upstream.balancing import Balancing
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import open_pool
from tests.support.balanced import safe, servers, spreads
from tests.support.calls import failure
from tests.support.counting_backend import caching_gateway
from tests.support.exposition import Samples, samples
from tests.support.http import connected, echo_gateway
from tests.support.polling import first, until
from tests.support.redis_server import free_port
from tests.support.tls import Files
from tests.support.upstream_server import Server


def of(gateway: Gateway, name: str) -> Samples:
    """The samples that a gateway shows now."""
    assert gateway.exposition is not None
    return samples(gateway.exposition.text()[1], name)


async def shown(gateway: Gateway, name: str, expected: Samples) -> None:
    """Waits until a gateway shows these samples: some are read once a second."""

    async def read() -> Samples:
        return of(gateway, name)

    assert await first(read, lambda found: found == expected, within_s=10) == expected


async def test_operations_of_a_store_are_timed_by_outcome(tmp_path: Path) -> None:
    auth = {"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True}
    async with caching_gateway(tmp_path, auth=auth) as shop:
        key = await shop.key_of("ada")
        assert (await shop.get("/v1/items/a", key)).status == 200
        found = of(shop.gateway, "gateway_store_operations_seconds_count")
        assert found["credentials", "find_key", "ok"] == 1
        await shown(shop.gateway, "gateway_store_up", {("counters",): 1, ("credentials",): 1})


async def test_a_store_that_cannot_be_reached_is_down_and_its_failures_are_counted() -> None:
    limits = {"store": f"redis://127.0.0.1:{free_port()}/0", "on_store_failure": "open"}
    policies = [{"selector": "*", "rate_limits": [{"limit": 100, "window_s": 60}]}]
    async with (
        echo_gateway(rate_limits=limits, policies=policies) as gateway,
        connected(gateway) as client,
    ):
        await shown(gateway, "gateway_store_up", {("counters",): 1})

        async def state() -> float:
            assert (await client.get("/v1/echo/a")).status == 200
            return of(gateway, "gateway_store_up")["counters",]

        # After five failures, between which it is not asked for a while.
        await first(state, lambda up: up == 0, within_s=30)
        found = of(gateway, "gateway_store_operations_seconds_count")
        assert found["counters", "take", "unavailable"] >= 5
        assert len(found) == 1


async def test_the_end_of_certificates_and_their_changes_are_shown(tmp_path: Path) -> None:
    files = Files(tmp_path)
    async with echo_gateway(tls=files.settings()) as gateway:
        ((name, end_s),) = of(gateway, "gateway_tls_certificate_expires_timestamp_seconds").items()
        assert name == (str(files.settings()["cert_file"]),)
        assert end_s > time.time()
        reloads = "gateway_tls_certificate_reloads_total"
        assert of(gateway, reloads) == {("applied",): 0, ("refused",): 0}
        files.issue(trustme.CA())

        async def read() -> Samples:
            return of(gateway, reloads)

        # A look between the writing of its two files is one more that is refused.
        before = await first(read, lambda found: found["applied",] == 1, within_s=10)
        files.cert.write_text("nonsense")
        await shown(gateway, reloads, {**before, ("refused",): before["refused",] + 1})
        # What cannot be read has no end.
        await shown(gateway, "gateway_tls_certificate_expires_timestamp_seconds", {})


async def test_reloads_are_counted_and_the_generation_is_shown() -> None:
    async with echo_gateway() as gateway:
        await shown(gateway, "gateway_config_generation", {(): 1})
        # From the start: an increase from nothing to 1 is none for Prometheus.
        assert of(gateway, "gateway_reloads_total") == {("applied",): 0, ("refused",): 0}
        await gateway.reload(gateway.config)
        with pytest.raises(StartUpError):
            await gateway.reload(gateway.config.model_copy(update={"modules": ["no.such.module"]}))
        assert of(gateway, "gateway_reloads_total") == {("applied",): 1, ("refused",): 1}
        await shown(gateway, "gateway_config_generation", {(): 2})


@asynccontextmanager
async def counted(**settings: Any) -> AsyncIterator[tuple[list[Server], Channel, Metrics]]:
    """Two servers, the channel to them, and the metrics of its repeats."""
    file = CellFile()
    metrics = Metrics(MetricsOptions(), MetricFiles(file, (file,)), scheme="http")
    try:
        async with servers(2) as running:
            settings["targets"] = [{"address": one.target} for one in running]
            upstreams = {"library": Upstream.model_validate(settings)}
            async with open_pool(upstreams, Balancing(watch=metrics)) as pool:
                await spreads(pool["library"], 2)
                yield running, pool["library"], metrics
    finally:
        file.close()


async def test_hedged_calls_have_the_names_of_grpc() -> None:
    policy = {"hedging_delay_s": 0.02, "budget_percent": 0, "budget_min": 1}
    async with counted(hedging_policy=policy) as (running, channel, metrics):
        for one in running:
            one.pause()
        calls = [asyncio.ensure_future(channel.call(safe("Name"), b"", [], 20)) for _ in range(3)]
        refused = {("library", "budget"): 2}
        reading = "gateway_upstream_retries_refused_total"
        await until(lambda: samples(metrics.exposition.text()[1], reading) == refused)
        for one in running:
            one.go_on()
        await asyncio.gather(*calls)
        text = metrics.exposition.text()[1]
    assert samples(text, "grpc_client_call_hedges_sum") == {(safe("Name").path[1:], "library"): 1}
    assert samples(text, "grpc_client_call_hedges_count") == {(safe("Name").path[1:], "library"): 1}
    assert samples(text, "gateway_retries_total") == {("library", "no_answer"): 1}


async def test_repeats_have_the_names_of_grpc() -> None:
    async with counted(retry_policy={"max_attempts": 3}) as (running, channel, metrics):
        assert samples(metrics.exposition.text()[1], "gateway_retries_total") == {}
        for one in running:
            one.fails_with = grpc.StatusCode.UNAVAILABLE
        await failure(channel.call(safe("Name"), b"", [], 5))
        text = metrics.exposition.text()[1]
    call = (safe("Name").path[1:], "library")
    assert samples(text, "grpc_client_call_retries_sum") == {call: 2}
    assert samples(text, "grpc_client_call_retries_count") == {call: 1}
    assert samples(text, "grpc_client_call_transparent_retries_count") == {}
    assert samples(text, "grpc_client_call_retry_delay_seconds_sum")[call] > 0
    assert samples(text, "gateway_retries_total") == {("library", "UNAVAILABLE"): 2}
    assert samples(text, "gateway_upstream_retries_refused_total") == {("library", "attempts"): 1}


async def test_connections_have_the_names_of_grpc() -> None:
    async with counted() as (running, channel, metrics):

        def shown(name: str) -> dict[tuple[str, ...], float]:
            return samples(metrics.exposition.text()[1], f"grpc_subchannel_{name}")

        assert shown("open_connections") == {("library",): 2}
        assert shown("connection_attempts_succeeded_total") == {("library",): 2}
        assert shown("disconnections_total") == shown("connection_attempts_failed_total") == {}
        await running[0].kill()
        await until(lambda: shown("connection_attempts_failed_total").get(("library",), 0) > 1)
        assert shown("open_connections") == {("library",): 1}
        (found,) = shown("disconnections_total")
        assert set(found) <= {"library", "unknown", "connection reset"}
        await running[0].restart()
        await until(lambda: shown("open_connections") == {("library",): 2})
        assert shown("connection_attempts_succeeded_total") == {("library",): 3}
        await channel.close()
        assert shown("open_connections") == {("library",): 0}
        assert shown("disconnections_total")["library", "subchannel shutdown"] == 2


async def test_a_reload_does_not_count_connections_twice() -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        assert (await client.get("/v1/echo/hello")).status == 200
        await gateway.reload(gateway.config)
        assert (await client.get("/v1/echo/hello")).status == 200
        await until(lambda: gateway.generations.count == 1)
        assert list(of(gateway, "grpc_subchannel_open_connections").values()) == [1]


async def test_streams_and_their_messages_are_counted() -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        assert (await client.get("/v1/echo/hello:repeat?count=3")).status == 200
        messages = {("received",): 3.0, ("sent",): 0.0}
        assert of(gateway, "gateway_messages_total") == messages
        assert of(gateway, "gateway_streams_open") == {(): 0}


async def test_requests_with_a_key_are_counted_by_its_state(tmp_path: Path) -> None:
    policies = [{"selector": "*", "idempotency": {"allow_anonymous": True}}]
    async with caching_gateway(tmp_path, policies=policies) as shop:
        for text in "aab":
            body = f'{{"text": "{text}"}}'
            await shop.send("POST", "/v1/items/a:archive", body, 'Idempotency-Key: "k"')
        found = of(shop.gateway, "gateway_idempotency_requests_total")
        assert found == {("granted",): 1, ("settled",): 1, ("reused",): 1}
