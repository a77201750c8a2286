"""A reload keeps the connections, ejections and calls of upstreams whose settings stay the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.app.gateway import Gateway
from gateway.config.model import Config
from gateway.status import StartUpError
from gateway.upstream.interfaces import UpstreamChannel
from tests.support.counting_backend import CountingBackend, counting_server
from tests.support.http import connected
from tests.support.polling import until
from tests.support.two_upstreams import TwoUpstreams, settings, two_upstreams

CORS = {"cors": {"origins": ["https://a.example"]}}


@asynccontextmanager
async def served(place: Path, **main: Any) -> AsyncIterator[tuple[TwoUpstreams, dict[str, Any]]]:
    """A gateway whose upstream `main` has these settings, and the settings of its reload."""
    async with two_upstreams(place, upstreams={"main": main}) as running:
        yield running, settings(place, running.main, running.other, upstreams={"main": main})


async def reload(gateway: Gateway, wanted: dict[str, Any]) -> None:
    """Puts settings in force, and waits until the former ones have ended."""
    await gateway.reload(Config.model_validate(wanted))
    await until(lambda: gateway.generations.count == 1)


async def test_a_reload_keeps_the_connection_of_an_unchanged_upstream(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, same):
        await running.get("/v1/plain")
        for more in (CORS, {}, CORS):
            await reload(running.gateway, same | more)
            assert (await running.get("/v1/plain")).status == 200
        assert len(running.main.peers) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"services": ["shop.v1.*"]}, id="its services"),
        pytest.param({"fallback": "other"}, id="its fallback"),
    ],
)
async def test_other_routes_to_an_upstream_keep_its_connection(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    async with served(tmp_path) as (running, same):
        await running.get("/v1/plain")
        same["upstreams"]["main"] |= change
        await reload(running.gateway, same)
        assert (await running.get("/v1/plain")).status == 200
        assert len(running.main.peers) == 1


async def test_settings_of_an_upstream_open_it_anew(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, same):
        await running.get("/v1/plain")
        same["upstreams"]["main"]["max_pending"] = 7
        await reload(running.gateway, same)
        await running.get("/v1/plain")
        assert len(running.main.peers) == 2


async def test_a_changed_target_gets_the_calls_and_the_former_one_is_left(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, same), counting_server() as third:
        third.text = "third"
        assert await running.names(2) == ["main", "main"]
        same["upstreams"]["main"]["target"] = third.target
        await reload(running.gateway, same)
        assert await running.names(2) == ["third", "third"]
        (endpoint,) = [one for one in running.gateway.endpoints() if one.upstream == "main"]
        assert endpoint.address == third.target


@asynccontextmanager
async def with_ejected(
    place: Path,
) -> AsyncIterator[tuple[TwoUpstreams, dict[str, Any], CountingBackend]]:
    """A gateway whose upstream `main` has two servers, one of which is ejected."""
    async with counting_server() as bad:
        bad.text = "bad"
        bad.fails = grpc.StatusCode.UNAVAILABLE
        async with counting_server() as good:
            good.text = "good"
            targets = [{"address": one.target} for one in (bad, good)]
            main: dict[str, Any] = {"target": None, "targets": targets, "retries": "off"}
            main["outlier"] = {"consecutive": 1, "max_ejection_percent": 100}
            async with served(place, **main) as (running, same):
                await until_ejected(running)
                yield running, same, bad


async def until_ejected(running: TwoUpstreams) -> None:
    async with asyncio.timeout(20):
        while "ejected" not in states(running):
            await running.get("/v1/plain")


def states(running: TwoUpstreams) -> set[str]:
    return {one.state for one in running.gateway.endpoints() if one.upstream == "main"}


async def test_an_ejected_endpoint_stays_ejected(tmp_path: Path) -> None:
    async with with_ejected(tmp_path) as (running, same, bad):
        calls = bad.calls.total()
        await reload(running.gateway, same | CORS)
        assert states(running) == {"ejected", "ready"}
        assert await running.names(6) == ["good"] * 6
        assert bad.calls.total() == calls


async def test_a_refused_reload_closes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, same):
        await running.get("/v1/plain")
        bad = Config.model_validate(same | {"descriptors": ["/none.binpb"]})
        with pytest.raises(StartUpError, match=r"/none\.binpb"):
            await running.gateway.reload(bad)
        assert (await running.get("/v1/plain")).status == 200
        assert len(running.main.peers) == 1


async def test_a_call_under_way_ends_with_its_former_settings(tmp_path: Path) -> None:
    """It holds the former settings, while new calls share its connection."""
    async with served(tmp_path) as (running, same), connected(running.gateway) as client:
        running.main.open.clear()
        pending = asyncio.ensure_future(client.get("/v1/plain"))
        await until(lambda: running.main.calls.total() == 1)
        await running.gateway.reload(Config.model_validate(same | CORS))
        assert running.gateway.generations.count == 2
        (endpoint,) = [one for one in running.gateway.endpoints() if one.upstream == "main"]
        assert endpoint.in_flight == 1, "the call counts once, in the settings in force"
        running.main.open.set()
        assert (await pending).status == 200
        await until(lambda: running.gateway.generations.count == 1)
        assert (await running.get("/v1/plain")).status == 200
        assert len(running.main.peers) == 1


async def test_an_upstream_that_is_gone_is_closed(tmp_path: Path) -> None:
    async with served(tmp_path) as (running, same):
        same["upstreams"]["main"] |= {"services": []}
        same["upstreams"]["other"]["services"] = ["*"]
        await running.get("/v1/plain")
        former = running.gateway.generations.current.opened.pool["main"]
        del same["upstreams"]["main"]
        await reload(running.gateway, same)
        assert await running.names(2) == ["other", "other"]
        assert isinstance(former, UpstreamChannel)
        assert former.report() == []
