"""A gateway that asks its back ends again, and follows their change."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_admin import ask_json
from tests.support.gateway_process import gateway_process
from tests.support.polling import first
from tests.support.reflection import V1, from_grpcio, reflecting
from tests.support.schema import descriptor_set

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
SHOP = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
service Shop {
  rpc Get(Thing) returns (Thing) { option (google.api.http).get = "%s"; }
}
message Thing { string name = 1; }
"""
SERVICES = ["shop.v1.Shop"]


def described(path: str) -> Any:
    return from_grpcio(descriptor_set(shop=SHOP % path), SERVICES)


class Changing:
    """A back end whose descriptors change."""

    def __init__(self) -> None:
        self.now = described("/v1/old/{name}")
        self.asked = 0

    async def talk(self, requests: Any, context: Any) -> Any:
        self.asked += 1
        async for answer in self.now(requests, context):
            yield answer


@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_a_change_of_the_back_end_is_followed(tmp_path: Path, workers: int) -> None:
    admin, events, back_end = tmp_path / "admin.sock", tmp_path / "events", Changing()
    async with (
        reflecting({V1: back_end.talk}) as target,
        gateway_process(
            tmp_path / "gateway",
            listen="127.0.0.1:0",
            workers=workers,
            upstreams={"shop": {"target": target}},
            reflect=True,
            reload={"reflection_s": 1},
            admin={"listen": f"unix:{admin}"},
            log={"events": str(events)},
        ),
    ):

        async def paths() -> list[str]:
            return [one["path"] for one in (await ask_json(admin, "/routes"))["routes"]]

        def reloads() -> int:
            told = [json.loads(line) for line in events.read_text().splitlines()]
            found = [one for one in told if one["event.name"] == "gateway.reloaded"]
            return len({one["gateway.config.generation"] for one in found})

        async def asked() -> int:
            return back_end.asked

        assert await paths() == ["/v1/old/{name}"]
        back_end.now = described("/v1/new/{name}")
        await first(paths, lambda found: found == ["/v1/new/{name}"], within_s=20)
        goal = back_end.asked + workers + 1
        await first(asked, lambda count: count >= goal, within_s=20)
        assert reloads() == 1, "each change is followed once"
