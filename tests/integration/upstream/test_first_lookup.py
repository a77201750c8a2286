"""The first lookup of a name, for which a gateway waits when it starts, but not for ever."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from gateway.upstream.balancing import Balancing
from gateway.upstream.endpoint import Endpoint
from tests.support.polling import until

MODULES = ["gen.library.v1.library_pb2"]


class Waiting:
    """A resolver that answers once it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()

    async def resolve(self) -> Sequence[Endpoint]:
        self.asked += 1
        await self.answers.wait()
        return [Endpoint(("127.0.0.1:1",)), Endpoint(("127.0.0.1:2",))]


def config(**dns: Any) -> Config:
    upstream = {"target": "library.test:1", "dns": dns}
    settings = {"listen": "127.0.0.1:0", "modules": MODULES, "upstreams": {"library": upstream}}
    return Config.model_validate(settings)


async def test_a_gateway_starts_with_the_addresses_of_its_upstreams() -> None:
    resolver = Waiting()
    asyncio.get_running_loop().call_later(0.05, resolver.answers.set)
    async with open_gateway(config(), balancing=Balancing({"library": resolver})) as gateway:
        found = [(one.address, one.state) for one in gateway.endpoints()]
    assert found == [("127.0.0.1:1", "idle"), ("127.0.0.1:2", "idle")]
    assert resolver.asked == 1


async def test_a_gateway_starts_without_an_answer_and_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    resolver = Waiting()
    with caplog.at_level(logging.WARNING, "gateway.upstream"):
        balancing = Balancing({"library": resolver})
        async with open_gateway(config(start_s=0.05), balancing=balancing) as gateway:
            assert gateway.endpoints() == ()
            warned = [one for one in caplog.records if "library" in one.getMessage()]
            resolver.answers.set()
            await until(lambda: len(gateway.endpoints()) == 2)
    assert [getattr(one, "gateway_event", "") for one in warned] == [
        "gateway.upstream.lookup_failed"
    ]
    assert "the first lookup takes longer than 0.05 s" in warned[0].getMessage()
