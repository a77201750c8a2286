"""The changes of a reload that break clients, as it names them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app import api_changes
from gateway.app.site import open_site
from gateway.config.log import LogOptions
from gateway.config.model import Config
from gateway.telemetry.logs.opening import open_logs
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
service Shop {
  rpc Get(Ask) returns (Thing) { option (google.api.http) = {get: "/v1/{name=things/*}"}; }
  rpc List(Ask) returns (Thing) { option (google.api.http) = {get: "/v1/things"}; }
}
message Ask { string name = 1; }
message Thing { string name = 1; Shade shade = 2; }
enum Shade { SHADE_UNSPECIFIED = 0; }
"""

Open = Callable[..., Awaitable[api_changes.Described]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:
        off = LogOptions.model_validate({"access": "off", "events": "off", "audit": "off"})
        logs = await stack.enter_async_context(open_logs(off))

        async def open_one(proto: str, **settings: object) -> api_changes.Described:
            file = tmp_path / "shop.binpb"
            file.write_bytes(descriptor_set(shop=proto).SerializeToString())
            config = Config.model_validate(
                {"descriptors": [str(file)], "upstreams": {"a": {"target": "127.0.0.1:1"}}}
                | settings
            )
            opened = await open_site(config, logs, stack)
            return api_changes.Described(config, opened.schema, opened.site)

        yield open_one


async def test_nothing_is_found_between_equal_settings(opened: Open) -> None:
    assert api_changes.api_changes(await opened(PROTO), await opened(PROTO)) == []


async def test_what_breaks_clients_comes_first_and_what_is_compatible_is_left_out(
    opened: Open,
) -> None:
    after = (
        PROTO.replace("string name = 1; Shade", "string title = 1; Shade")
        .replace("SHADE_UNSPECIFIED = 0;", "SHADE_UNSPECIFIED = 0; DARK = 1;")
        .replace("message Ask { ", "message Ask { string note = 2; ")
    )
    found = api_changes.api_changes(await opened(PROTO), await opened(after))
    assert [line.split(":")[0] for line in found] == [
        "! breaking response-property-renamed",
        "! warning response-enum-value-added",
    ]
    assert "shop.v1.Thing" in found[0]
    line = PROTO.splitlines().index(next(x for x in PROTO.splitlines() if "message Thing" in x)) + 1
    assert found[0].startswith(f"! breaking response-property-renamed: shop.proto:{line}: ")


async def test_what_is_gone_has_its_place_before(opened: Open) -> None:
    kept = [line for line in PROTO.splitlines() if "rpc List" not in line]
    found = api_changes.api_changes(await opened(PROTO), await opened("\n".join(kept)))
    line = next(n for n, text in enumerate(PROTO.splitlines(), 1) if "rpc List" in text)
    assert found[0].startswith(
        f"! breaking path-removed: shop.proto:{line}, before: GET /v1/things: removed: "
    )


async def test_settings_count_too(opened: Open) -> None:
    keys = {"auth": {"store": "memory:", "anonymous": False}}
    found = api_changes.api_changes(await opened(PROTO), await opened(PROTO, **keys))
    assert {line.split(":")[0] for line in found} == {"! breaking credential-required"}


async def test_many_routes_are_not_compared(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_changes, "_MOST_BINDINGS", 1)
    (line,) = api_changes.api_changes(await opened(PROTO), await opened(PROTO))
    assert line == (
        "! warning not-compared: 2 routes are more than the 1 that a reload compares for changes "
        "that break clients: use gateway diff"
    )
