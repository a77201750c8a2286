"""A gateway in front of two upstreams, each a real server that answers with its name."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from tests.support.counting_backend import FILES, CountingBackend, counting_server
from tests.support.http import Answer, connected


@dataclass
class TwoUpstreams:
    """The gateway and the back ends behind `main` and `other`."""

    gateway: Gateway
    main: CountingBackend
    other: CountingBackend

    async def get(self, target: str, *headers: str) -> Answer:
        """The answer to a GET."""
        async with connected(self.gateway) as client:
            return await client.get(target, *headers)

    async def names(self, count: int, *headers: str) -> Sequence[str]:
        """The names of the back ends that answer so many calls."""
        async with connected(self.gateway) as client:
            return [(await client.get("/v1/plain", *headers)).json()["text"] for _ in range(count)]


def settings(
    place: Path, main: CountingBackend, other: CountingBackend, **more: Any
) -> dict[str, Any]:
    """The settings of the gateway; `more` may have `upstreams`, which are added to."""
    descriptors = place / "shop.binpb"
    descriptors.write_bytes(FILES.SerializeToString())
    upstreams: dict[str, dict[str, Any]] = {
        "main": {"target": main.target, "services": ["*"]},
        "other": {"target": other.target},
    }
    for name, one in more.pop("upstreams", {}).items():
        upstreams[name] = upstreams.get(name, {}) | one
    return {
        "listen": "127.0.0.1:0",
        "descriptors": [str(descriptors)],
        "log": {"access": "off"},
        "upstreams": upstreams,
    } | more


@asynccontextmanager
async def two_upstreams(place: Path, **more: Any) -> AsyncIterator[TwoUpstreams]:
    """A running gateway and its two back ends; `more` are settings."""
    async with counting_server() as main, counting_server() as other:
        main.text, other.text = "main", "other"
        config = Config.model_validate(settings(place, main, other, **more))
        async with open_gateway(config) as gateway:
            yield TwoUpstreams(gateway, main, other)
