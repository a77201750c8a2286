"""Stored failures: only those that a policy names, with an end of their own."""

import grpc
import pytest

from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway

GET = "shop.v1.Shop.GetItem"
TIMES = {"not_found_s": 60, "unimplemented_s": 60, "out_of_range_s": 60}


@pytest.fixture
async def negative(open_cache: OpenCache) -> CachingGateway:
    return await open_cache(policies=[{"selector": GET, "cache": {"negative": TIMES}}])


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.OUT_OF_RANGE, 400),
    ],
    ids=str,
)
async def test_a_failure_that_the_policy_names_is_stored(
    negative: CachingGateway, code: grpc.StatusCode, status: int
) -> None:
    negative.backend.fails = code
    one, two = await negative.get("/v1/items/a"), await negative.get("/v1/items/a")
    three = await negative.get("/v1/items/a")
    assert [one.status, two.status, three.status] == [status] * 3
    assert one.json() == two.json() == three.json()
    assert (one.header("Cache-Status") or "").endswith("; stored")
    assert (two.header("Cache-Status") or "").startswith("gateway; hit; ttl=")
    assert negative.backend.calls["GetItem"] == 1


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.INVALID_ARGUMENT,
    ],
    ids=str,
)
async def test_other_failures_are_not_stored(
    negative: CachingGateway, code: grpc.StatusCode
) -> None:
    negative.backend.fails = code
    for _ in range(2):
        await negative.get("/v1/items/a")
    assert negative.backend.calls["GetItem"] == 2


async def test_a_change_drops_a_stored_failure(negative: CachingGateway) -> None:
    negative.backend.fails = grpc.StatusCode.NOT_FOUND
    await negative.get("/v1/items/a")
    negative.backend.fails = None
    await negative.send("PATCH", "/v1/items/a")
    assert (await negative.get("/v1/items/a")).status == 200
