"""API keys over real sockets, with every store that processes can share."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.auth.keys.api_keys import KeyRequest
from gateway.auth.tokens.tokens import Grant
from tests.integration.keys.conftest import KeyGateway, OpenKeys
from tests.support.http import connected, echo_gateway
from tests.support.polling import first
from tests.support.redis_server import free_port, redis_server

ACME = KeyRequest("partners/acme", frozenset({"read", "write"}))
TRUSTING = {"trusted_proxies": ["127.0.0.0/8"]}


# A second is promised; the rest is what a busy machine may add.
SOON_S = 3.0


async def until_refused(gateway: KeyGateway, key: str) -> float:
    """Seconds until the key is refused; it must be soon."""
    started_s = time.monotonic()
    while (await gateway.call(key)).status == 200:
        assert time.monotonic() - started_s < 5
        await asyncio.sleep(0.02)
    return time.monotonic() - started_s


async def test_a_key_calls_in_its_owners_name(open_keys: OpenKeys, shared_store: str) -> None:
    gateway = await open_keys(shared_store, anonymous=False)
    made = await gateway.keys.create(ACME)
    seen = await gateway.seen(f"X-API-Key: {made.secret}")
    assert seen["x-principal"] == "partners/acme"
    assert seen["x-principal-scopes"] == "read write"
    assert "x-api-key" not in seen
    assert made.secret not in str(seen)
    assert (await gateway.get()).status == 401


async def test_a_revoked_key_is_refused_within_a_second_everywhere(
    open_keys: OpenKeys, shared_store: str
) -> None:
    one, other = await open_keys(shared_store), await open_keys(shared_store)
    made = await one.keys.create(ACME)
    for gateway in (one, other):
        assert (await gateway.call(made.secret)).status == 200
    await one.keys.revoke(made.record.id)
    for gateway in (one, other):
        assert await until_refused(gateway, made.secret) < SOON_S


async def test_a_rotated_key_changes_its_secret(open_keys: OpenKeys, shared_store: str) -> None:
    gateway = await open_keys(shared_store)
    old = await gateway.keys.create(ACME)
    assert (await gateway.call(old.secret)).status == 200
    new = await gateway.keys.rotate(old.record.id, 1.5)
    assert new is not None
    rotated_s = time.monotonic()
    for secret in (old.secret, new.secret):
        assert (await gateway.call(secret)).status == 200
    await until_refused(gateway, old.secret)
    assert time.monotonic() - rotated_s > 0.5
    assert (await gateway.call(new.secret)).status == 200


async def test_a_stream_ends_within_a_second_of_its_keys_revocation(
    open_keys: OpenKeys, shared_store: str
) -> None:
    gateway = await open_keys(shared_store)
    made = await gateway.keys.create(ACME)
    async with (
        ClientSession(gateway.gateway.url) as session,
        session.get(
            "/v1/echo/tick:repeat",
            params={"count": "1000", "interval": "0.05s"},
            headers={"X-API-Key": made.secret},
        ) as response,
    ):
        assert response.status == 200
        assert json.loads(await response.content.readline())["text"] == "tick"
        await gateway.keys.revoke(made.record.id)
        revoked_s = time.monotonic()
        async with asyncio.timeout(5):
            lines = [line async for line in response.content]
        assert time.monotonic() - revoked_s < SOON_S
    assert json.loads(lines[-1])["error"]["status"] == "UNAUTHENTICATED"


async def test_while_the_store_is_down_no_key_opens_anything_and_then_all_goes_on(
    open_keys: OpenKeys,
) -> None:
    port = free_port()
    gateway = await open_keys(f"redis://127.0.0.1:{port}/0")
    with redis_server(port):
        made = await gateway.keys.create(ACME)
        assert (await gateway.call(made.secret)).status == 200
    # What was remembered counts until it is forgotten.
    refused = await first(lambda: gateway.call(made.secret), lambda one: one.status != 200)
    assert (refused.status, refused.header("Retry-After")) == (503, "1")
    assert str(port) not in refused.body.decode()
    with redis_server(port):
        again = await gateway.keys.create(ACME)
        assert (await gateway.call(again.secret)).status == 200


async def test_the_last_use_of_a_key_is_known(open_keys: OpenKeys, shared_store: str) -> None:
    gateway = await open_keys(shared_store)
    made = await gateway.keys.create(ACME)
    before_s = time.time()
    assert (await gateway.call(made.secret)).status == 200
    record = await first(
        lambda: gateway.keys.verify(made.secret), lambda found: found and found.last_used_at_s
    )
    assert record is not None
    assert record.last_used_at_s is not None
    assert before_s - 1 <= record.last_used_at_s <= time.time() + 1
    noted_s = record.last_used_at_s
    await asyncio.sleep(0.6)  # until it is asked for again
    assert (await gateway.call(made.secret)).status == 200
    await asyncio.sleep(0.1)
    assert [one.last_used_at_s async for one in gateway.keys.list_all()] == [noted_s]


async def test_a_key_can_be_shown_in_another_header(open_keys: OpenKeys, tmp_path: Path) -> None:
    gateway = await open_keys(f"sqlite:///{tmp_path}/gateway.db", keys={"header": "X-Gateway-Key"})
    made = await gateway.keys.create(ACME)
    seen = await gateway.seen(f"x-gateway-key: {made.secret}")
    assert seen["x-principal"] == "partners/acme"
    assert "x-gateway-key" not in seen
    # The usual one is then a back end's own affair.
    assert (await gateway.seen("X-API-Key: theirs"))["x-api-key"] == "theirs"


@pytest.mark.parametrize(
    "auth",
    [
        pytest.param({"store": None}, id="without a store"),
        pytest.param({"order": ["token"]}, id="where keys are not taken"),
    ],
)
async def test_where_keys_are_no_credential_their_header_is_one_like_any(
    tmp_path: Path, auth: dict[str, object]
) -> None:
    store = f"sqlite:///{tmp_path}/gateway.db"

    settings = {"store": store, "anonymous": True} | auth
    async with echo_gateway(auth=settings) as gateway, connected(gateway) as client:
        answer = await client.get("/v1/echo/hello", "X-API-Key: theirs")
    seen = {one["name"]: one.get("value", "") for one in answer.json()["metadata"]}
    assert seen["x-api-key"] == "theirs"
    assert "x-principal" not in seen


@pytest.mark.parametrize(
    ("forwarded", "header", "status"),
    [
        pytest.param(TRUSTING, "X-Forwarded-For: 10.1.2.3", 200, id="from there"),
        pytest.param(TRUSTING, "X-Forwarded-For: 10.1.2.3, 192.0.2.1", 401, id="from beside it"),
        pytest.param(TRUSTING, "X-Forwarded-For: 192.0.2.1", 401, id="from elsewhere"),
        pytest.param(TRUSTING, "X-Other: 1", 401, id="from the proxy itself"),
        pytest.param({}, "X-Forwarded-For: 10.1.2.3", 401, id="from who says so himself"),
    ],
)
async def test_a_key_is_good_where_its_client_really_is(
    open_keys: OpenKeys, tmp_path: Path, forwarded: object, header: str, status: int
) -> None:
    gateway = await open_keys(f"sqlite:///{tmp_path}/gateway.db", forwarded=forwarded)
    made = await gateway.keys.create(KeyRequest("acme", networks=("10.0.0.0/8",)))
    assert (await gateway.call(made.secret, header)).status == status


async def test_tokens_are_taken_beside_keys(gateway: KeyGateway) -> None:
    issued = await gateway.tokens.issue(Grant("users/ada", "demo", frozenset({"read"}), 60.0))
    made = await gateway.keys.create(ACME)
    by_token = await gateway.seen(f"Authorization: Bearer {issued.access_token}")
    by_key = await gateway.seen(f"X-API-Key: {made.secret}")
    assert (by_token["x-principal"], by_key["x-principal"]) == ("users/ada", "partners/acme")


async def test_an_empty_key_is_called_empty(open_keys: OpenKeys, shared_store: str) -> None:
    gateway = await open_keys(shared_store)
    answer = await gateway.call("")
    assert answer.status == 401
    assert "X-API-Key is empty" in str(answer.body)
