"""Two listeners of one process: each has endpoints of its own; the second may serve no calls."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from gateway.exchange.endpoints import EndpointRegistry
from gateway.exchange.exchange import Exchange
from gateway.http.messages import Request, Response
from gateway.listeners.listener import Listener, open_listener
from gateway.transcoding.media import JSON
from tests.support.front_end import Answer, FrontEnd, get
from tests.support.site import Records, make_site
from tests.support.upstream import Upstream


async def health(request: Request) -> Response:
    return Response(200, [], b'{"status":"up"}', JSON)


@dataclass
class Both:
    """A public listener, which serves calls, and one for operators, which serves endpoints."""

    public: Listener
    admin: Listener
    exchange: Exchange
    upstream: Upstream
    calls: Records
    operations: Records

    async def ask(self, listener: Listener, path: str, method: str = "GET") -> Answer:
        return await FrontEnd(listener, self.upstream).ask(get(path, method=method))


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    upstream, calls, operations = Upstream(), Records(), Records()
    public = Exchange(make_site(upstream, observers=[calls]))
    admin_site = make_site(
        upstream, observers=[operations], endpoints=EndpointRegistry({"/health": {"GET": health}})
    )
    async with (
        open_listener("127.0.0.1:0", public) as first,
        open_listener("127.0.0.1:0", Exchange(admin_site)) as second,
    ):
        yield Both(first, second, public, upstream, calls, operations)


async def test_each_listener_has_a_port_and_connections_of_its_own(both: Both) -> None:
    assert both.public.address != both.admin.address
    async with FrontEnd(both.admin, both.upstream).connected() as client:
        assert (await client.ask(get("/health"))).status == 200
        assert (len(both.public.port.connections), len(both.admin.port.connections)) == (0, 1)


async def test_an_endpoint_of_one_listener_is_none_of_the_other(both: Both) -> None:
    assert (await both.ask(both.admin, "/health")).json == {"status": "up"}
    assert (await both.ask(both.public, "/health")).status == 404
    assert (await both.ask(both.public, "/v1/items/a")).json["name"] == "items/a"


async def test_an_endpoint_says_which_methods_it_takes(both: Both) -> None:
    refused = await both.ask(both.admin, "/health", "POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    options = await both.ask(both.admin, "/health", "OPTIONS")
    assert (options.status, options.headers["allow"], options.body) == (
        *(204, "GET, HEAD, OPTIONS"),
        b"",
    )
    head = await both.ask(both.admin, "/health", "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "15", b"")


async def test_requests_are_recorded_by_the_observers_of_their_own_listener(both: Both) -> None:
    await both.ask(both.admin, "/health")
    await both.ask(both.public, "/v1/items/a")
    assert [one.path for one in both.operations] == ["/health"]
    assert [one.path for one in both.calls] == ["/v1/items/a"]


async def test_a_connection_that_stays_is_served_by_the_site_that_replaces_the_first(
    both: Both,
) -> None:
    other = Upstream()
    async with FrontEnd(both.public, both.upstream).connected() as client:
        for _ in range(3):  # the later ones repeat their heads, and are not parsed
            assert (await client.ask(get("/v1/items/a"))).status == 200
        both.exchange.site = make_site(
            other, endpoints=EndpointRegistry({"/health": {"GET": health}})
        )
        assert json.loads((await client.ask(get("/health"))).body) == {"status": "up"}
        assert (await client.ask(get("/v1/items/a"))).status == 200
    assert (len(both.upstream.calls), len(other.calls)) == (3, 1)
