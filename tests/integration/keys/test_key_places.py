"""API keys in the places that a service config names for them, over real sockets."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.auth.keys.api_keys import ApiKeys, KeyRequest
from gateway.auth.tokens.tokens import Tokens
from gateway.stores.opening import open_store
from tests.integration.keys.conftest import KeyGateway
from tests.support.http import Answer, connected, echo_gateway
from tests.support.polling import until

CONFIG = """
type: google.api.Service
system_parameters:
  rules:
    - selector: echo.v1.EchoService.*
      parameters:
        - {name: api_key, url_query_parameter: number, http_header: X-Goog-Api-Key}
        - {name: api_key, url_query_parameter: api-key}
    - selector: echo.v1.EchoService.Fail
"""
PATH = "/v1/echo/hello"


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Any]:
    """Opens gateways with the service config: `gateway = await opened(metadata=…)`."""
    store = f"sqlite:///{tmp_path}/gateway.db"
    async with AsyncExitStack() as stack:

        async def open_one(*, anonymous: bool = True, **settings: Any) -> KeyGateway:
            (tmp_path / "service.yaml").write_text(settings.pop("rules", CONFIG))
            auth = {"store": store, "anonymous": anonymous}
            auth = settings.pop("auth", auth)
            gateway = await stack.enter_async_context(
                echo_gateway(auth=auth, service_config=[tmp_path / "service.yaml"], **settings)
            )
            admin = await stack.enter_async_context(open_store(store))
            return KeyGateway(gateway, ApiKeys(admin), Tokens(admin))

        yield open_one


def principal(answer: Answer) -> str | None:
    """The caller as the back end knows it."""
    assert answer.status == 200, answer.body
    seen = {one["name"]: one.get("value", "") for one in answer.json()["metadata"]}
    assert "x-api-key" not in seen
    assert "x-goog-api-key" not in seen
    return seen.get("x-principal")


@pytest.mark.parametrize("query", ["api-key={}", "number={}", "words=a&api%2Dkey={}&words=b"])
async def test_a_key_in_the_query_names_its_owner(opened: Any, query: str) -> None:
    gateway = await opened()
    made = await gateway.keys.create(KeyRequest("acme"))
    answer = await gateway.get(path=f"{PATH}?{query.format(made.secret)}")
    assert principal(answer) == "acme"
    assert made.secret not in answer.body.decode()
    assert answer.json()["words"] == (["a", "b"] if "words" in query else [])


async def test_a_key_in_a_header_names_its_owner_and_so_does_the_usual_one(opened: Any) -> None:
    gateway = await opened()
    secret = (await gateway.keys.create(KeyRequest("acme"))).secret
    assert principal(await gateway.get(f"x-goog-api-key: {secret}")) == "acme"
    assert principal(await gateway.get(f"X-API-Key: {secret}")) == "acme"
    assert principal(await gateway.get()) is None


async def test_requests_of_one_connection_do_not_share_a_key(opened: Any) -> None:
    gateway = await opened()
    secret = (await gateway.keys.create(KeyRequest("acme"))).secret
    async with connected(gateway.gateway) as client:
        for _ in range(3):
            assert principal(await client.get(f"{PATH}?api-key={secret}")) == "acme"
            assert principal(await client.get(PATH)) is None


async def test_a_post_a_stream_and_a_websocket_take_it(opened: Any) -> None:
    gateway = await opened(anonymous=False)
    secret = (await gateway.keys.create(KeyRequest("acme"))).secret
    stream = "/v1/echo/a:repeat?count=2"
    async with connected(gateway.gateway) as client:
        body = '{"text": "t"}'
        await client.send(
            f"POST /v1/echo?api-key={secret} HTTP/1.1\r\nHost: test\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        assert principal(await client.answer()) == "acme"
        assert (await client.get(stream)).status == 401
        answer = await client.get(f"{stream}&api-key={secret}")
        assert [json.loads(line)["number"] for line in answer.body.splitlines()] == [1, 2]
    url = f"ws://{gateway.gateway.address}{stream}"
    with pytest.raises(InvalidStatus):
        await connect(url, proxy=None)
    async with connect(f"{url}&api-key={secret}", proxy=None) as socket:
        assert json.loads(await socket.recv())["number"] == 1


async def test_a_key_that_nobody_has_is_refused_in_all_places(opened: Any) -> None:
    gateway = await opened()
    assert (await gateway.get(path=f"{PATH}?api-key=x")).status == 401
    assert (await gateway.get("X-Goog-Api-Key: x")).status == 401


@pytest.mark.parametrize(
    ("query", "headers", "says"),
    [
        ("api-key={key}&api-key={key}", [], "the API key was sent twice"),
        ("api-key={key}&number={key}", [], "the API key was sent twice"),
        ("api-key={key}", ["X-Goog-Api-Key: {key}"], "the API key was sent twice"),
        ("api-key={key}", ["X-API-Key: {key}"], "the API key was sent twice"),
        ("", ["X-Goog-Api-Key: {key}"] * 2, "the API key was sent twice"),
        ("api-key={key}", ["Authorization: Bearer x"], "X-API-Key or Authorization"),
        ("api-key=", [], "the API key is empty"),
        ("api-key={key}%0d%0aX-Principal:%20root", [], "characters that no key has"),
        ("api-key=%ff", [], "characters that no key has"),
        ("other={key}", [], "a credential must not be in a URL"),
    ],
)
async def test_what_is_unclear_names_nobody(
    opened: Any, query: str, headers: list[str], says: str
) -> None:
    gateway = await opened()
    key = (await gateway.keys.create(KeyRequest("acme"))).secret
    given = [header.format(key=key) for header in headers]
    answer = await gateway.get(*given, path=f"{PATH}?{query.format(key=key)}")
    assert answer.status == 400
    assert says in answer.json()["error"]["message"]
    assert key not in str(answer)


async def test_a_method_without_the_rule_does_not_take_it(opened: Any) -> None:
    gateway = await opened()
    secret = (await gateway.keys.create(KeyRequest("acme"))).secret
    for path in (f"/v1/echo:fail?api-key={secret}", f"/nowhere?api-key={secret}"):
        answer = await gateway.get(path=path)
        assert answer.status == 400
        assert "must not be in a URL" in answer.json()["error"]["message"]


async def test_back_ends_of_other_methods_do_not_get_its_header(opened: Any) -> None:
    gateway = await opened(rules=CONFIG.replace("EchoService.*", "EchoService.Repeat"))
    secret = (await gateway.keys.create(KeyRequest("acme"))).secret
    answer = await gateway.get(f"X-Goog-Api-Key: {secret}", "X-Other: a")
    assert principal(answer) is None
    assert {"name": "x-other", "value": "a"} in answer.json()["metadata"]


async def test_a_key_is_in_no_log_and_no_path_for_back_ends(opened: Any, tmp_path: Path) -> None:
    log = {"access": str(tmp_path / "access.log"), "format": "json"}
    gateway = await opened(log=log, metadata={"path_name": "x-path"})
    secret = (await gateway.keys.create(KeyRequest("acme"))).secret
    answer = await gateway.get(path=f"{PATH}?api-key={secret}&words=a")
    assert {"name": "x-path", "value": f"{PATH}?words=a"} in answer.json()["metadata"]
    await until(lambda: '"/v1/echo/' in (tmp_path / "access.log").read_text())
    assert secret not in (tmp_path / "access.log").read_text()


async def test_without_api_keys_a_key_is_only_ignored_and_masked(opened: Any) -> None:
    gateway = await opened(auth={}, metadata={"path_name": "x-path"})
    answer = await gateway.get(path=f"{PATH}?number=s3cret&api-key=s3cret&words=a")
    assert answer.status == 200, answer.body
    assert (answer.json()["number"], answer.json()["words"]) == (0, ["a"])
    sent = f"{PATH}?number=***&api-key=***&words=a"
    assert {"name": "x-path", "value": sent} in answer.json()["metadata"]
