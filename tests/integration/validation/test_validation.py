"""Requests that break a rule of their proto are refused before the back end gets them."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from gateway.interceptors.validate import ValidationError
from tests.support.validated import PROTO, open_orders

ON = "protovalidate"
ALL = "protovalidate+field_behavior"


async def violations(response: ClientResponse) -> list[tuple[str, str]]:
    """The field and the reason of each violation of a refused request."""
    assert response.status == 400
    error = (await response.json())["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    found = detail.get("fieldViolations") or detail["field_violations"]
    return [(one.get("field", ""), one["reason"]) for one in found]


LINES = {"allLines": [{"skuCode": "abc", "count": 1}, {"skuCode": "z", "count": 1}]}
SHOPS = {"byShop": {"it's": {"skuCode": "q", "count": 1}}}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param({"pieces": -1}, [("pieces", "int32.gte")], id="a field"),
        pytest.param(LINES, [("allLines[1].skuCode", "string.min_len")], id="in a list"),
        pytest.param(SHOPS, [('byShop["it\'s"].skuCode', "string.min_len")], id="in a map"),
        pytest.param({"pieces": 101}, [("", "order.small")], id="the whole message"),
    ],
)
async def test_a_body_is_checked(
    tmp_path: Path, body: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    async with open_orders(tmp_path, validation=ON) as (client, orders):
        async with client.put("/v1/orders/a", json=body) as response:
            assert await violations(response) == found
        assert orders.received == 0
        async with client.put("/v1/orders/a", json={"pieces": 100}) as response:
            assert response.status == 200
        assert orders.received == 1


async def test_the_path_and_the_query_are_checked(tmp_path: Path) -> None:
    async with open_orders(tmp_path, validation=ON) as (client, orders):
        async with client.get("/v1/orders/A?pieces=-1") as response:
            assert await violations(response) == [
                ("orderId", "string.pattern"),
                ("pieces", "int32.gte"),
            ]
        assert orders.received == 0


async def test_names_are_those_that_json_has(tmp_path: Path) -> None:
    json = {"proto_names": True}
    async with (
        open_orders(tmp_path, validation=ON, json=json) as (client, _),
        client.get("/v1/orders/A") as response,
    ):
        assert await violations(response) == [("order_id", "string.pattern")]


async def test_each_message_of_a_stream_is_checked(tmp_path: Path) -> None:
    async with open_orders(tmp_path, validation=ON) as (client, _):
        lines = b'{"pieces":1}\n{"pieces":-1}\n'
        headers = {"Content-Type": "application/x-ndjson"}
        async with client.post("/v1/orders:load", data=lines, headers=headers) as response:
            text = await response.text()
            assert await violations(response) == [("pieces", "int32.gte")]
            assert "message 2: pieces" in text


async def test_required_fields_are_checked_by_option(tmp_path: Path) -> None:
    body = {"allLines": [{"skuCode": "abc"}]}
    async with (
        open_orders(tmp_path, validation=ON) as (client, _),
        client.put("/v1/orders/a", json=body) as response,
    ):
        assert response.status == 200
    async with open_orders(tmp_path, validation=ALL) as (client, _):
        async with client.put("/v1/orders/a", json=body) as response:
            assert await violations(response) == [
                ("allLines[0].count", "required"),
                ("buyer", "required"),
            ]
        # AIP-134: an update may send any part of the resource.
        async with client.patch("/v1/orders", json={"pieces": 1}) as response:
            assert response.status == 200


async def test_an_error_names_a_hundred_violations_at_most(tmp_path: Path) -> None:
    body: dict[str, Any] = {"allLines": [{}] * 300}
    async with (
        open_orders(tmp_path, validation=ON) as (client, _),
        client.put("/v1/orders/a", json=body) as response,
    ):
        assert len(await violations(response)) == 100


async def test_nothing_is_checked_by_default(tmp_path: Path) -> None:
    async with open_orders(tmp_path) as (client, orders):
        async with client.put("/v1/orders/A", json={"pieces": -1}) as response:
            assert response.status == 200
        assert orders.received == 1


async def test_a_rule_that_cannot_be_compiled_stops_the_start(tmp_path: Path) -> None:
    broken = PROTO.replace("this.pieces <= 100", "this.pieces <=")
    with pytest.raises(ValidationError, match=r"^orders\.proto:\d+: the validation rules of"):
        async with open_orders(tmp_path, broken, validation=ON):
            pass
