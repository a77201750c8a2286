"""Gateways in processes of their own, whose methods take idempotency keys."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.counting_backend import FILES
from tests.support.redis_server import free_port

ROOT = Path(__file__).parents[2]
FORKED = ("tests.support.forked_gateways", "gateway.yaml")
"""The command of a gateway with workers that start in some milliseconds; their number follows."""


class KeyedGateway:
    """A gateway with several workers in processes of their own."""

    def __init__(self, url: str, parent: int) -> None:
        self.url = url
        self.parent = parent
        self.answered: set[str] = set()
        """The workers that have answered, by the start of their request ids."""

    def workers(self) -> list[int]:
        """The processes of its workers."""
        told = Path(f"/proc/{self.parent}/task/{self.parent}/children").read_text()
        return [
            pid
            for pid in map(int, told.split())
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    async def post(self, key: str) -> tuple[int, str]:
        """The status and body of a request; status 0 if its connection was lost."""
        connections = aiohttp.TCPConnector(force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connections) as client,
                client.post(
                    f"{self.url}/v1/items/a:archive", json={}, headers={"Idempotency-Key": key}
                ) as response,
            ):
                self.answered.add(response.headers["X-Request-Id"].partition("-")[0])
                return response.status, await response.text()
        except aiohttp.ClientError:
            return 0, ""


@asynccontextmanager
async def keyed_gateway(
    place: Path, target: str, store: str, *command: str, rule: dict[str, Any], **more: object
) -> AsyncIterator[KeyedGateway]:
    """A gateway that keeps keys in `store`, by a `rule`; its command runs in `place`."""
    port = free_port()
    (place / "api.binpb").write_bytes(FILES.SerializeToString())
    keys = {"key": "required", "allow_anonymous": True} | rule
    settings = {
        "listen": f"127.0.0.1:{port}",
        "descriptors": ["api.binpb"],
        "upstreams": {"shop": {"target": target}},
        "idempotency": {"store": store},
        "store": {"timeout_s": 5.0},
        "policies": [{"selector": "shop.v1.Shop.ArchiveItem", "idempotency": keys}],
        "log": {"access": "off"},
    }
    (place / "gateway.yaml").write_text(yaml.safe_dump(settings | more))
    with (place / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command),
            stderr=said,
            stdout=said,
            cwd=place,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    gateway = KeyedGateway(f"http://127.0.0.1:{port}", process.pid)
    try:
        async with asyncio.timeout(60):
            while (await gateway.post("start"))[0] != 200:  # noqa: ASYNC110 - it tells by answers
                await asyncio.sleep(0.1)
        yield gateway
    finally:
        process.terminate()
        await process.wait()
